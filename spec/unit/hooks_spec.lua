local spec = require "moongate.spec"

--- A gateway of small policies, given as the text of their hooks.
local function gateway(policies, more)
  local options = { files = {} }
  for k, v in pairs(more or {}) do options[k] = v end
  options.listener = "upstream = \"10.0.0.1\", " .. (options.listener or "")
  for i, text in ipairs(policies) do
    options[i] = "p" .. i
    options.files[("scripts/p%d.lua"):format(i)] =
      "local moongate = require \"moongate\"\nlocal P = {}\n" .. text .. "\nreturn P\n"
  end
  return spec.policy(options)
end

local function auth(body, more)
  return gateway({ "function P.auth(session, credentials) " .. body .. " end" }, more)
end

local function login(body, user, password)
  return auth(body):session():login(user or "alice", password or "secret")
end

local function assert_bug(decision, what)
  assert.decision(decision).is_tempfail { bug = true }
  assert.matches(what, spec.logged(), 1, true)
end

before_each(function() spec.logged() end)

describe("a chain of policies", function()
  it("ends with the first decision", function()
    local d = gateway {
      "function P.auth() return nil end",
      "function P.auth() return moongate.reject { reason = \"second\" } end",
      "function P.auth() return moongate.accept() end",
    }:session():login("alice", "x")
    assert.decision(d).is_reject { reason = "second", policy = "p2" }
  end)

  it("skips policies without the hook", function()
    local d = gateway { "function P.route() end", "function P.auth() return moongate.accept() end" }
      :session():login("alice", "x")
    assert.decision(d).is_accept { policy = "p2" }
  end)

  it("fails for the moment when nobody decides about a login", function()
    assert_bug(login "return nil", "did not decide")
  end)

  it("has no opinion about a route that nobody decides", function()
    assert.decision(gateway { "function P.route() end" }:session():route()).is_none()
  end)

  it("hands a name that set_user has changed to the next policy", function()
    local session = gateway {
      "function P.auth(s) s:set_user \"bob@example.org\" end",
      [[function P.auth(s, c) return moongate.reject { reason = c.user .. "/" .. s.user } end]],
    }:session()
    assert.decision(session:login("bob",
      "x")).is_reject { reason = "bob@example.org/bob@example.org" }
    assert.equal("bob@example.org", session:user())
  end)

  it("goes on through waits", function()
    local d = gateway {
      "function P.auth() moongate.sleep(0.01) end",
      "function P.auth() moongate.sleep(0.01) moongate.sleep(0.01) return moongate.accept() end",
    }:session():login("alice", "x")
    assert.decision(d).is_accept()
  end)
end)

describe("what a hook returns", function()
  for what, body in pairs {
    ["true"] = "return true",
    ["a string"] = "return \"accept\"",
    ["a table"] = "return { accept = true }",
    ["a number"] = "return 1",
    ["a userdata that is no decision"] = "return credentials.password",
    ["a function"] = "return moongate.accept",
  } do
    it(what .. " admits nobody", function()
      assert_bug(login(body), "a decision or nil expected, not a ")
    end)
  end

  it("nil and an error is no \"no opinion\"", function()
    assert_bug(login "return nil, \"timeout\"", "one decision expected")
  end)

  it("a decision of another hook is a mistake", function()
    assert_bug(login "return moongate.to { address = \"a:1\" }", "to is no answer of this hook")
    local d = gateway { "function P.route() return moongate.accept() end" }:session():route()
    assert_bug(d, "accept is no answer of this hook")
  end)
end)

it("a password that was wiped when its decision was taken logs nobody in later", function()
  local g = gateway { [[
    local kept
    function P.auth(session, credentials)
      local before = kept
      kept = moongate.login { password = credentials.password }
      return moongate.accept { upstream_auth = before }
    end]] }
  assert.decision(g:session():login("alice", "secret")).is_accept()
  assert_bug(g:session():login("alice", "secret"), "its password was wiped")
end)

