--- What stands in for the network of a gateway under a spec.
--
--     gw.http:reply("https://idp.example/introspect", { status = 200, body = "{}" })
--     gw.http:fail("https://idp.example/introspect", "connect")
--     gw.http:delay(3)
--     gw.auth_http:reply("http://127.0.0.1:9000/auth", { headers = { ["Auth-Status"] = "OK" } })
--     gw.dns:reply("example.org MX", { "10 mail.example.org" })
--     gw.socket:reply("127.0.0.1:4000", function(data) return "reply" end)
--     gw.sql:reply("select host from mailbox where login = $1", { { host = "10.0.0.5" } })
--     gw.ldap:reply("bind uid=ann,dc=example,dc=org", true)
--     gw.sessions:reply("count", 3)
--     gw.redis:reply("GET user:ann", "10.0.0.5:143")
--     gw.redis:fail("redis://127.0.0.1:6379/0", "connect")
--
-- An answer may be a function of the request. Whatever has none raises in the spec.
local network = {}

--- One kind of I/O: answers by name, and how long they take.
local Stand = {}
Stand.__index = Stand

--- What is answered to `name`: a table, or a function that returns one.
function Stand:reply(name, answer)
  self.answers[name] = answer
  return self
end

--- `kind`: "connect", "timeout", "dns", "tls", "closed", "protocol".
function Stand:fail(name, kind)
  if not self.failures[kind] then
    error(("%s can't fail by %q"):format(self.kind, tostring(kind)), 2)
  end
  return self:reply(name, { fail = kind })
end

--- Answers take `seconds` from now on; that of `name`, or all.
function Stand:delay(seconds, name)
  self.delays[name or ""] = seconds
  return self
end

local function stand(kind, failures)
  local set = {}
  for word in failures:gmatch "%S+" do set[word] = true end
  return setmetatable({ kind = kind, failures = set, answers = {}, delays = {} }, Stand)
end

--- The answer to the first of the names that has one, and how long it takes.
local function find(kind, ...)
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    local answer = kind.answers[name]
    if answer ~= nil then return answer, kind.delays[name] or kind.delays[""] or 0 end
  end
  error(("unmocked I/O: %s %s (gw.%s:reply can answer it)"):format(kind.kind, (...), kind.kind), 0)
end

local function settle(answer, request)
  if type(answer) == "function" then answer = answer(request) end
  return answer or {}
end

-- HTTP ------------------------------------------------------------------------

