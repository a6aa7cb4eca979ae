--- `moongate.dovecot`: the fields of Dovecot's passdbs as decisions, and its auth service.
local connection = require "moongate.dovecot.connection"
local core = require "moongate.core"
local fields = require "moongate.dovecot.fields"

local dovecot = {}

local DELAY_MAX = 300 -- seconds, as Dovecot has it
local TEXT_MAX = 400 -- bytes of a decision's text
local WHAT = "dovecot auth"

-- Refusals --------------------------------------------------------------------

--- By Dovecot's codes; of a wrong password it gives none.
local REASONS = { user_disabled = "not-allowed", authz_fail = "not-allowed",
  pass_expired = "expired" }

--- Why the login failed, from fields that were read.
local function refusal(given, otherwise)
  local code = given.code or given.user_disabled and "user_disabled"
    or given.pass_expired and "pass_expired" or given.authz and "authz_fail"
  if given.temp or code == "temp_fail" then
    return core.tempfail { log = "dovecot: " .. (given.reason or "temporary failure") }
  end
  if code and not REASONS[code] then
    return core.tempfail { log = ("dovecot: %s: %s"):format(code, given.reason or "no reason") }
  end
  return core.reject { reason = REASONS[code] or otherwise,
    text = given.reason and given.reason:gsub("%c", " "):sub(1, TEXT_MAX) }
end

-- Where to ----------------------------------------------------------------------

local function upstream(given)
  if not given.host then error("dovecot: proxy: host is missing", 0) end
  local tls = given.starttls and "starttls" or given.ssl and "implicit" or "off"
  local any = given.ssl == "any-cert" or given.starttls == "any-cert"
  return core.to {
    host = given.hostip or given.host, port = given.port, tls = tls,
    server_name = tls ~= "off" and given.host or nil, verify = not any, source = given.source_ip,
    trusted = not given.proxy_not_trusted, connect_timeout = given.proxy_timeout,
  }
end

local function login(given, user)
  if given.proxy_noauth then return core.login { none = true } end
  if given.master then
    if not given.pass then error("dovecot: master: pass is missing", 0) end
    return core.login { mechanism = "PLAIN", user = given.master, authzid = user,
      password = given.pass }
  end
  if not given.pass and not given.proxy_mech then return nil end
  return core.login { mechanism = given.proxy_mech and given.proxy_mech:upper(),
    user = given.pass and user or nil, password = given.pass }
end

--- Whether `proxy_maybe` leads back to where the client is.
local function is_here(given, session)
  if not session then error("dovecot: proxy_maybe: the session is needed", 0) end
  return (given.hostip or given.host) == session.server.ip
    and (not given.port or given.port == session.server.port)
end

local function forwarded(given)
  local vars
  for name, value in pairs(given) do
    if name:find "^forward_" then
      vars = vars or {}
      vars[name] = value
    end
  end
  return vars
end

local function wait_until(at)
  local seconds = at - core.time()
  if seconds > DELAY_MAX then error("dovecot: delay_until: too far away", 0) end
  if seconds > 0 then core.sleep(seconds) end
end

--- What a login that succeeded leads to.
local function decide(given, session)
  if given.delay_until then wait_until(given.delay_until) end
  local proxied = given.proxy or given.proxy_maybe and not is_here(given, session)
  if not proxied then
    if given.nologin then return refusal(given, "not-allowed") end
    if given.host and not given.proxy_maybe then
      error("dovecot: host: without proxy it is a referral, which no client gets here", 0)
    end
    return core.accept { user = given.user, vars = forwarded(given) }
  end
  local user = given.destuser or given.user
  return core.accept { user = user, upstream = upstream(given),
    upstream_auth = login(given, user or session and session.user), vars = forwarded(given) }
end

--- The decision that a table of fields stands for, for a login that has succeeded.
function dovecot.decision(given, session)
  local ok, result = pcall(function() return decide(fields.read(given), session) end)
  if not ok then error(result, 2) end
  return result
end

-- The service -------------------------------------------------------------------

local SERVICES = { imap = "imap", pop3 = "pop3", smtp = "smtp" }
local OPTIONS = "socket, service, timeout"

