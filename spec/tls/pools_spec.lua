--- TLS with the members of a pool: its settings are the pool's, and a member that can't prove who
-- it is gets nothing, but is not held to be down.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

describe("TLS with a pool", function()
  local authority, leaves, servers, plain, gw

  setup(function()
    authority = ca.new()
    local names = { "DNS:imap.internal", "IP:127.0.0.1" }
    leaves = {
      good = authority:leaf { names = names },
      other = authority:leaf { names = { "DNS:elsewhere.test" } },
    }
    servers = {}
    for i = 1, 2 do
      local server
      server = upstream.start { name = "member " .. i, script = function(peer)
        tls.start(peer, server.how)
        if peer:attempt() then upstream.imap()(peer) end
      end }
      servers[i] = server
    end
    plain = upstream.start { name = "plain", script = upstream.imap() }
    local members = ("%q, %q, balance = 'round_robin', max_failures = 1, retry = '1h'")
      :format(servers[1].address, servers[2].address)
    gw = site.start {
      listen = { imap = { protocol = "imap" } },
      more = ([[
  tls_profiles = { internal = { ca = %q } },
  pools = {
    both = { %s, tls = "implicit", profile = "internal", server_name = "imap.internal" },
    mistrusted = { %s, tls = "implicit", profile = "internal", server_name = "imap.internal" },
    pinned = { %s, tls = "implicit", profile = "internal", verify = false, pin = %q },
    named = { %s, tls = "implicit", profile = "internal", server_name = "pop.internal" },
  },]]):format(authority.certificate, members, members, members, ca.pin(leaves.other), members),
      policy = ([[
return {
  auth = function() return moongate.accept() end,
  route = function(session)
    local pool, fallback = session.user:match "^(%%w+)%%.?(%%w*)"
    if fallback == "falling" then return moongate.to { pool = pool, fallback = %q } end
    return moongate.to { pool = pool }
  end,
  connect_failed = function(session)
    if session.user:find "%%.away" then return moongate.retry { upstream = %q } end
  end,
}]]):format(plain.address, plain.address),
    }
  end)
  before_each(function()
    for i = 1, 2 do servers[i].how = tls.server(leaves.good) end
  end)
  after_each(function()
    client.discard_all()
    plain:clear()
    for i = 1, 2 do servers[i]:clear() end
  end)
  teardown(function()
    plain:stop()
    for i = 1, 2 do servers[i]:stop() end
    gw:stop()
    authority:remove()
  end)

  --- The answer to a login, and the line of its session.
  local function log_in(user)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    local answer = c:send_line(("a LOGIN %s secret"):format(user)):expect_until "^a (%u+)"
    c:close()
    return answer, gw:session_of(c)
  end

  local function counts() return { #servers[1].peers, #servers[2].peers } end

  it("is as the pool says, for every member", function()
    for _ = 1, 4 do assert.equal("OK", (log_in "both")) end
    assert.same({ 2, 2 }, counts())
    assert.equal("imap.internal", servers[1]:peer(1):server_name())
    local answer, line = log_in "named"
    assert.equal("NO", answer)
    assert.equal("upstream_untrusted", line["end"])
    servers[1].how, servers[2].how = tls.server(leaves.other), tls.server(leaves.other)
    assert.equal("OK", (log_in "pinned"))
  end)

  it("that can't be trusted is had with another member, and nobody is down for it", function()
    servers[1].how = tls.server(leaves.other)
    for i = 1, 4 do
      local answer, line = log_in "mistrusted"
      assert.equal("OK", answer, i)
      assert.equal(servers[2].address, line.upstream)
    end
    assert.is_true(#servers[1].peers >= 2) -- it is asked again, by other logins
    assert.equal(4, #servers[2].peers)
    for _, peer in ipairs(servers[1].peers) do
      assert.is_nil(peer:all():find("secret", 1, true))
    end
    assert.is_nil(gw:log():find("pool mistrusted", 1, true))
  end)

  it("that can be trusted nowhere ends with the members, once each", function()
    for i = 1, 2 do servers[i].how = tls.server(leaves.other) end
    for _, user in ipairs { "both", "both.falling", "both.away" } do
      for i = 1, 2 do servers[i]:clear() end
      local answer, line = log_in(user)
      assert.equal("NO", answer)
      assert.equal("upstream_untrusted", line["end"], user)
      assert.is_true(#servers[1].peers <= 1 and #servers[2].peers <= 1)
    end
    assert.equal(0, #plain.peers)
  end)

  it("that fails otherwise does not lead to a login in clear", function()
    for i = 1, 2 do servers[i].how = tls.server(leaves.good, { max = "1.1" }) end
    for _, user in ipairs { "both.falling", "both.away" } do
      plain:clear()
      assert.equal("NO", (log_in(user)))
      assert.is_nil(plain:peer(1):all():find("secret", 1, true))
    end
  end)
end)
