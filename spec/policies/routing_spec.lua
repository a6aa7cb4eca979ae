--- The policies that say where a user goes: static and by_domain.
local client = require "spec.support.client"
local shipped = require "spec.support.shipped"
local upstream = require "spec.support.upstream"

describe("static", function()
  local gw, imap, pop3

  setup(function()
    imap = upstream.start { script = upstream.imap {
      login = function(peer, tag, _, password)
        peer:send_line(tag .. (password == "secret" and " OK in" or " NO wrong"))
        return password == "secret" or nil
      end,
    } }
    pop3 = upstream.start { script = upstream.pop3() }
    gw = shipped.start {
      policy = { "static" },
      more = ("pools = { imap = { %q } },"):format(imap.address),
      settings = ("static = { upstream = 'pool:imap', pop3 = %q }"):format(pop3.address),
      listen = { imap = "", pop3 = "" },
    }
  end)
  after_each(function()
    client.discard_all()
    imap:clear()
    pop3:clear()
  end)
  teardown(function()
    imap:stop()
    pop3:stop()
    gw:stop()
  end)

  it("sends everybody to the upstream, which checks the password", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN anybody secret"):expect "^a OK"
    assert.equal("anybody", imap:peer(1).user)
  end)

  it("passes on that the upstream says no", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN anybody wrong"):expect "^a NO %[AUTHENTICATIONFAILED%]"
  end)

  it("has an upstream for each protocol", function()
    local c = client.connect(gw.ports.pop3)
    c:expect "^%+OK"
    c:send_line("USER ann"):expect "^%+OK"
    c:send_line("PASS secret"):expect "^%+OK"
    assert.equal("ann", pop3:peer(1).user)
  end)
end)

describe("by_domain", function()
  local gw, first, second, rest

  local function start(more)
    gw = shipped.start {
      policy = { "passwd_file", "by_domain" },
      settings = ([[
        passwd_file = { path = "users" },
        by_domain = { ["example.org"] = %q, ["example.net"] = %q, %s }]])
        :format(first.address, second.address, more or ""),
      listen = { imap = "" },
      files = { users = "erin@Example.org:{PLAIN}secret\nfay@example.net:{PLAIN}secret\n"
        .. "gus@elsewhere.test:{PLAIN}secret\nhal:{PLAIN}secret\n" },
    }
  end

  before_each(function()
    first = upstream.start { script = upstream.imap() }
    second = upstream.start { script = upstream.imap() }
    rest = upstream.start { script = upstream.imap() }
  end)
  after_each(function()
    client.discard_all()
    for _, up in ipairs { first, second, rest } do up:stop() end
    gw:stop()
  end)

  local function login(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s %s"):format(user, password or "secret"))
  end

  it("sends a user to the cluster of their domain, in any case", function()
    start()
    login("erin@Example.org"):expect "^a OK"
    login("fay@example.net"):expect "^a OK"
    assert.same({ 1, 1, 0 }, { #first.peers, #second.peers, #rest.peers })
  end)

  it("lets nobody in: that is for the policy before it", function()
    start()
    login("erin@Example.org", "wrong"):expect "^a NO %[AUTHENTICATIONFAILED%]"
    assert.equal(0, #first.peers)
  end)

  for title, user in pairs {
    ["a domain that no cluster holds"] = "gus@elsewhere.test",
    ["a name without a domain"] = "hal",
  } do
    it("refuses " .. title, function()
      start()
      login(user):expect "^a NO %[AUTHORIZATIONFAILED%]"
    end)

    it(("sends %s to \"*\", if there is one"):format(title), function()
      start(('["*"] = %q'):format(rest.address))
      login(user):expect "^a OK"
      assert.equal(user, rest:peer(1).user)
    end)
  end
end)
