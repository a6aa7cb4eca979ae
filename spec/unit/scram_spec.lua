--- SCRAM's first message and stored verifiers; what a whole exchange comes to is in
--- spec/session/scram_spec.lua.
local ffi = require "ffi"
local scram = require "spec.support.scram"
local support = require "spec.support.core"
local core = support.load("proto/scram_first.h", "proto/scram_verifier.h")

describe("scram_first_parse", function()
  local function parse(message)
    local first = ffi.new "struct scram_first"
    if not core.scram_first_parse(support.slice(message), first) then return nil end
    return { string.char(first.flag), support.text(first.binding), support.text(first.authzid),
      support.text(first.user) }
  end

  it("takes the parts of the message", function()
    assert.same({ "n", "", "", "alice" }, parse "n,,n=alice,r=nonce")
    assert.same({ "y", "", "bob", "alice" }, parse "y,a=bob,n=alice,r=nonce")
    assert.same({ "p", "tls-exporter", "", "a=2Cb" }, parse "p=tls-exporter,,n=a=2Cb,r=!~")
    assert.same({ "n", "", "", "alice" }, parse "n,,n=alice,r=nonce,x=y,z=z")
  end)

  it("takes a nonce of 256 bytes, and no more", function()
    assert.is_table(parse("n,,n=a,r=" .. ("x"):rep(256)))
    assert.is_nil(parse("n,,n=a,r=" .. ("x"):rep(257)))
  end)

  for _, message in ipairs { "", ",", ",,", "n", "n,", "n,,", "n,,n=a", "n,,n=a,", "n,,n=a,r=",
    "n,,n=,r=x", "n,,,n=a,r=x", "nn,,n=a,r=x", "n=b,,n=a,r=x", "p,,n=a,r=x", "p=,,n=a,r=x",
    "p=a b,,n=a,r=x", "q,,n=a,r=x", "n,a=,n=a,r=x", "n,b=c,n=a,r=x", "n,,m=x,n=a,r=x",
    "n,,a,r=x", "n,,N=a,r=x", "n,,n=a,r=x y", "n,,n=a,r=\127", "n,,n=a,r=x,y",
    "n,,n=a,r=x,=y", "n,,n=a,r=x,1=y", "n,,n=a,r=x,,y=z", "n,,r=x,n=a" } do
    it(("refuses %q"):format(message), function() assert.is_nil(parse(message)) end)
  end
end)

describe("scram_unescape", function()
  local function unescape(name)
    local out, len = ffi.new("char[?]", #name + 1), ffi.new "size_t[1]"
    if not core.scram_unescape(support.slice(name), out, len) then return nil end
    return ffi.string(out, tonumber(len[0]))
  end

  it("undoes what the client had to write otherwise", function()
    assert.equal("a,b=c", unescape "a=2Cb=3Dc")
    assert.equal("", unescape "")
    assert.equal("=2C", unescape "=3D2C")
  end)

  it("refuses any other =", function()
    for _, name in ipairs { "=", "a=", "=2", "=2c", "=3d", "=41", "a=b" } do
      assert.is_nil(unescape(name), name)
    end
  end)
end)

describe("a stored verifier", function()
  local function parse(text)
    local v = ffi.new "struct scram_verifier"
    return core.scram_verifier_parse(support.slice(text), v) and v or nil
  end

  local function format(v)
    local out = ffi.new "char[320]"
    core.scram_verifier_format(v, out)
    return ffi.string(out)
  end

  it("is read as Dovecot and as PostgreSQL writes it", function()
    for _, mechanism in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256" } do
      local stored = scram.verifier(mechanism, "moonlight", "a salt", 5000)
      for _, text in ipairs { stored.dovecot, stored.postgresql,
        (stored.dovecot:gsub("SCRAM", "scram")) } do
        local v = parse(text)
        assert.same({ 5000, "a salt", stored.dovecot },
          { v.iterations, ffi.string(v.salt, v.salt_len), format(v) })
      end
    end
  end)

  it("is read with a salt of 64 bytes, and no more", function()
    assert.is_truthy(parse(scram.verifier("SCRAM-SHA-1", "x", ("s"):rep(64)).dovecot))
    assert.is_nil(parse(scram.verifier("SCRAM-SHA-1", "x", ("s"):rep(65)).dovecot))
  end)

  local good = scram.verifier("SCRAM-SHA-256", "moonlight")
  local short = scram.verifier("SCRAM-SHA-1", "moonlight")
  for what, text in pairs {
    ["nothing"] = "", ["another scheme"] = good.dovecot:gsub("SCRAM%-SHA%-256", "SSHA256"),
    ["the keys of another hash"] = short.dovecot:gsub("SHA%-1}", "SHA-256}"),
    ["no iterations"] = good.dovecot:gsub("4096", ""),
    ["iterations 0"] = good.dovecot:gsub("4096", "0"),
    ["iterations -1"] = good.dovecot:gsub("4096", "-1"),
    ["too many iterations"] = good.dovecot:gsub("4096", "10000001"),
    ["iterations past any number"] = good.dovecot:gsub("4096", ("9"):rep(40)),
    ["no salt"] = good.dovecot:gsub(",[^,]+", ",", 1),
    ["a salt that is no base64"] = good.dovecot:gsub(",[^,]+", ",!!!!", 1),
    ["a key too few"] = good.dovecot:gsub(",[^,]+$", ""),
    ["a key too many"] = good.dovecot .. "," .. good.server_key,
    ["keys of two lengths"] = good.dovecot:gsub(",[^,]+$", "," .. short.server_key),
    ["a key that is cut"] = good.dovecot:sub(1, -2),
    ["an end too many"] = good.dovecot .. "\n",
    ["the commas of one and the name of the other"] = good.dovecot:gsub("[{}]", "$"),
  } do
    it("is not " .. what, function() assert.is_nil(parse(text)) end)
  end

  it("of nobody has a salt of the user's own, under the key", function()
    local function of_nobody(key, hash, user)
      local v = ffi.new "struct scram_verifier"
      core.scram_verifier_of_nobody(ffi.new("struct secret", { support.slice(key) }), hash, 4096,
        support.slice(user), v)
      return v
    end
    local function salt(...)
      local v = of_nobody(...)
      assert.equal(16, tonumber(v.salt_len))
      return ffi.string(v.salt, 16)
    end
    local one = salt("key", core.SCRAM_SHA_256, "alice")
    assert.equal(one, salt("key", core.SCRAM_SHA_256, "alice"))
    for _, other in ipairs { salt("key", core.SCRAM_SHA_256, "bob"),
      salt("yek", core.SCRAM_SHA_256, "alice"), salt("key", core.SCRAM_SHA_1, "alice") } do
      assert.not_equal(one, other)
    end
    local v = of_nobody("key", core.SCRAM_SHA_256, "alice")
    assert.not_equal(ffi.string(v.stored_key, 32), ffi.string(v.server_key, 32))
    assert.matches("^{SCRAM%-SHA%-256}4096,", format(v))
  end)
end)
