--- SCRAM on the real gateway: clients of all protocols, and policies that have a verifier, or have
--- none, or fail.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local mime = require "mime"
local scram = require "spec.support.scram"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

-- What clients of each protocol say and hear.
local WORDS = {
  imap = { greeting = "^%* OK", auth = "a AUTHENTICATE %s", prompt = "^%+ (%S*)$", yes = "^a OK ",
    no = "^a NO %[AUTHENTICATIONFAILED%] (.*)", later = "^a NO %[UNAVAILABLE%] ",
    limit = "^a NO %[LIMIT%] ", bad = "^a BAD ", offer = "c CAPABILITY", offer_end = "^c OK" },
  pop3 = { greeting = "^%+OK", auth = "AUTH %s", prompt = "^%+ (%S*)$", yes = "^%+OK",
    no = "^%-ERR %[AUTH%] (.*)", later = "^%-ERR %[SYS/TEMP%] ", limit = "^%-ERR %[IN%-USE%] ",
    bad = "^%-ERR invalid", offer = "CAPA", offer_end = "^%.$" },
  smtp = { greeting = "^220 ", auth = "AUTH %s", prompt = "^334 (%S*)$", yes = "^235 ",
    no = "^535 5%.7%.8 (.*)", later = "^454 4%.7%.0 Temporary", limit = "^454 4%.7%.0 Too many",
    bad = "^500 ", offer = "EHLO c.test", offer_end = "^250 " },
}

local MECHANISMS = { "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" }

local POLICY = [[
local stored = {
  alice = { ["SCRAM-SHA-1"] = moongate.verifier { stored = %q },
    ["SCRAM-SHA-256"] = moongate.verifier { stored = moongate.secret.of(%q) } },
  ["b,=b"] = { ["SCRAM-SHA-256"] = moongate.verifier { iterations = %d, salt = %q,
    stored_key = %q, server_key = %q } },
}
local answers = {
  down = function() return moongate.tempfail { log = "the database is down" } end,
  broken = function() error "oops" end,
  silent = function() end,
  other = function(r) return stored.alice[r.mechanism == "SCRAM-SHA-1" and "SCRAM-SHA-256"
    or "SCRAM-SHA-1"] end,
  liar = function() return true end,
  limited = function() return moongate.reject { reason = "limit" } end,
  expired = function()
    return moongate.reject { reason = "expired", text = "Gone for good", close = true }
  end,
}

return {
  verifier = function(session, request)
    if session.vars.user then error "asked twice" end
    local user = stored[request.user]
    if user then return user[request.mechanism] end
    if answers[request.user] then return answers[request.user](request) end
    return moongate.reject { reason = "unknown user" }
  end,
  auth = function(session, credentials)
    local upstreams = %s
    if credentials.password ~= nil or not credentials.mechanism:find "^SCRAM%%-SHA" then
      return moongate.reject { reason = "not-allowed" }
    end
    session:log("info", ("%%s proves to be %%s for %%s"):format(credentials.mechanism,
      credentials.user, credentials.authzid or "nobody else"))
    return moongate.accept { upstream = upstreams[session.protocol],
      upstream_auth = moongate.login { user = "master", password = "boss",
        authzid = credentials.authzid or credentials.user } }
  end,
}
]]

