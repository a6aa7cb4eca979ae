--- OAUTHBEARER and XOAUTH2 on the real gateway: clients of all protocols, a token service, and
--- upstreams that take tokens or don't.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local mime = require "mime"
local shipped = require "spec.support.shipped"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local DENIAL = '{"status":"invalid_token","scope":"mail",'
  .. '"openid-configuration":"https://idp.test/.well-known/openid-configuration"}'

-- What clients of each protocol say and hear.
local WORDS = {
  imap = { greeting = "^%* OK", auth = "a AUTHENTICATE %s", prompt = "^%+ ", yes = "^a OK ",
    no = "^a NO %[AUTHENTICATIONFAILED%] ", later = "^a NO %[UNAVAILABLE%] ", bad = "^a BAD ",
    offer = "c CAPABILITY", offer_end = "^c OK", offered = "AUTH=", challenge = "^%+ (%S+)$",
    passed = "^a NO " },
  pop3 = { greeting = "^%+OK", auth = "AUTH %s", prompt = "^%+ ", yes = "^%+OK",
    no = "^%-ERR %[AUTH%] ", later = "^%-ERR %[SYS/TEMP%] ", bad = "^%-ERR invalid",
    offer = "CAPA", offer_end = "^%.$", offered = "SASL[^\r\n]* ", challenge = "^%+ (%S+)$" },
  smtp = { greeting = "^220 ", auth = "AUTH %s", prompt = "^334 ", yes = "^235 ",
    no = "^535 5%.7%.8 ", later = "^454 4%.7%.0 ", bad = "^500 ", offer = "EHLO c.test",
    offer_end = "^250 ", offered = "AUTH[^\r\n]* ", challenge = "^334 (%S+)$" },
}

local MESSAGES = {
  OAUTHBEARER = function(user, token)
    return ("n,a=%s,\1host=mail.test\1port=143\1auth=Bearer %s\1\1"):format(user, token)
  end,
  XOAUTH2 = function(user, token) return ("user=%s\1auth=Bearer %s\1\1"):format(user, token) end,
}
local ANSWERS = { OAUTHBEARER = "AQ==", XOAUTH2 = "" }

--- A server of each protocol that takes tokens as `mechanisms` says.
local function servers_of(mechanisms, options)
  local started = {}
  local more = {
    imap = { capabilities = "IMAP4rev1 SASL-IR " .. mechanisms:gsub("%S+", "AUTH=%0") },
    pop3 = { capabilities = "USER\r\nSASL " .. mechanisms .. "\r\n" },
    smtp = { extensions = "250-upstream.test\r\n250 AUTH " .. mechanisms .. "\r\n" },
  }
  local refusals = { imap = "NO [AUTHENTICATIONFAILED] no", pop3 = "-ERR [AUTH] no",
    smtp = "535 5.7.8 no" }
  for name, all in pairs(more) do
    for key, value in pairs(options or {}) do all[key] = value end
    if all.denial then
      all.login = function(peer, tag)
        peer:send_line((name == "imap" and tag .. " " or "") .. refusals[name])
      end
    end
    started[name] = upstream.start { script = upstream[name](all) }
  end
  return started
end

