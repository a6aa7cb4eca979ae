--- moongate.crypt: hashes of every kind, in threads that leave the loop alone.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local modules = require "spec.support.modules"

--- The hash of "secret" in each format, made by other programs: htpasswd, doveadm pw, mkpasswd,
--- python's hashlib.
local HASHES = {
  "{PLAIN}secret",
  "{CLEARTEXT}secret",
  "{plain.b64}c2VjcmV0",
  "{PLAIN.HEX}736563726574",
  "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
  "{SHA1.hex}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4",
  "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
  "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
  "{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
}

local function bodies()
  local all = {
    other = [[moongate.sleep(0) return "decided"]],
    dummy = [[return crypt.verify(credentials.password, crypt.DUMMY)]],
    string = [[return crypt.verify("secret", "{PLAIN}secret")]],
    bare = [[return crypt.verify("secret", "secret")]],
    unknown = [[return crypt.verify("secret", "{NEW-SCHEME}secret")]],
    broken = [[return crypt.verify("secret", "$argon2id$v=19$m=1,t=1,p=1$x$y")]],
    huge = [[return crypt.verify("secret",
      "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ")]],
    truncated = [[return crypt.verify("secret", "{SHA}5en6")]],
    nul = [[return crypt.verify("secret\0x", "$6$ab$" .. ("x"):rep(86))]],
    table = [[return crypt.verify({}, "{PLAIN}x")]],
    cost = [[return crypt.hash("x", { rounds = -1 })]],
    option = [[return crypt.hash("x", { round = 1 })]],
    slow = [[return crypt.verify(credentials.password,
      "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$" .. ("A"):rep(43))]],
    kind = [[local ok, err = crypt.verify("x", "?") return err.kind, "(" .. err .. ")"]],
  }
  for i, hash in ipairs(HASHES) do
    all["right" .. i] = ("return crypt.verify(credentials.password, %q)"):format(hash)
    all["wrong" .. i] = ("return crypt.verify('secreT', %q)"):format(hash)
  end
  for _, scheme in ipairs { "argon2id", "bcrypt", "sha512", "yescrypt" } do
    all[scheme] = ([[
      local hash = assert(crypt.hash(credentials.password,
        { scheme = %q, rounds = %q == "bcrypt" and 5 or nil }))
      assert(crypt.verify("secret", hash) == true)
      assert(crypt.verify("secre", hash) == false)
      assert(hash ~= crypt.hash(credentials.password, { scheme = %q, rounds = 4 }))
      return hash:match "^%%$%%w+%%$"]]):format(scheme, scheme, scheme == "sha512" and "sha512"
        or scheme):gsub("rounds = 4", scheme == "sha512" and "rounds = 1000" or "rounds = 5")
  end
  all.salted = [[
    -- {SSHA} of "secret" and the salt "salt"
    return crypt.verify(credentials.password, "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0"),
      crypt.verify("other", "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0")]]
  return all
end

describe("crypt", function()
  local run

  setup(function() run = modules.start { bodies = bodies() } end)
  after_each(client.discard_all)
  teardown(function() run.stop() end)

  for i, hash in ipairs(HASHES) do
    it("knows a right from a wrong password: " .. hash, function()
      assert.equal("true", run("right" .. i))
      assert.equal("false", run("wrong" .. i))
    end)
  end

  for scheme, prefix in pairs {
    argon2id = "$argon2id$", bcrypt = "$2b$", sha512 = "$6$", yescrypt = "$y$",
  } do
    it(("makes %s hashes that it can check, with a salt of their own"):format(scheme), function()
      assert.equal(prefix, run(scheme, 20))
    end)
  end

  it("checks salted digests", function() assert.equal("true | false", run "salted") end)

  it("takes strings too", function() assert.equal("true", run "string") end)

  it("finds no password for DUMMY", function() assert.equal("false", run "dummy") end)

  for _, name in ipairs { "bare", "unknown", "broken", "huge", "truncated" } do
    it(("says of a hash that is %s that it can't be checked"):format(name), function()
      assert.equal("nil | crypt: not a hash that can be checked", run(name))
    end)
  end

  it("never finds a password with a NUL in it right", function()
    assert.equal("false", run "nul")
  end)

  it("gives errors that have a kind and can be joined to text", function()
    assert.equal("protocol | (crypt: not a hash that can be checked)", run "kind")
  end)

  it("raises for wrong arguments, in the policy's line", function()
    assert.truthy(run "table":find "^ERROR: .*policy%.lua:%d+: bad argument")
    assert.truthy(run "cost":find "^ERROR: .*policy%.lua:%d+: crypt%.hash: rounds")
    assert.truthy(run "option":find "did you mean \"rounds\"")
  end)

  describe("full of slow work", function()
    it("lets other logins go on, and says overload to one more", function()
      local busy = {}
      for i = 1, 90 do busy[i] = run.begin "slow" end
      local refused = 0
      loop.wait("the overload", function()
        refused = 0
        for _, c in ipairs(busy) do
          if c.input:find "checks are waiting already" then refused = refused + 1 end
        end
        return refused >= 90 - 64 - 16
      end)
      local times = {}
      for i = 1, 21 do
        local began = loop.now()
        assert.equal("decided", run "other")
        times[i] = loop.now() - began
      end
      table.sort(times)
      -- The middle one: what else the machine does may hold up some, a loop that hashes all.
      assert.is_true(times[11] < 0.05, ("a login took %.0f ms"):format(times[11] * 1000))
      assert.equal("nil | crypt: 64 checks are waiting already", run "slow")
      -- Those that wait go when their clients do: the queue is free again.
      for _, c in ipairs(busy) do c:reset() end
      loop.wait("a free queue", function() return run("dummy", 5) == "false" end, 5)
    end)
  end)
end)
