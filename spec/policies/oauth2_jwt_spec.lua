--- The oauth2_jwt policy on the real gateway: keys that rotate, and a service that is down.
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local mime = require "mime"
local shipped = require "spec.support.shipped"
local token_issuer = require "spec.support.token_issuer"
local upstream = require "spec.support.upstream"

local ISSUER = "https://idp.test"

describe("oauth2_jwt", function()
  local gw, service, issuer, up, old, new, answer

  setup(function()
    issuer = token_issuer.new()
    old, new = issuer:key("ES256", "old"), issuer:key("EdDSA", "new")
    up = upstream.start { script = upstream.imap {
      capabilities = "IMAP4rev1 SASL-IR AUTH=OAUTHBEARER" } }
    service = http_server.start { answer = function(...) return answer(...) end }
  end)
  teardown(function()
    up:stop()
    service:stop()
    issuer:remove()
  end)
  before_each(function()
    service.requests = {}
    answer = function() return { body = issuer.jwks { old } } end
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)

  local function stop()
    client.discard_all()
    up:clear()
    if gw then gw:stop() end
    gw = nil
  end

  local function start(more, files)
    gw = shipped.start { policy = { "oauth2_jwt" }, files = files,
      listen = { imap = ([[ tokens_in_clear = true, mechanisms = { "OAUTHBEARER", "PLAIN" },
        upstream = %q, limits = { attempts = 50 }, ]]):format(up.address) },
      settings = ([[oauth2_jwt = { issuer = %q, audience = "mail", timeout = 2, %s },]])
        :format(ISSUER, more or ("jwks_url = %q, interval = 1000"):format(service.url)) }
  end

  local function token(key, more)
    local claims = { iss = ISSUER, aud = "mail", sub = "ann", exp = os.time() + 600 }
    for name, value in pairs(more or {}) do claims[name] = value end
    return issuer:token(key, claims, { kid = key.members.kid })
  end

  local function begin(text, user)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a AUTHENTICATE OAUTHBEARER "
      .. mime.b64(("n,a=%s,\1auth=Bearer %s\1\1"):format(user or "ann", text)))
    return c
  end

  --- What the client is told: "yes", "later", or the JSON of the refusal.
  local function outcome(c)
    local line = c:read_line()
    while line:match "^%* " do line = c:read_line() end
    if line:match "^a OK" then return "yes" end
    if line:match "^a NO %[UNAVAILABLE%]" then return "later" end
    local encoded = assert(line:match "^%+ (%S+)$", line)
    c:send_line "AQ=="
    c:expect "^a NO %[AUTHENTICATIONFAILED%]"
    return (mime.unb64(encoded))
  end

  local DENIED = '{"status":"invalid_token"}'

  describe("with keys that stay", function()
    setup(function() start() end)
    teardown(stop)

    it("asks for the keys once, whoever logs in", function()
      local held = {}
      answer = function(_, peer) table.insert(held, peer) end
      local clients = {}
      local text = token(old)
      for i = 1, 20 do clients[i] = begin(text) end
      loop.wait("the question", function() return #held > 0 end)
      held[1]:send(http_server.format { body = issuer.jwks { old } })
      for _, c in ipairs(clients) do assert.equal("yes", outcome(c)) end
      assert.equal("yes", outcome(begin(text)))
      assert.equal(1, #service.requests)
      assert.equal(text, up:peer(1).token)
    end)

    it("refuses what is expired, for others, another's, or by a key not known", function()
      for _, text in ipairs { token(old, { exp = os.time() - 60 }), token(old, { aud = "other" }),
        token(old, { iss = "https://other.test" }), token(old, { sub = "bob" }), token(new),
        (token(old):gsub("%.[^.]*$", ".AAAA")) } do
        assert.equal(DENIED, outcome(begin(text)))
      end
      assert.equal("yes", outcome(begin(token(old))))
      -- The service was asked a moment ago, and is not asked again for every unknown key.
      assert.equal(0, #service.requests)
    end)
  end)

  -- One after the other, with the same gateway.
  describe("with keys that change", function()
    setup(function() start(("jwks_url = %q, interval = 1"):format(service.url)) end)
    teardown(stop)

    it("is a temporary failure while there were never any keys", function()
      answer = function() return { status = "503 Busy", body = "" } end
      for _ = 1, 2 do assert.equal("later", outcome(begin(token(old)))) end
      answer = function() return { body = issuer.jwks { old } } end
      local text = token(old)
      repeat until outcome(begin(text)) == "yes"
      assert.not_matches(token(old):match "^[^.]*%.([^.]*)", gw:log())
    end)

    it("asks once more for a key that it does not know", function()
      assert.equal("yes", outcome(begin(token(old))))
      local asked = #service.requests
      answer = function() return { body = issuer.jwks { old, new } } end
      -- Within the interval the new key is not known; behind it, it is.
      local text = token(new)
      local tries = 0
      repeat
        tries = tries + 1
        local said = outcome(begin(text))
        assert.is_true(said == "yes" or said == DENIED)
      until said == "yes"
      assert.equal(asked + 1, #service.requests)
      assert.equal("yes", outcome(begin(token(old))))
    end)

    it("keeps the keys that it has while the service is down", function()
      local foreign = issuer:key("ES256", "nobody's")
      assert.equal("yes", outcome(begin(token(old))))
      for _, wrong in ipairs { { status = "500 No", body = "x" }, { body = "no json" },
        { body = issuer.jwks {} } } do
        answer = function() return wrong end
        local asked = #service.requests
        local text = token(foreign)
        -- A key that only the service could know is nobody's fault here.
        repeat
          local said = outcome(begin(text))
          assert.is_true(said == "later" or (said == DENIED and #service.requests == asked))
        until #service.requests > asked
        assert.equal("yes", outcome(begin(token(old))))
      end
    end)
  end)

  it("takes keys from files", function()
    start('jwks = "keys.json", scope = { "imap" }, openid_configuration = "https://idp.test/c"',
      { ["keys.json"] = issuer.jwks { old, new } })
    assert.equal("yes", outcome(begin(token(new, { scope = "imap smtp" }))))
    assert.equal('{"status":"insufficient_scope","scope":"imap",'
      .. '"openid-configuration":"https://idp.test/c"}', outcome(begin(token(old))))
    stop()
  end)
end)
