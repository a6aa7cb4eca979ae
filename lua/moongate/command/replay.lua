--- `moongate replay`: recorded logins, with the policies of another configuration.
--
-- Each hook that was asked is asked again, about the same session; what it waits for is answered
-- by the recording. What it decides now is compared with what it decided then.
local events = require "moongate.command.events"
local host = require "moongate.spec.host"
local json = require "moongate.json"
local options = require "moongate.command.options"
local trace = require "moongate.trace.host"

local DEFAULT = "/etc/moongate/moongate.lua"

local HELP = [[
Usage: moongate replay [OPTION...] FILE

Asks the policies of a configuration about the logins in FILE, which
`moongate trace --record FILE` has written, and tells what they decide otherwise.
Nothing is connected to: what hooks wait for has the answer that it had then, and
a question that was not asked then is an error of the hook.

  -c, --config FILE   configuration (]] .. DEFAULT .. [[)
      --env NAME      lay env/NAME.lua, beside it, over it
      --json          one JSON object
      --help          this text

A recording has no passwords.  What stands for one is the same for the same
password; a policy that compares it by itself (equals, verify_cram) will find
that it does not match.

Exit status: 0 all decisions are the same, 1 some are not (or it could not be
tried), 2 wrong usage.
]]

local given, rest = options.read({ ... }, {
  command = "replay", help = HELP,
  { "config", "c", value = true }, { "env", value = true }, { "json" },
})
if not given then return rest end

local function failed(message)
  io.stderr:write("moongate: ", tostring(message), "\n")
  return 1
end

-- The recording -----------------------------------------------------------------

-- What a session is not asked about again: nothing is decided there.
local PASSED_OVER = { mechanisms = true, refused = true, spliced = true, closed = true,
  certificate = true, init = true }

local function read_line(recording, line, number)
  local ok, event = pcall(json.decode, line, { null = true })
  if not ok or type(event) ~= "table" or type(event.session) ~= "string" then
    return nil, ("line %d is no event"):format(number)
  end
  if event.event ~= "hook" or event.shadow or PASSED_OVER[event.hook] then return true end
  if event.decision == json.null then event.decision = nil end
  local session = recording[event.session]
  if not session then
    session = {}
    recording[event.session] = session
    table.insert(recording, session)
  end
  table.insert(session, event)
  return true
end

--- Sessions in the order they began, each a list of its hook calls; or nil and a message.
local function read_recording(path)
  local file, message = io.open(path)
  if not file then return nil, message end
  local recording, number = {}, 0
  for line in file:lines() do
    number = number + 1
    local fine, why = read_line(recording, line, number)
    if not fine then
      file:close()
      return nil, ("%s: %s"):format(path, why)
    end
  end
  file:close()
  return recording
end

--- Goes on behind the calls of one chain: those of one hook, until one decides.
local function next_chain(session, first)
  local last = first
  while session[last + 1] and session[last + 1].hook == session[first].hook
    and not session[last].decision and not session[last].error do
    last = last + 1
  end
  return last
end

-- Asking again ------------------------------------------------------------------

local PLAIN = { "listener", "client", "server", "host", "helo", "mail", "rcpt", "tls", "attempt",
  "user", "upstream", "failure", "reply" }

--- What the session knew.
local function facts_of(event)
  local facts = {}
  for _, name in ipairs(PLAIN) do facts[name] = event[name] end
  for name, value in pairs(event.credentials or {}) do facts[name] = value end
  return facts
end

local function last_call()
  local last
  for line in trace.lines():gmatch "[^\n]+" do
    local event = assert(events.decode(line))
    if event.event == "hook" and not event.shadow then last = event end
  end
  return last
end

--- The call that decides now, or the last; nil: no policy has the hook.
local function ask(replay, hook, facts, awaits)
  trace.replay(replay.gateway, json.encode(awaits))
  trace.lines()
  replay.session:ask(hook, facts)
  return last_call()
end

-- Fields of a decision that somebody outside can tell.
local COMPARED = { "kind", "reason", "text", "code", "enhanced", "user", "upstream", "tls",
  "fallback", "delay", "close" }

