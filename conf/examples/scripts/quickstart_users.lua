--- Who may log in at the quickstart gateway: edit a line, start again, try again.
local moongate = require "moongate"

local users = {
  ["erin@example.org"] = "moonlight",
  ["frank@example.org"] = "starlight",
}

return {
  auth = function(_, credentials)
    local password = users[credentials.user]
    if not (password and credentials.password and credentials.password:equals(password)) then
      return moongate.reject { reason = "bad-credentials" }
    end
    return moongate.accept { user = credentials.user }
  end,
}
