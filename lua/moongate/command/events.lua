--- What was seen of sessions, see core/lua/trace.h: decoded, and as lines to read.
local json = require "moongate.json"

local events = {}

--- The event of one line of JSON, or nil and why not.
function events.decode(line) return json.decode(line, { null = false }) end

local HIDDEN = "secret"

-- The fields of a decision in the order they are told.
local FIELDS = { "user", "reason", "log", "text", "code", "enhanced", "upstream", "tls", "fallback",
  "delay", "close", "bug" }

local function plain(value)
  value = tostring(value)
  if value:match "^[%w%._:@%[%]/-]+$" then return value end
  return ("%q"):format(value)
end

local function login_text(login)
  local words = {}
  for _, name in ipairs { "mechanism", "user", "authzid", "none" } do
    if login[name] then words[#words + 1] = name .. "=" .. plain(login[name]) end
  end
  if login.password then words[#words + 1] = "password=" .. HIDDEN end
  return "login{" .. table.concat(words, ", ") .. "}"
end

--- "accept{user=alice, upstream=10.0.0.5:143}", "nil (no opinion)".
function events.decision(event)
  if event.error then return "error: " .. event.error:match "^[^\n]*" end
  local decision = event.decision
  if not decision then return "nil (no opinion)" end
  local words = {}
  for _, name in ipairs(FIELDS) do
    if decision[name] ~= nil then words[#words + 1] = name .. "=" .. plain(decision[name]) end
  end
  if decision.login then words[#words + 1] = "upstream_auth=" .. login_text(decision.login) end
  return decision.kind .. (#words > 0 and "{" .. table.concat(words, ", ") .. "}" or "")
end

--- "auth_http.lua:13": where the decision was made, or where the hook begins.
function events.place(event)
  return ("%s:%d"):format(event.file:match "[^/]*$", event.decided or event.line)
end

--- "http GET https://host/path 200 6.0".
function events.await(await)
  if type(await) ~= "table" then return await end
  return ("%s%s %.1f"):format(await.what, await.outcome and " " .. await.outcome or "", await.ms)
end

--- "#1 auth   auth_http.lua:13   -> accept": a row of a chain.
function events.row(number, hook, place, result)
  return ("%s%-16s %-28s -> %s"):format(number and ("#%d "):format(number) or "", hook, place,
    result)
end

--- One call of a hook on one line; `number` may stand before it.
function events.hook(event, number)
  local awaits = {}
  for i, await in ipairs(event.awaits) do awaits[i] = events.await(await) end
  local result = ("%s   %.1f ms%s"):format(events.decision(event), event.ms,
    #awaits > 0 and "   " .. table.concat(awaits, ", ") or "")
  return events.row(number, (event.shadow and "shadow " or "") .. event.hook, events.place(event),
    result)
end

local function said(event)
  local upstream = event.side == "upstream"
  local other = upstream and "upstream" or "client"
  local arrow = event.by == "gateway" and ">" or "<"
  return ("%-8s %s %s"):format(other, arrow, event.text)
end

local function told(event)
  if event.event == "hook" then return events.hook(event) end
  if event.event == "said" then return said(event) end
  if event.event == "end" then return ("end %s in %s"):format(event["end"], event.phase) end
  return "phase " .. tostring(event.phase)
end

--- Text from outside that can't command a terminal.
function events.harmless(text)
  return (text:gsub("%c", "?"):gsub("\194[\128-\159]", "?"))
end

--- Any event on one line: time of the day, session, what.
function events.line(event)
  return events.harmless(("%s %s %s"):format(event.time:match "T(.-)Z$", event.session,
    told(event)))
end

return events
