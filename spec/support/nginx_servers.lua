--- What an nginx.conf of a spec needs: an auth server, and an upstream for each protocol.
--
--     local servers = nginx_servers.start()
--     servers.auth.port, servers.imap, servers.pop3, servers.smtp
--     servers.answer = { ["Auth-Status"] = "no" }   -- or a function(request, peer)
--     servers:clear()                               -- after each case
--     servers:stop()
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local mime = require "mime"
local upstream = require "spec.support.upstream"

local servers = {}
servers.__index = servers

--- Answers XCLIENT too, and all that may follow.
local function postfix(peer)
  peer:send_line "220 up"
  for line in function() return peer:read_line(false) end do
    peer:send_line(line:match "^EHLO" and "250-up\r\n250 AUTH PLAIN" or line:match "^AUTH"
      and "235 ok" or "250 ok")
    if line:match "^AUTH" then peer.user = mime.unb64(line:match "%S+$"):match "^%z(%Z*)%z" end
  end
end

--- What the upstreams do unless a case has it otherwise.
function servers:set_scripts()
  self.imap.script = upstream.imap { capabilities = "IMAP4rev1" }
  self.pop3.script = upstream.pop3 { capabilities = "USER\r\n" }
  self.smtp.script = postfix
end

--- Headers that say OK and where to go, and `more`.
function servers:ok(request, more)
  local headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
    ["Auth-Port"] = tostring(self[request.headers["auth-protocol"]].port) }
  for name, value in pairs(more or {}) do headers[name] = value end
  return headers
end

local function answer(self, request, peer)
  local headers = self.answer
  if type(headers) == "function" then headers = headers(request, peer) end
  return { headers = headers or self:ok(request), close = true }
end

function servers.start()
  local self = setmetatable({}, servers)
  self.imap, self.pop3, self.smtp = upstream.start {}, upstream.start {}, upstream.start {}
  self:set_scripts()
  self.auth = http_server.start { answer = function(...) return answer(self, ...) end }
  return self
end

--- Forgets all connections and questions, and what a case has changed.
function servers:clear()
  client.discard_all()
  for _, server in ipairs { self.imap, self.pop3, self.smtp } do server:clear() end
  self:set_scripts()
  self.answer, self.auth.requests = nil, {}
end

function servers:stop()
  for _, server in ipairs { self.imap, self.pop3, self.smtp, self.auth } do server:stop() end
end

return servers
