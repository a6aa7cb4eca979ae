--- See lua/moongate/spec/client.lua: authors of policies use it too.
return require "moongate.spec.client"
