--- A scripted HTTP/1.1 server in the spec's process, such as an auth service.
--
--     local server = http_server.start { answer = function(request, peer)
--       return { headers = { ["Auth-Status"] = "OK" } }
--     end }
--     server.url          -- "http://127.0.0.1:40123/auth"
--     server.requests[1]  -- { method, target, headers (lower-case names), body, head, peer }
--
-- `answer` runs as a coroutine. It returns `{ status, headers, body }`, with `close = true` to end
-- the connection after it; or nil when it has written what it wanted on `peer` itself (dripping,
-- cut off, reset), after which nothing more is read from that connection.
local loop = require "moongate.spec.loop"
local tls = require "moongate.spec.tls"
local upstream = require "moongate.spec.upstream"

local http_server = {}

--- The head of the next request; nil at the end of the connection.
local function read_head(peer)
  local function head_end() return peer.input:find("\r\n\r\n", 1, true) end
  loop.wait(peer.name .. ": a request", function() return head_end() or peer.ended end, false)
  local at = head_end()
  return at and peer:read(at + 3)
end

local function read_request(peer)
  local head = read_head(peer)
  if not head then return nil end
  local request = { head = head, headers = {}, peer = peer }
  request.method, request.target, request.version = head:match "^(%S+) (%S+) (HTTP/[%d.]+)\r\n"
  for name, value in head:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    request.headers[name:lower()] = value
  end
  local size = tonumber(request.headers["content-length"] or 0)
  request.body = size > 0 and peer:read(size) or ""
  return request
end

--- The bytes of a response.
function http_server.format(response)
  local body = response.body or ""
  local lines = { "HTTP/1.1 " .. (response.status or "200 OK") }
  for name, value in pairs(response.headers or {}) do
    table.insert(lines, name .. ": " .. value)
  end
  table.insert(lines, "Content-Length: " .. #body)
  if response.close then table.insert(lines, "Connection: close") end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local function serve(server, peer)
  for request in function() return read_request(peer) end do
    table.insert(server.requests, request)
    local response = server.answer(request, peer)
    if not response then return end
    peer:send(http_server.format(response))
    if response.close or (request.headers.connection or ""):lower() == "close" then
      peer:flush()
      return peer:close()
    end
  end
  peer:close()
end

local function secure(server, peer)
  if not tls.start(peer, server.tls):attempt(false) then
    table.insert(server.failures, peer.failure or peer.ended)
    peer:close()
    return false
  end
  server.shaken = server.shaken + 1
  if peer:is_resumed() then server.resumed = server.resumed + 1 end
  return true
end

--- Options: `answer`, `ip`, `port`, `path`, `name`, `tls` (of moongate.spec.tls, a server's: then
-- it is https and counts handshakes in `shaken`, those that resumed in `resumed`, and has in
-- `failures` why others failed); the result is a moongate.spec.upstream besides.
function http_server.start(options)
  local server = upstream.start {
    ip = options.ip,
    port = options.port,
    path = options.path,
    name = options.name or "http server",
    script = function() end,
  }
  server.requests = {}
  server.answer = options.answer
  server.tls, server.shaken, server.resumed, server.failures = options.tls, 0, 0, {}
  server.script = function(peer)
    if not server.tls or secure(server, peer) then serve(server, peer) end
  end
  server.url = ("%s://%s/auth"):format(options.tls and "https" or "http", server.address)
  return server
end

return http_server
