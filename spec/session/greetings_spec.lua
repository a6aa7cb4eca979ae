--- What POP3 and SMTP upstreams greet with, and what becomes of the login.
local client = require "spec.support.client"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local CASES = {
  pop3 = {
    { "with a timestamp", "+OK ready <1.2@pop.test>\r\n", "splice" },
    { "of a refusal", "-ERR [SYS/TEMP] busy\r\n", "upstream_greeting" },
    { "of another protocol", "220 smtp.test ESMTP\r\n", "upstream_garbage" },
    { "with a line that has no end", ("+"):rep(70000), "upstream_garbage" },
    { "of nothing but an end", false, "upstream_lost" },
  },
  smtp = {
    { "of several lines", "220-one\r\n220-two\r\n220 three\r\n", "splice" },
    { "that can't serve now", "421 4.3.0 busy\r\n", "upstream_greeting" },
    { "that never will", "554 5.7.1 go away\r\n", "upstream_greeting" },
    { "of another protocol", "+OK pop3\r\n", "upstream_garbage" },
    { "with lines that never end", ("220-x\r\n"):rep(20000), "upstream_garbage" },
    { "of nothing but an end", false, "upstream_lost" },
  },
}

local SPEAK = {
  pop3 = {
    login = function(c)
      c:expect "^%+OK"
      c:send_line("USER alice"):expect "^%+OK"
      c:send_line "PASS secret"
    end,
    welcome = "^%+OK",
    unavailable = "^%-ERR %[SYS/TEMP%]",
  },
  smtp = {
    login = function(c)
      c:expect "^220 "
      c:send_line("EHLO x.test"):expect_until "^250 "
      c:send_line("AUTH PLAIN " .. client.plain("alice", "secret"))
    end,
    welcome = "^235 ",
    unavailable = "^454 ",
  },
}

for protocol, cases in pairs(CASES) do
  describe(("a %s upstream's greeting"):format(protocol), function()
    local gw, up

    setup(function()
      up = upstream.start { script = upstream.mute() }
      gw = site.start {
        listen = { [protocol] = { protocol = protocol } },
        users = { alice = up.address },
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

    for _, case in ipairs(cases) do
      local name, greeting, outcome = unpack(case)
      it(("%s: %s"):format(name, outcome), function()
        local serve = upstream[protocol] { greeting = (greeting or ""):gsub("\r\n$", "") }
        up.script = function(peer)
          if greeting and outcome == "splice" then return serve(peer) end
          if greeting then return peer:send(greeting) end
          peer:close()
        end
        local c = client.connect(gw.ports[protocol])
        SPEAK[protocol].login(c)
        c:expect(outcome == "splice" and SPEAK[protocol].welcome or SPEAK[protocol].unavailable)
        c:close()
        local line = gw:session_of(c)
        assert.equal(outcome, outcome == "splice" and line.phase or line["end"])
        assert.is_nil(outcome ~= "splice" and up:peer(1):all():find("secret", 1, true) or nil)
      end)
    end
  end)
end
