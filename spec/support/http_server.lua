--- See lua/moongate/spec/http_server.lua: authors of policies use it too.
return require "moongate.spec.http_server"