describe("a hook that fails", function()
  for what, body in pairs {
    ["with a text"] = "error \"boom\"",
    ["with a table"] = "error { boom = true }",
    ["with nil"] = "error()",
    ["in C"] = "string.rep()",
    ["by endless recursion"] = "local function f() return 1 + f() end f()",
    ["by a yield of its own"] = "coroutine.yield(1)",
    ["with too much memory"] = "local t = {} for i = 1, 1e9 do t[i] = (\"x\"):rep(1e6) .. i end",
    ["by an undefined global"] = "return mongate.accept()",
  } do
    it(what .. " is a temporary failure", function()
      assert_bug(login(body), "scripts/p1.lua:3: policy \"p1\", hook \"auth\"")
    end)
  end

  it("leaves the next hook alone", function()
    local g = auth "if credentials.user == \"bad\" then error \"x\" end return moongate.accept()"
    for _ = 1, 100 do
      assert.decision(g:session():login("bad", "x")).is_tempfail()
      assert.decision(g:session():login("good", "x")).is_accept()
    end
  end)

  it("for want of memory leaves enough for the next", function()
    local g = auth [[
      local keep, piece = {}, ("x"):rep(1e6)
      local big = credentials.user == "big"
      for i = 1, big and 100 or 4 do
        keep[i] = piece:rep(big and 30 + i or 5)
        moongate.sleep(0) -- the CPU budget is not what is tried here
      end
      return moongate.accept()]]
    for _ = 1, 3 do
      assert_bug(g:session():login("big", "x"), "not enough memory")
      assert.decision(g:session():login("small", "x")).is_accept()
    end
  end)

  it("is logged with a traceback", function()
    login "local function deep() error \"boom\" end deep() return 1"
    local text = spec.logged()
    assert.matches("p1.lua:3: boom", text, 1, true)
    assert.matches("stack traceback", text, 1, true)
    assert.matches("in function 'deep'", text, 1, true)
  end)

  it("never shows the password", function()
    login("error(\"wrong: \" .. credentials.password:reveal())", "alice", "correct horse")
    local text = spec.logged()
    assert.matches("wrong: ", text, 1, true)
    assert.is_nil(text:find("correct horse", 1, true))
  end)
end)

describe("the budgets", function()
  it("stop a loop, even one of pcall", function()
    for _, body in ipairs {
      "while true do end",
      "while true do pcall(function() while true do end end) end",
      "local function f() pcall(f) end while true do f() end",
      "while true do xpcall(error, function() while true do end end) end",
      "coroutine.wrap(function() while true do end end)()",
      "while true do coroutine.wrap(function() pcall(error) end)() end",
      "while true do (\"x\"):rep(3e7) end",
      "for i = 1, 1e9 do pcall(string.find, (\"a\"):rep(1000), (\"a-\"):rep(9) .. \"b\") end",
      [[ (("a"):rep(150) .. ":^a-a-a-b;"):rep(1000):gsub("(a+):([^;]+);", string.find) ]],
      [[ local t = {} for i = 1, 9e4 do t[i] = i end
         while true do table.insert(t, 1, table.remove(t)) end ]],
      [[ while true do
           pcall(error, setmetatable({}, { __tostring = function() while true do end end }))
         end ]],
      "return setmetatable({}, { __index = function() while true do end end }).x",
      "while true do load(\"return 1\")() end",
    } do
      local began = os.clock()
      assert_bug(login(body), "CPU budget")
      assert.is_true(os.clock() - began < 2)
    end
  end)

  it("stop the __tostring of an error", function()
    local began = os.clock()
    assert_bug(login "error(setmetatable({}, { __tostring = function() while true do end end }))",
      "an error whose text can't be made")
    assert.is_true(os.clock() - began < 2)
  end)

  it("count all bursts of one call", function()
    local body = [[
      for i = 1, 30 do
        local stop = os.clock() + 0.05
        while os.clock() < stop do end
        moongate.sleep(0)
      end]]
    local g = auth(body, { listener = "limits = { hook_timeout = 120 }" })
    assert_bug(g:session():login("alice", "x"), "CPU budget")
  end)

  it("stop a hook that waits too long, and only that", function()
    local g = gateway({ [[function P.auth(s, c)
      moongate.sleep(c.user == "slow" and 60 or 0.01)
      return moongate.accept() end]] },
      { listener = "limits = { hook_timeout = 0.1 }" })
    assert.decision(g:session():login("slow", "x")).is_tempfail { bug = false, log = "timeout" }
    assert.matches("no answer in time", spec.logged(), 1, true)
    assert.decision(g:session():login("fast", "x")).is_accept()
  end)

  it("are told by session:deadline()", function()
    local d = auth "return moongate.reject { reason = tostring(session:deadline() <= 10) }"
      :session():login("a", "x")
    assert.decision(d).is_reject { reason = "true" }
  end)
end)

