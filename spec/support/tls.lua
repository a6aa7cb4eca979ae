--- See lua/moongate/spec/tls.lua: authors of policies use it too.
return require "moongate.spec.tls"
