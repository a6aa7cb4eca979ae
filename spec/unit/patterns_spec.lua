--- The patterns of policies are LuaJIT's, but for those that would never end.
require "moongate.spec" -- runs in the gateway's own Lua
local core = require "moongate.core"

--- Results as a text; an error as its message without a place.
local function outcome(fn, ...)
  local results = { pcall(fn, ...) }
  if not results[1] then return "error: " .. results[2]:gsub("^[^ ]+:%d+: ", "") end
  for i = 1, table.maxn(results) do results[i] = tostring(results[i]) end
  return table.concat(results, "|", 2)
end

local function all(gmatch, subject, pattern)
  local words = {}
  for a, b, c in gmatch(subject, pattern) do
    words[#words + 1] = tostring(a) .. "," .. tostring(b) .. "," .. tostring(c)
  end
  return table.concat(words, ";")
end

local function assert_same(subject, pattern)
  local where = ("%q against %q"):format(subject, pattern)
  for init = -1, 3 do
    assert.equal(outcome(string.find, subject, pattern, init),
      outcome(core.find, subject, pattern, init), where)
    assert.equal(outcome(string.match, subject, pattern, init),
      outcome(core.match, subject, pattern, init), where)
  end
  assert.equal(outcome(string.find, subject, pattern, 1, true),
    outcome(core.find, subject, pattern, 1, true), where)
  assert.equal(outcome(all, string.gmatch, subject, pattern),
    outcome(all, core.gmatch, subject, pattern), where)
  for _, replacement in ipairs { "<%0>", "%1%%", "%2-", { a = "x", b = false, ab = 5 },
    function(one) return one == "a" and "y" or nil end } do
    for most = 0, 2 do
      assert.equal(outcome(string.gsub, subject, pattern, replacement, most),
        outcome(core.gsub, subject, pattern, replacement, most), where)
    end
    assert.equal(outcome(string.gsub, subject, pattern, replacement),
      outcome(core.gsub, subject, pattern, replacement), where)
  end
end

describe("the patterns of policies", function()
  it("do what LuaJIT's do", function()
    for _, case in ipairs {
      { "alice@example.org", "^([^@]+)@(.+)$" }, { "  two words ", "^%s*(.-)%s*$" },
      { "a.b.c", "%." }, { "a(b(c)d)e(", "%b()" }, { "THE (quick) fox", "%f[%a]%a+%f[%A]" },
      { "abcabc", "(abc)%1" }, { "hello", "()ll()" }, { "", "" }, { "abc", "" }, { "abc", "$" },
      { "a$b", "a$b" }, { "^a", "%^a" }, { "x]y", "[]]" }, { "x^y", "[%^x]" },
      { "a-z", "[a%-z]" }, { "key = value", "^(%w+)%s*=%s*(%w+)$" }, { "aaa", "a-" },
      { "aaa", "a-b" }, { "\0\1a", "%z" }, { "\200\255", "%a*[\200-\255]" },
      { "ab12", "%w%W?%d" }, { "abc", "((a)(b))" }, { "abc", "(" }, { "abc", ")" },
      { "abc", "(()" }, { "abc", "%" }, { "abc", "[a" }, { "abc", "[%" }, { "abc", "%1" },
      { "abc", "(%1)" }, { "abc", "%f" }, { "abc", "%bx" }, { "abc", "%b" }, { "abc", "(a" },
      { "abc", ("()"):rep(33) }, { ("a"):rep(300), ("a?"):rep(250) }, { "a,b,,c", "([^,]*)" },
      { "abc", "^" }, { "^^a", "^^" }, { "0x1F", "%x+" }, { "a\127b", "%c" },
    } do
      assert_same(case[1], case[2])
    end
  end)

  it("do what LuaJIT's do, whatever they are", function()
    local pieces = { "a", "b", ".", "%a", "%d", "%W", "[ab]", "[^a]", "[a-c%d]", "(", ")", "()",
      "*", "+", "-", "?", "^", "$", "%1", "%b()", "%f[%a]", "%%", "1", " ", "[", "]" }
    local letters = { "a", "b", "c", "1", " ", "(", ")", "." }
    local seed = 7
    local function pick(list)
      seed = (seed * 16807) % 2147483647
      return list[seed % #list + 1]
    end
    for _ = 1, 600 do
      local subject, pattern = {}, {}
      for i = 1, pick { 0, 1, 3, 6, 9 } do subject[i] = pick(letters) end
      for i = 1, pick { 1, 2, 3, 4, 5, 6 } do pattern[i] = pick(pieces) end
      assert_same(table.concat(subject), table.concat(pattern))
    end
  end)

  it("end", function()
    local long = ("a"):rep(60000)
    for _, pattern in ipairs { ("a-"):rep(30) .. "b", ("a*"):rep(5) .. "b", "(.-)(.-)(.-)x",
      (".-"):rep(3) .. "%1" } do
      for _, fn in ipairs { core.find, core.match, core.gsub } do
        assert.matches(pattern:find "%%1" and "invalid capture" or "takes too long",
          outcome(fn, long, pattern, fn == core.gsub and "" or nil))
      end
    end
    assert.equal("60001|60001", outcome(core.find, long .. "b", "b"))
    assert.equal("1|60000", outcome(core.find, long, "^%w+$"))
  end)

  it("take long texts", function()
    local long = ("key=value\n"):rep(100000)
    local text, count = core.gsub(long, "=", ":")
    assert.equal(100000, count)
    assert.equal(#long, #text)
    assert.equal(tostring(#long + 1), (outcome(core.find, long .. "!", "!")):match "^%d+")
  end)
end)
