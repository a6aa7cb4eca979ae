--- moongate.jwt: which tokens are believed, and above all which are not.
local child = require "spec.support.child"
local json = require "cjson"
local jwt = require "moongate.jwt"
local secret = require "moongate.secret"
local token_issuer = require "spec.support.token_issuer"
require "moongate.spec" -- in the gateway's own Lua

local ALGORITHMS = { "RS256", "ES256", "EdDSA" }

describe("jwt", function()
  local issuer, keys, set

  setup(function()
    issuer = token_issuer.new()
    keys = {}
    for _, name in ipairs(ALGORITHMS) do keys[name] = issuer:key(name, "k-" .. name) end
    set = jwt.keys { jwks = issuer.jwks { keys.RS256, keys.ES256, keys.EdDSA } }
  end)
  teardown(function() issuer:remove() end)

  local function claims(more)
    local all = { iss = "https://idp.test", aud = "mail", sub = "ann", exp = os.time() + 600,
      iat = os.time() - 5 }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  local function verify(token, more)
    local options = { keys = set, algorithms = ALGORITHMS, issuer = "https://idp.test",
      audience = "mail" }
    for name, value in pairs(more or {}) do options[name] = value end
    return jwt.verify(token, options)
  end

  --- Refused, for this reason.
  local function refused(why, token, more)
    assert.same({ false, why }, { verify(token, more) })
  end

  local function signed(name, more, header)
    header = header or {}
    if type(header) == "table" then header.kid = header.kid or "k-" .. name end
    return issuer:token(keys[name], type(more) == "string" and more or claims(more), header)
  end

  for _, name in ipairs(ALGORITHMS) do
    it("believes what " .. name .. " has signed", function()
      local said = verify(signed(name, { groups = { "a", "b" }, n = 1.5 }))
      assert.same({ "ann", "a", 1.5 }, { said.sub, said.groups[1], said.n })
    end)

    it("finds the key of " .. name .. " also without a kid, and from PEM", function()
      local token = issuer:token(keys[name], claims())
      assert.equal("ann", verify(token).sub)
      local pem = jwt.keys { pem = assert(io.open(keys[name].public)):read "*a" }
      assert.equal("ann", verify(token, { keys = pem }).sub)
    end)

    it("believes no other signature of " .. name, function()
      local token = signed(name)
      local body, last = token:match "^(.*%.)([^.]*)$"
      local middle = math.floor(#last / 2)
      local other = last:sub(middle, middle) == "A" and "B" or "A"
      refused("signature", body .. last:sub(1, middle - 1) .. other .. last:sub(middle + 1))
      refused("signature", body .. "AAAA")
      local foreign = issuer:token(issuer:key(name), claims(), { kid = "k-" .. name })
      refused("signature", foreign)
      local h, _, s = signed(name):match "^([^.]*)%.([^.]*)%.([^.]*)$"
      refused("signature", h .. "." .. token_issuer.encode(json.encode(claims { sub = "bob" }))
        .. "." .. s)
    end)
  end

  it("asks the configuration, never the token, for the algorithm", function()
    local body = claims()
    for _, alg in ipairs { "none", "None", "NONE", "HS256", "RS384", "PS256", "" } do
      refused("algorithm", signed("RS256", nil, { alg = alg }))
      refused("algorithm", issuer:token(keys.ES256, body, { alg = alg }))
    end
    refused("algorithm", signed("RS256"), { algorithms = { "ES256" } })
    refused("malformed", token_issuer.encode '{"alg":"none"}' .. "."
      .. token_issuer.encode(json.encode(body)) .. ".")
    -- The right key under another key's name, or for another algorithm.
    refused("key", signed("RS256", nil, { kid = "k-ES256" }))
    refused("key", signed("ES256", nil, { alg = "RS256", kid = "k-ES256" }))
    refused("key", signed("EdDSA", nil, { alg = "ES256" }))
  end)

  it("does not take a public key for the key of an HMAC", function()
    local text = token_issuer.encode(json.encode { alg = "HS256", kid = "k-RS256" }) .. "."
      .. token_issuer.encode(json.encode(claims()))
    local path = issuer.folder .. "/hs"
    local file = io.open(path, "w")
    file:write(text)
    file:close()
    local pem = assert(io.open(keys.RS256.public)):read "*a"
    local hex = pem:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    local _, output = child.run { "openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt",
      "hexkey:" .. hex, path }
    local mac = output:match "= (%x+)":gsub("%x%x", function(h)
      return string.char(tonumber(h, 16))
    end)
    for _, alg in ipairs { "HS256", "RS256" } do
      local header = token_issuer.encode(json.encode { alg = alg, kid = "k-RS256" })
      local token = header .. text:match "%..*$" .. "." .. token_issuer.encode(mac)
      assert.is_false((verify(token)))
    end
    assert.has_error(function() verify("x", { algorithms = { "HS256" } }) end)
    assert.has_error(function() verify("x", { algorithms = {} }) end)
  end)

  it("takes a kid for a name only", function()
    for _, kid in ipairs { "../../etc/passwd", "/dev/null", "http://127.0.0.1:1/", "k'; --", "" } do
      refused("key", signed("RS256", nil, { kid = kid }))
    end
    refused("malformed", signed("RS256", nil, { kid = { "k-RS256" } }))
    refused("malformed", signed("RS256", nil, { kid = ("k"):rep(257) }))
    for _, name in ipairs { "jku", "x5u" } do -- not followed
      assert.equal("ann", verify(signed("RS256", nil, { [name] = "http://127.0.0.1:1/" })).sub)
    end
    local foreign = issuer:key "ES256"
    refused("signature", issuer:token(foreign, claims(), { kid = "k-ES256",
      jwk = foreign.members }))
  end)

  it("takes no header that has to be understood", function()
    refused("malformed", signed("RS256", nil, { crit = { "exp" } }))
    refused("malformed", signed("RS256", nil, { crit = {}, b64 = false }))
    refused("malformed", signed("RS256", nil, { cty = "JWT" }))
    refused("malformed", signed("RS256", nil, { typ = "dpop+jwt" }))
    refused("malformed", signed("RS256", nil, { zip = "DEF" }))
    assert.equal("ann", verify(signed("RS256", nil, { typ = "at+jwt" })).sub)
  end)

  it("takes nothing twice", function()
    refused("malformed", signed("ES256", nil, '{"alg":"ES256","alg":"ES256","kid":"k-ES256"}'))
    refused("malformed", signed("ES256", nil, '{"alg":"ES256","kid":"x","\\u006bid":"k-ES256"}'))
    local text = json.encode(claims())
    refused("malformed", signed("ES256", text:sub(1, -2) .. ',"sub":"bob"}'))
    refused("malformed", signed("ES256", text:sub(1, -2) .. ',"a":{"b":1,"b":2}}'))
    assert.equal('a":"b', verify(signed("ES256", { x = 'a":"b' })).x)
  end)

  it("takes only what an encoder writes", function()
    local token = signed("EdDSA")
    local h, p, s = token:match "^([^.]*)%.([^.]*)%.([^.]*)$"
    for _, wrong in ipairs {
      "", ".", "..", "a.b.c", h, h .. "." .. p, token .. ".", token .. ".x", "." .. p .. "." .. s,
      h .. ".." .. s, h .. "=." .. p .. "." .. s, h .. "." .. p .. "\n." .. s,
      h:sub(1, -2) .. "." .. p .. "." .. s, " " .. token,
      token_issuer.encode "[]" .. "." .. p .. "." .. s,
      token_issuer.encode "null" .. "." .. p .. "." .. s, token_issuer.encode(token) .. "." .. p,
      h .. "." .. p .. "." .. s .. "." .. p .. "." .. s,
    } do
      refused("malformed", wrong)
    end
    refused("malformed", ("a"):rep(16385))
    refused("malformed", signed("EdDSA", nil, { x = ("y"):rep(4000) }))
    -- The last digit of a signature of 64 bytes has four bits that mean nothing.
    local last = s:sub(-1)
    local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    local at = digits:find(last, 1, true)
    refused("signature", token:sub(1, -2) .. digits:sub(at + 1, at + 1))
    assert.equal("ann", verify(secret.of(token)).sub)
  end)

  it("believes it only in its time", function()
    refused("expired", signed("ES256", { exp = os.time() - 31 }))
    assert.is_table((verify(signed("ES256", { exp = os.time() - 10 }))))
    refused("expired", signed("ES256", { exp = os.time() - 10 }), { leeway = 0 })
    refused("early", signed("ES256", { nbf = os.time() + 60 }))
    refused("early", signed("ES256", { iat = os.time() + 60 }))
    assert.is_table((verify(signed("ES256", { nbf = os.time() + 20 }))))
    for _, wrong in ipairs { "soon", -1, true, json.null } do
      refused("malformed", signed("ES256", { exp = wrong }))
    end
    local forever = claims()
    forever.exp = nil
    refused("malformed", signed("ES256", json.encode(forever)))
    refused("malformed", signed("ES256", { nbf = "x" }))
  end)

  it("believes it only from the issuer, for the audience, with the scope", function()
    refused("issuer", signed("ES256", { iss = "https://idp.test/" }))
    refused("issuer", signed("ES256", { iss = { "https://idp.test" } }))
    refused("issuer", signed("ES256", { iss = json.null }))
    refused("audience", signed("ES256", { aud = "mails" }))
    refused("audience", signed("ES256", { aud = { "x", "y" } }))
    refused("audience", signed("ES256", { aud = json.null }))
    assert.is_table((verify(signed("ES256", { aud = { "x", "mail" } }))))
    assert.is_table((verify(signed("ES256"), { audience = { "z", "mail" } })))
    refused("scope", signed("ES256"), { scope = "imap" })
    refused("scope", signed("ES256", { scope = "imaps smtp" }), { scope = "imap" })
    refused("scope", signed("ES256", { scope = "imap" }), { scope = { "imap", "smtp" } })
    assert.is_table((verify(signed("ES256", { scope = "smtp imap" }), { scope = "imap" })))
    assert.is_table((verify(signed("ES256", { scp = { "imap" } }), { scope = "imap" })))
    for _, name in ipairs { "issuer", "audience", "keys", "algorithms" } do
      local options = { issuer = "i", audience = "a", keys = set, algorithms = { "ES256" } }
      options[name] = nil
      assert.has_error(function() jwt.verify("x", options) end)
    end
  end)

  describe("keys", function()
    local function members(name, more)
      local all = {}
      for key, value in pairs(keys[name].members) do all[key] = value end
      for key, value in pairs(more) do all[key] = value end
      return all
    end

    local function problem(list)
      local ok, message = pcall(jwt.keys, { jwks = type(list) == "string" and list
        or issuer.jwks(list) })
      assert.is_false(ok)
      return message
    end

    it("are none that are weak, huge, of another curve or not on theirs", function()
      for _, kind in ipairs { "short", "huge", "curve" } do
        assert.matches("not a key of this algorithm", problem { issuer:key(kind) })
        assert.has_error(function()
          jwt.keys { pem = assert(io.open(issuer:key(kind).public)):read "*a" }
        end)
      end
      for _, wrong in ipairs {
        members("ES256", { crv = "P-384" }), members("ES256", { crv = "Ed25519" }),
        members("ES256", { y = keys.ES256.members.x }), members("ES256", { x = "AAAA" }),
        members("ES256", { x = keys.ES256.members.x .. "=" }), members("EdDSA", { crv = "X25519" }),
        members("EdDSA", { x = "" }), members("RS256", { e = "AQ" }),
        members("RS256", { e = "Ag" }),
        members("RS256", { n = ("_"):rep(4000) }), members("RS256", { n = "AQAB" }),
      } do
        assert.matches("not a key of this algorithm", problem { wrong })
      end
    end)

    it("are none for other uses, or that are no secret's other half", function()
      for _, wrong in ipairs {
        members("ES256", { use = "enc" }), members("ES256", { key_ops = { "sign" } }),
        members("ES256", { alg = "ES384" }), members("RS256", { alg = "RS512" }),
        { kty = "oct", k = "AAAA", alg = "HS256" }, members("ES256", { d = "AAAA" }),
        members("ES256", { kid = 7 }), {},
      } do
        assert.matches("no key that can be used", problem { wrong })
      end
    end)

    it("are no set in which one name means two", function()
      assert.matches("two keys have the same kid",
        problem { keys.ES256, issuer:key("ES256", "k-ES256") })
      assert.matches("two keys have the same kid", problem { keys.RS256,
        members("ES256", { kid = "k-RS256" }) })
      assert.matches("not a JWKS", problem('{"keys":[],"keys":[]}'))
      local many = {}
      for i = 1, 65 do many[i] = members("EdDSA", { kid = "k" .. i }) end
      assert.matches("more than 64", problem(many))
    end)

    it("are no other text", function()
      for _, text in ipairs { "", "{", "[]", "null", '{"keys":{}}', '{"keys":7}' } do
        problem(text)
      end
      assert.matches("longer than 64 KiB", problem((" "):rep(65537)))
      assert.has_error(function() jwt.keys {} end)
      assert.has_error(function() jwt.keys { jwks = "x", url = "http://x/" } end)
      assert.has_error(function()
        jwt.keys { pem = assert(io.open(keys.ES256.private)):read "*a" }
      end)
    end)
  end)
end)
