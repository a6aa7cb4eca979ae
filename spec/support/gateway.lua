--- See lua/moongate/spec/gateway.lua: authors of policies use it too.
return require "moongate.spec.gateway"
