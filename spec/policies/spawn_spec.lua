--- moongate.spawn and moongate.detach: work beside a hook, and after it.
local spec = require "moongate.spec"

local HEAD = [[
local moongate = require "moongate"
local http, timer = require "moongate.http", require "moongate.timer"
local P, done = {}, {}
local function say(text, ...)
  return moongate.reject { reason = #text > 0 and text:format(...) or "-" }
end
local function sleeper(seconds, result)
  return function()
    moongate.sleep(seconds)
    table.insert(done, tostring(result))
    return result, seconds
  end
end
local unused = { http, timer }
]]

local function gateway(body, more)
  local text = HEAD .. "function P.auth(session, credentials) "
    .. "if credentials.user == 'tell' then return say(table.concat(done, ' ')) end "
    .. body .. " end\n"
    .. "return P, say, sleeper, unused"
  local options = { "p", files = { ["scripts/p.lua"] = text },
    listener = 'upstream = "10.0.0.1"' }
  for k, v in pairs(more or {}) do options[k] = v end
  return spec.policy(options)
end

local function login(gw) return gw:session():login("alice", "secret") end

--- What functions have told so far.
local function done(gw)
  return gw:session():login("tell", "x").reason
end

before_each(function() spec.logged() end)

describe("a child", function()
  it("runs beside the hook and other children", function()
    local gw = gateway [[
      local a, b = moongate.spawn(sleeper(3, "a")), moongate.spawn(sleeper(2, "b"))
      moongate.sleep(1)
      local one, seconds = a:wait()
      return say("%s %d %s %s", one, seconds, b:wait(), (a:wait()))]]
    assert.decision(login(gw)).is_reject { reason = "a 3 b a" }
    assert.equal(3, gw.clock.now)
  end)

  it("gets arguments, and begins at once", function()
    local gw = gateway [[
      local seen
      local child = moongate.spawn(function(...)
        seen = table.concat({ ... }, ",")
        return nil, "second", nil
      end, 1, "x", 3)
      local results = { n = select("#", child:wait()), child:wait() }
      return say("%s %d %s", seen, results.n, results[2])]]
    assert.decision(login(gw)).is_reject { reason = "1,x,3 3 second" }
    assert.equal(0, gw.clock.now)
  end)

  it("is waited for when the hook returns", function()
    local gw = gateway [[
      moongate.spawn(sleeper(4, "late"))
      return say "decided"]]
    assert.decision(login(gw)).is_reject { reason = "decided" }
    assert.equal(4, gw.clock.now)
    assert.equal("late", done(gw))
  end)

  it("fails the hook with its error, or whoever waits", function()
    local gw = gateway [[
      moongate.spawn(function() moongate.sleep(1) error "a child's error" end)
      return moongate.accept()]]
    assert.decision(login(gw)).is_tempfail()
    assert.matches("a child's error", spec.logged())
    gw = gateway [[
      moongate.spawn(function() error "at once" end)
      return moongate.accept()]]
    assert.decision(login(gw)).is_tempfail()
    assert.matches("at once", spec.logged())
    gw = gateway [[
      local child = moongate.spawn(function() moongate.sleep(1) error "caught" end)
      local ok, err = pcall(child.wait, child)
      return say("%s %s", ok, err:match "caught")]]
    assert.decision(login(gw)).is_reject { reason = "false caught" }
    gw = gateway [[
      local child = moongate.spawn(function() error "caught" end)
      local ok, err = pcall(child.wait, child)
      return say("%s %s", ok, err:match "caught")]]
    assert.decision(login(gw)).is_reject { reason = "false caught" }
  end)

  it("ends with a hook that fails or has no time left", function()
    local gw = gateway [[
      moongate.spawn(sleeper(3, "never"))
      moongate.sleep(1)
      error "the hook's"]]
    assert.decision(login(gw)).is_tempfail()
    assert.equal(1, gw.clock.now)
    gw.clock:advance(5)
    assert.equal("-", done(gw))
    gw = gateway [[
      moongate.spawn(sleeper(11, "never"))
      return moongate.accept()]]
    assert.decision(login(gw)).is_tempfail { log = "timeout" }
    assert.equal(10, gw.clock.now)
    gw.clock:advance(5)
    assert.equal("-", done(gw))
  end)

  it("may have children, which the whole family waits for", function()
    local gw = gateway [[
      local child = moongate.spawn(function()
        moongate.spawn(sleeper(3, "grandchild"))
        moongate.sleep(1)
        return "child"
      end)
      return say(child:wait())]]
    assert.decision(login(gw)).is_reject { reason = "child" }
    assert.equal(3, gw.clock.now)
  end)

  it("has the CPU time of the hook, and not more", function()
    local gw = gateway [[
      for _ = 1, 20 do
        moongate.spawn(function()
          moongate.sleep(1)
          local began = os.clock()
          while os.clock() - began < 0.06 do end
        end)
      end
      return moongate.accept()]]
    assert.decision(login(gw)).is_tempfail()
    assert.matches("CPU", spec.logged())
  end)

  it("is none where nothing can wait, nor the hundred and first", function()
    local gw = gateway [[
      local ok, err
      for i = 1, 101 do
        ok, err = pcall(moongate.spawn, function() end)
        if not ok then return say("%d %s", i, err:match "may have 100 children") end
      end
      return moongate.accept()]]
    assert.decision(login(gw)).is_reject { reason = "101 may have 100 children" }
    assert.has_error(function()
      spec.policy { "p", files = { ["scripts/p.lua"] = [[
        local moongate = require "moongate"
        moongate.spawn(function() end)
        return {}]] } }
    end)
  end)

  it("can't be waited for by another", function()
    local gw = gateway [[
      local a = moongate.spawn(sleeper(2))
      local b = moongate.spawn(function() return pcall(a.wait, a) end)
      local ok, err = b:wait()
      return say("%s %s", ok, err:match "only who spawned it")]]
    assert.decision(login(gw)).is_reject { reason = "false only who spawned it" }
  end)
end)

describe("a detached function", function()
  it("runs after the decision, for up to 30 s", function()
    local gw = gateway [[
      assert(moongate.detach(sleeper(29, "a")))
      assert(moongate.detach(sleeper(31, "b")))
      moongate.detach(function(...) table.insert(done, select("#", ...) .. (...)) end, "x", nil)
      table.insert(done, "hook")
      return say "decided"]]
    assert.decision(login(gw)).is_reject { reason = "decided" }
    assert.equal(0, gw.clock.now)
    gw.clock:advance(0)
    gw.clock:advance(29.5)
    assert.equal("hook 2x a", done(gw))
    spec.logged()
    gw.clock:advance(10)
    assert.equal("hook 2x a", done(gw))
    assert.matches("detached at .*p.lua:%d+: did not end in time", spec.logged())
  end)

  it("has a copy of the session, and a password that was retained", function()
    local gw = gateway [[
      session.vars.mark = "original"
      local vars = session.vars
      moongate.detach(function(s, password)
        moongate.sleep(1)
        table.insert(done, s.client.ip .. " " .. s.vars.mark .. " "
          .. tostring(password:equals "secret"))
        s.vars.mark = "copy"
        table.insert(done, vars.mark)
        local ok = pcall(s.set_user, s, "bob")
        table.insert(done, tostring(ok))
        moongate.sleep(3)
        ok = pcall(password.equals, password, "secret")
        table.insert(done, tostring(ok))
      end, session, credentials:retain(3))
      return say "decided"]]
    local session = gw:session { client = "203.0.113.9" }
    session:login("alice", "secret")
    gw.clock:advance(2)
    assert.equal("203.0.113.9 original true original false", done(gw))
    gw.clock:advance(10)
    assert.equal("203.0.113.9 original true original false false", done(gw))
  end)

  it("logs its error with the session", function()
    local gw = gateway [[
      moongate.detach(function() error "in the dark" end, session)
      return say "decided"]]
    login(gw)
    gw.clock:advance(1)
    assert.matches("session %w+: detached at .*: .*in the dark", spec.logged())
  end)

  it("does not keep credentials, nor the session of a hook that is over", function()
    local gw = gateway [[
      local ok, err = pcall(moongate.detach, function() end, credentials)
      moongate.detach(function() table.insert(done, tostring(pcall(function()
        return session.id
      end))) end)
      return say("%s %s", ok, err:match "credentials:retain")]]
    assert.decision(login(gw)).is_reject { reason = "false credentials:retain" }
    gw.clock:advance(1)
    assert.equal("false", done(gw))
  end)

  it("is one of a thousand", function()
    local gw = gateway [[
      for _ = 1, 1000 do assert(moongate.detach(sleeper(20))) end
      local ok, err = moongate.detach(function() end)
      return say("%s %s", ok, err.kind)]]
    assert.decision(login(gw)).is_reject { reason = "nil overload" }
    gw.clock:advance(21)
    assert.decision(login(gw)).is_reject { reason = "nil overload" } -- a thousand again
  end)

  it("ends with its generation", function()
    local gw = gateway [[
      moongate.detach(function()
        moongate.sleep(20)
        moongate.log("info", "late")
      end)
      return say "decided"]]
    login(gw)
    gw.clock:advance(1)
    spec.logged()
    gw:reload {}
    gw.clock:advance(25)
    assert.not_matches("late", spec.logged())
  end)
end)
