--- The passwd_file policy.
local client = require "spec.support.client"
local loop = require "spec.support.loop"
local mime = require "mime"
local scram = require "spec.support.scram"
local shipped = require "spec.support.shipped"
local upstream = require "spec.support.upstream"

--- "secret" at 19 MiB, two passes.
local ARGON2 = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
  .. "14ukWqiThj4Xz77NYv01V28GbBZHY9AaZwsFswQFO0U"

describe("passwd_file", function()
  local gw, imap, other, pop3

  setup(function()
    imap = upstream.start { script = upstream.imap() }
    other = upstream.start { script = upstream.imap() }
    pop3 = upstream.start { script = upstream.pop3() }
    local users = {
      "# people",
      "ann:" .. ARGON2,
      "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:" .. other.address,
      "cid:{PLAIN}secret:" .. pop3.address,
      "dan:{NEW}whatever",
      "gil:{PLAIN}secret:pool:others",
      "hal:{PLAIN}secret:pool:nobodys",
      "ida:" .. scram.verifier("SCRAM-SHA-256", "secret").dovecot,
    }
    gw = shipped.start {
      policy = { "passwd_file" },
      more = ("pools = { others = { %q } },"):format(other.address),
      settings = ([[passwd_file = { path = "users", upstream = %q, master_user = "boss",
        master_password = "of the boss" }]]):format(imap.address),
      listen = {
        imap = [[mechanisms = { "PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256" },
          limits = { attempts = 100 },]],
        pop3 = 'mechanisms = { "PLAIN", "APOP" },',
      },
      files = { users = table.concat(users, "\n") .. "\n" },
    }
  end)
  after_each(function()
    client.discard_all()
    for _, up in ipairs { imap, other, pop3 } do up:clear() end
  end)
  teardown(function()
    for _, up in ipairs { imap, other, pop3 } do up:stop() end
    gw:stop()
  end)

  local function login(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s %s"):format(user, password))
  end

  it("lets in whose password fits, to the upstream of the settings", function()
    login("ann", "secret"):expect "^a OK"
    assert.same({ "ann", "secret" }, { imap:peer(1).user, imap:peer(1).password })
  end)

  it("sends a user to the upstream in the file", function()
    login("bob", "secret"):expect "^a OK"
    assert.equal("bob", other:peer(1).user)
  end)

  it("sends a user to a pool, if there is such a pool", function()
    login("gil", "secret"):expect "^a OK"
    assert.equal("gil", other:peer(1).user)
    login("hal", "secret"):expect "^a NO %[UNAVAILABLE%]"
    gw:expect_log('passwd_file%.lua:%d+: .*accept: upstream: unknown pool "nobodys"')
  end)

  for title, pair in pairs {
    ["a wrong password"] = { "ann", "Secret" },
    ["no password"] = { "ann", '""' },
    ["a hash for a password"] = { "bob", '"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="' },
    ["an unknown user"] = { "eve", "secret" },
    ["another case of the name"] = { "ANN", "secret" },
    ["a line's beginning for a name"] = { '"# people"', "secret" },
    ["a name with the separator in it"] = { "ann:x", "secret" },
  } do
    it("refuses " .. title, function()
      login(pair[1], pair[2]):expect "^a NO %[AUTHENTICATIONFAILED%]"
      assert.equal(0, #imap.peers + #other.peers)
    end)
  end

  it("fails for now when the hash is none", function()
    login("dan", "secret"):expect "^a NO %[UNAVAILABLE%]"
    gw:expect_log "(not a hash that can be checked)"
  end)

  --- The line that a proof of the password is answered with; empty where another message follows.
  local function prove(mechanism, user, password)
    local c = client.connect(gw.ports.imap)
    local s = scram.client { mechanism = mechanism, user = user, password = password }
    c:expect "^%* OK"
    c:send_line("a AUTHENTICATE " .. mechanism):expect "^%+ $"
    local first = mime.unb64(c:send_line((mime.b64(s:first()))):expect "^%+ (%S+)$")
    c:send_line((mime.b64(s:final(first))))
    local line = c:read_line()
    local last = mime.unb64(line:match "^%+ (%S+)$" or "")
    if not s:believes(last) then return line end
    c:send_line ""
    return (c:expect_until "^a .*")
  end

  it("lets in by SCRAM who has a verifier, with a master user", function()
    assert.matches("^a OK", prove("SCRAM-SHA-256", "ida", "secret"))
    assert.same({ "boss", "of the boss" }, { imap:peer(1).user, imap:peer(1).password })
    assert.matches(mime.b64 "ida\0boss\0of the boss", imap:peer(1):all(), 1, true)
    login("ida", "secret"):expect "^a OK"
    assert.same({ "ida", "secret" }, { imap:peer(2).user, imap:peer(2).password })
  end)

  it("lets in by SCRAM whose password is in the file, with that", function()
    for i, mechanism in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256" } do
      assert.matches("^a OK", prove(mechanism, "gil", "secret"))
      assert.same({ "gil", "secret" }, { other:peer(i).user, other:peer(i).password })
    end
  end)

  it("refuses all others by SCRAM", function()
    for user, password in pairs { ida = "Secret", gil = "Secret", ann = "secret", eve = "secret",
      dan = "secret" } do
      assert.matches("^a NO %[AUTHENTICATIONFAILED%]", prove("SCRAM-SHA-256", user, password))
    end
    assert.matches("^a NO %[AUTHENTICATIONFAILED%]", prove("SCRAM-SHA-1", "ida", "secret"))
    assert.equal(0, #imap.peers + #other.peers)
  end)

  it("hashes for an unknown user as for a known one", function()
    -- Of so many at once some find the queue full: those alone that are to be hashed.
    local greeted = {}
    for i = 1, 150 do
      greeted[i] = client.connect(gw.ports.imap)
      greeted[i]:expect "^%* OK"
    end
    for _, c in ipairs(greeted) do c:send_line "a LOGIN eve wrong" end
    loop.wait("an overload", function()
      for _, c in ipairs(greeted) do
        if c.input:find("^a NO %[UNAVAILABLE%]") then return true end
      end
    end)
    for _, c in ipairs(greeted) do c:reset() end
  end)

  it("checks APOP where the password is known, and logs in with it", function()
    local md5 = function(text)
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write(text)
      file:close()
      local pipe = io.popen("md5sum < " .. path)
      local digest = pipe:read "*a":match "^%x+"
      pipe:close()
      os.remove(path)
      return digest
    end
    local c = client.connect(gw.ports.pop3)
    local stamp = c:expect "(<[^>]+>)"
    c:send_line("APOP cid " .. md5(stamp .. "secret")):expect "^%+OK"
    assert.equal("secret", pop3:peer(1).password)

    local wrong = client.connect(gw.ports.pop3)
    stamp = wrong:expect "(<[^>]+>)"
    wrong:send_line("APOP cid " .. md5(stamp .. "Secret")):expect "^%-ERR %[AUTH%]"
  end)

  it("refuses CRAM-MD5 where only a hash is known", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line "a AUTHENTICATE CRAM-MD5"
    c:expect "^%+ "
    c:send_line((mime.b64("ann " .. ("0"):rep(32)))):expect "^a NO %[AUTHENTICATIONFAILED%]"
  end)
end)
