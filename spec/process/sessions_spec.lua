--- moongate.sessions: policies count and end sessions of all workers.
local client = require "spec.support.client"
local processes = require "spec.support.processes"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local WORKERS = 4

--- "count.ann" and "kick.ann" are about ann; others are let in, "only" as the last of that name.
local POLICY = [[
local sessions = require "moongate.sessions"

local does = {}

function does.count(name) return sessions.count { user = name, phase = "splice" } end

function does.kick(name) return sessions.kick { user = name, reason = "by a policy" } end

function does.all() return sessions.count() end

function does.near() return sessions.count { ip = "127.0.0.0/8", protocol = "imap" } end

function does.far() return sessions.count { ip = "192.0.2.1" } end

function does.wrong()
  local texts = {}
  for i, one in ipairs { { sessions.count, { ip = "x" } }, { sessions.kick, { phase = "splice" } },
    { sessions.count, { usr = "x" } }, { sessions.kick, { user = "" } },
    { sessions.kick, { user = "x", reason = ("r"):rep(201) } } } do
    texts[i] = select(2, pcall(one[1], one[2])):gsub("^.-: ", ""):sub(1, 60)
  end
  return table.concat(texts, "/")
end

return {
  auth = function(session, credentials)
    local verb, name = credentials.user:match "^(%%a+)%%.(%%a+)$"
    if verb then return moongate.reject { text = tostring(assert(does[verb](name))) } end
    if credentials.user == "only" then
      assert(sessions.kick { user = "only", except = session.id })
    end
    return moongate.accept { upstream = %q }
  end,
}
]]

describe("a policy", function()
  local up, gw

  setup(function()
    up = upstream.start { script = upstream.imap() }
    gw = site.start { listen = { imap = { protocol = "imap" } },
      policy = POLICY:format(up.address), workers = WORKERS }
  end)
  after_each(client.discard_all)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  local function ask(what)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    local text = c:send_line("a LOGIN " .. what .. " x"):expect "^a NO %S+ (.*)$"
    c:discard()
    return text
  end

  local function login(user)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN " .. user .. " x"):expect_until "^a OK"
    return c
  end

  local function eventually(what, wanted)
    processes.eventually(function() return ask(what) == wanted end, 10)
  end

  it("counts and ends the sessions of all workers", function()
    local all = {}
    for i = 1, 20 do all[i] = login "ann" end
    local bob = login "bob"
    assert.equal("20", ask "count.ann")
    assert.equal("0", ask "count.cid")
    assert.is_true(tonumber(ask "near.x") >= 21)
    assert.equal("0", ask "far.x")
    assert.is_true(tonumber(ask "all.x") >= 21)
    assert.equal("20", ask "kick.ann")
    for _, c in ipairs(all) do c:expect_end "eof" end
    assert.equal("kicked", gw:session_of(all[1])["end"])
    assert.equal("0", ask "count.ann")
    assert.equal("1", ask "count.bob")
    bob:discard()
    eventually("count.bob", "0")
  end)

  it("can leave out the session that asks", function()
    local first = login "only"
    local second = login "only"
    first:expect_end "eof"
    assert.equal("1", ask "count.only")
    second:discard()
  end)

  it("is told what makes no sense", function()
    local text = ask "wrong.x"
    assert.matches("whom%?", text)
    assert.matches("unknown field \"usr\"", text)
    assert.matches("it is empty", text)
    assert.matches("reason: a line", text)
  end)
end)
