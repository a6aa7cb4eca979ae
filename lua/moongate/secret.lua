--- Secrets that a policy needs itself, such as the key of an API.
local core = require "moongate.core"

return {
  --- The first line of a file, read with the configuration; or nil, message.
  file = core.secret_file,
  --- A Secret that holds a text.
  of = core.secret,
}
