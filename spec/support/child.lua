--- See lua/moongate/spec/child.lua: authors of policies use it too.
return require "moongate.spec.child"
