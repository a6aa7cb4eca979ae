--- `moongate try`: one login, with the policies of a configuration, for nobody.
--
-- The generation is built as production builds it, and hooks and verdicts go the same way; only
-- the client and the upstream are missing.
local events = require "moongate.command.events"
local host = require "moongate.spec.host"
local json = require "moongate.json"
local network = require "moongate.spec.network"
local options = require "moongate.command.options"
local trace = require "moongate.trace.host"

local DEFAULT = "/etc/moongate/moongate.lua"
local HIDE_MIN = 3 -- bytes of a password: shorter ones are in every word

local HELP = [[
Usage: moongate try imap|pop3|smtp --user NAME [OPTION...]

Shows what the policies of a configuration make of one login: each hook, what it
decided and where, how long it took and what it waited for.  No client is told
anything and no upstream is connected to.

  -c, --config FILE        configuration (]] .. DEFAULT .. [[)
      --env NAME           lay env/NAME.lua, beside it, over it
      --user NAME          who logs in
      --password-stdin     the password is the first line of standard input
      --password-file FILE or of this file
      --mechanism NAME     PLAIN (default), LOGIN, CRAM-MD5, APOP, EXTERNAL, ...
      --client IP[:PORT]   where the client comes from (203.0.113.9)
      --listener NAME      by default the first of the protocol
      --sni NAME           the client is on TLS and asks for this name
      --tls                it is on TLS
      --starttls           by STARTTLS: `secured` is asked as well
      --set NAME=VALUE     also known of the session: authzid, helo, host, server,
                           attempt; for SMTP without AUTH mail and rcpt
      --live               policies do real I/O (default)
      --mock FILE          or are answered by this Lua file, in no time: it returns
                           { http =, auth_http =, dns =, socket =, redis =,
                           sql =, ldap =, sessions = }, each a table of answers by
                           name, as gw.http:reply of moongate.spec
      --json               one JSON object
      --help               this text

Exit status: 0 accepted, 1 it could not be tried, 2 wrong usage, 3 rejected,
4 refused for the moment.
]]

local STATUS = { accept = 0, reject = 3, tempfail = 4 }
local SETTABLE = { authzid = true, helo = true, host = true, server = true, attempt = true,
  mail = true, rcpt = true }

local given, rest = options.read({ ... }, {
  command = "try", help = HELP,
  { "config", "c", value = true }, { "env", value = true }, { "user", value = true },
  { "password-stdin" }, { "password-file", value = true }, { "mechanism", value = true },
  { "client", value = true }, { "listener", value = true }, { "sni", value = true }, { "tls" },
  { "starttls" }, { "set", value = true, many = true }, { "live" }, { "mock", value = true },
  { "json" },
})
if not given then return rest end

local function wrong(message) return options.wrong("try", message) end

local function failed(message)
  io.stderr:write("moongate: ", tostring(message), "\n")
  return 1
end

-- What was asked for ------------------------------------------------------------

local function first_line(file)
  local line = file:read "*l" or ""
  return (line:gsub("\r$", ""))
end

--- The password, or nil and a message.
local function read_password()
  if given["password-stdin"] then return first_line(io.stdin) end
  if not given["password-file"] then return "" end
  local file, message = io.open(given["password-file"])
  if not file then return nil, message end
  local password = first_line(file)
  file:close()
  return password
end

--- What is known of the session; or nil and a message.
local function read_facts(protocol)
  local facts = { protocol = protocol, listener = given.listener, client = given.client }
  if given.sni or given.tls or given.starttls then
    facts.tls = { sni = given.sni, starttls = given.starttls }
  end
  for _, pair in ipairs(given.set or {}) do
    local name, value = pair:match "^([%w_]+)=(.*)$"
    if not SETTABLE[name or ""] then return nil, ("--set %s: what is that?"):format(pair) end
    facts[name] = name == "attempt" and tonumber(value) or value
  end
  return facts
end

local CHALLENGE = "<1896.697170952@moongate.invalid>" -- of a session that there is not

--- What the client says of itself.
local function credentials(facts, password)
  local mechanism = (given.mechanism or "PLAIN"):upper()
  local login = { user = given.user, mechanism = mechanism, authzid = facts.authzid }
  if mechanism == "CRAM-MD5" or mechanism == "APOP" then
    login.challenge = CHALLENGE
    login.response = trace.response(mechanism, CHALLENGE, password)
  elseif mechanism ~= "EXTERNAL" then
    login.password = password
  end
  return login
end

--- Answers to I/O, by a file; or nil and a message.
local function read_mocks(world)
  if not given.mock then return true end
  local chunk, message = loadfile(given.mock)
  if not chunk then return nil, message end
  local ok, answers = pcall(chunk)
  if not ok then return nil, answers end
  if type(answers) ~= "table" then return nil, given.mock .. ": it must return a table" end
  for kind, list in pairs(answers) do
    local stand = world[kind]
    if type(stand) ~= "table" or not stand.reply or type(list) ~= "table" then
      return nil, ("%s: there are no answers for %q"):format(given.mock, tostring(kind))
    end
    for name, answer in pairs(list) do stand:reply(name, answer) end
  end
  return true
end

-- The chain ---------------------------------------------------------------------

--- SMTP without AUTH: each hook is asked until one refuses.
local function transaction(session, facts)
  local verdict
  for _, hook in ipairs { "connect", "helo", "mail", "rcpt" } do
    verdict = session:ask(hook, facts)
    if verdict.kind == "reject" or verdict.kind == "tempfail" then return verdict end
  end
  if verdict.kind ~= "accept" then return { kind = "tempfail", log = "no policy decided" } end
  local route = session:ask("route", {})
  if route.kind == "reject" or route.kind == "tempfail" then return route end
  if route.kind == "to" then verdict.address = route.address end
  return verdict
