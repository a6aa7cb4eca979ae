--- A login from the first byte to the spliced connection, and the ways it is refused.
local client = require "spec.support.client"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

--- How each protocol logs in, and what it looks like to the client.
local PROTOCOLS = {
  imap = {
    greeting = "^%* OK ",
    login = function(c, user, password) c:send_line(("a LOGIN %s %s"):format(user, password)) end,
    welcome = function(c) return c:expect_until "^a OK" end,
    denied = "^a NO %[AUTHENTICATIONFAILED%]",
    noop = "b NOOP",
    noop_done = "^b OK",
    nonsense = "x FROBNICATE",
    nonsense_answer = "^x BAD",
    bye = "^%* BYE",
    quit = "c LOGOUT",
    quit_answer = "^c OK",
  },
  pop3 = {
    greeting = "^%+OK ",
    login = function(c, user, password)
      c:send_line("USER " .. user):expect "^%+OK"
      c:send_line("PASS " .. password)
    end,
    welcome = function(c) return c:expect "^%+OK" end,
    denied = "^%-ERR %[AUTH%]",
    noop = "NOOP",
    noop_done = "^%+OK",
    nonsense = "FROBNICATE",
    nonsense_answer = "^%-ERR",
    bye = "^%-ERR",
    quit = "QUIT",
    quit_answer = "^%+OK",
  },
  smtp = {
    greeting = "^220 ",
    login = function(c, user, password)
      if not c.greeted then
        c:send_line("EHLO client.test"):expect_until "^250 "
        c.greeted = true
      end
      c:send_line("AUTH PLAIN " .. client.plain(user, password))
    end,
    welcome = function(c) return c:expect "^235 " end,
    denied = "^535 5%.7%.8",
    noop = "NOOP",
    noop_done = "^250 ",
    nonsense = "FROBNICATE",
    nonsense_answer = "^500 ",
    bye = "^421 ",
    quit = "QUIT",
    quit_answer = "^221 ",
  },
}

for name, protocol in pairs(PROTOCOLS) do
  describe("a login by " .. name, function()
    local gw, up

    local function connect()
      local c = client.connect(gw.ports[name])
      c:expect(protocol.greeting)
      return c
    end

    setup(function()
      up = upstream.start { script = upstream[name]() }
      gw = site.start {
        listen = { [name] = { protocol = name, more = "limits = { attempts = 2, errors = 3 }," } },
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

    it("goes to the upstream that the policy names, with the user's own password", function()
      local c = connect()
      protocol.login(c, "alice", "secret")
      protocol.welcome(c)
      c:send_line(protocol.noop):expect(protocol.noop_done)
      c:send_line(protocol.quit):expect_until(protocol.quit_answer)
      c:expect_end "eof"
      assert.equal("alice", up:peer(1).user)
      assert.equal("secret", up:peer(1).password)
      c:close()

      local line = gw:session_of(c)
      assert.equal("upstream_closed", line["end"])
      assert.equal("splice", line.phase)
      assert.equal("alice", line.user)
      assert.equal("policy", line.policy)
      assert.equal(up.address, line.upstream)
      assert.equal(name, line.protocol)
      assert.equal(#protocol.noop + #protocol.quit + 4, tonumber(line["in"]))
    end)

    it("with a wrong password is refused and may be tried again", function()
      local c = connect()
      protocol.login(c, "alice", "wrong-one")
      c:expect(protocol.denied)
      protocol.login(c, "alice", "secret")
      protocol.welcome(c)
      assert.equal(1, #up.peers)
      c:close()
      assert.equal("client_closed", gw:session_of(c)["end"])
    end)

    it("ends when the budget of attempts is used up", function()
      local c = connect()
      for _ = 1, 2 do
        protocol.login(c, "alice", "wrong-one")
        c:expect(protocol.denied)
      end
      c:expect(protocol.bye)
      c:expect_end "eof"
      c:close()
      local line = gw:session_of(c)
      assert.equal("too_many_attempts", line["end"])
      assert.equal("2", line.attempts)
      assert.equal(0, #up.peers)
    end)

    it("ends when the budget of errors is used up, and not before", function()
      local c = connect()
      for _ = 1, 2 do c:send_line(protocol.nonsense):expect(protocol.nonsense_answer) end
      c:expect_silence(0.1)
      c:send_line(protocol.nonsense):expect(protocol.nonsense_answer)
      c:expect(protocol.bye)
      c:expect_end "eof"
      c:close()
      assert.equal("too_many_errors", gw:session_of(c)["end"])
    end)

    it("is told goodbye when the client says it", function()
      local c = connect()
      c:send_line(protocol.quit):expect_until(protocol.quit_answer)
      c:expect_end "eof"
      c:close()
      assert.equal("client_quit", gw:session_of(c)["end"])
    end)

    it("has logged one line a session, and no password", function()
      local log = gw:log()
      assert.equal(5, gw:ended_count())
      assert.is_nil(log:find("secret", 1, true))
      assert.is_nil(log:find("wrong-one", 1, true))
      assert.is_nil(log:find(client.plain("alice", "secret"), 1, true))
    end)
  end)
end