describe("a hook whose client is gone", function()
  it("is cancelled and never resumed", function()
    local g = gateway { [[
      local resumed = false
      function P.auth() moongate.sleep(0.01) resumed = true return moongate.accept() end
      function P.route() moongate.sleep(0.05)
        return moongate.reject { reason = tostring(resumed) } end]] }
    assert.is_true(g:session():cancel "auth")
    assert.decision(g:session():route()).is_reject { reason = "false" }
  end)
end)

describe("coroutines of a policy", function()
  it("pass awaits through to the host", function()
    local d = login [[
      local each = coroutine.wrap(function()
        for i = 1, 3 do moongate.sleep(0.001) coroutine.yield(i) end
      end)
      local sum = 0
      for i in each do sum = sum + i end
      return moongate.reject { reason = "sum " .. sum }]]
    assert.decision(d).is_reject { reason = "sum 6" }
  end)

  it("keep their errors", function()
    local d = login [[
      local co = coroutine.create(function() moongate.sleep(0.001) error "inside" end)
      local ok, message = coroutine.resume(co)
      return moongate.reject { reason = tostring(ok) .. " " .. message:match "inside" }]]
    assert.decision(d).is_reject { reason = "false inside" }
  end)

  it("can't wait where C is in between", function()
    for _, body in ipairs {
      "table.sort({ 3, 1, 2 }, function(a, b) moongate.sleep(0) return a < b end)",
      "(\"x\"):gsub(\".\", function() moongate.sleep(0) end)",
    } do
      assert_bug(login(body), "can't wait inside")
    end
  end)
end)

describe("init", function()
  it("may wait, and its error is told", function()
    assert.is_true(gateway { "function P.init() moongate.sleep(0.01) end" }:init())
    local ok, message = gateway { "function P.init() moongate.sleep(0.01) error \"no\" end" }:init()
    assert.is_nil(ok)
    assert.matches("scripts/p1.lua:3: init: .*p1.lua:3: no", message)
  end)
end)

describe("mechanisms", function()
  local all = "mechanisms = { \"PLAIN\", \"LOGIN\", \"CRAM-MD5\" }"

  local function offered(policies)
    local names = {}
    for name in pairs(gateway(policies, { listener = all }):session():mechanisms()) do
      names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, " ")
  end

  it("are those of the listener when nobody says otherwise", function()
    assert.equal("CRAM-MD5 LOGIN PLAIN", offered { "" })
    assert.equal("CRAM-MD5 LOGIN PLAIN", offered { "function P.mechanisms() end" })
  end)

  it("are united over the chain", function()
    assert.equal("CRAM-MD5 PLAIN", offered {
      "function P.mechanisms() return { \"cram-md5\" } end",
      "function P.mechanisms() return { \"PLAIN\" } end",
    })
  end)

  it("are never more than the listener enables", function()
    assert.equal("", offered { "function P.mechanisms() return { \"EXTERNAL\" } end" })
  end)

  it("offer nothing when the hook fails or waits", function()
    assert.equal("", offered { "function P.mechanisms() error \"x\" end" })
    assert.equal("", offered { "function P.mechanisms() return { \"NOPE\" } end" })
    spec.logged()
    assert.equal("", offered { "function P.mechanisms() moongate.sleep(1) end" })
    assert.matches("`mechanisms` can't wait", spec.logged(), 1, true)
  end)
end)

describe("notifications", function()
  it("run for every member, and their errors harm nobody", function()
    local g = gateway {
      "function P.closed(s, summary) s:count \"a\" error \"x\" end",
      "function P.closed(s, summary) s:count(\"b\", { why = summary.reason }) end",
    }
    g:session { user = "alice" }:closed()
    assert.equal(1, g:counter "a")
    assert.equal(1, g:counter "b{why=\"none\"}")
  end)
end)
