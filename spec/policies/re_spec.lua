--- moongate.re: regular expressions with bounds.
local client = require "spec.support.client"
local modules = require "spec.support.modules"

local TOP = [[
local re = require "moongate.re"
local function all(next_match)
  local words = {}
  for captures in next_match do words[#words + 1] = captures[0] end
  return table.concat(words, ",")
end
]]

local BODIES = {
  captures = [[
    local m, first, last = re.match("on 2026-11-27", "(?<year>\\d+)-(\\d+)(x)?")
    return ("%s %s %s %s"):format(m[0], m.year, m[2], tostring(m[3])), first .. "-" .. last]],
  nothing = [[return tostring(re.match("abc", "x")), tostring((re.find("abc", "b", nil, 3)))]],
  options = [[
    return tostring(re.find("x\nABC", "^abc$", "im")),
      tostring(re.find("xab", "ab", "a")) .. tostring(re.find("xab", "ab", "a", 2))]],
  group = [[return table.concat({ re.find("key=value", "=(.+)", nil, 1, 1) }, "-"),
    tostring((re.find("a", "a(b)?", nil, 1, 1)))]],
  each = [[return all(re.gmatch("a1b22", "\\d+")), all(re.gmatch("a,,b", "[^,]*"))]],
  utf8 = [[return (re.gsub("h\195\169", "", "-", "u")), re.match("\195\169", "^.$", "u") and 1]],
  replaced = [[
    return re.gsub("ann@a.test, bob@b.test", "(\\w+)@(?<host>\\S+?)\\.test", "${host}:$1$$")]],
  once = [[return re.sub("aaa", "a", function(m) moongate.sleep(0) return m[0]:upper() end)]],
  steps = [[
    local m, err = re.match(("a"):rep(5000) .. "b", "(a+)+$")
    return m, err.kind]],
  starts = [[
    local m, err = re.match(("a"):rep(1000000), ".{0,900}?[bc]")
    return m, err.kind]],
  nested = [[
    local m, err = re.match(("("):rep(60000), "(\\((?1)?)*[xy]")
    return m, err.kind]],
  no_utf8 = [[local m, err = re.match("\255", ".", "u") return m, err.kind]],
  many = [[
    for i = 1, 300 do assert(re.find("n" .. i, "n" .. i)) end
    return re.find("n7", "n7")]],
  bad = [[return re.match("x", "(")]],
  large = [[return re.match("x", "((a{1000}){1000}){60}")]],
  option = [[return re.match("x", "x", "q")]],
  dollar = [[return re.gsub("x", "x", "5$")]],
  loop = [[while true do re.match(("a"):rep(100000), "a*b") end]],
}

describe("re", function()
  local run

  setup(function() run = modules.start { top = TOP, bodies = BODIES } end)
  after_each(function() client.discard_all() end)
  teardown(function() run.stop() end)

  it("captures, by number and by name", function()
    assert.equal("2026-11 2026 11 false | 4-10", run "captures")
    assert.equal("nil | nil", run "nothing")
  end)

  it("finds places, also of groups", function()
    assert.equal("3 | nil2", run "options")
    assert.equal("5-9 | nil", run "group")
  end)

  it("gives one match after the other, empty ones too", function()
    assert.equal("1,22 | a,,,b,", run "each")
  end)

  it("replaces, by texts and by functions that may wait", function()
    assert.equal("a:ann$, b:bob$ | 2", run "replaced")
    assert.equal("Aaa | 1", run "once")
  end)

  it("cuts no character of UTF-8", function()
    assert.equal("-h-\195\169- | 1", run "utf8")
    assert.equal("nil | overload", run "no_utf8")
  end)

  it("gives up where a pattern takes too long or too much memory", function()
    assert.equal("nil | overload", run "steps")
    assert.equal("nil | overload", run "starts")
    assert.equal("nil | overload", run "nested")
    assert.equal("Temporary failure, try again later", run "loop")
    run.gateway:expect_log "(the CPU budget of this call is used up)"
  end)

  it("keeps a bounded number of patterns", function()
    assert.equal("1 | 2", run "many")
  end)

  it("raises for what makes no sense, in the policy's line", function()
    assert.matches("^ERROR: .*missing closing parenthesis at byte 2", run "bad")
    assert.matches("^ERROR: .*too large", run "large")
    assert.matches("^ERROR: .*unknown option \"q\"", run "option")
    assert.matches("^ERROR: .*write \"%$%$\" for itself", run "dollar")
  end)
end)
