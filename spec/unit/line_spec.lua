local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "proto/line.h"

local MAX = 10

--- Shows `bytes` up to each offset in `cuts`, and says what is made of it in the end.
local function frame(bytes, cuts)
  local framer, line = ffi.new "struct framer", ffi.new "struct slice"
  for _, upto in ipairs(cuts or { #bytes }) do
    local part = support.slice(bytes)
    part.len = upto
    local result = core.line_frame(framer, part, MAX, line)
    if result == core.PARSE_BAD then return "bad" end
    if result == core.PARSE_DONE then return support.text(line), tonumber(framer.seen) end
  end
  return "more"
end

local function every_byte(bytes)
  local cuts = {}
  for i = 0, #bytes do cuts[#cuts + 1] = i end
  return cuts
end

describe("line_frame", function()
  for bytes, expected in pairs {
    ["NOOP\r\n"] = "NOOP\r\n", ["NOOP\n"] = "NOOP\n", ["\n"] = "\n", ["a\r\nb\r\n"] = "a\r\n",
    [""] = "more", ["NOOP\r"] = "more", ["a\0b\r\n"] = "a\0b\r\n",
    ["12345678\r\n"] = "12345678\r\n",
    ["123456789\r\n"] = "bad", ["123456789"] = "more", ["1234567890"] = "bad",
  } do
    it(("makes %q of %q however it arrives"):format(expected, bytes), function()
      assert.equal(expected, (frame(bytes)))
      assert.equal(expected, (frame(bytes, every_byte(bytes))))
    end)
  end

  it("is ready for the next line", function() assert.equal(0, select(2, frame "a\r\n")) end)
end)

describe("line_text", function()
  for line, text in pairs {
    ["a\r\n"] = "a", ["a\n"] = "a", ["a"] = "a", ["\r\n"] = "", [""] = "", ["a\r\r\n"] = "a\r",
    ["a\n\n"] = "a\n",
  } do
    it(("of %q is %q"):format(line, text), function()
      assert.equal(text, support.text(core.line_text(support.slice(line))))
    end)
  end
end)
