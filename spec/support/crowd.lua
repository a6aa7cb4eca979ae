--- Many logins at once on gateways whose policy limits them, for the specs of limits; and one login
-- in each protocol.
--
--     local text = crowd.policy { burst = 30, places = 20, upstream = "127.0.0.1:143" }
--     local admitted, refused = crowd.log_in("ann", 250, { one, two })
local client = require "spec.support.client"

local crowd = {}

local POLICY = [[
local moongate, limit = require "moongate", require "moongate.limit"
local bucket = limit.bucket { dict = "limits", rate = "1/d", burst = %d }
local places = limit.concurrent { dict = "limits", limit = %d }

return {
  auth = function(session, credentials)
    local taken, err
    if credentials.user == "count" then
      return moongate.reject { text = tostring(places:held "ann") }
    elseif credentials.user == "many" then
      taken, err = bucket:take(credentials.user)
    else
      taken, err = places:take(credentials.user, session)
    end
    if taken == nil then return moongate.tempfail { log = err } end
    if not taken then return moongate.reject { reason = "rate-limited", text = "no more" } end
    return moongate.accept { upstream = %q }
  end,
}
]]

--- "many" takes a token of a bucket that gets hardly any, "count" says how many places of "ann"
-- are held, others take one. The table is "limits".
function crowd.policy(options)
  return POLICY:format(options.burst, options.places, options.upstream)
end

--- Logs in `count` times at each of the gateways at once: the connections that were let in, each
-- with its `gateway`, and how many were not.
function crowd.log_in(user, count, gateways)
  local all, admitted, refused = {}, {}, 0
  for _ = 1, count do
    for _, gw in ipairs(gateways) do
      local c = client.connect(gw.ports.imap)
      c.gateway = gw
      all[#all + 1] = c
    end
  end
  for _, c in ipairs(all) do c:expect "^%* OK" end
  for _, c in ipairs(all) do c:send_line("a LOGIN " .. user .. " x") end
  for _, c in ipairs(all) do
    local answer = c:expect_until("^(a .*)$", 60)
    if answer:match "^a OK" then
      admitted[#admitted + 1] = c
    else
      assert(answer == "a NO [LIMIT] no more", answer)
      refused = refused + 1
    end
  end
  return admitted, refused
end

--- Connects to the listeners "imap", "pop3" and "smtp" and reads their greetings.
function crowd.greet(gw)
  local i, p, s = client.connect(gw.ports.imap), client.connect(gw.ports.pop3),
    client.connect(gw.ports.smtp)
  i:expect "^%* OK"
  p:expect "^%+OK"
  s:expect "^220"
  s:send_line("EHLO spec"):expect_until "^250 "
  return i, p, s
end

--- Begins a login in each.
function crowd.begin(i, p, s)
  i:send_line "a LOGIN ann secret"
  p:send_line("USER ann"):expect "^%+OK"
  p:send_line "PASS secret"
  s:send_line("AUTH PLAIN " .. client.plain("ann", "secret"))
end

--- A temporary failure, in the words of each.
function crowd.expect_tempfail(i, p, s)
  i:expect("^a NO %[UNAVAILABLE%]", 30)
  p:expect("^%-ERR %[SYS/TEMP%]", 30)
  s:expect("^454 4%.7%.0", 30)
end

return crowd
