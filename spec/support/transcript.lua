--- Transcripts: protocol tests that are text files.  See spec/proto/transcripts/README.md.
local dialog = require "spec.support.dialog"

local HEADERS = {}
for name in ([[protocol mechanisms starttls secure certified tls-required no-auth ask-helo
  ask-mail ask-verifier forward trusted xoip
  pass-error-message pass-capabilities capabilities learnt greeting command-max
  literal-max reply-max arena-max server-name salt]]):gmatch "%S+" do
  HEADERS[name] = true
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 3, 0, -1 do
      local index = math.floor(n / 64 ^ k) % 64 + 1
      out[#out + 1] = ALPHABET:sub(index, index)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

local ESCAPES = { r = "\r", n = "\n", t = "\t", ["0"] = "\0", ["\\"] = "\\" }

local function unescape(text)
  local out, at = {}, 1
  while true do
    local start = text:find("\\", at, true)
    out[#out + 1] = text:sub(at, (start or 0) - 1)
    if not start then return table.concat(out) end
    local digits = text:match("^x(%x%x)", start + 1)
    local known = digits and string.char(tonumber(digits, 16))
      or ESCAPES[text:sub(start + 1, start + 1)]
    if not known then error("unknown escape in " .. text) end
    out[#out + 1] = known
    at = start + (digits and 4 or 2)
  end
end

--- "\0" and friends, $b64(...) and $repeat(text,times).
local function expand(text)
  text = text:gsub("%$repeat%((.-),(%d+)%)", function(what, times)
    return (what:rep(tonumber(times)))
  end)
  text = text:gsub("%$b64(%b())", function(inner) return base64(unescape(inner:sub(2, -2))) end)
  return unescape(text)
end

--- The bytes of a line: with CRLF, unless it ends in `\c`.
local function line_bytes(text)
  local open = text:match "^(.*)\\c$"
  return open and expand(open) or expand(text) .. "\r\n"
end

--- `refuse limit text="try later"` as the name, the bare words and the options.
local function parse_words(text)
  local words, options, at = {}, {}, 1
  while at <= #text do
    local _, stop, key, value = text:find('^([%w_-]+)="(.-)"%s*', at)
    if not stop then _, stop, key, value = text:find("^([%w_-]+)=(%S*)%s*", at) end
    if stop then
      options[key] = expand(value)
    else
      _, stop, value = text:find("^(%S+)%s*", at)
      words[#words + 1] = value
    end
    at = stop + 1
  end
  return words, options
end

local function parse_line(line)
  local kind, text = line:match "^(>?[CGU]): ?(.*)$"
  if kind then return { kind = kind, bytes = line_bytes(text) } end
  text = line:match "^! (.+)$"
  if not text then error "neither C: G: U: >U: nor !" end
  local words, options = parse_words(text)
  return { kind = words[1]:match "^%u" and "ask" or "action", name = words[1], word = words[2],
    options = options }
end

local CONNECTS = { accept = true, retry = true, probe = true }

--- Sorts the items of a case into what is fed, what is expected and what the script does.
local function compile(case)
  local connection = 0
  case.client, case.upstreams, case.to_client, case.to_upstream = "", {}, "", ""
  case.asks, case.first = {}, {}
  for _, item in ipairs(case.items) do
    if item.kind == "C" then
      case.client = case.client .. item.bytes
    elseif item.kind == "U" then
      if connection == 0 then error(case.name .. ": U: before an upstream is there") end
      item.connection = connection
      case.upstreams[connection] = case.upstreams[connection] .. item.bytes
    elseif item.kind == "G" then
      case.to_client = case.to_client .. item.bytes
    elseif item.kind == ">U" then
      case.to_upstream = case.to_upstream .. item.bytes
    elseif item.kind == "ask" then
      item.actions = {}
      case.asks[#case.asks + 1] = item
    else
      if CONNECTS[item.name] then
        connection = connection + 1
        case.upstreams[connection] = ""
      end
      local last = case.asks[#case.asks]
      table.insert(last and last.actions or case.first, item)
    end
  end
  if case.to_client == "" and case.to_upstream == "" and #case.asks == 0 then
    error(case.name .. ": expects nothing")
  end
  return case
end

--- The cases of a transcript file.  Headers before the first `==` are for all of them.
local function parse(text, where, protocol)
  local shared, cases, case, number = { protocol = protocol }, {}, nil, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local title, header, value = line:match "^== (.+)$", line:match "^# ([%w-]+):%s*(.*)$"
    if title then
      case = { name = title, items = {}, line = number,
        settings = setmetatable({}, { __index = shared }) }
      cases[#cases + 1] = case
    elseif header then
      if not HEADERS[header] then
        error(("%s:%d: unknown header %s"):format(where, number, header))
      end
      local settings = case and case.settings or shared
      settings[header] = expand(value)
    elseif line ~= "" and not line:match "^%-%-" then
      if not case then error(("%s:%d: before the first =="):format(where, number)) end
      local read, item = pcall(parse_line, line)
      if not read then error(("%s:%d: %s"):format(where, number, tostring(item))) end
      item.line = number
      table.insert(case.items, item)
    end
  end
  for _, found in ipairs(cases) do compile(found) end
  return cases
end

local Player = {}
Player.__index = Player

--- A play of `case`.  `on_connect(player)` says what an upstream sends at once.
local function play(case, on_connect)
  local self = setmetatable({ case = case, phase = "client", events = {}, connection = 0,
    on_connect = on_connect }, Player)
  self.dialog = dialog.new(case.settings)
  self.client, self.upstream, self.said, self.sent = "", "", "", ""
  if #case.first == 0 then
    self.dialog:say "GREETING"
  else
    self:act(case.first)
  end
  self:collect()
  return self
end

function Player:collect()
  local said, sent = self.dialog:written()
  self.said, self.sent = self.said .. said, self.sent .. sent
end

local ACTIONS = {}

function Player:connect()
  self.phase, self.connection, self.upstream = "upstream", self.connection + 1, ""
  if self.on_connect then self:on_connect() end
end

function ACTIONS.accept(self, item)
  self.dialog:accept(item.options)
  self:connect()
end

function ACTIONS.retry(self)
  self.dialog:retry()
  self:connect()
end

function ACTIONS.probe(self)
  self.dialog:probe()
  self:connect()
end

function ACTIONS.deny(self, item)
  self.dialog:deny(item.options.sasl)
  self.phase = "client"
end

function ACTIONS.refuse(self, item)
  self.dialog:refuse(item.word, item.options)
  self.phase = "client"
end

function ACTIONS.proceed(self)
  self.dialog:say "PROCEED"
  self.phase = "client"
end

function ACTIONS.secure(self)
  self.dialog:secure()
  self.phase = "client"
end

function ACTIONS.bye(self, item)
  self.dialog:bye(item.word)
  self.phase = "closed"
end

function ACTIONS.greet(self) self.dialog:say "GREETING" end

function ACTIONS.mechanisms(self, item) self.dialog:offer(item.options.list) end

function ACTIONS.learn(self, item) self.dialog:learn(item.options.list) end

function Player:act(actions)
  for _, item in ipairs(actions) do
    local action = ACTIONS[item.name] or error("line " .. item.line .. ": no action " .. item.name)
    action(self, item)
  end
end

--- The dialog asks the session for something: what it is goes into the trace, and the script says
--- what comes of it.
function Player:ask(name)
  local facts = self.dialog:facts()
  self.events[#self.events + 1] = { name = name, facts = facts }
  self.phase = name == "ASK_SPLICE" and "splice" or "closed"
  local expected = self.case.asks[#self.events]
  if expected then self:act(expected.actions) end
end

function Player:step_half(half)
  local outcome, len, ask = self.dialog:show(half, self[half])
  if outcome == "more" then return false end
  if outcome == "prompt" then
    self.dialog:say "GO_AHEAD"
  elseif outcome == "bad" then
    if half == "client" then self.dialog:say "MALFORMED" end
    self:ask(half == "client" and "MALFORMED" or "GARBAGE")
  else
    self[half] = self[half]:sub(len + 1)
    if self.dialog:is_out_of_memory() then
      self:ask "RESOURCES"
    elseif ask ~= "ASK_INPUT" then
      self:ask(ask)
    end
  end
  return true
end

--- Handles all that has arrived.
function Player:pump()
  while (self.phase == "client" or self.phase == "upstream") and self[self.phase] ~= "" do
    local went_on = self:step_half(self.phase)
    self:collect()
    if not went_on then break end
  end
  if self.phase == "splice" then
    self.sent, self.client = self.sent .. self.client, ""
    self.said, self.upstream = self.said .. self.upstream, ""
  end
end

--- All that must not depend on how the bytes arrived.
function Player:trace()
  local out = { "client: " .. self.said, "upstream: " .. self.sent, "ends " .. self.phase }
  for _, event in ipairs(self.events) do
    local facts = {}
    for key, value in pairs(event.facts) do facts[#facts + 1] = key .. "=" .. value end
    table.sort(facts)
    out[#out + 1] = event.name .. " " .. table.concat(facts, " ")
  end
  out[#out + 1] = "errors " .. self.dialog:facts().errors
  return table.concat(out, "\n")
end

local function quote(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\r", "\\r"):gsub("%z", "\\0"))
end

local function expect_equal(line, what, expected, got)
  if expected ~= got then
    error(("line %s: %s: expected %s, got %s"):format(line, what, quote(expected), quote(got)), 0)
  end
end

local function check_ask(item, event)
  if not event then error(("line %d: no %s"):format(item.line, item.name), 0) end
  expect_equal(item.line, "asks for", item.name, event.name)
  for key, value in pairs(item.options) do
    local fact = event.facts[key]
    if fact == nil then error(("line %d: no fact %s"):format(item.line, key), 0) end
    expect_equal(item.line, key, value, fact)
  end
end

--- Plays `case` in the order it is written in, and checks each answer at its place.
local function play_as_written(case)
  local player = play(case)
  local said, sent, asked = "", "", 0
  local fed = false

  for _, item in ipairs(case.items) do
    if item.kind == "C" or item.kind == "U" then
      if not fed then
        expect_equal(item.line, "the client has heard", said, player.said)
        expect_equal(item.line, "the upstream has heard", sent, player.sent)
      end
      local half = item.kind == "C" and "client" or "upstream"
      player[half], fed = player[half] .. item.bytes, true
    else
      player:pump()
      fed = false
    end
    if item.kind == "G" then
      said = said .. item.bytes
      expect_equal(item.line, "the client hears", said, player.said:sub(1, #said))
    elseif item.kind == ">U" then
      sent = sent .. item.bytes
      expect_equal(item.line, "the upstream hears", sent, player.sent:sub(1, #sent))
    elseif item.kind == "ask" then
      asked = asked + 1
      check_ask(item, player.events[asked])
    end
  end
  player:pump()
  expect_equal("last", "the client has heard", said, player.said)
  expect_equal("last", "the upstream has heard", sent, player.sent)
  local extra = player.events[asked + 1]
  if extra then error("unexpected " .. extra.name .. ": " .. player:trace(), 0) end
  return player
end

--- Plays with the client's bytes in the pieces that end at `cuts`, and of all upstreams together
--- what is past `upstream_cut` only when nothing else is left to do.
local function play_cut(case, cuts, upstream_cut)
  local before, late = 0, ""
  local player = play(case, function(self)
    local bytes = self.case.upstreams[self.connection]
    local now = math.max(0, math.min(#bytes, upstream_cut - before))
    before = before + #bytes
    self.upstream, late = bytes:sub(1, now), bytes:sub(now + 1)
  end)
  local function give_late()
    while late ~= "" and (player.phase == "upstream" or player.phase == "splice") do
      player.upstream, late = player.upstream .. late, ""
      player:pump()
    end
  end
  player:pump()
  give_late()
  local from = 1
  for _, upto in ipairs(cuts) do
    player.client = player.client .. case.client:sub(from, upto)
    from = upto + 1
    player:pump()
    give_late()
  end
  return player
end

--- Plays with each side's bytes coming one by one, the upstream's first.
local function play_bytewise(case)
  local waiting = ""
  local player = play(case, function(self) waiting = self.case.upstreams[self.connection] end)
  local function feed(half, byte)
    player[half] = player[half] .. byte
    player:pump()
  end
  local function feed_upstream()
    while waiting ~= "" and (player.phase == "upstream" or player.phase == "splice") do
      local byte = waiting:sub(1, 1)
      waiting = waiting:sub(2)
      feed("upstream", byte)
    end
  end
  feed_upstream()
  for i = 1, #case.client do
    feed("client", case.client:sub(i, i))
    feed_upstream()
  end
  return player
end

local function check_same(case, how, expected, player)
  local trace = player:trace()
  player.dialog:free()
  if trace ~= expected then
    error(("%s: %s differs.\n-- as written\n%s\n-- %s\n%s"):format(case.name, how, expected, how,
      trace), 0)
  end
end

--- Plays `case` as it is written, whole, byte by byte and at every single cut of either side; an
--- error tells what is not as the transcript says, or not the same each time.
local function check(case)
  local player = play_as_written(case)
  local expected = player:trace()
  player.dialog:free()

  local all, everything = #case.client, 0
  for _, bytes in ipairs(case.upstreams) do everything = everything + #bytes end
  check_same(case, "whole", expected, play_cut(case, { all }, everything))
  check_same(case, "byte by byte", expected, play_bytewise(case))
  for cut = 1, all - 1 do
    check_same(case, "client cut at " .. cut, expected, play_cut(case, { cut, all }, everything))
  end
  for cut = 0, everything - 1 do
    check_same(case, "upstream cut at " .. cut, expected, play_cut(case, { all }, cut))
  end
end

return { parse = parse, check = check, base64 = base64 }