local function check_options(given)
  given = core.thaw(given)
  if type(given) ~= "table" then error("dovecot.auth: a table of options expected", 3) end
  for name in pairs(given) do
    if name ~= "socket" and name ~= "service" and name ~= "timeout" then
      error(("dovecot.auth: unknown option %q (there are %s)"):format(tostring(name), OPTIONS), 3)
    end
  end
  if type(given.socket) ~= "string" or not given.socket:find "^/" then
    error("dovecot.auth: socket: the path of a socket expected", 3)
  end
  if given.service ~= nil and (type(given.service) ~= "string" or given.service == "") then
    error("dovecot.auth: service: a text expected", 3)
  end
  local timeout = given.timeout or 5
  if type(timeout) ~= "number" or not (timeout > 0 and timeout <= 600) then
    error("dovecot.auth: timeout: seconds expected, up to 600", 3)
  end
  return { socket = given.socket, service = given.service, timeout = timeout }
end

--- What is told of the client.
local function facts_of(session, service)
  local client, server, tls = session.client, session.server, session.tls
  local list = {}
  local function tell(name, value)
    if value ~= nil then table.insert(list, connection.field(name, value)) end
  end
  tell("service", service or SERVICES[session.protocol])
  if tls then
    tell("secured", "tls")
    tell("ssl_protocol", tls.version)
    tell("ssl_cipher", tls.cipher)
    tell("local_name", tls.sni)
    if tls.client_cert and tls.client_cert.verify == "SUCCESS" then
      table.insert(list, connection.field "valid-client-cert")
    end
  end
  tell("session", session.id)
  tell("lip", server.ip)
  tell("rip", client.ip)
  tell("lport", server.port)
  tell("rport", client.port)
  return list
end

--- The connection that all hooks share; or nil, err. Who finds none opens it, and the others wait.
local function share(self)
  while true do
    local shared, opening = self.shared, self.opening
    if shared and not shared.lost then return shared end
    if not opening or opening.gate:is_open() then break end
    opening.gate:wait()
    if opening.err then return nil, opening.err end
  end
  local opening = { gate = core.gate() }
  self.opening = opening
  local opened, err = connection.open(self.socket, self.timeout)
  self.shared, opening.err = opened, err
  opening.gate:open()
  return opened, err
end

--- A connection that was lost while it was idle says nothing of Dovecot as it is now.
local function ask(self, session, credentials)
  local response = core.secret_base64(credentials.authzid or "", "\0", credentials.user, "\0",
    credentials.password)
  for _ = 1, 2 do
    local shared, err = share(self)
    if not shared then return nil, err end
    local answer, why, was_idle = shared:ask(facts_of(session, self.service), response,
      self.timeout)
    if answer or not was_idle then return answer, why end
  end
  return nil, "dovecot: the connection is lost again and again"
end

--- The same with what a recording has.
local function asked(self, session, credentials)
  local recorded, known, err = core.recall(WHAT)
  if recorded then return known, err end
  if recorded == false then error("the recording has no answer to: " .. WHAT, 0) end
  local answer, why = ask(self, session, credentials)
  if answer and answer.fields.pass then answer.fields.pass = core.secret(answer.fields.pass) end
  core.note(WHAT, answer and (answer.ok and "OK" or "FAIL") or tostring(why), answer, why)
  return answer, why
end

local function check(self, session, credentials)
  if not credentials.password then
    return core.tempfail { log = "dovecot: only passwords can be asked about" }
  end
  local answer, err = asked(self, session, credentials)
  if not answer then return core.tempfail { log = err } end
  local ok, decision = pcall(function()
    local given = fields.read(answer.fields)
    return answer.ok and decide(given, session) or refusal(given, "bad-credentials")
  end)
  return ok and decision or core.tempfail { log = decision }
end

--- Asks the auth service of a Dovecot: { socket =, service =, timeout = }. The result is called in
-- `auth` with the session and the credentials, and gives a decision.
function dovecot.auth(options)
  local self = check_options(options)
  return setmetatable({}, { __metatable = false,
    __call = function(_, session, credentials) return check(self, session, credentials) end })
end

return dovecot
