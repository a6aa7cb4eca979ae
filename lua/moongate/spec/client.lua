--- A mail client of a spec, spoken by hand: `client.connect(port):expect "^%* OK"`.
local connection = require "moongate.spec.connection"
local mime = require "mime"
local tcp = require "moongate.spec.tcp"

local client = {}

local count, open = 0, {}

--- Connects to a port of 127.0.0.1. Options: `ip`, `receive_buffer`, `name`.
function client.connect(port, options)
  options = options or {}
  count = count + 1
  local fd = tcp.connect(options.ip or "127.0.0.1", port, options.receive_buffer)
  local self = connection.new(fd, options.name or ("client %d"):format(count))
  self.port = tcp.port(fd) -- by which the gateway's log knows it
  self.server_port = port
  table.insert(open, self)
  return self
end

--- Closes all clients, for `after_each`.
function client.discard_all()
  for _, one in ipairs(open) do one:discard() end
  open = {}
end

--- The initial response of AUTH PLAIN.
function client.plain(user, password) return (mime.b64(("\0%s\0%s"):format(user, password))) end

return client
