--- See lua/moongate/spec/loop.lua: authors of policies use it too.
return require "moongate.spec.loop"
