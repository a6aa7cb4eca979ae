local ffi = require "ffi"
local support = require "spec.support.core"
local dialog = require "spec.support.dialog"
local core = support.load "proto/imap_args.h"

local driver
before_each(function() driver = dialog.new { protocol = "imap" } end)
after_each(function() driver:free() end)

--- The first string and what is left, or nil.
local function astring(text)
  local rest, value = support.slice(text), ffi.new "struct slice"
  if not core.imap_astring(driver.d, ffi.new("struct slice[1]", rest), value) then return nil end
  return support.text(value)
end

local function all(text)
  local rest, value = ffi.new("struct slice[1]", support.slice(text)), ffi.new "struct slice"
  local out = {}
  while rest[0].len > 0 do
    if not core.imap_astring(driver.d, rest, value) then return nil end
    out[#out + 1] = support.text(value)
  end
  return out
end

describe("imap_astring", function()
  for text, expected in pairs {
    [" a"] = { "a" }, [" a b"] = { "a", "b" }, [' "a b" c'] = { "a b", "c" },
    [' "\\"\\\\\\x" c'] = { '"\\x', "c" }, [' ""'] = { "" }, [" {1}\r\nx"] = { "x" },
    [" {3+}\r\n\"{  y"] = { '"{ ', "y" }, [" {0}\r\n b"] = { "", "b" },
    [" {2}\n)( z"] = { ")(", "z" },
    [" a\"b"] = { "a\"b" }, [" \195\164"] = { "\195\164" }, [' "\195\164"'] = { "\195\164" },
    [" {007}\r\nsecrets"] = { "secrets" }, [' "\t"'] = { "\t" },
  } do
    it(("reads %q"):format(text), function() assert.same(expected, all(text)) end)
  end

  for _, text in ipairs {
    "", " ", "a", "  a", ' "a', ' "a\\', ' "a\\"', ' "a"b', ' "a\r\nb"', ' "a\0"', " a\0b",
    " a\tb", " {3}", " {3}\r\nab", " {3}\r\nabcd", " {3}\r\na\0c", " {3}\r\na\nc", " {1}\r\n\r",
    " {-1}\r\na",
    " {+}\r\na", " {}\r\na", " {1}a", " {1} \r\na", " {{1}\r\na", " {x{1}\r\na", ' "a\\\r"',
    " {99999999999999999999}\r\na", " {18446744073709551617}\r\na",
  } do
    it(("takes no %q"):format(text), function() assert.is_nil(astring(text)) end)
  end
end)

describe("imap_word", function()
  local function word(text)
    local rest, value = ffi.new("struct slice[1]", support.slice(text)), ffi.new "struct slice"
    return core.imap_word(rest, value) and support.text(value) or nil
  end

  it("reads visible ASCII up to a space", function()
    assert.equal("PLAIN", word " PLAIN x")
    assert.equal("=", word " =")
  end)

  for _, text in ipairs { "", " ", "  x", "x", " a\0", " a\r\nb", " \195\164", " a\127" } do
    it(("takes no %q"):format(text), function() assert.is_nil(word(text)) end)
  end
end)

describe("imap_id_list", function()
  local function list(text)
    local out = ffi.new "struct slice"
    return core.imap_id_list(driver.d, support.slice(text), out) and support.text(out) or nil
  end

  for text, expected in pairs {
    [" NIL"] = "", [" nil"] = "", [" ()"] = "", [' ("a" "b")'] = '"a" "b"',
    [' ("a" NIL "b" "\\"\\\\")'] = '"a" NIL "b" "\\"\\\\"',
    [' ({1}\r\na {3+}\r\n"\\x)'] = '"a" "\\"\\\\x"', [' ("a" "")'] = '"a" ""',
  } do
    it(("reads %q"):format(text), function() assert.equal(expected, list(text)) end)
  end

  for _, text in ipairs {
    "", " ", " NILS", " (", " (NIL)", ' ("a")', ' ("a" "b"', ' ("a" "b") ', ' ("a"  "b")', " (a b)",
    ' ("" "b")', ' ("a" "b" "c")', ' ("a" ("b" "c"))', ' ("a" "b\tc")', ' ("a\27" "b")', ' "a" "b"',
    ' ("' .. ("k"):rep(31) .. '" "v")', ' ("k" "' .. ("v"):rep(1025) .. '")',
  } do
    it(("takes no %q"):format(text:sub(1, 40)), function() assert.is_nil(list(text)) end)
  end

  it("holds what it says in memory that is large enough", function()
    local pairs_of_quotes = {}
    for i = 1, 30 do pairs_of_quotes[i] = '{2+}\r\n"" {9+}\r\n"""""""""' end
    local read = list(" (" .. table.concat(pairs_of_quotes, " ") .. ")")
    assert.equal(30 * #'"\\"\\"" "\\"\\"\\"\\"\\"\\"\\"\\"\\"" ' - 1, #read)
  end)
end)
