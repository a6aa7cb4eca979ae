--- A scripted mail server in the spec's process.
--
--     local up = upstream.start { script = upstream.imap() }
--     up.address                 -- "127.0.0.1:40123"
--     up:peer(1):all()           -- every byte its first connection received
--     up:stop()
--
-- A script is a function(peer) that runs as a coroutine for each connection; `peer` is a
-- moongate.spec.connection. `up.script` may be changed between connections.
local connection = require "moongate.spec.connection"
local loop = require "moongate.spec.loop"
local mime = require "mime"
local tcp = require "moongate.spec.tcp"

local upstream = {}
upstream.__index = upstream

function upstream:on_readable()
  local fd = tcp.accept(self.fd)
  if not fd then return end
  local peer = connection.new(fd, ("%s connection %d"):format(self.name, #self.peers + 1))
  table.insert(self.peers, peer)
  local script = loop.script(peer.name, function() self.script(peer) end)
  table.insert(self.scripts, script)
end

--- Options: `script`, `ip` ("127.0.0.1"), `port` (0), or `path` of a unix socket, `name`.
function upstream.start(options)
  local ip = options.ip or "127.0.0.1"
  local fd = options.path and tcp.listen_local(options.path) or tcp.listen(ip, options.port)
  local self = setmetatable({
    fd = fd,
    name = options.name or "upstream",
    script = options.script,
    peers = {},
    scripts = {},
    reading = true,
  }, upstream)
  if options.path then
    self.address = "unix:" .. options.path
  else
    self.port = tcp.port(fd)
    self.address = (ip:find ":" and "[%s]:%d" or "%s:%d"):format(ip, self.port)
  end
  loop.watch(fd, self)
  return self
end

--- Its `n`-th connection, once that has come.
function upstream:peer(n, seconds)
  loop.wait(("connection %d of %s"):format(n, self.name),
    function() return self.peers[n] end, seconds)
  return self.peers[n]
end

--- The connections that are open.
function upstream:open_count()
  local count = 0
  for _, peer in ipairs(self.peers) do
    if not peer.ended then count = count + 1 end
  end
  return count
end

--- Forgets the connections there were.
function upstream:clear()
  for _, script in ipairs(self.scripts) do loop.cancel(script) end
  for _, peer in ipairs(self.peers) do peer:discard() end
  self.peers, self.scripts = {}, {}
end

function upstream:stop()
  self:clear()
  if self.fd then
    loop.forget(self.fd)
    tcp.close(self.fd)
    self.fd = nil
  end
end

local function nothing() end

--- Serves lines by a table of functions until one returns something, and returns that; false, and
-- a closed connection, when the other side has ended it.
local function serve(peer, split, answers, otherwise)
  while true do
    local line = peer:read_line(false)
    if not line then
      peer:close()
      return false
    end
    local tag, word, rest = split(line)
    local answer = answers[word:upper()] or otherwise
    local outcome = answer(tag, rest, line)
    if outcome ~= nil then return outcome end
  end
end

--- What OAUTHBEARER and XOAUTH2 say: user, token; nil when the text is no such thing.
local function token_of(text)
  local token = text:match "\1auth=Bearer ([^\1]*)\1\1$"
  return token and text:match "^n,a=([^,]*),\1" or text:match "^user=([^\1]*)\1", token
end

--- Takes note of a SASL response. With the option `denial`, a JSON, a token is refused: true when
-- the client has answered that.
local function note_response(peer, mechanism, encoded, options, challenge)
  local text = mime.unb64(encoded)
  peer.mechanism = mechanism:upper()
  if peer.mechanism ~= "OAUTHBEARER" and peer.mechanism ~= "XOAUTH2" then
    return text:match "^[^%z]*%z([^%z]*)%z(.*)$"
  end
  local user, token = token_of(text)
  peer.token = token
  if options.denial then
    peer:send_line(challenge .. mime.b64(options.denial))
    peer.denied = peer:read_line()
  end
  return user, token
end

--- An IMAP server. Options: `greeting`, `capabilities`, `login(peer, tag, user, password)` (in
--- place of an OK), `after(peer)` (in place of NOOP and LOGOUT being served after the login).
function upstream.imap(options)
  options = options or {}
  local capabilities = options.capabilities or "IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN"
  local function split(line) return line:match "^(%S+) (%S+) ?(.*)$" end
  return function(peer)
    peer:send_line(options.greeting or "* OK upstream ready")
    local function log_in(tag, user, password)
      peer.user, peer.password = user, password
      if options.login then return options.login(peer, tag, user, password) end
      peer:send_line(("%s OK [CAPABILITY %s] logged in"):format(tag, capabilities))
      return true
    end
    local answers = {
      CAPABILITY = function(tag)
        peer:send_line("* CAPABILITY " .. capabilities)
        peer:send_line(tag .. " OK done")
      end,
      ID = function(tag) peer:send_line("* ID NIL\r\n" .. tag .. " OK done") end,
      NOOP = function(tag) peer:send_line(tag .. " OK noop") end,
      LOGOUT = function(tag)
        peer:send_line("* BYE bye\r\n" .. tag .. " OK done")
        peer:close()
        return false
      end,
      LOGIN = function(tag, rest)
        local words = {}
        while rest ~= "" do
          local size, plus = rest:match "^{(%d+)(%+?)}$"
          if size then
            if plus == "" then peer:send "+ go\r\n" end
            table.insert(words, peer:read(tonumber(size)))
            rest = peer:read_line():gsub("^ ", "")
          else
            local word, tail = rest:match '^"(.-[^\\])" ?(.*)$'
            if not word then word, tail = rest:match "^(%S+) ?(.*)$" end
            table.insert(words, (word:gsub("\\(.)", "%1")))
            rest = tail
          end
        end
        return log_in(tag, words[1], words[2])
      end,
      AUTHENTICATE = function(tag, rest)
        local mechanism, initial = rest:match "^(%S+) ?(%S*)$"
        if initial == "" then
          peer:send "+ \r\n"
          initial = peer:read_line()
        end
        return log_in(tag, note_response(peer, mechanism, initial, options, "+ "))
      end,
    }
    local function unknown(tag) peer:send_line(tag .. " BAD unknown") end
    if not serve(peer, split, answers, unknown) then return end
    if options.after then return options.after(peer) end
    answers.LOGIN, answers.AUTHENTICATE = nil, nil
    serve(peer, split, answers, unknown)
  end
end

--- A POP3 server, with the options of `imap`; `login(peer, user, password)`.
function upstream.pop3(options)
  options = options or {}
  local function split(line)
    local word, rest = line:match "^(%S+) ?(.*)$"
    return nil, word or "", rest
  end
  return function(peer)
    peer:send_line(options.greeting or "+OK upstream ready")
    local function log_in(user, password)
      peer.user, peer.password = user, password
      if options.login then return options.login(peer, user, password) end
      peer:send_line "+OK logged in"
      return true
    end
    local answers = {
      CAPA = function()
        peer:send("+OK\r\n" .. (options.capabilities or "USER\r\nSASL PLAIN\r\n") .. ".\r\n")
      end,
      USER = function(_, rest)
        peer.user = rest
        peer:send_line "+OK"
      end,
      PASS = function(_, rest) return log_in(peer.user, rest) end,
      AUTH = function(_, rest)
        local mechanism, encoded = rest:match "^(%S+) ?(%S*)$"
        if encoded == "" then
          peer:send "+ \r\n"
          encoded = peer:read_line()
        end
        return log_in(note_response(peer, mechanism, encoded, options, "+ "))
      end,
      NOOP = function() peer:send_line "+OK" end,
      QUIT = function()
        peer:send_line "+OK bye"
        peer:close()
        return false
      end,
    }
    local function unknown() peer:send_line "-ERR unknown" end
    if not serve(peer, split, answers, unknown) then return end
    if options.after then return options.after(peer) end
    serve(peer, split, answers, unknown)
  end
end

--- An SMTP server, with the options of `imap`; `login(peer, user, password)`.
function upstream.smtp(options)
  options = options or {}
  local function split(line)
    local word, rest = line:match "^(%S+) ?(.*)$"
    return nil, word or "", rest
  end
  return function(peer)
    peer:send_line(options.greeting or "220 upstream.test ESMTP")
    local function log_in(user, password)
      peer.user, peer.password = user, password
      if options.login then return options.login(peer, user, password) end
      peer:send_line "235 2.7.0 logged in"
      return true
    end
    local function prompt(text)
      peer:send_line("334 " .. mime.b64(text))
      return mime.unb64(peer:read_line())
    end
    local answers = {
      EHLO = function()
        peer:send(options.extensions
          or "250-upstream.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 AUTH PLAIN LOGIN\r\n")
      end,
      HELO = function() peer:send_line "250 upstream.test" end,
      AUTH = function(_, rest)
        local mechanism, encoded = rest:match "^(%S+) ?(%S*)$"
        if mechanism == "LOGIN" then return log_in(prompt "Username:", prompt "Password:") end
        if encoded == "" then
          peer:send_line "334 "
          encoded = peer:read_line()
        end
        return log_in(note_response(peer, mechanism, encoded, options, "334 "))
      end,
      NOOP = function() peer:send_line "250 2.0.0 ok" end,
      RSET = function() peer:send_line "250 2.0.0 ok" end,
      MAIL = function() peer:send_line "250 2.1.0 ok" end,
      RCPT = function() peer:send_line "250 2.1.5 ok" end,
      DATA = function()
        peer:send_line "354 go on"
        peer.message = {}
        for line in function() return peer:read_line() end do
          if line == "." then break end
          table.insert(peer.message, line)
        end
        peer:send_line "250 2.0.0 queued"
      end,
      QUIT = function()
        peer:send_line "221 2.0.0 bye"
        peer:close()
        return false
      end,
    }
    local function unknown() peer:send_line "500 5.5.1 unknown" end
    if not serve(peer, split, answers, unknown) then return end
    if options.after then return options.after(peer) end
    serve(peer, split, answers, unknown)
  end
end

--- A server that accepts and never says a word.
function upstream.mute() return nothing end

return upstream
