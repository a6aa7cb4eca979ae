--- See lua/moongate/spec/connection.lua: authors of policies use it too.
return require "moongate.spec.connection"
