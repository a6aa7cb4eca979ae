--- The real nginx and the gateway that serves the same nginx.conf, side by side.
--
--     local pair = nginx_pair.start { mail = "auth_http 127.0.0.1:@auth/x; server { ... @imap; }" }
--     pair:both("imap", { { send = "a NOOP\r\n", upto = "^a OK" } })  -- the same from both
--     pair:asks("imap", { ... })              -- and the auth server was asked the same by both
--     pair:clear()                            -- after each case
--     pair:stop()
--
-- Options are those of spec.support.nginx; the servers are those of spec.support.nginx_servers.
-- A step of what is said has `send`, or `tls`, how a client begins TLS, or both; then `upto`, what
-- the last line of the reply is like, or `ends`, the same before the connection ends. `send` may be
-- a function of that line of the step before.
local assert = require "luassert"
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local mime = require "mime"
local nginx = require "spec.support.nginx"
local servers = require "spec.support.nginx_servers"
local tls = require "spec.support.tls"

local pair = setmetatable({}, { __index = servers })
pair.__index = pair

function pair.start(options)
  local self = setmetatable(servers.start(), pair)
  options.ports = options.ports or {}
  options.ports.auth = self.auth.port
  self.gw = nginx.run(options)
  self.real = nginx.start(options)
  return self
end

function pair:stop()
  nginx.discard(self.gw)
  self.real:stop()
  servers.stop(self)
end

--- The end, which over TLS is said first: nginx waits for the answer.
local function await_end(c)
  if c.ssl then
    loop.wait("the end of " .. c.name, function() return c.notified or c.ended end)
    c:close()
  else
    c:expect_end()
  end
end

--- Says all of it to one of them: `ports` is `gw.at` or `real.at`. The client, which has heard it.
function pair.talk(ports, name, steps)
  local c, last = client.connect(ports[name])
  for _, step in ipairs(steps) do
    local send = step.send
    if type(send) == "function" then send = send(last) end
    if step.tls then tls.start(c, tls.client(step.tls)):handshake() end
    if send then c:send(send) end
    if step.upto or step.ends then last = c:expect_until(step.upto or step.ends) end
    if step.ends then await_end(c) end
  end
  return c
end

--- What it has heard, without what no two servers say: the salts, also in base64.
local function heard(c)
  local text = c:all():gsub("<%d+%.%d+@", "<salt@")
  return (text:gsub("[%w+/]+=*", function(word)
    return (mime.unb64(word) or ""):match "^<%d+%.%d+@" and "salt"
  end))
end

--- The same to both of them, and that both say the same.
function pair:both(name, steps)
  local expected = heard(self.talk(self.real.at, name, steps))
  local here = heard(self.talk(self.gw.at, name, steps))
  assert.equal(expected, here)
  return here
end

--- A request of the gateway without the headers that nginx does not have.
local function without_additions(head)
  return (head:gsub("Client%-Port: %d+\r\nServer%-IP: 127.0.0.1\r\nServer%-Port: %d+\r\n", ""))
end

--- The same to both of them; the auth server was asked the same by both, if `salted` but for what
-- depends on the salts. The request of the gateway.
function pair:asks(name, steps, salted)
  self.auth.requests = {}
  self:both(name, steps)
  local count = #self.auth.requests
  assert.is_true(count > 0 and count % 2 == 0, count .. " requests")
  for i = 1, count / 2 do
    local expected, asked = self.auth.requests[i].head, self.auth.requests[count / 2 + i].head
    asked = without_additions(asked)
    if salted then
      expected = expected:gsub("(Auth%-Pass: )%x+", "%1digest"):gsub("<%d+%.%d+@", "<salt@")
      asked = asked:gsub("(Auth%-Pass: )%x+", "%1digest"):gsub("<%d+%.%d+@", "<salt@")
    end
    assert.equal(expected, asked)
  end
  return self.auth.requests[count]
end

return pair
