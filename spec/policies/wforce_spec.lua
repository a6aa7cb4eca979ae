--- The wforce policy on the real gateway, before a policy that knows two users.
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local json = require "cjson"
local loop = require "spec.support.loop"
local mime = require "mime"
local shipped = require "spec.support.shipped"
local upstream = require "spec.support.upstream"

local NONCE = "of the cluster"

local USERS = [[
local moongate = require "moongate"
return { auth = function(_, credentials)
  if credentials.user == "away" then return moongate.tempfail() end
  if credentials.user == "gone" then moongate.sleep(60) end
  if not credentials.password:equals "right" then return moongate.reject { delay = %s } end
  return moongate.accept()
end }
]]

--- Of sha256sum, as Dovecot cuts it for 12 bits: three digits, with a zero in front.
local function pwhash(user, password)
  local pipe = io.popen(("printf '%%s%%s\\0%%s' '%s' '%s' '%s' | sha256sum"):format(NONCE, user,
    password))
  local digest = pipe:read "*a"
  pipe:close()
  return "0" .. digest:sub(1, 3)
end

describe("wforce", function()
  local gw, service, up, answer

  setup(function()
    up = upstream.start { script = upstream.imap { login = function(peer, tag, user)
      peer:send_line(tag .. (user == "strange" and " NO [AUTHENTICATIONFAILED] no" or " OK in"))
      return true
    end } }
    service = http_server.start { answer = function(request)
      return answer(request.target:match "command=(%w+)$", json.decode(request.body), request)
    end }
  end)
  teardown(function()
    up:stop()
    service:stop()
  end)
  before_each(function()
    service.requests = {}
    answer = function(command)
      return { body = command == "allow" and '{"status":0,"msg":""}' or '{"status":"ok"}' }
    end
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    gw:stop()
  end)

  local function start(more, delay)
    gw = shipped.start { policy = { "wforce", "users" },
      files = { ["scripts/users.lua"] = USERS:format(delay or "0") },
      listen = { imap = ("upstream = %q, limits = { attempts = 20 },"):format(up.address),
        smtp = ("upstream = %q,"):format(up.address) },
      settings = ([[wforce = { url = %q, client = "wforce:super", nonce = %q, timeout = 5, %s },]])
        :format(service.url, NONCE, more or "") }
  end

  local function begin(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s %s"):format(user, password))
  end

  --- What was said by one command, in order.
  local function told(command)
    local all = {}
    for _, request in ipairs(service.requests) do
      if request.target:find("command=" .. command, 1, true) then
        all[#all + 1] = json.decode(request.body)
      end
    end
    return all
  end

  local function await_reports(count)
    loop.wait(count .. " reports", function() return #told "report" >= count end, 20)
    local reports = told "report"
    assert.equal(count, #reports)
    return reports
  end

  local function status(number, message)
    local allow = json.encode { status = number, msg = message or "", r_attrs = {} }
    answer = function(command)
      return { body = command == "allow" and allow or '{"status":"ok"}' }
    end
  end

  it("asks before the login is tried, and reports that it was good", function()
    start()
    local c = begin("ann", "right")
    c:expect "^a OK"
    local report = await_reports(1)[1]
    local asked = told "allow"[1]
    assert.equal("POST", service.requests[1].method)
    assert.equal("/auth?command=allow", service.requests[1].target)
    assert.equal("Basic " .. mime.b64 "wforce:super", service.requests[1].headers.authorization)
    assert.equal("application/json", service.requests[1].headers["content-type"])
    local session = asked.session_id
    assert.matches("^%w+$", session)
    assert.same({ login = "ann", remote = "127.0.0.1", pwhash = pwhash("ann", "right"),
      protocol = "imap", tls = false, session_id = session, device_id = "" }, asked)
    assert.same({ login = "ann", remote = "127.0.0.1", pwhash = pwhash("ann", "right"),
      protocol = "imap", tls = false, session_id = session, device_id = "", success = true,
      policy_reject = false }, report)
    c:close()
    gw:session_of(c)
    await_reports(1)
  end)

  it("reports each wrong password of a session, by another hash", function()
    start()
    local c = begin("ann", "wrong")
    c:expect "^a NO"
    c:send_line "b LOGIN ann worse"
    c:expect "^b NO"
    c:send_line "c LOGIN ann right"
    c:expect_until "^c OK"
    local hashes, outcomes = {}, {}
    for i, report in ipairs(await_reports(3)) do
      hashes[i], outcomes[report.pwhash] = report.pwhash, report.success
    end
    table.sort(hashes)
    local expected = { pwhash("ann", "wrong"), pwhash("ann", "worse"), pwhash("ann", "right") }
    assert.same({ false, false, true }, { outcomes[expected[1]], outcomes[expected[2]],
      outcomes[expected[3]] })
    table.sort(expected)
    assert.same(expected, hashes)
  end)

  it("reports what the upstream refuses", function()
    start()
    begin("strange", "right"):expect "^a NO"
    assert.is_false(await_reports(1)[1].success)
  end)

  it("reports a client that leaves before it hears that it was refused", function()
    start(nil, "60")
    local c = begin("ann", "wrong")
    assert.is_false(await_reports(1)[1].success)
    c:reset()
    gw:session_of(c)
    await_reports(1)
  end)

  it("refuses whom the server does not allow, and nobody else is asked", function()
    start()
    status(-1, "too many \n passwords")
    begin("ann", "right"):expect "^a NO %[AUTHENTICATIONFAILED%] Authentication failed"
    local report = await_reports(1)[1]
    assert.is_false(report.success)
    assert.is_true(report.policy_reject)
    gw:expect_log "too many \\x0a passwords"
    assert.equal(0, #up.peers)
  end)

  it("holds back whom the server slows down", function()
    start()
    status(1)
    local began = loop.now()
    begin("ann", "right"):expect_until("^a OK", 20)
    assert.is_true(loop.now() - began >= 0.9)
    await_reports(1)
  end)

  it("holds nobody back for longer than it may", function()
    start 'delay_max = "10ms"'
    status(3600)
    begin("ann", "right"):expect_until "^a OK"
    await_reports(1)
    gw:write("moongate.lua", (io.open(gw.folder .. "/moongate.lua"):read "*a")
      :gsub('delay_max = "10ms"', ""):gsub("attempts = 20", "attempts = 20, hook_timeout = 1"))
    assert.equal(2, gw:reload())
    begin("ann", "right"):expect_until "^a OK" -- which would else have no time left
    await_reports(2)
  end)

  it("does not report what says nothing about a password", function()
    start()
    begin("away", "right"):expect "^a NO %[UNAVAILABLE%]"
    begin("ann", "wrong"):expect "^a NO"
    assert.equal("ann", await_reports(1)[1].login)
  end)

  it("is a temporary failure while the server does not answer, or makes no sense", function()
    start()
    for _, nonsense in ipairs {
      function() return { status = "500 No" } end,
      function() return { status = "401 Who are you", body = '{"status":0}' } end,
      function() return { body = "yes" } end,
      function() return { body = "{}" } end,
      function() return { body = '{"status":"0"}' } end,
      function() return { body = '{"status":0.5}' } end,
      function() return { body = "[0]" } end,
      function(_, _, request)
        request.peer:discard()
        return nil
      end,
    } do
      answer = nonsense
      begin("ann", "right"):expect "^a NO %[UNAVAILABLE%]"
    end
    assert.equal(0, #up.peers)
    assert.same({}, told "report")
  end)

  it("lets logins go on without the server where that is wanted", function()
    start "fail_open = true"
    answer = function() return { status = "500 No" } end
    begin("ann", "right"):expect_until "^a OK"
    gw:expect_log "wforce does not answer"
    gw:expect_log "wforce: a login was not reported"
  end)

  it("may be told not to report", function()
    start "report = false"
    local c = begin("ann", "right")
    c:expect_until "^a OK"
    c:close()
    gw:session_of(c)
    assert.same({}, told "report")
    assert.equal(1, #told "allow")
  end)

  it("tells what SMTP clients call themselves, and never the password", function()
    start()
    local c = client.connect(gw.ports.smtp)
    c:expect "^220"
    c:send_line("EHLO laptop.test"):expect_until "^250 "
    c:send_line("AUTH PLAIN " .. client.plain("ann", "wrong")):expect "^535"
    assert.equal("laptop.test", await_reports(1)[1].device_id)
    for _, request in ipairs(service.requests) do
      assert.is_nil((request.head .. request.body):find("wrong", 1, true))
    end
    assert.is_nil(gw:log():find("wrong", 1, true))
  end)

  it("wants whole digits", function()
    gw = { stop = function() end }
    local ok, message = pcall(start, "bits = 10")
    gw = { stop = function() end }
    assert.is_false(ok)
    assert.matches("bits: a multiple of 4", message)
  end)
end)