end

local function run(session, facts, password)
  if facts.rcpt then return transaction(session, facts) end
  local verdict = session:login(credentials(facts, password))
  if verdict.kind ~= "accept" then return verdict end
  local login = session:ask("upstream_auth", {})
  return (login.kind == "reject" or login.kind == "tempfail") and login or verdict
end

-- What is told ------------------------------------------------------------------

local function wire(verdict, protocol)
  if verdict.kind == "accept" then
    return ("(what %s answers to the login)"):format(verdict.address or "the upstream")
  end
  local text = verdict.wires and verdict.wires[protocol]
  return text and (protocol == "imap" and text:find "^%u" and "a " .. text or text) or ""
end

--- How often policies have turned a secret into a text.
local function secrets_shown(gateway, seen)
  local asked, count = {}, 0
  for _, event in ipairs(seen) do
    if event.policy and not asked[event.policy] then
      asked[event.policy] = true
      count = count
        + gateway:counter(("secret_reveals_total{policy=%q}"):format(event.policy))
    end
  end
  return count
end

--- A text without the password that a policy has put into it.
local function hidden(text, password)
  if not text or #password < HIDE_MIN then return text end
  return (text:gsub(password:gsub("%W", "%%%0"), "***"))
end

--- What policies and the gateway have logged meanwhile, without what only a developer reads.
local function log_lines(password)
  local lines = {}
  for line in host.logged():gmatch "[^\n]+" do
    local level, text = line:match "^%S+ (%l+) %[%d+%] (.*)$"
    if level and level ~= "debug" then
      text = text:gsub("^session %w+: ", "")
      lines[#lines + 1] = ("%s: %s"):format(level, hidden(text, password))
    end
  end
  return lines
end

--- The hooks that were asked; and where an accept leads that no `route` hook has spoken about.
local function chain(result, seen)
  local rows, routed = {}, result.kind ~= "accept"
  local function route_by_default()
    if not routed then rows[#rows + 1] = { hook = "route", upstream = result.upstream } end
    routed = true
  end
  for _, event in ipairs(seen) do
    if event.event == "hook" then
      if event.hook == "upstream_auth" then route_by_default() end
      routed = routed or (event.hook == "route" and event.decision ~= nil)
      rows[#rows + 1] = event
    end
  end
  route_by_default()
  return rows
end

local function print_text(result, seen)
  local number, hook = -1, nil
  for _, row in ipairs(chain(result, seen)) do
    if row.hook ~= hook then number, hook = number + 1, row.hook end
    print(events.harmless(row.event and events.hook(row, number)
      or events.row(number, "route", "(default)", row.upstream or "nowhere")))
  end
  for _, line in ipairs(result.log_lines) do print(events.harmless("log " .. line)) end
  print(("decision %s   client would see %q   secrets shown: %d"):format(result.kind, result.wire,
    result.secrets_shown))
end

local function print_json(result, lines)
  local log = {}
  for i, line in ipairs(result.log_lines) do log[i] = json.encode(line) end
  result.log_lines = nil
  print(('{"events":[%s],"log":[%s],"result":%s}'):format(table.concat(lines, ","),
    table.concat(log, ","), json.encode(result)))
end

local function report(gateway, verdict, protocol, password)
  local lines, seen = {}, {}
  for line in trace.lines():gmatch "[^\n]+" do
    lines[#lines + 1] = line
    seen[#seen + 1] = assert(events.decode(line))
  end
  local result = {
    kind = verdict.kind, reason = hidden(verdict.reason, password),
    log = hidden(verdict.log, password), user = verdict.user,
    upstream = verdict.address, tls = verdict.address and verdict.tls or nil,
    wire = hidden(wire(verdict, protocol), password), secrets_shown = secrets_shown(gateway, seen),
    log_lines = log_lines(password),
  }
  if given.json then print_json(result, lines) else print_text(result, seen) end
  return STATUS[verdict.kind] or 1
end

local function try(protocol, facts, password)
  local world = network.new()
  local fine, message = read_mocks(world)
  if not fine then return failed(message) end
  local gateway, errors = host.open(given.config or DEFAULT,
    { environment = given.env, live = not given.mock },
    function(...) return world:answer(...) end)
  if not gateway then return failed(errors) end
  world.now = function() return gateway:now() end
  trace.follow(false)
  local ok, why = gateway:init()
  if not ok then return failed(why) end
  local found, session = pcall(gateway.session, gateway, facts)
  if not found then return failed(session) end
  host.logged()
  local ran, verdict = pcall(run, session, facts, password)
  if not ran then return failed(hidden(tostring(verdict), password)) end
  return report(gateway, verdict, protocol, password)
end

local protocol = rest[1]
if #rest ~= 1 or not (protocol == "imap" or protocol == "pop3" or protocol == "smtp") then
  return wrong "imap, pop3 or smtp?"
end
if given.live and given.mock then return wrong "--live or --mock, not both" end
if given["password-stdin"] and given["password-file"] then return wrong "one password, not two" end
local facts, message = read_facts(protocol)
if not facts then return wrong(message) end
if not given.user and not facts.rcpt then return wrong "--user is missing" end
local password
password, message = read_password()
if not password then return failed(message) end
return try(protocol, facts, password)
