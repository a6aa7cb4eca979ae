--- What policies do to logins: failing, hanging, waiting, and being left alone by the client.
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

--- Users are named after what the policy does with them.
local POLICY = [[
local http = require "moongate.http"
local asked = 0
local policy = {}

local auth = {
  ["fails"] = function() error("on purpose") end,
  ["indexes"] = function(session) return session.nothing.at_all end,
  ["returns-a-string"] = function() return "yes" end,
  ["returns-true"] = function() return true end,
  ["says-nothing"] = function() return nil end,
  ["spins"] = function() while true do end end,
  ["hangs"] = function()
    local response = http.get("%s", { timeout = 60 })
    return moongate.accept { upstream = "%s", log = tostring(response) }
  end,
  ["waits"] = function()
    asked = asked + 1
    if asked %% 3 ~= 0 then return moongate.wait { seconds = 0.1 } end
    return moongate.accept { upstream = "%s" }
  end,
  ["waits-for-ever"] = function() return moongate.wait { seconds = 0.01 } end,
  ["is-delayed"] = function()
    return moongate.reject { reason = "bad-credentials", delay = 0.3 }
  end,
  ["is-closed"] = function()
    return moongate.reject { reason = "bad-credentials", close = true }
  end,
  ["is-renamed"] = function()
    return moongate.accept { user = "somebody", upstream = "%s" }
  end,
}

function policy.auth(session, credentials) return auth[credentials.user](session, credentials) end

function policy.connect(session)
  if session.listener == "closed" then
    return moongate.reject { reason = "not-allowed", text = "not you" }
  end
end

function policy.closed(session, summary)
  session:log("info", "the closed hook ran for " .. tostring(session.vars.name))
end

return policy
]]

describe("a policy", function()
  local gw, up, auth

  local function login(user, listener)
    local c = client.connect(gw.ports[listener or "imap"])
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s secret"):format(user))
    return c
  end

  setup(function()
    up = upstream.start { script = upstream.imap() }
    auth = http_server.start { answer = function() end }
    gw = site.start {
      listen = {
        imap = { protocol = "imap", more = "limits = { hook_timeout = 5, attempts = 20 }," },
        hasty = { protocol = "imap", more = "limits = { hook_timeout = 0.5 }," },
        closed = { protocol = "imap" },
      },
      policy = POLICY:format(auth.url, up.address, up.address, up.address),
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    auth:clear()
  end)
  teardown(function()
    up:stop()
    auth:stop()
    gw:stop()
  end)

  for _, user in ipairs { "fails", "indexes", "returns-a-string", "returns-true" } do
    it(("that %s admits nobody: the client may try later"):format(user), function()
      local c = login(user)
      c:expect "^a NO %[UNAVAILABLE%]"
      c:send_line("n NOOP"):expect "^n OK" -- the session stays open
      c:discard()
      gw:session_of(c)
      gw:expect_log "(policy%.lua:%d+)"
      assert.equal(0, #up.peers)
    end)
  end

  it("without an opinion about a login refuses it for now", function()
    local c = login "says-nothing"
    c:expect "^a NO %[UNAVAILABLE%]"
    c:discard()
    gw:session_of(c)
  end)

  it("that never returns is stopped, and other sessions go on", function()
    local c = login "spins"
    local other = client.connect(gw.ports.imap)
    other:expect("^%* OK", 5)
    c:expect("^a NO %[UNAVAILABLE%]", 5)
    c:discard()
    other:discard()
    gw:session_of(c)
    gw:session_of(other)
  end)

  it("that waits for an answer too long is cancelled at the hook timeout", function()
    local began = loop.now()
    local c = login("hangs", "hasty")
    local peer = auth:peer(1)
    c:expect("^a NO %[UNAVAILABLE%]", 8) -- sooner than by any other limit
    assert.is_true(loop.now() - began > 0.4)
    loop.wait("the request to be given up", function() return peer.ended end)
    c:send_line("n NOOP"):expect "^n OK"
    c:discard()
    gw:session_of(c)
  end)

  it("is cancelled when its client resets the connection", function()
    local c = login "hangs"
    local peer = auth:peer(1)
    loop.wait("the request", function() return peer.input ~= "" or #auth.requests > 0 end)
    c:reset()
    loop.wait("the request to be given up", function() return peer.ended end, 8)
    assert.equal("client_gone", gw:session_of(c, 8)["end"])
    assert.equal(0, #up.peers)
  end)

  it("slower than its client logs nobody in who has closed", function()
    auth.answer = function(_, peer)
      loop.wait("the spec", function() return auth.release end)
      peer:send(http_server.format { body = "go on" })
    end
    finally(function() auth.answer = function() end end)
    local c = login "hangs"
    loop.wait("the request", function() return #auth.requests > 0 end)
    c:half_close()
    auth.release = true
    c:expect_end "eof"
    c:discard()
    assert.equal("client_closed", gw:session_of(c)["end"])
    -- The verdict may be on its way before the departure is seen: then a connection is opened and
    -- closed again, but nobody is logged in.
    for _, peer in ipairs(up.peers) do
      loop.wait("the connection to end", function() return peer.ended end)
      assert.is_nil(peer:all():find "LOGIN")
    end
  end)

  it("may have the client wait and be asked again", function()
    local began = loop.now()
    local c = login "waits"
    c:expect_until "^a OK"
    assert.is_true(loop.now() - began >= 0.19)
    c:discard()
    assert.equal("1", gw:session_of(c).attempts)
  end)

  it("may not have it wait for ever", function()
    local c = login "waits-for-ever"
    c:expect "^a NO %[UNAVAILABLE%]"
    c:discard()
    gw:session_of(c)
  end)

  it("may delay a refusal", function()
    local began = loop.now()
    local c = login "is-delayed"
    c:expect "^a NO %[AUTHENTICATIONFAILED%]"
    assert.is_true(loop.now() - began >= 0.29)
    c:discard()
    gw:session_of(c)
  end)

  it("may end the session with its refusal", function()
    local c = login "is-closed"
    c:expect "^a NO %[AUTHENTICATIONFAILED%]"
    c:expect_end "eof"
    c:discard()
    assert.equal("refused", gw:session_of(c)["end"])
  end)

  it("may log in another user than the client named", function()
    local c = login "is-renamed"
    c:expect_until "^a OK"
    assert.equal("somebody", up:peer(1).user)
    c:discard()
    assert.equal("somebody", gw:session_of(c).user)
  end)

  it("may refuse a connection before the greeting", function()
    local c = client.connect(gw.ports.closed)
    c:expect "^%* BYE"
    c:expect_end "eof"
    c:discard()
    assert.equal("refused", gw:session_of(c)["end"])
  end)

  it("is told of every session's end", function()
    local log = gw:log()
    local count = select(2, log:gsub("the closed hook ran", ""))
    assert.equal(gw:ended_count(), count)
  end)
end)
