--- A POP3 client and a scripted POP3 upstream for specs that are about something else.
local socket = require "socket"

local pop3 = {}

--- A configuration of POP3 listeners whose policy lets everybody in.
--
-- `listeners` are addresses by name; `head` is Lua text for the other settings.
function pop3.files(listeners, head, upstream)
  local lines = { 'local c = require "moongate.config"', "return c.gateway {", head or "" }
  for name, address in pairs(listeners) do
    lines[#lines + 1] = ("  c.listen %q { address = %q, protocol = \"pop3\", policy = \"open\" },")
      :format(name, address)
  end
  lines[#lines + 1] = "}"
  return {
    ["moongate.lua"] = table.concat(lines, "\n") .. "\n",
    ["scripts/open.lua"] = ([[
local moongate = require "moongate"
return {
  auth = function()
    return moongate.accept { upstream = %q }
  end,
}
]]):format(upstream or "127.0.0.1:1"),
  }
end

--- Connects and reads the greeting.
function pop3.connect(port, address)
  local client = assert(socket.connect(address or "127.0.0.1", port))
  client:settimeout(5)
  return client, client:receive "*l"
end

--- Sends a command and returns the answer's first line.
function pop3.ask(client, command)
  client:send(command .. "\r\n")
  return client:receive "*l"
end

--- A listening upstream and its port.
function pop3.upstream()
  local server = assert(socket.bind("127.0.0.1", 0))
  server:settimeout(10)
  return server, select(2, server:getsockname())
end

--- Answers one login with yes and returns the connection.
function pop3.accept_login(server)
  local connection = assert(server:accept())
  connection:settimeout(5)
  connection:send "+OK upstream\r\n"
  repeat
    local line = assert(connection:receive "*l")
    connection:send(line == "CAPA" and "+OK\r\nUSER\r\n.\r\n" or "+OK\r\n")
  until line:match "^PASS"
  return connection
end

--- A client that is logged in and relayed, and the upstream's end of it.
function pop3.login(port, server)
  local client = pop3.connect(port)
  assert(pop3.ask(client, "USER erin"):match "^%+OK")
  client:send "PASS secret\r\n"
  local connection = pop3.accept_login(server)
  assert(client:receive("*l"):match "^%+OK")
  return client, connection
end

return pop3
