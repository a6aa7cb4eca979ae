--- Every hook of a policy, as the real binary asks it in the course of real sessions.
local client = require "spec.support.client"
local digest = require "spec.support.digest"
local mime = require "mime"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

--- Users are named after what becomes of them.
local POLICY = [[
local GOOD, REFUSING, NOWHERE = "%s", "%s", "127.0.0.1:1"
local policy = {}
local started = "no"

function policy.init()
  moongate.sleep(0.05)
  started = "yes"
end

function policy.mechanisms(session)
  if session.listener == "plain_only" then return { "PLAIN" } end
end

function policy.connect(session)
  session.vars.connected = moongate.time()
  session:log("info", "init: " .. started)
end

function policy.auth(session, credentials)
  moongate.sleep(0.01)
  session.vars.words = { "first", n = 2 }
  local user = credentials.user
  if user == "renamed" then session:set_user "erin@example.org" end
  if user == "cram" then
    if not credentials:verify_cram "tanstaaf" then return moongate.reject() end
    return moongate.accept { upstream = GOOD,
      upstream_auth = moongate.login { user = "master", password = "key" } }
  end
  return moongate.accept { vars = { tenant = "acme" } }
end

function policy.route(session)
  local targets = {
    refused = REFUSING, moved = REFUSING, reworded = REFUSING, mapped = REFUSING,
    verbatim = REFUSING,
    ["retried"] = NOWHERE, ["gives-up"] = NOWHERE, fallback = NOWHERE,
  }
  assert(session.vars.tenant == "acme" or session.user == "cram")
  if session.user == "nowhere" then
    return moongate.reject { reason = "not-allowed", text = "No mailbox" }
  end
  if session.user == "fallback" then
    return moongate.to { address = NOWHERE, fallback = GOOD }
  end
  if session.user == "cram" then return nil end
  return moongate.to { address = targets[session.user] or GOOD }
end

function policy.connect_failed(session, up, err)
  session:log("info", "connect_failed " .. up.address .. " " .. err)
  if session.user == "retried" then return moongate.retry { upstream = GOOD } end
  if session.user == "gives-up" then return moongate.tempfail { log = err } end
end

function policy.upstream_auth(session, up)
  if session.user == "impersonated" then
    return moongate.login { user = "impersonated*admin", password = "adminpw" }
  end
  if session.user == "verbatim" then return moongate.login { pass_error_message = true } end
  if session.user == "forbidden" then
    return moongate.reject { reason = "not-allowed", text = "Not " .. up.host }
  end
end

function policy.upstream_refused(session, reply)
  session:log("info", "refused as " .. reply.reason .. ": " .. reply.text)
  if session.user == "reworded" then
    return moongate.reject { reason = "expired", text = "Change your password" }
  end
  if session.user == "moved" then return moongate.retry { upstream = GOOD } end
end

function policy.refused(session, refusal)
  session:log("info", ("told that %%s is refused: %%s %%s by %%s: %%s"):format(session.user,
    tostring(refusal.temporary), refusal.reason, refusal.policy, refusal.log))
end

function policy.spliced(session)
  session.vars.spliced = true
  session:log("info", "spliced to " .. session.upstream)
end

function policy.closed(session, summary)
  moongate.sleep(0.05) -- the session is gone by now
  local vars = session.vars
  session:log("info", ("closed %%s %%s %%s %%s %%s"):format(summary.user, summary.reason,
    tostring(vars.tenant), tostring(vars.words and vars.words.n), tostring(vars.spliced)))
end

return policy
]]

