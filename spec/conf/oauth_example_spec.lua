--- conf/examples/oauth.lua at work: two tenants, their names in TLS, their services and tokens.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local http_server = require "spec.support.http_server"
local mime = require "mime"
local tls = require "spec.support.tls"
local token_issuer = require "spec.support.token_issuer"
local upstream = require "spec.support.upstream"

local ACME, UMBRELLA = "mail.acme.example", "mail.umbrella.example"

describe("conf/examples/oauth.lua", function()
  local gw, authority, issuer, keys, services, up

  setup(function()
    authority, issuer = ca.new(), token_issuer.new()
    keys = { [ACME] = issuer:key("ES256", "k"), [UMBRELLA] = issuer:key("EdDSA", "k") }
    services = {}
    for name, key in pairs(keys) do
      services[name] = http_server.start { answer = function()
        return { body = issuer.jwks { key } }
      end }
    end
    up = upstream.start { script = upstream.imap {
      capabilities = "IMAP4rev1 SASL-IR AUTH=OAUTHBEARER" } }
    -- Only where things are is another than in the example.
    local text = ca.read "conf/examples/oauth.lua"
    local function put(what, by)
      local before = text
      text = text:gsub(what:gsub("%p", "%%%0"), (by:gsub("%%", "%%%%")))
      assert(text ~= before, what)
    end
    for _, name in ipairs { "mail.example.org", ACME, UMBRELLA } do
      local leaf = authority:leaf { names = { "DNS:" .. name } }
      put(('"/etc/moongate/tls/%s.pem"'):format(name), ("%q, key = %q"):format(leaf.certificate,
        leaf.key))
    end
    put("https://login.acme.example/jwks", services[ACME].url)
    put("https://id.umbrella.example/keys", services[UMBRELLA].url)
    put('"10.0.0.11:143", "10.0.0.12:143"', ("%q"):format(up.address))
    for _, port in ipairs { "993", "995", "465" } do put("0.0.0.0:" .. port, "127.0.0.1:0") end
    gw = gateway.start { files = { ["moongate.lua"] = text,
      ["scripts/tenant_tokens.lua"] = ca.read "conf/examples/scripts/tenant_tokens.lua" } }
  end)
  teardown(function()
    if gw then gw:stop() end
    if up then up:stop() end
    for _, service in pairs(services or {}) do service:stop() end
    if issuer then issuer:remove() end
    if authority then authority:remove() end
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)

  local CLAIMS = {
    [ACME] = { iss = "https://login.acme.example", aud = "mail", email = "ann@acme.example" },
    [UMBRELLA] = { iss = "https://id.umbrella.example/", aud = "imap",
      email = "bob@umbrella.example", scope = "mail" },
  }

  --- Logs in at `name` with a token of `of`; the answer's line.
  local function log_in(name, of, more)
    local claims = { exp = os.time() + 300 }
    for key, value in pairs(CLAIMS[of]) do claims[key] = value end
    for key, value in pairs(more or {}) do claims[key] = value end
    local c = tls.connect(gw.ports.imaps, { name = name })
    c:expect "^%* OK"
    c:send_line("a AUTHENTICATE OAUTHBEARER " .. mime.b64("n,,\1auth=Bearer "
      .. issuer:token(keys[of], claims, { kid = "k" }) .. "\1\1"))
    local line = c:read_line()
    while line:match "^%* " do line = c:read_line() end
    if line:match "^%+ " then
      c:send_line "AQ=="
      line = c:read_line()
    end
    return line
  end

  it("lets the users of each tenant in, with its tokens", function()
    assert.matches("^a OK ", log_in(ACME, ACME))
    assert.equal("ann@acme.example", up:peer(1).user)
    assert.matches("^a OK ", log_in(UMBRELLA, UMBRELLA))
    assert.equal("bob@umbrella.example", up:peer(2).user)
  end)

  it("believes no tenant about another", function()
    assert.matches("^a NO %[AUTHENTICATIONFAILED%]", log_in(ACME, UMBRELLA))
    assert.matches("^a NO %[AUTHENTICATIONFAILED%]", log_in(UMBRELLA, ACME))
    assert.matches("^a NO %[AUTHORIZATIONFAILED%]",
      log_in(ACME, ACME, { email = "bob@umbrella.example" }))
    assert.matches("^a NO %[AUTHENTICATIONFAILED%]", log_in(UMBRELLA, UMBRELLA, { scope = "x" }))
    assert.matches("^a NO %[AUTHORIZATIONFAILED%]", log_in("mail.example.org", ACME))
    assert.equal(0, up:open_count())
  end)
end)
