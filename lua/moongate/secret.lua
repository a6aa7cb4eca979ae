--- Secrets that a policy needs itself, such as the key of an API.
--
-- What comes from outside is read with the configuration, so a policy must ask while it loads.
local core = require "moongate.core"

return {
  --- The first line of a file; or nil, message.
  file = core.secret_file,
  --- The first line of an environment variable; or nil, message.
  env = core.secret_env,
  --- The first line that a program writes, `{ "pass", "show", "x" }`; or nil, message.
  command = core.secret_command,
  --- A Secret that holds a text.
  of = core.secret,
}
