--- What `moongate check` says of certificates, keys and settings that can't be used.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local stat = require "posix.sys.stat"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  %s
  c.listen "imaps" {
    address = "127.0.0.1:0", protocol = "imap", policy = "nobody",
    tls = {
      mode = "implicit",
      %s
    },
  },
}
]]

describe("moongate check", function()
  local authority, one, other, sealed, rsa, expired, ending, stapled

  setup(function()
    authority = ca.new()
    one, other = authority:leaf {}, authority:leaf {}
    rsa = authority:leaf { kind = "rsa" }
    sealed = authority:leaf { passphrase = "open sesame" }
    expired = authority:leaf { expired = true }
    ending = authority:leaf { days = 13 }
    stapled = authority:leaf { extensions = "tlsfeature=status_request" }
    stat.mkdir(authority.folder .. "/scripts", 493)
    authority:write("scripts/nobody.lua", "return {}")
    authority:write("garbage", "this is no PEM\n")
    authority:write("short", ("k"):rep(47))
  end)
  teardown(function() authority:remove() end)

  --- Exit status and output for a `tls` section; "$one.key" and the like become paths.
  local function check(tls, more)
    local names = { one = one, other = other, sealed = sealed, rsa = rsa, expired = expired,
      ending = ending, stapled = stapled }
    local function fill(text)
      return (text:gsub("%$(%w+)%.(%w+)", function(name, kind)
        return ("%q"):format(kind == "key" and names[name].key or names[name].certificate)
      end):gsub("%$(%w+)", function(name)
        return ("%q"):format(authority.folder .. "/" .. name)
      end))
    end
    local path = authority:write("moongate.lua", CONFIG:format(fill(more or ""), fill(tls)))
    return child.run { gateway.binary(), "check", "-c", path }
  end

  local function refuses(tls, ...)
    local code, output = check(tls)
    assert.equal(1, code, tls .. output)
    for _, expected in ipairs { ... } do
      expected = type(expected) == "table" and expected.certificate or expected
      assert.matches(expected, output, 1, true)
    end
  end

  local GOOD = "certificate = $one.pem, key = $one.key, "

  it("takes what is right", function()
    assert.equal(0, (check(GOOD)))
    assert.equal(0, (check "certificate = { $one.pem, $rsa.pem }, key = { $one.key, $rsa.key }"))
    assert.equal(0, (check('certificate = $sealed.pem, key = $sealed.key, passphrases = '
      .. '{ "wrong", "open sesame" }')))
    authority:join("both", one.certificate, one.key)
    assert.equal(0, (check "certificate = $both"))
  end)

  it("says which file is missing", function()
    refuses("certificate = $absent, key = $one.key", 'listen "imaps"', "/absent")
    refuses("certificate = $one.pem, key = $absent", "/absent")
    refuses(GOOD .. "ca = $absent, client_certificate = 'required'", "ca", "/absent")
    refuses(GOOD .. "dhparam = $absent", "dhparam", "/absent")
    refuses(GOOD .. "ticket_keys = $absent", "ticket_keys", "/absent")
  end)

  it("says whose key is another's", function()
    refuses("certificate = $one.pem, key = $other.key", one, "key")
    refuses("certificate = { $one.pem, $rsa.pem }, key = { $rsa.key, $one.key }", one, "key")
  end)

  it("says which key is encrypted, and that no passphrase opens it", function()
    refuses("certificate = $sealed.pem, key = $sealed.key", "key", sealed,
      "it is encrypted and there is no passphrase")
    refuses('certificate = $sealed.pem, key = $sealed.key, passphrases = { "a", "b" }', "key",
      sealed, "none of 2 passphrases opens it")
    local _, output = check 'certificate = $sealed.pem, key = $sealed.key, passphrases = "seal it"'
    assert.is_nil(output:find("seal it", 1, true))
  end)

  it("says what is no certificate, key, list or parameter", function()
    refuses("certificate = $garbage, key = $one.key", "/garbage", "no PEM certificate")
    refuses("certificate = $one.pem, key = $garbage", one, "key")
    refuses("certificate = $one.pem", one, "key")
    refuses(GOOD .. "ca = $garbage, client_certificate = 'required'", "ca")
    refuses(GOOD .. "ca = $one.pem, crl = $garbage, client_certificate = 'required'", "CRL")
    refuses(GOOD .. "dhparam = $garbage", "dhparam")
    refuses(GOOD .. "ticket_keys = $short", "47 bytes", "48 or 80")
  end)

  it("says of which kind there are two", function()
    refuses("certificate = { $one.pem, $other.pem }, key = { $one.key, $other.key }", other)
  end)

  it("says under which name a certificate is wrong", function()
    refuses(GOOD .. "names = { ['*.b.test'] = { certificate = $one.pem, key = $other.key } }",
      "names: *.b.test", one)
  end)

  it("says which setting OpenSSL does not know", function()
    refuses(GOOD .. "ciphers = 'NO-SUCH-CIPHER'", "ciphers")
    refuses(GOOD .. "ciphersuites = 'TLS_NO_SUCH'", "ciphersuites")
    refuses(GOOD .. "curves = 'no-such-curve'", "curves")
    refuses(GOOD .. "commands = 'NoSuchCommand yes'", "NoSuchCommand")
    refuses(GOOD .. "commands = 'MaxProtocol TLSv9'", "MaxProtocol")
    refuses(GOOD .. "min_version = '1.3', max_version = '1.2'", "version")
  end)

  it("says what is needed with what", function()
    refuses("", '"certificate" is missing')
    refuses(GOOD .. "client_certificate = 'required'", '"ca" or "trusted_ca" is needed')
    refuses(GOOD .. "min_version = '0.9'", "1.0, 1.1, 1.2, 1.3")
  end)

  it("says which profile for upstreams is wrong", function()
    local code, output = check(GOOD, "tls_profiles = { inner = { ca = $garbage } },")
    assert.equal(1, code)
    assert.matches("tls_profiles.inner", output, 1, true)
    code, output = check(GOOD,
      "tls_profiles = { inner = { ca = $ca, certificate = $one.pem, key = $other.key } },")
    assert.equal(1, code)
    assert.matches(one.certificate, output, 1, true)
  end)

  --- It is right, but for a word about this certificate.
  local function warns(leaf, pattern, ...)
    local code, output = check(...)
    assert.equal(0, code, output)
    assert.matches(leaf.certificate:gsub("%p", "%%%0") .. "[^\n]*" .. pattern, output)
  end

  it("warns of what has expired, or soon will", function()
    warns(expired, "expired", "certificate = $expired.pem, key = $expired.key")
    warns(ending, "expires in 12 days", "certificate = $ending.pem, key = $ending.key")
    warns(ending, "expires in 12 days", GOOD
      .. "names = { ['a.test'] = { certificate = $ending.pem, key = $ending.key } }")
    warns(ending, "expires in 12 days", GOOD,
      "certificates = { a = { certificate = $ending.pem, key = $ending.key } },")
    warns(ending, "expires in 12 days", GOOD,
      "tls_profiles = { default = { certificate = $ending.pem, key = $ending.key } },")
    local _, output = check(GOOD)
    assert.is_nil(output:find "expire")
  end)

  it("says what clients will refuse, and what nobody can ask about", function()
    local pair = "certificate = $stapled.pem, key = $stapled.key"
    refuses(pair, stapled, "must be stapled and is not")
    warns(one, "names no OCSP responder", GOOD .. "stapling = true")
    local _, output = check(pair .. ", stapling = true, stapling_responder = 'http://127.0.0.1/'")
    assert.is_nil(output:find "staple")
  end)
end)
