--- See lua/moongate/spec/upstream.lua: authors of policies use it too.
return require "moongate.spec.upstream"