describe("SCRAM", function()
  local gw, authority, leaf, servers

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { subject = "/CN=mail.spec.test" }
    servers = { imap = upstream.start { script = upstream.imap() },
      pop3 = upstream.start { script = upstream.pop3() },
      smtp = upstream.start { script = upstream.smtp() } }
    local addresses, listen = {}, {}
    for name, server in pairs(servers) do
      addresses[#addresses + 1] = ("%s = %q"):format(name, server.address)
      local more = ([[ mechanisms = { "PLAIN", %s, },
        limits = { attempts = 20, errors = 50 }, ]])
        :format(('"%s"'):format(table.concat(MECHANISMS, '", "')))
      local certified = ([[ tls = { mode = "implicit", certificate = %q, key = %q }, ]])
        :format(leaf.certificate, leaf.key)
      listen[name] = { protocol = name, more = more .. certified:gsub("implicit", "starttls") }
      listen[name .. "s"] = { protocol = name, more = more .. certified }
    end
    local ann = scram.verifier("SCRAM-SHA-256", "p,=w", "salt of four columns", 5000)
    gw = site.start { listen = listen, policy = POLICY:format(
      scram.verifier("SCRAM-SHA-1", "moonlight").dovecot,
      scram.verifier("SCRAM-SHA-256", "moonlight", "another salt").postgresql,
      ann.iterations, ann.salt, ann.stored_key, ann.server_key,
      "{ " .. table.concat(addresses, ", ") .. " }") }
  end)
  teardown(function()
    if gw then gw:stop() end
    for _, server in pairs(servers or {}) do server:stop() end
    if authority then authority:remove() end
  end)
  after_each(function()
    client.discard_all()
    for _, server in pairs(servers) do server:clear() end
  end)

  for protocol, words in pairs(WORDS) do
    local function connect()
      local c = client.connect(gw.ports[protocol])
      c:expect(words.greeting)
      return c
    end

    local function connect_tls(options)
      local c = tls.connect(gw.ports[protocol .. "s"], options)
      c:expect(words.greeting)
      return c
    end

    --- Begins; what the server says first.
    local function begin(c, s)
      c:send_line(words.auth:format(s.mechanism)):expect "^%S+ ?$"
      return (mime.unb64(c:send_line((mime.b64(s:first()))):expect(words.prompt)))
    end

    --- Goes on to the end; what the server says last.
    local function finish(c, s, first)
      c:send_line((mime.b64(s:final(first))))
      return (mime.unb64(c:expect(words.prompt)))
    end

    local function prove(c, s)
      local last = finish(c, s, begin(c, s))
      assert.is_true(s:believes(last), last)
      c:send_line "":expect_until(words.yes)
    end

    local function alice(more)
      local s = { mechanism = "SCRAM-SHA-256", user = "alice", password = "moonlight" }
      for name, value in pairs(more or {}) do s[name] = value end
      return scram.client(s)
    end

    describe("in " .. protocol, function()
      for _, mechanism in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256" } do
        it("lets in who knows the password, by " .. mechanism, function()
          prove(connect(), alice { mechanism = mechanism })
          gw:expect_log(((mechanism .. " proves to be alice for nobody else"):gsub("%-", "%%-")))
          local peer = servers[protocol]:peer(1)
          assert.same({ "master", "boss" }, { peer.user, peer.password })
          assert.matches(mime.b64 "alice\0master\0boss", peer:all(), 1, true)
        end)

        it("is bound to the connection, by " .. mechanism .. "-PLUS", function()
          local c = connect_tls { min = "1.3" }
          prove(c, alice { mechanism = mechanism .. "-PLUS", flag = "p=tls-exporter",
            binding = c:tls_exporter() })
        end)
      end

      it("is bound to one of TLS 1.2 in either way, resumed or not", function()
        local session
        for _ = 1, 2 do
          for _, name in ipairs { "tls-exporter", "tls-unique" } do
            local c = connect_tls { max = "1.2", session = session }
            assert.equal(session ~= nil, c:is_resumed())
            prove(c, alice { mechanism = "SCRAM-SHA-256-PLUS", flag = "p=" .. name,
              binding = name == "tls-unique" and c:tls_unique() or c:tls_exporter() })
          end
          local c = connect_tls { max = "1.2" }
          session = c:session()
        end
      end)

      it("takes the first message with the command, and names with commas", function()
        local c, s = connect(), scram.client { mechanism = "SCRAM-SHA-256", user = "b,=b",
          password = "p,=w", authzid = "a=,b" }
        c:send_line(words.auth:format(s.mechanism) .. " " .. mime.b64(s:first()))
        local first = mime.unb64(c:expect(words.prompt))
        assert.matches(",i=5000$", first)
        assert.is_true(s:believes(finish(c, s, first)))
        c:send_line "":expect_until(words.yes)
        gw:expect_log "SCRAM%-SHA%-256 proves to be b,=b for a=,b"
      end)

      it("is offered with a binding within TLS only", function()
        for secure, c in pairs { [true] = connect_tls(), [false] = connect() } do
          c:send_line(words.offer):expect_until(words.offer_end)
          local offered = {}
          for mechanism in c:all():gmatch "SCRAM%S+" do offered[mechanism] = true end
          for _, mechanism in ipairs(MECHANISMS) do
            local plus = mechanism:find "PLUS" ~= nil
            assert.equal(secure or not plus, offered[mechanism] == true, mechanism)
          end
        end
        connect():send_line(words.auth:format "SCRAM-SHA-256-PLUS"):expect(words.bad)
      end)

      it("tells nobody a wrong password from a user that is not there", function()
        local heard = {}
        for _, user in ipairs { "alice", "nobody", "expired" } do
          local c = connect()
          local s = alice { user = user, password = "wrong" }
          c:send_line(words.auth:format(s.mechanism)):expect "^%S+ ?$"
          local first = mime.unb64(c:send_line((mime.b64(s:first()))):expect(words.prompt))
          assert.matches("^r=[^,]+,s=[%w+/=]+,i=4096$", first)
          c:send_line((mime.b64(s:final(first))))
          heard[user] = c:expect(words.no)
          prove(c, alice())
        end
        assert.equal(heard.alice, heard.nobody)
        assert.equal(heard.alice, heard.expired)
        gw:expect_log "unknown user"
        gw:expect_log "the proof is of another password"
      end)

      it("tells a limit at once, and as one", function()
        local c = connect()
        c:send_line(words.auth:format "SCRAM-SHA-256"):expect "^%S+ ?$"
        c:send_line((mime.b64(alice { user = "limited" }:first()))):expect(words.limit)
      end)

      it("shows a user that is not there one salt, and every other one", function()
        local salts = {}
        for i, user in ipairs { "nobody", "nobody", "somebody" } do
          local c = connect()
          local _, salt = scram.read_first(begin(c, alice { user = user }))
          assert.equal(16, #mime.unb64(salt))
          salts[i] = salt
        end
        assert.equal(salts[1], salts[2])
        assert.not_equal(salts[1], salts[3])
      end)

      for _, user in ipairs { "down", "broken", "silent", "other", "liar" } do
        it("says later, and not that the password is wrong, when the policy is " .. user, function()
          local c = connect()
          c:send_line(words.auth:format "SCRAM-SHA-256"):expect "^%S+ ?$"
          c:send_line((mime.b64(alice { user = user }:first()))):expect(words.later)
          prove(c, alice())
        end)
      end

      it("refuses who was not shown that it can be bound", function()
        local c = connect_tls()
        local s = alice { flag = "y" }
        local first = begin(c, s)
        c:send_line((mime.b64(s:final(first)))):expect(words.no)
        gw:expect_log "the channel binding was kept from the client"
        prove(connect(), alice { flag = "y" }) -- nobody has offered one
      end)

      it("refuses a proof that is bound to another connection", function()
        local c, other = connect_tls(), connect_tls()
        local s = alice { mechanism = "SCRAM-SHA-256-PLUS", flag = "p=tls-exporter",
          binding = other:tls_exporter() }
        c:send_line(words.auth:format(s.mechanism)):expect "^%S+ ?$"
        local first = mime.unb64(c:send_line((mime.b64(s:first()))):expect(words.prompt))
        c:send_line((mime.b64(s:final(first)))):expect(words.no)
      end)

      it("takes no binding that does not go with the mechanism", function()
        local c = connect_tls { min = "1.3" }
        for mechanism, flags in pairs { ["SCRAM-SHA-256"] = { "p=tls-exporter" },
          ["SCRAM-SHA-256-PLUS"] = { "n", "y", "p=tls-unique", "p=tls-server-end-point", "p=" } } do
          for _, flag in ipairs(flags) do
            c:send_line(words.auth:format(mechanism)):expect "^%S+ ?$"
            c:send_line((mime.b64(alice { flag = flag }:first()))):expect(words.bad)
          end
        end
      end)

      it("can be cancelled, and begins anew", function()
        local c = connect()
        begin(c, alice())
        c:send_line "*":expect(words.bad)
        begin(c, alice { user = "nobody" })
        c:send_line "!":expect(words.bad)
        prove(c, alice())
      end)

      it("wants nothing behind the last message", function()
        local c, s = connect(), alice()
        finish(c, s, begin(c, s))
        c:send_line((mime.b64 "more")):expect(words.bad)
        assert.equal(0, #servers[protocol].peers)
      end)
    end)
  end

  it("counts an attempt once, and ends the session after the last", function()
    local limited = site.start { listen = { imap = { protocol = "imap",
      more = 'mechanisms = { "SCRAM-SHA-256" }, limits = { attempts = 2 },' } },
      policy = "return { verifier = function() return moongate.reject() end }" }
    finally(function() limited:stop() end)
    local c = client.connect(limited.ports.imap)
    c:expect "^%* OK"
    for i = 1, 2 do
      local s = scram.client { mechanism = "SCRAM-SHA-256", user = "x", password = "y" }
      c:send_line(("a%d AUTHENTICATE SCRAM-SHA-256"):format(i)):expect "^%+"
      local first = mime.unb64(c:send_line((mime.b64(s:first()))):expect "^%+ (%S+)$")
      c:send_line((mime.b64(s:final(first)))):expect(("^a%d NO"):format(i))
    end
    c:expect "^%* BYE"
    c:expect_end "eof"
    assert.equal("too_many_attempts", limited:session_of(c)["end"])
  end)

  it("says later when the policy has no answer in time", function()
    local slow = site.start { listen = { imap = { protocol = "imap",
      more = 'mechanisms = { "SCRAM-SHA-256" }, limits = { hook_timeout = 0.2 },' } },
      policy = "return { verifier = function() moongate.sleep(60) end }" }
    finally(function() slow:stop() end)
    local c = client.connect(slow.ports.imap)
    c:expect "^%* OK"
    local s = scram.client { mechanism = "SCRAM-SHA-256", user = "x", password = "y" }
    c:send_line("a AUTHENTICATE SCRAM-SHA-256 " .. mime.b64(s:first()))
    c:expect "^a NO %[UNAVAILABLE%]"
  end)

  it("is not offered without the hook", function()
    local bare = site.start { listen = { imap = { protocol = "imap",
      more = 'mechanisms = { "PLAIN", "SCRAM-SHA-256" },' } }, users = {} }
    finally(function() bare:stop() end)
    local c = client.connect(bare.ports.imap)
    c:expect "^%* OK"
    c:send_line "a CAPABILITY":expect_until "^a OK"
    assert.not_matches("SCRAM", c:all())
    c:send_line "b AUTHENTICATE SCRAM-SHA-256":expect "^b BAD"
  end)

  it("shows the same salt in every worker, and after a restart with the same secret", function()
    local salts = {}
    for round = 1, 2 do
      local several = site.start { workers = 2,
        more = 'scram = { secret = "of ours", iterations = 9000 },',
        listen = { imap = { protocol = "imap", more = 'mechanisms = { "SCRAM-SHA-256" },' } },
        policy = "return { verifier = function() return moongate.reject() end }" }
      for i = 1, 4 do
        local c = client.connect(several.ports.imap)
        c:expect "^%* OK"
        local s = scram.client { mechanism = "SCRAM-SHA-256", user = "x", password = "y" }
        c:send_line "a AUTHENTICATE SCRAM-SHA-256":expect "^%+"
        local first = mime.unb64(c:send_line((mime.b64(s:first()))):expect "^%+ (%S+)$")
        local _, salt, iterations = scram.read_first(first)
        assert.equal("9000", iterations)
        salts[#salts + 1] = salt
        assert.equal(salts[1], salt, ("%d %d"):format(round, i))
      end
      several:stop()
    end
  end)
end)
