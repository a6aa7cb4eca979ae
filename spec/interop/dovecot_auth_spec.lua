--- The policy dovecot with the auth service of a real Dovecot.
local child = require "spec.support.child"
local client = require "spec.support.client"
local processes = require "spec.support.processes"
local servers = require "spec.support.servers"
local shipped = require "spec.support.shipped"
local signal = require "posix.signal"
local upstream = require "spec.support.upstream"

local USERS = { ["erin@example.org"] = "moonlight", ["frank@example.org"] = "star%light" }

-- The users of other domains, each as a passdb of its own gives them.
local DOVECOT = [[
auth_failure_delay = 1 secs
passdb {
  driver = static
  username_filter = *@proxied.test
  args = password=secret proxy=y host=127.0.0.1 port=$elsewhere destuser=%n pass=other
}
passdb {
  driver = static
  username_filter = *@mastered.test
  args = password=secret proxy=y host=127.0.0.1 port=$elsewhere master=boss pass=master
}
passdb {
  driver = static
  username_filter = *@moved.test
  args = password=secret nologin=y reason=$told
}
passdb {
  driver = static
  username_filter = *@strange.test
  args = password=secret colour=blue
}
passdb {
  driver = checkpassword
  username_filter = *@broken.test
  args = /bin/sh $folder/broken
}
]]

local TOLD = "service=%s,rip=%r,lip=%l,rport=%b,lport=%a,session=%{session}"

describe("a Dovecot that is asked", function()
  local real, gw, elsewhere

  setup(function()
    elsewhere = upstream.start { script = upstream.imap(), name = "elsewhere" }
    real = servers.start { users = USERS, files = { broken = "exit 111\n" },
      dovecot = (DOVECOT:gsub("%$(%l+)", { elsewhere = elsewhere.port, told = TOLD })) }
    gw = shipped.start {
      policy = { "dovecot" },
      settings = ("dovecot = { socket = %q, timeout = 8 }"):format(real.folder .. "/sasl"),
      listen = {
        imap = ('upstream = "127.0.0.1:%d", limits = { attempts = 50 },'):format(real.imap),
        pop3 = ('upstream = "127.0.0.1:%d",'):format(real.pop3),
        submission = ('protocol = "smtp", upstream = "127.0.0.1:%d",'):format(real.submission),
      },
    }
  end)
  after_each(function()
    client.discard_all()
    elsewhere:clear()
  end)
  teardown(function()
    gw:stop()
    real:stop()
    elsewhere:stop()
  end)

  local function begin(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %q %q"):format(user, password))
  end

  it("lets in, and refuses, on all protocols", function()
    for user, password in pairs(USERS) do begin(user, password):expect_until "^a OK" end
    begin("erin@example.org", "wrong"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
    begin("nobody@example.org", "wrong"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
    local p = client.connect(gw.ports.pop3)
    p:expect "^%+OK"
    p:send_line "USER erin@example.org":expect "^%+OK"
    p:send_line "PASS moonlight":expect "^%+OK"
    local s = client.connect(gw.ports.submission)
    s:expect "^220"
    s:send_line "EHLO spec.test":expect_until "^250 "
    s:send_line "AUTH PLAIN AGVyaW5AZXhhbXBsZS5vcmcAbW9vbmxpZ2h0":expect "^235"
  end)

  it("says where a user goes, and as whom", function()
    begin("pat@proxied.test", "secret"):expect_until "^a OK"
    assert.same({ "pat", "other" }, { elsewhere:peer(1).user, elsewhere:peer(1).password })
    elsewhere:clear()
    begin("kim@mastered.test", "secret"):expect_until "^a OK"
    assert.matches("AUTHENTICATE PLAIN", elsewhere:peer(1):all())
    assert.matches(require("mime").b64("kim@mastered.test\0boss\0master"):gsub("%p", "%%%0"),
      elsewhere:peer(1):all())
  end)

  it("is told of the client", function()
    local c = begin("sam@moved.test", "secret")
    local text = c:expect "^a NO %[AUTHORIZATIONFAILED%] (.*)$"
    assert.matches("^service=imap,rip=127%.0%.0%.1,lip=127%.0%.0%.1,rport=%d+,lport=%d+,"
      .. "session=%w+$", text)
    assert.equal(tostring(gw.ports.imap), text:match "lport=(%d+)")
    c:close()
    assert.equal(text:match "session=(%w+)", gw:session_of(c).session)
  end)

  it("fails for now when a passdb does, and when it says what nobody knows", function()
    begin("ann@broken.test", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
    begin("ann@strange.test", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
    gw:expect_log 'unknown field \\x22colour\\x22'
  end)

  it("holds back a refusal, and nobody else meanwhile", function()
    local wrong = {}
    for i = 1, 20 do wrong[i] = begin("erin@example.org", "wrong" .. i) end
    begin("erin@example.org", "moonlight"):expect_until "^a OK"
    for _, c in ipairs(wrong) do c:expect_until "^a NO %[AUTHENTICATIONFAILED%]" end
  end)

  it("is killed during a login, which fails for now, and is found when it is back", function()
    local all = processes.children(real.dovecot.pid)
    for _, pid in ipairs(all) do processes.freeze(pid) end
    local right, wrong = begin("erin@example.org", "moonlight"), begin("erin@example.org", "wrong")
    local third = begin("pat@proxied.test", "x")
    third:reset()
    gw:session_of(third) -- the others were asked before
    for _, pid in ipairs { real.dovecot.pid, unpack(all) } do signal.kill(pid, signal.SIGKILL) end
    right:expect_until "^a NO %[UNAVAILABLE%]"
    wrong:expect_until "^a NO %[UNAVAILABLE%]"
    begin("erin@example.org", "moonlight"):expect_until "^a NO %[UNAVAILABLE%]"
    real.dovecot:stop()
    real.dovecot = child.start { "dovecot", "-F", "-c", real.folder .. "/dovecot.conf",
      log = real.folder .. "/dovecot.again" }
    real.dovecot:expect("(starting up)", 20)
    processes.eventually(function()
      local c = begin("erin@example.org", "moonlight")
      return c:expect_until "^a (%u+)" == "OK"
    end, 20)
  end)
end)
