--- `ngx.socket`: cosockets, on moongate.socket. Times are in milliseconds here.
local core = require "moongate.core"
local dns = require "moongate.dns"
local failure = require "moongate.compat.failure"
local socket = require "moongate.socket"

local LONGEST = 3600 -- seconds

local function seconds(milliseconds)
  milliseconds = tonumber(milliseconds) or 0
  return milliseconds > 0 and math.min(milliseconds / 1000, LONGEST) or nil
end

--- Results of ours as OpenResty gives them: 1 or a value; or nil, word, what came before.
local function told(value, err, partial)
  if value == nil then return nil, failure(err), partial end
  return value == true and 1 or value
end

-- TCP -------------------------------------------------------------------------------

local Tcp = {}
Tcp.__index = Tcp

function Tcp:connect(host, port, options)
  if type(port) == "table" then port, options = nil, port end
  local own = options and { pool = options.pool, pool_size = options.pool_size,
    backlog = options.backlog }
  if type(host) == "string" and host:find "^unix:" then
    return told(self.sock:connect(host, own))
  end
  return told(self.sock:connect(host, tonumber(port), own))
end

--- Unlike OpenResty it wants a certificate that is right, unless `verify` is false.
function Tcp:sslhandshake(_, name, verify)
  local ok, value, err = pcall(self.sock.sslhandshake, self.sock,
    { server_name = name, verify = verify ~= false })
  if not ok then return nil, tostring(value) end
  if value == nil then return nil, failure(err) end
  return true
end

local function check_kind(value, kind, argument)
  if core.client_certificate_kind(value) == kind then return end
  error(("setclientcert: bad %s arg: one of ngx.ssl expected, got %s"):format(argument,
    core.client_certificate_kind(value) or type(value)), 3)
end

--- What the next handshakes show, and whose connections `connect` finds in pools.
function Tcp:setclientcert(certificate, key)
  if certificate == nil and key == nil then return core.set_certificate(self.sock, nil, nil) end
  if certificate == nil or key == nil then
    return nil, "client certificate must be supplied with corresponding private key"
  end
  check_kind(certificate, "certificate", "cert")
  check_kind(key, "key", "pkey")
  return core.set_certificate(self.sock, certificate, key)
end

function Tcp:send(data)
  if data == nil or type(data) == "boolean" then data = tostring(data) end
  return told(self.sock:send(data))
end

function Tcp:receive(what)
  if what == nil then what = "*l" end
  return told(self.sock:receive(tonumber(what) or what))
end

function Tcp:receiveany(max) return told(self.sock:receiveany(max)) end

--- With a size the text before the mark comes in pieces, and then nil.
function Tcp:receiveuntil(mark, options)
  local next_text = self.sock:receiveuntil(mark)
  local inclusive, rest = options and options.inclusive
  return function(size)
    if not rest then
      local text, err, partial = told(next_text())
      if not text then return nil, err, partial end
      rest = inclusive and text .. mark or text
    end
    local piece = rest
    if not size then
      rest = nil
    elseif piece == "" then
      rest = nil
      return nil, nil, nil
    else
      piece, rest = rest:sub(1, size), rest:sub(size + 1)
    end
    return piece
  end
end

function Tcp:settimeout(milliseconds)
  local time = seconds(milliseconds)
  if time then self.sock:settimeout(time) end
  return 1
end

function Tcp:settimeouts(connect, send, receive)
  self.sock:settimeouts(seconds(connect) or LONGEST, seconds(send) or LONGEST,
    seconds(receive) or LONGEST)
  return 1
end

function Tcp:setkeepalive(milliseconds, size)
  local time = milliseconds and math.min(milliseconds / 1000, 86400)
  local value, err = self.sock:setkeepalive(time, size)
  if value == nil then return nil, failure(err) end
  return 1
end

function Tcp:getreusedtimes() return told(self.sock:getreusedtimes()) end
function Tcp:close() return told(self.sock:close()) end

local function tcp() return setmetatable({ sock = socket.tcp() }, Tcp) end

-- UDP -------------------------------------------------------------------------------

local Udp = {}
Udp.__index = Udp

local function address_of(host)
  if host:find "^unix:" or host:find ":" or host:find "^%d+%.%d+%.%d+%.%d+$" then return host end
  local found, err = dns.resolve(host, "A")
  if not found then return nil, err and failure(err) or "host not found" end
  return found[1], "host not found"
end

function Udp:setpeername(host, port)
  local address, err = address_of(host)
  if not address then return nil, err end
  return told(self.sock:setpeername(address, tonumber(port)))
end

function Udp:send(data) return told(self.sock:send(data)) end
function Udp:receive(size) return told(self.sock:receive(size)) end

function Udp:settimeout(milliseconds)
  local time = seconds(milliseconds)
  if time then self.sock:settimeout(time) end
  return 1
end

function Udp:close() return told(self.sock:close()) end

local function udp() return setmetatable({ sock = socket.udp() }, Udp) end

--- A connection that is made already.
local function connect(...)
  local sock = tcp()
  local ok, err = sock:connect(...)
  if not ok then return nil, err end
  return sock
end

return { tcp = tcp, stream = tcp, udp = udp, connect = connect }
