--- `ngx.ssl`: certificates and keys that `setclientcert` shows. The rest of it is about the TLS of
-- a web request.
local core = require "moongate.core"

local function check_pem(name, value)
  if type(value) == "string" or core.is_secret(value) then return end
  error(("%s: PEM expected, as a string or Secret, got %s"):format(name, type(value)), 3)
end

local ssl = { version = "moongate" }

function ssl.parse_pem_cert(pem)
  check_pem("parse_pem_cert", pem)
  return core.client_certificate(pem)
end

function ssl.parse_pem_priv_key(pem)
  check_pem("parse_pem_priv_key", pem)
  return core.client_key(pem)
end

return ssl