describe("a token", function()
  local gw, service, authority, leaf, groups, tokens, curl_log

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { subject = "/CN=mail.spec.test" }
    groups = {
      both = servers_of "PLAIN OAUTHBEARER XOAUTH2",
      bearer = servers_of "PLAIN OAUTHBEARER",
      xoauth2 = servers_of "PLAIN XOAUTH2",
      none = servers_of "PLAIN LOGIN",
      refusing = servers_of("OAUTHBEARER XOAUTH2",
        { denial = '{"status":"invalid_token","scope":"upstream"}' }),
    }
    tokens = {}
    service = http_server.start { answer = function(request)
      local token = request.body:match "token=([^&]*)"
      local said = tokens[token:gsub("%%(%x%x)", function(hex)
        return string.char(tonumber(hex, 16))
      end)] or '{"active":false}'
      if said == "down" then return { status = "503 Down", body = "busy" } end
      return { headers = { ["Content-Type"] = "application/json" }, body = said }
    end }
    local listen = {}
    for group, servers in pairs(groups) do
      for protocol, server in pairs(servers) do
        listen[group .. "_" .. protocol] = ([[ protocol = %q, upstream = %q,
          mechanisms = { "PLAIN", "OAUTHBEARER", "XOAUTH2" },
          limits = { attempts = 20, errors = 50 },
          tls = { mode = "implicit", certificate = %q, key = %q },]]):format(protocol,
          server.address, leaf.certificate, leaf.key)
      end
    end
    for protocol, server in pairs(groups.both) do
      listen["clear_" .. protocol] = ([[ protocol = %q, upstream = %q,
        mechanisms = { "PLAIN", "OAUTHBEARER", "XOAUTH2" }, limits = { errors = 50 }, ]])
        :format(protocol, server.address)
      listen["behind_" .. protocol] = listen["clear_" .. protocol] .. "tokens_in_clear = true,"
    end
    gw = shipped.start { policy = { "oauth2" }, listen = listen, settings = ([[oauth2 = {
      url = %q, client = "gate:way", timeout = 2, scope = { "mail" }, audience = "imap.test",
      openid_configuration = "https://idp.test/.well-known/openid-configuration" },]])
      :format(service.url) }
  end)
  teardown(function()
    if gw then gw:stop() end
    if service then service:stop() end
    for _, servers in pairs(groups or {}) do
      for _, server in pairs(servers) do server:stop() end
    end
    if authority then authority:remove() end
    if curl_log then os.remove(curl_log) end
  end)
  after_each(function()
    client.discard_all()
    for _, servers in pairs(groups) do
      for _, server in pairs(servers) do server:clear() end
    end
    service.requests = {}
  end)

  local count = 0
  --- A token of ann's about which the service says `said`.
  local function token(said, size)
    count = count + 1
    local text = ("tok-%d.%s="):format(count, ("Az09-._~+/"):rep(math.ceil((size or 30) / 10)))
    tokens[text] = said or '{"active":true,"username":"ann","scope":"mail other",'
      .. '"aud":["imap.test"],"exp":99999999999}'
    return text
  end

  local function connect(group, protocol)
    local c = tls.connect(gw.ports[group .. "_" .. protocol], {})
    c:expect(WORDS[protocol].greeting)
    return c
  end

  --- In one step.
  local function say(c, protocol, mechanism, text)
    return c:send_line(WORDS[protocol].auth:format(mechanism) .. " " .. text)
  end

  local function message(mechanism, user, text)
    return (mime.b64(MESSAGES[mechanism](user, text)))
  end

  for protocol, words in pairs(WORDS) do
    for mechanism, answer in pairs(ANSWERS) do
      describe(("by %s in %s"):format(mechanism, protocol), function()
        it("is offered on TLS, in clear only where that is wanted", function()
          for group, wanted in pairs { both = true, clear = false, behind = true } do
            local port = gw.ports[group .. "_" .. protocol]
            local c = group == "both" and tls.connect(port, {}) or client.connect(port)
            c:expect(words.greeting)
            c:send_line(words.offer):expect_until(words.offer_end)
            assert.equal(wanted, c:all():find(words.offered .. mechanism) ~= nil, group)
            if not wanted then
              say(c, protocol, mechanism, message(mechanism, "ann", token())):expect(words.bad)
              assert.equal(0, #service.requests)
            end
          end
        end)

        it("logs in, in one step and in two, and goes on to the upstream as it is", function()
          for steps = 1, 2 do
            local given = token()
            local c = connect("both", protocol)
            if steps == 1 then
              say(c, protocol, mechanism, message(mechanism, "ann", given))
            else
              c:send_line(words.auth:format(mechanism)):expect(words.prompt)
              c:send_line(message(mechanism, "ann", given))
            end
            c:expect_until(words.yes)
            local peer = groups.both[protocol]:peer(steps)
            assert.same({ "ann", given, mechanism }, { peer.user, peer.token, peer.mechanism })
            local request = service.requests[steps]
            assert.equal("Basic " .. mime.b64 "gate:way", request.headers.authorization)
            c:close()
            assert.equal(mechanism, gw:session_of(c).mechanism)
          end
        end)

        it("of 12 KiB logs in", function()
          local given = token(nil, 12288)
          local c = connect("both", protocol)
          say(c, protocol, mechanism, message(mechanism, "ann", given)):expect_until(words.yes)
          assert.equal(given, groups.both[protocol]:peer(1).token)
        end)

        it("that is no good is refused in three steps, and the session goes on", function()
          local wrong = {
            token '{"active":false}',
            token '{"active":true,"username":"ann","scope":"mail","aud":"other"}',
            token '{"active":true,"username":"bob","scope":"mail","aud":"imap.test"}',
            token '{"active":true,"username":"ann","scope":"mail","aud":"imap.test","exp":1}',
          }
          local c = connect("both", protocol)
          for _, given in ipairs(wrong) do
            say(c, protocol, mechanism, message(mechanism, "ann", given))
            assert.equal(DENIAL, (mime.unb64(c:expect(words.challenge))))
            c:send_line(answer):expect(words.no)
          end
          say(c, protocol, mechanism, message(mechanism, "ann", token())):expect_until(words.yes)
        end)

        it("without the scope is told so; what the client answers does not matter", function()
          local c = connect("both", protocol)
          local given = token '{"active":true,"username":"ann","scope":"x","aud":"imap.test"}'
          for _, last in ipairs { "*", "a LOGIN ann secret", "====" } do
            say(c, protocol, mechanism, message(mechanism, "ann", given))
            assert.matches('"insufficient_scope"', (mime.unb64(c:expect(words.challenge))))
            c:send_line(last):expect(words.no)
          end
        end)

        it("is a temporary failure while the service is down, and no refusal", function()
          local c = connect("both", protocol)
          for _, said in ipairs { "down", "no json", '{"username":"ann"}', '{"active":"true"}' } do
            say(c, protocol, mechanism, message(mechanism, "ann", token(said)))
              :expect(words.later)
          end
          say(c, protocol, mechanism, message(mechanism, "ann", token())):expect_until(words.yes)
        end)

        it("is told in the other mechanism where the upstream has no other", function()
          for group, wanted in pairs { bearer = "OAUTHBEARER", xoauth2 = "XOAUTH2" } do
            local given = token()
            local c = connect(group, protocol)
            say(c, protocol, mechanism, message(mechanism, "ann", given)):expect_until(words.yes)
            local peer = groups[group][protocol]:peer(1)
            assert.same({ "ann", given, wanted }, { peer.user, peer.token, peer.mechanism })
          end
        end)

        it("is not told to an upstream that takes none", function()
          local c = connect("none", protocol)
          say(c, protocol, mechanism, message(mechanism, "ann", token())):expect(words.later)
          local peer = groups.none[protocol]:peer(1)
          assert.is_nil(peer.user)
          assert.not_matches("tok%-", peer:all())
        end)

        it("that the upstream refuses is refused with the upstream's words", function()
          local c = connect("refusing", protocol)
          say(c, protocol, mechanism, message(mechanism, "ann", token()))
          assert.equal('{"status":"invalid_token","scope":"upstream"}',
            (mime.unb64(c:expect(words.challenge))))
          c:send_line(answer):expect(words.no)
          assert.equal(answer, groups.refusing[protocol]:peer(1).denied)
        end)

        it("is not what it looks like", function()
          local c = connect("both", protocol)
          local good = MESSAGES[mechanism]("ann", "tok")
          for _, text in ipairs {
            "", "x", good:sub(1, -2), good .. "x", good:gsub("Bearer", "Basic"),
            good:gsub("tok", "to k"), good:gsub("tok", "t\2k"), good:gsub("Bearer tok", "Bearer "),
            good .. "\1", good:gsub("auth=", "auth=Bearer a\1auth="), good:gsub("ann", "a\nn"),
            good:gsub("a=ann", "a=a=n"):gsub("user", "name"), good:gsub("auth=", "9=x\1auth="),
            good:gsub("auth=", "\1auth="),
            good:gsub("auth=", ("k=v\1"):rep(17) .. "auth="), good:gsub("auth", "aut"),
            MESSAGES[mechanism]("ann", ("x"):rep(16385)),
          } do
            say(c, protocol, mechanism, (mime.b64(text)) or "="):expect(words.bad)
          end
          say(c, protocol, mechanism, "!!!!"):expect(words.bad)
          assert.equal(0, #service.requests)
        end)
      end)
    end

    it("of OAUTHBEARER alone may say who it is, in " .. protocol, function()
      local given = token()
      local c = connect("both", protocol)
      say(c, protocol, "OAUTHBEARER", (mime.b64("n,,\1auth=Bearer " .. given .. "\1\1")))
        :expect_until(words.yes)
      assert.equal("ann", groups.both[protocol]:peer(1).user)
    end)

    it("is asked for by a client that has none, in " .. protocol, function()
      local c = connect("both", protocol)
      say(c, protocol, "OAUTHBEARER", (mime.b64 "n,a=ann,\1auth=\1\1"))
      assert.equal(DENIAL, (mime.unb64(c:expect(words.challenge))))
      c:send_line("AQ=="):expect(words.no)
      assert.equal(0, #service.requests)
    end)

    it("leaves other commands as short as they were, in " .. protocol, function()
      local c = connect("both", protocol)
      c:send_line(words.auth:format "PLAIN" .. " " .. ("A"):rep(9000))
      for _ = 1, protocol == "imap" and 2 or 1 do c:read_line() end
      c:expect_end()
      assert.equal("malformed", gw:session_of(c)["end"])
    end)

    it("of curl logs in, in " .. protocol, function()
      local given = token()
      local port = gw.ports["behind_" .. protocol]
      curl_log = curl_log or os.tmpname()
      local words_of_curl = { "curl", "-s", "--max-time", "10", "--user", "ann",
        "--oauth2-bearer", given, ("%s://127.0.0.1:%d/"):format(protocol, port), log = curl_log }
      if protocol == "smtp" then
        for word in ("--mail-from a@c.test --mail-rcpt b@c.test -T /dev/null"):gmatch "%S+" do
          table.insert(words_of_curl, word)
        end
      end
      local program = child.start(words_of_curl)
      local peer = groups.both[protocol]:peer(1)
      loop.wait("the token to reach the upstream", function() return peer.token end)
      program:stop()
      assert.same({ "ann", given }, { peer.user, peer.token })
    end)
  end

  it("is asked about once while the answer counts, but a failure is no answer", function()
    local given = token "down"
    local text = message("XOAUTH2", "ann", given)
    say(connect("both", "imap"), "imap", "XOAUTH2", text):expect(WORDS.imap.later)
    tokens[given] = tokens[token()]
    for _ = 1, 3 do
      say(connect("both", "imap"), "imap", "XOAUTH2", text):expect_until(WORDS.imap.yes)
    end
    assert.equal(2, #service.requests)
  end)

  it("is in no log", function()
    assert.is_true(count > 50)
    assert.not_matches("tok%-", gw:log())
    assert.not_matches("dG9rL", gw:log()) -- the same in base64
  end)
end)
