--- Takes mail for recipients that exist: for an MX listener, `auth = "none"`.
--
--     policy = { "recipients" },
--     settings = { recipients = {
--       domains = { "example.org" }, url = "http://127.0.0.1:9100/rcpt/", upstream = "pool:mx",
--     } },
--
-- Settings:
--
--     domains       whose mail is taken, in lower case; mail for others is relaying, and denied
--     url           asked with GET for each recipient, with the address behind it: 200 it exists,
--                   404 it does not, anything else is a temporary failure. Without it all exist
--     timeout       of one question: 2 s
--     ttl           how long an answer is remembered: 60 s; `moongate purge recipients ADDRESS`
--     negative_ttl  the same for "it does not exist": 10 s
--     blocklist     a DNS block list, such as "zen.dnsbl.example"
--     upstream      where the mail goes; may be left to another policy
--     quarantine    where it goes from clients on the block list, instead; without it they are
--                   refused
--
-- A block list that does not answer blocks nobody.
local moongate = require "moongate"
local dns = require "moongate.dns"
local http = require "moongate.http"

local settings = moongate.settings("recipients", {
  domains = { "list", of = "text", required = true },
  url = "text", timeout = { "duration", default = 2 },
  ttl = { "duration", default = 60 }, negative_ttl = { "duration", default = 10 },
  blocklist = "text", upstream = "target", quarantine = "target",
})

local domains = {}
for _, domain in ipairs(settings.domains) do domains[domain:lower()] = true end

local exists = moongate.memoize(function(address)
  local res, err = http.get(settings.url .. http.escape(address), { timeout = settings.timeout })
  if not res then return nil, err end
  if res.status ~= 200 and res.status ~= 404 then
    return nil, "recipients: HTTP status " .. res.status
  end
  return res.status == 200
end, { name = "recipients", ttl = settings.ttl, negative_ttl = settings.negative_ttl })

local function is_listed(session)
  local name = dns.reverse_name(session.client.ip) .. "." .. settings.blocklist
  local addresses, err = dns.resolve(name, "A", { timeout = settings.timeout })
  if not addresses then
    session:log("warn", "the block list does not answer", { err = err })
    return false
  end
  return #addresses > 0
end

local policy = {}

--- @param session moongate.Session
--- @return moongate.Decision?
function policy.connect(session)
  if not settings.blocklist or not session.client.ip or not is_listed(session) then return nil end
  if not settings.quarantine then
    return moongate.reject { reason = "block-list", close = true }
  end
  session.vars.listed = true
end

--- @param rcpt moongate.Rcpt
--- @return moongate.Decision
function policy.rcpt(_, rcpt)
  if not domains[(rcpt.domain or ""):lower()] then
    return moongate.reject { code = "550", enhanced = "5.7.1", text = "Relaying denied" }
  end
  if not settings.url then return moongate.accept() end
  local found, err = exists(rcpt.address:lower())
  if found == nil then
    return moongate.tempfail { code = "451", enhanced = "4.3.0", log = err }
  end
  if not found then
    return moongate.reject { code = "550", enhanced = "5.1.1", text = "No such user here" }
  end
  return moongate.accept()
end

--- @param session moongate.Session
--- @return moongate.Decision?
function policy.route(session)
  local upstream = session.vars.listed and settings.quarantine or settings.upstream
  return upstream and moongate.to { address = upstream }
end

return policy
