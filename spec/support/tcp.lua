--- See lua/moongate/spec/tcp.lua: authors of policies use it too.
return require "moongate.spec.tcp"
