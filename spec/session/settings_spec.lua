--- What a listener's settings change for clients, upstreams and policies.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  auth = function(session, credentials)
    session:log("info", "hook heard <" .. credentials.user .. ">")
    return moongate.accept {}
  end,
}
]]

local USERNAME = [[username = {
  case = "lower", default_domain = "Example.org",
  allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-@",
  utf8 = false, max = 40 },]]

describe("the setting", function()
  local gw, imap, pop3, smtp, probed

  setup(function()
    imap = upstream.start { script = upstream.imap() }
    pop3 = upstream.start { script = upstream.pop3() }
    smtp = upstream.start { script = upstream.smtp() }
    probed = upstream.start { script = upstream.smtp {
      extensions = "250-probed.test\r\n250-SIZE 777\r\n250-DSN\r\n250 AUTH PLAIN\r\n" } }
    local function to(up) return ("upstream = %q,"):format(up.address) end
    gw = site.start {
      listen = {
        imap = { protocol = "imap", more = to(imap) .. USERNAME .. ' greeting = "IMAP here",' },
        pop3 = { protocol = "pop3", more = to(pop3) .. USERNAME .. ' greeting = "POP3 here",' },
        smtp = { protocol = "smtp", more = to(smtp) .. USERNAME
          .. ' greeting = "mx.example ESMTP here",' },
        bare = { protocol = "imap", more = to(imap) },
        named = { protocol = "smtp", more = to(smtp) .. 'server_name = "gate.example",' },
        fixed = { protocol = "imap", more = to(imap)
          .. 'capabilities = { "IMAP4rev1", "X-OURS" },' },
        verbatim = { protocol = "imap", more = to(imap) .. "pass_error_message = true," },
        closing = { protocol = "imap", more = to(imap) .. "refusal_closes = true," },
        probing = { protocol = "smtp", more = to(probed) .. "probe = 0.2," },
      },
      policy = POLICY,
    }
  end)
  after_each(function()
    client.discard_all()
    for _, up in ipairs { imap, pop3, smtp } do up:clear() end
    imap.script = upstream.imap()
  end)
  teardown(function()
    for _, up in ipairs { imap, pop3, smtp, probed } do up:stop() end
    gw:stop()
  end)

  local function connect(listener)
    local c = client.connect(gw.ports[listener])
    c.banner = c:read_line()
    return c
  end

  local WAYS = {
    imap = function(user)
      local c = connect "imap"
      c:send_line(("a LOGIN {%d+}\r\n%s secret"):format(#user, user))
      return c:expect_until "^a (%u+)" == "OK", imap
    end,
    sasl = function(user)
      local c = connect "imap"
      c:send_line("a AUTHENTICATE PLAIN " .. client.plain(user, "secret"))
      return c:expect_until "^a (%u+)" == "OK", imap
    end,
    pop3 = function(user)
      local c = connect "pop3"
      c:send_line("USER " .. user):read_line()
      return c:send_line("PASS secret"):read_line():sub(1, 3) == "+OK", pop3
    end,
    smtp = function(user)
      local c = connect "smtp"
      c:send_line("EHLO me.test"):expect_until "^250 "
      return c:send_line("AUTH PLAIN " .. client.plain(user, "secret")):read_line():sub(1, 3)
        == "235", smtp
    end,
  }

  for way, login in pairs(WAYS) do
    it("username is applied before any hook: " .. way, function()
      local _, heard_before = gw:log():gsub("hook heard", "")
      for given, expected in pairs {
        Ann = "ann@example.org", ["ANN@Other.Example"] = "ann@other.example",
        ["a.n-n"] = "a.n-n@example.org",
      } do
        local fine, up = login(given)
        assert.is_true(fine, given)
        gw:expect_log(("hook heard <%s>"):format(expected:gsub("%p", "%%%0")))
        assert.equal(expected, up:peer(1).user)
        client.discard_all()
        up:clear()
      end
      for _, refused in ipairs {
        "ann smith", "ann+x", "an\195\169", "a\192\175b", ("x"):rep(41), "ann/../bob",
      } do
        local fine, up = login(refused)
        assert.is_false(fine, refused)
        assert.equal(0, #up.peers)
      end
      local _, heard = gw:log():gsub("hook heard", "")
      assert.equal(heard_before + 3, heard)
    end)
  end

  it("username is by default any name that is no trouble, as it is", function()
    local c = connect "bare"
    c:send_line('a LOGIN "Ann Sm\195\174th+x" secret'):expect_until "^a OK"
    assert.equal("Ann Sm\195\174th+x", imap:peer(1).user)
    c = connect "bare"
    c:send_line 'a LOGIN {4+}\r\na\192\175b secret'
    c:expect "^a NO"
  end)

  it("greeting is what clients hear first", function()
    assert.equal("* OK IMAP here", connect "imap".banner)
    assert.matches("^%+OK POP3 here", connect "pop3".banner)
    assert.equal("220 mx.example ESMTP here", connect "smtp".banner)
  end)

  it("server_name is in SMTP's own", function()
    local c = connect "named"
    assert.equal("220 gate.example ESMTP ready", c.banner)
    c:send_line("EHLO me.test"):expect "^250%-gate%.example"
  end)

  it("capabilities replaces what would be computed", function()
    local c = connect "fixed"
    c:send_line("a LOGIN ann secret"):expect_until "^a OK"
    c = connect "fixed"
    assert.equal("* CAPABILITY IMAP4rev1 X-OURS AUTH=PLAIN AUTH=LOGIN",
      c:send_line("a CAPABILITY"):read_line())
  end)

  it("pass_error_message hands on what the upstream said", function()
    local function refuse(peer, tag) peer:send_line(tag .. " NO [X-CODE] in their words") end
    imap.script = upstream.imap { login = refuse }
    connect("verbatim"):send_line("a LOGIN ann secret"):expect "^a NO %[X%-CODE%] in their words$"
    local line = connect("bare"):send_line("a LOGIN ann secret"):expect "^(a NO .*)"
    assert.is_nil(line:find("their words", 1, true))
  end)

  it("refusal_closes ends a session with its first refusal", function()
    imap.script = upstream.imap { login = function(peer, tag) peer:send_line(tag .. " NO no") end }
    local c = connect "closing"
    c:send_line("a LOGIN ann secret"):expect "^a NO"
    c:expect_end "eof"
  end)

  it("capabilities are learnt from logins, and remembered when the upstream is away", function()
    local function ours()
      local c = connect "bare"
      local line = c:send_line("a CAPABILITY"):read_line()
      c:discard()
      return line
    end
    imap.script = upstream.imap { capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN X-SOME-EXTENSION" }
    local c = connect "bare"
    c:send_line("a LOGIN ann secret"):expect_until "^a OK"
    c:discard()
    assert.matches("X%-SOME%-EXTENSION", ours())
    imap.script = function(peer) peer:close() end
    connect("bare"):send_line("a LOGIN ann secret"):expect "^a NO %[UNAVAILABLE%]"
    assert.matches("AUTH=PLAIN", ours())
    assert.matches("X%-SOME%-EXTENSION", ours())
  end)

  it("probe learns them before anybody logs in, again and again, and survives an outage", function()
    local function extensions()
      local c = connect "probing"
      local _, lines = c:send_line("EHLO me.test"):expect_until "^250 "
      c:discard()
      return table.concat(lines, "\n")
    end
    local function await(text)
      loop.wait(text, function()
        loop.pass(0.05)
        return extensions():find(text, 1, true)
      end)
    end
    await "SIZE 777"
    probed.script = function(peer) peer:close() end -- down: what was known stays
    local seen = #probed.peers
    loop.wait("two more probes", function() return #probed.peers >= seen + 2 end)
    assert.matches("SIZE 777", extensions())
    probed.script = upstream.smtp {
      extensions = "250-probed.test\r\n250-SIZE 888\r\n250 AUTH PLAIN\r\n" }
    await "SIZE 888"
    assert.is_nil(extensions():find("DSN", 1, true))
  end)

  it("probe is off by default: nobody is connected to before a login", function()
    local left_alone = upstream.start { script = upstream.imap() }
    local own = site.start {
      listen = {
        usual = { protocol = "imap", more = ("upstream = %q,"):format(left_alone.address) },
        probing = { protocol = "smtp", more = ("upstream = %q, probe = 0.2,")
          :format(probed.address) },
      },
      policy = POLICY,
    }
    finally(function()
      client.discard_all()
      left_alone:stop()
      own:stop()
    end)
    client.connect(own.ports.usual):expect "^%* OK"
    local seen = #probed.peers
    -- Those of the other gateway count as well.
    loop.wait("probes of others", function() return #probed.peers >= seen + 6 end)
    assert.equal(0, #left_alone.peers)
    assert.equal(0, #imap.peers)
  end)
end)