--- A decision as text; two that do the same are equal. `password` stands for the client's own.
local function essence(event, password)
  if not event then return "nil" end
  if event.error then return "error" end
  local decision = event.decision
  if not decision then return "nil" end
  local words = {}
  for i, name in ipairs(COMPARED) do words[i] = tostring(decision[name]) end
  local login = decision.login
  if login then
    local own = login.password == password and "own" or login.password and "another"
    for _, value in ipairs { login.user or "", login.authzid or "", login.mechanism or "",
      tostring(login.none), tostring(own) } do
      words[#words + 1] = value
    end
  end
  return table.concat(words, "\0")
end

local function compare(replay, old, new, hook, session)
  local before = essence(old, replay.password_then)
  local after = essence(new, replay.password_now)
  if before == after then
    replay.same = replay.same + (old and 1 or 0)
    return true
  end
  local place = new and events.place(new) or old and events.place(old)
  table.insert(replay.changed, { session = session[1].session, hook = hook,
    user = (new or old).user, old = old and events.decision(old) or "nil (no opinion)",
    new = new and events.decision(new) or "nil (no opinion)", place = place })
  return false
end

local function is_accept(event)
  return event and event.decision and event.decision.kind == "accept"
end

--- One chain; whether what follows it in the recording still makes sense.
local function replay_chain(replay, session, first, last)
  local awaits, old = {}, session[last]
  for i = first, last do
    for _, await in ipairs(session[i].awaits) do awaits[#awaits + 1] = await end
  end
  local new = ask(replay, old.hook, facts_of(old), awaits)
  if old.credentials then
    replay.password_then = old.credentials.password
    replay.password_now = new and new.credentials and new.credentials.password
  end
  local same = compare(replay, old, new, old.hook, session)
  return same or (is_accept(old) and is_accept(new)) or old.hook == "route"
end

--- A hook that nobody had when it was recorded.
local function replay_missing(replay, session, hook, facts)
  return compare(replay, nil, ask(replay, hook, facts, {}), hook, session)
end

local function begins_attempt(hook)
  return hook == "verifier" or hook == "auth" or hook == "rcpt"
end

local function replay_session(replay, session)
  local found, made = pcall(replay.gateway.session, replay.gateway, facts_of(session[1]))
  if not found then
    table.insert(replay.changed, { session = session[1].session, hook = session[1].hook,
      user = session[1].user, old = events.decision(session[1]), new = tostring(made) })
    return
  end
  replay.session = made
  local goes_on = session[1].hook == "connect"
    or replay_missing(replay, session, "connect", facts_of(session[1]))
  local first, let_in = 1, goes_on
  while session[first] and let_in do
    local last = next_chain(session, first)
    local old = session[last]
    if goes_on or begins_attempt(old.hook) then
      goes_on = replay_chain(replay, session, first, last)
      if old.hook == "connect" then let_in = goes_on end
      local following = session[last + 1]
      if goes_on and begins_attempt(old.hook) and is_accept(old)
        and not (following and following.hook == "route") then
        local facts = facts_of(old)
        facts.user = old.decision.user or old.user
        facts.upstream = old.decision.upstream
        goes_on = replay_missing(replay, session, "route", facts)
      end
    end
    first = last + 1
  end
end

-- What is told ------------------------------------------------------------------

local function report(replay)
  if given.json then
    local list = {}
    for i, change in ipairs(replay.changed) do list[i] = json.encode(change) end
    print(('{"sessions":%d,"same":%d,"changed":[%s]}'):format(replay.sessions, replay.same,
      table.concat(list, ",")))
  else
    for _, c in ipairs(replay.changed) do
      print(("changed %s %s %s: %s -> %s%s"):format(c.session, c.hook, c.user or "", c.old, c.new,
        c.place and "   " .. c.place or ""))
    end
    print(("%d sessions, %d decisions are the same, %d changed"):format(replay.sessions,
      replay.same, #replay.changed))
  end
  return #replay.changed > 0 and 1 or 0
end

local function refuse_io(kind, name)
  if kind == "hook" then return nil end
  error(("the recording has no answer to: %s %s"):format(kind, tostring(name)), 0)
end

if #rest ~= 1 then return options.wrong("replay", "which recording?") end
local recording, message = read_recording(rest[1])
if not recording then return failed(message) end
local gateway, errors = host.open(given.config or DEFAULT, { environment = given.env }, refuse_io)
if not gateway then return failed(errors) end
trace.follow(false)
local replay = { gateway = gateway, sessions = #recording, same = 0, changed = {} }
for _, session in ipairs(recording) do replay_session(replay, session) end
return report(replay)
