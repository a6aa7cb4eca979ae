--- Policies that run away: each costs its own login a temporary failure, and nobody else anything.
local client = require "spec.support.client"
local mime = require "mime"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local PASSWORD = "correct-horse-battery"

--- Users are named after what their policy does.
local POLICY = [[
local run = {
  ["loop"] = function() while true do end end,
  ["pcall-loop"] = function() while true do pcall(function() while true do end end) end end,
  ["string-bomb"] = function() local s = "x" while true do s = s .. s end end,
  ["pattern-bomb"] = function() return (("a"):rep(50000)):find(("a-"):rep(30) .. "b") end,
  ["format-bomb"] = function() return ("%%99999d"):format(1) end,
  ["allocation"] = function() return ("x"):rep(3e8) end,
  ["password"] = function(_, credentials) error(credentials.password:reveal()) end,
  ["password-table"] = function(_, credentials) error { credentials.password:reveal() } end,
  ["secret"] = function(_, credentials) return "user " .. credentials.password end,
  ["missing"] = function(session) return session.vars.nothing.there end,
  ["true"] = function() return true end,
  ["nothing"] = function() error() end,
  ["recursion"] = function() local function f() return 1 + f() end return f() end,
  ["values"] = function() return moongate.accept { upstream = "%s" }, nil, 1 end,
  ["many-values"] = function() return unpack({}, 1, 7000) end,
}

return {
  auth = function(session, credentials)
    local one = run[credentials.user]
    if one then return one(session, credentials) end
    if credentials.user == "collected" then
      for _ = 1, 1000 do setmetatable({}, { __gc = function() error "in a finalizer" end }) end
    end
    return moongate.accept { upstream = "%s" }
  end,
}
]]

local USERS = { "loop", "pcall-loop", "string-bomb", "pattern-bomb", "format-bomb", "allocation",
  "password", "password-table", "secret", "missing", "true", "nothing", "recursion", "values",
  "many-values" }

local function login_imap(port, user)
  local c = client.connect(port)
  c:expect "^%* OK"
  c:send_line(("a LOGIN %s %s"):format(user, PASSWORD))
  return c
end

local function login_pop3(port, user)
  local c = client.connect(port)
  c:expect "^%+OK"
  c:send_line("USER " .. user):expect "^%+OK"
  c:send_line("PASS " .. PASSWORD)
  return c
end

local function login_smtp(port, user)
  local c = client.connect(port)
  c:expect "^220 "
  c:send_line("EHLO client.test"):expect_until "^250 "
  c:send_line("AUTH PLAIN " .. client.plain(user, PASSWORD))
  return c
end

local FAILED = {
  imap = { login_imap, "^a NO %[UNAVAILABLE%] " },
  pop3 = { login_pop3, "^%-ERR %[SYS/TEMP%] " },
  smtp = { login_smtp, "^454 4%.7%.0 " },
}

describe("a policy that runs away", function()
  local gw, up

  setup(function()
    up = upstream.start { script = upstream.imap() }
    gw = site.start {
      listen = { imap = { protocol = "imap" }, pop3 = { protocol = "pop3" },
        smtp = { protocol = "smtp" } },
      policy = POLICY:format(up.address, up.address),
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
  end)
  teardown(function()
    up:stop()
    gw:stop()
  end)

  it("fails its own login for the moment, in every protocol's words, and no other", function()
    local relayed = login_imap(gw.ports.imap, "bystander")
    relayed:expect_until "^a OK"
    for _, user in ipairs(USERS) do
      for name, how in pairs(FAILED) do
        local waiting = login_imap(gw.ports.imap, "neighbour")
        local failing = how[1](gw.ports[name], user)
        waiting:expect_until "^a OK"
        failing:expect(how[2])
        relayed:send_line("n NOOP"):expect "^n OK"
      end
    end
    login_imap(gw.ports.imap, "collected"):expect_until "^a OK"
    client.discard_all()
    gw:await_ended(6 * #USERS + 2)
    local log = gw:log()
    for _, user in ipairs(USERS) do assert.matches('user="?' .. user:gsub("%p", "%%%0"), log) end
    assert.is_nil(log:find(PASSWORD, 1, true))
    assert.is_nil(log:find(mime.b64(PASSWORD):sub(1, -5), 1, true))
    assert.is_nil(log:find("in a finalizer", 1, true))
    assert.is_nil(log:find("died of signal", 1, true))
  end)
end)