describe("the hook", function()
  local gw, up, refusing

  setup(function()
    up = upstream.start { script = upstream.imap() }
    refusing = upstream.start { script = upstream.imap {
      login = function(peer, tag) peer:send_line(tag .. " NO [AUTHENTICATIONFAILED] not here") end,
    } }
    local limits = "limits = { attempts = 20 },"
    gw = site.start {
      listen = {
        imap = { protocol = "imap", more = limits },
        plain_only = { protocol = "imap", more = limits },
        cram = { protocol = "imap", more = limits .. ' mechanisms = { "PLAIN", "CRAM-MD5" },' },
      },
      policy = POLICY:format(up.address, refusing.address),
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    refusing:clear()
  end)
  teardown(function()
    up:stop()
    refusing:stop()
    gw:stop()
  end)

  local function login(user, listener)
    local c = client.connect(gw.ports[listener or "imap"])
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s secret"):format(user))
  end

  local function assert_relayed(c)
    c:expect_until "^a OK"
    c:send_line("n NOOP"):expect "^n OK"
  end

  it("init has run before anybody is served", function()
    client.connect(gw.ports.imap):expect "^%* OK"
    gw:expect_log "init: yes"
  end)

  it("mechanisms says what is offered, and what is not is refused", function()
    local c = client.connect(gw.ports.plain_only)
    c:expect "^%* OK"
    c:send_line("a CAPABILITY")
    local line = c:expect "(%* CAPABILITY [^\r]*)"
    assert.matches("AUTH=PLAIN", line, 1, true)
    assert.is_nil(line:find("AUTH=LOGIN", 1, true))
    c:expect "^a OK"
    c:send_line("b AUTHENTICATE LOGIN"):expect "^b BAD"
  end)

  it("auth may verify a CRAM-MD5 response and log in otherwise upstream", function()
    local c = client.connect(gw.ports.cram)
    c:expect "^%* OK"
    c:send_line "a AUTHENTICATE CRAM-MD5"
    local challenge = mime.unb64((c:expect "^%+ (%S+)"))
    c:send_line((mime.b64("cram " .. digest.hmac_md5("tanstaaf", challenge))))
    assert_relayed(c)
    assert.same({ "master", "key" }, { up:peer(1).user, up:peer(1).password })
  end)

  it("route refuses in its own words", function()
    login("nowhere"):expect "^a NO %[AUTHORIZATIONFAILED%] No mailbox"
    assert.equal(0, #up.peers)
  end)

  it("route's fallback is tried next", function() assert_relayed(login "fallback") end)

  it("set_user changes who logs in upstream", function()
    assert_relayed(login "renamed")
    assert.equal("erin@example.org", up:peer(1).user)
  end)

  it("connect_failed may name another upstream, or give up", function()
    assert_relayed(login "retried")
    gw:expect_log "connect_failed 127.0.0.1:1 .*refused"
    login("gives-up"):expect "^a NO %[UNAVAILABLE%]"
  end)

  it("upstream_auth says who logs in, or that nobody does", function()
    assert_relayed(login "impersonated")
    assert.same({ "impersonated*admin", "adminpw" }, { up:peer(1).user, up:peer(1).password })
    login("forbidden"):expect "^a NO %[AUTHORIZATIONFAILED%] Not 127.0.0.1"
  end)

  it("upstream_refused rewords, retries elsewhere, or leaves it", function()
    login("reworded"):expect "^a NO %[EXPIRED%] Change your password"
    gw:expect_log "refused as bad%-credentials: .*not here"
    assert_relayed(login "moved")
    login("mapped"):expect "^a NO %[AUTHENTICATIONFAILED%] Authentication failed"
    login("verbatim"):expect "^a NO %[AUTHENTICATIONFAILED%] not here$"
  end)

  it("refused is told who did not get in, and why, once for each", function()
    local from = #gw:log() + 1
    local c = login "nowhere"
    c:expect "^a NO"
    c:send_line("b LOGIN gives-up secret"):expect("^b NO", 20)
    login("refused"):expect "^a NO"
    assert_relayed(login "kept")
    gw:expect_log "told that refused is refused: .*\n" -- what was said before it is there as well
    local said = gw:log():sub(from)
    assert.matches("told that nowhere is refused: false not%-allowed by %S+: ", said)
    assert.matches("told that gives%-up is refused: true unavailable by %S+: connect", said)
    assert.matches("told that refused is refused: false bad%-credentials by %S+: NO .*here", said)
    for _, user in ipairs { "nowhere", "gives%-up", "refused" } do
      assert.equal(1, select(2, said:gsub("told that " .. user .. " is", "")))
    end
    assert.is_nil(said:find "told that kept")
  end)

  it("spliced and closed are told, with what the session has kept", function()
    local c = login "kept"
    assert_relayed(c)
    gw:expect_log "spliced to 127"
    c:send_line("z LOGOUT"):expect "%* BYE"
    gw:expect_log "closed kept %S+ acme 2 true"
  end)
end)

describe("hooks of SMTP without a login", function()
  local gw, up

  setup(function()
    up = upstream.start { script = upstream.smtp() }
    gw = site.start {
      listen = { relay = { protocol = "smtp", more = 'auth = "none",' } },
      policy = ([[
        return {
          helo = function(session)
            if session.client.helo == "spam.test" then
              return moongate.reject { text = "no %%s" }
            end
          end,
          mail = function(session, sender)
            if sender.domain == "spam.test" then return moongate.reject { code = "550" } end
            if sender.params.SIZE == "999" then return moongate.tempfail { text = "full" } end
          end,
          rcpt = function(session, rcpt)
            moongate.sleep(0.01)
            if rcpt.local_part ~= "bob" or session.mail_from ~= "ann@a.test" then
              return moongate.reject { reason = "not-allowed", text = "unknown", code = "550" }
            end
            return moongate.accept { upstream = "%s" }
          end,
        }]]):format(up.address),
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  it("are asked in turn", function()
    local c = client.connect(gw.ports.relay)
    c:expect "^220 "
    c:send_line("EHLO spam.test"):expect "^5%d%d .*no %%s"
    c:send_line("EHLO client.test"):expect_until "^250 "
    c:send_line("MAIL FROM:<x@spam.test>"):expect "^550 "
    c:send_line("MAIL FROM:<ann@a.test> SIZE=999"):expect "^4%d%d .*full"
    c:send_line("MAIL FROM:<ann@a.test> SIZE=10"):expect "^250 "
    c:send_line("RCPT TO:<eve@b.test>"):expect "^550 .*unknown"
    c:send_line("RCPT TO:<bob@b.test>"):expect "^250 "
  end)
end)