local function head_of(answer)
  local lines = {}
  for name, value in pairs(answer.headers or {}) do
    lines[#lines + 1] = ("%s: %s\r\n"):format(name, tostring(value))
  end
  table.sort(lines)
  return table.concat(lines)
end

local function fields_of(lines)
  local headers = {}
  for _, line in ipairs(lines) do
    local name, value = line:match "^([^:;]+)[:;] ?(.*)$"
    if name then headers[name:lower()] = value end
  end
  return headers
end

local FAILURES = {
  connect = "could not connect", dns = "the host has no address", tls = "the handshake failed",
  closed = "closed before the end of the answer", protocol = "the answer makes no sense",
  overload = "too many questions are waiting",
}

local function answer_http(self, query)
  local request = { method = query.method, url = query.url, body = query.body,
    headers = fields_of(query.lines) }
  self:note("http", query.method .. " " .. query.url)
  local name = query.method .. " " .. query.url
  local answer, delay = find(self.http, name, query.url, (query.url:gsub("%?.*", "")))
  answer = settle(answer, request)
  return { fail = answer.fail, text = FAILURES[answer.fail], delay = answer.delay or delay,
    status = answer.status or 200, head = head_of(answer), body = answer.body or "" }
end

--- The bytes of an answer that libcurl has no part in.
local function reply_text(answer)
  local body = answer.body or ""
  return ("HTTP/1.1 %d Answer\r\n%sContent-Length: %d\r\n\r\n%s"):format(answer.status or 200,
    head_of(answer), #body, body)
end

--- Serves one connection of `moongate.auth_http`: one question after the other.
local function serve_auth(self, url)
  local input = ""
  return function(bytes)
    input = input .. bytes
    local head, rest = input:match "^(.-\r\n)\r\n(.*)$"
    if not head then return nil end
    input = rest
    local lines = {}
    for line in head:gmatch "([^\r\n]+)\r\n" do lines[#lines + 1] = line end
    self:note("auth_http", url)
    local answer, delay = find(self.auth_http, url)
    answer = settle(answer, { method = lines[1]:match "^%S+", url = url,
      headers = fields_of(lines) })
    if answer.fail == "closed" then return nil, answer.delay or delay, true end
    if answer.fail == "protocol" then return "nonsense\r\n\r\n", answer.delay or delay, true end
    if answer.fail then return nil end
    return reply_text(answer), answer.delay or delay
  end
end

local function dial_auth(self, url)
  local answer = find(self.auth_http, url)
  local failure = type(answer) == "table" and answer.fail
  if failure == "connect" or failure == "dns" then
    self:note("auth_http", url)
    return failure
  end
  return serve_auth(self, url)
end

-- Sockets ---------------------------------------------------------------------

--- Serves by a table: `greeting`, and what is said to each line.
local function by_lines(place, answers)
  local input = ""
  return function(bytes)
    local said = {}
    if bytes == "" and answers.greeting then said[1] = answers.greeting end
    input = (input .. bytes):gsub("([^\r\n]*)\r?\n", function(line)
      if not answers[line] then
        error(("unmocked I/O: socket %s: nothing is said to %q"):format(place, line), 0)
      end
      said[#said + 1] = answers[line]
      return ""
    end)
    return table.concat(said)
  end
end

local function dial_socket(self, host, port)
  local place = port ~= 0 and ("%s:%d"):format(host, port) or host
  self:note("socket", place)
  local answer, delay = find(self.socket, place)
  if type(answer) == "table" and answer.fail then
    if answer.fail == "closed" then return function() return nil, delay, true end end
    return answer.fail
  end
  local serve = type(answer) == "function" and answer or by_lines(place, answer)
  return function(bytes)
    local reply, close = serve(bytes)
    return reply, delay, close
  end
end

-- Redis -----------------------------------------------------------------------

--- What a server says for a value: true is OK, false is nothing, { error = text } an error.
local function encode(value)
  if value == true then return "+OK\r\n" end
  if not value then return "$-1\r\n" end
  if type(value) == "number" then return (":%d\r\n"):format(value) end
  if type(value) ~= "table" then return ("$%d\r\n%s\r\n"):format(#value, value) end
  if value.error then return ("-%s\r\n"):format(value.error) end
  local parts = { ("*%d\r\n"):format(#value) }
  for i, element in ipairs(value) do parts[i + 1] = encode(element) end
  return table.concat(parts)
end

--- The first whole command of `input`, a list of words, and what is behind it.
local function take_command(input)
  local count, at = input:match "^%*(%d+)\r\n()"
  if not count then return nil end
  local words = {}
  for i = 1, tonumber(count) do
    local length, from = input:match("^%$(%d+)\r\n()", at)
    if not length or #input < from + length + 1 then return nil end
    words[i] = input:sub(from, from + length - 1)
    at = from + length + 2
  end
  return words, input:sub(at)
end

local GREETINGS = { AUTH = true, SELECT = true, PING = true, SUBSCRIBE = true, PSUBSCRIBE = true }

--- What is said to one command; EVALSHA is never known, so that EVAL comes.
local function answer_command(self, words)
  local name = words[1]:upper()
  if GREETINGS[name] then return encode(true), 0 end
  if name == "EVALSHA" then return encode { error = "NOSCRIPT No matching script" }, 0 end
  local whole = name == "EVAL" and name or words[2] and name .. " " .. words[2] or name
  self:note("redis", whole)
  local answer, delay = find(self.redis, whole, name)
  if type(answer) == "function" then answer = answer(words) end
  if type(answer) == "table" and answer.fail then
    local nothing = answer.fail == "timeout"
    return answer.fail == "protocol" and "nonsense\r\n" or nil, delay, not nothing
  end
  return encode(answer), delay
end

--- Serves one connection: one command after the other.
local function serve_redis(self)
  local input = ""
  return function(bytes)
    input = input .. bytes
    local said, longest = {}, 0
    while true do
      local words, rest = take_command(input)
      if not words then break end
      input = rest
      local text, delay, close = answer_command(self, words)
      if close then return text, delay, true end
      said[#said + 1] = text
      longest = math.max(longest, delay)
    end
    return table.concat(said), longest
  end
end

local function dial_redis(self, server)
  local answer = self.redis.answers[server]
  if type(answer) == "table" and answer.fail then
    self:note("redis", server)
    return answer.fail
  end
  return serve_redis(self)
end

-- Names -----------------------------------------------------------------------

local function answer_dns(self, name, kind)
  self:note("dns", name .. " " .. kind)
  local answer, delay = find(self.dns, name .. " " .. kind, name)
  answer = settle(answer, { name = name, type = kind })
  local found = { fail = answer.fail, delay = answer.delay or delay }
  for i, record in ipairs(answer) do found[i] = record end
  return found
end

-- Directories -----------------------------------------------------------------

--- The first of the names is what it is called.
local function answer_question(self, kind, question, ...)
  self:note(kind, (...))
  local answer, delay = find(self[kind], ...)
  if type(answer) == "function" then answer = answer(question) end
  local failure = type(answer) == "table" and answer.fail
  return { answer = answer, fail = failure or nil, text = FAILURES[failure], delay = delay }
end

--- Named by whom it is about, if that is one.
local function answer_sessions(self, question)
  local whom = question.user or question.session or question.ip
  local name = whom and question.what .. " " .. whom or question.what
  return answer_question(self, "sessions", question, name, question.what)
end

-- All of it -------------------------------------------------------------------

local Network = {}
Network.__index = Network

local Call = {
  __tostring = function(call)
    return ("%.3f %s %s%s"):format(call.at, call.kind, call.name,
      call.decision and " -> " .. call.decision or "")
  end,
}

--- Remembers what happens, and when; the calls as `gw:calls()` has them.
function Network:note(kind, name, decision)
  table.insert(self.calls, setmetatable({ at = self.now(), kind = kind, name = name,
    decision = decision }, Call))
end

--- What the host asks, see core/lua/spec_world.h.
function Network:answer(kind, ...)
  if kind == "http" then return answer_http(self, ...) end
  if kind == "dns" then return answer_dns(self, ...) end
  if kind == "sql" then
    local question = ...
    return answer_question(self, kind, question, question.query)
  end
  if kind == "sessions" then return answer_sessions(self, ...) end
  if kind == "ldap" then
    local question = ...
    local what, place = question.what, question.dn or question.base
    return answer_question(self, kind, question, what .. " " .. place, what)
  end
  if kind == "hook" then
    local name, decision = ...
    self:note("hook", name, decision ~= "nil" and decision or nil)
    return nil
  end
  local host, port, what = ...
  local url = what and what:match "^auth_http (.*)"
  if url then return dial_auth(self, url) end
  local server = what and what:match "^redis (.*)"
  if server then return dial_redis(self, server) end
  return dial_socket(self, host, port)
end

function network.new()
  return setmetatable({
    calls = {},
    now = function() return 0 end,
    http = stand("http", "connect timeout dns tls closed protocol"),
    auth_http = stand("auth_http", "connect timeout dns closed protocol"),
    dns = stand("dns", "timeout dns"),
    redis = stand("redis", "connect timeout dns closed protocol"),
    socket = stand("socket", "connect timeout dns closed"),
    sql = stand("sql", "connect timeout dns tls closed protocol overload"),
    sessions = stand("sessions", "timeout"),
    ldap = stand("ldap", "connect timeout dns tls closed protocol overload"),
  }, Network)
end

return network
