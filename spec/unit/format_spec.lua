--- What is written by format: as printf would, whoever fills it in.
local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "base/buf.h"

local int = ffi.typeof "int"

--- What is written; nil if there is no room for it.
local function written(cap, ...)
  local b = ffi.new "struct buf"
  core.buf_init(b, cap)
  local fits = core.buf_printf(b, ...)
  local text = support.text(core.buf_bytes(b))
  core.buf_deinit(b)
  if not fits then assert.equal("", text) end
  return fits and text or nil
end

describe("a format", function()
  for _, case in ipairs {
    { "", "" },
    { "a b", "a b" },
    { "one", "%s", "one" },
    { "<one|two>", "<%s|%s>", "one", "two" },
    { "onetwo", "%s%s", "one", "two" },
    { "", "%s", "" },
    { "on-", "%.*s-", int(2), "one" },
    { "-", "%.*s-", int(0), "one" },
    { "a=x;7 100%", "%s=%.*s;%d %d%%", "a", int(1), "xyz", int(7), int(100) },
    { "  one", "%5s", "one" },
    { "on", "%.2s", "one" },
  } do
    it(("%q gives %q"):format(case[2], case[1]), function()
      assert.equal(case[1], written(4096, unpack(case, 2)))
    end)
  end

  it("is whole, or not there at all, at the end of the room", function()
    local long = ("x"):rep(700) -- more than a buffer has at first
    for _, format in ipairs { "%s", "%s%%" } do
      local wanted = long .. (format == "%s" and "" or "%")
      assert.equal(wanted, written(#wanted + 1, format, long))
      assert.is_nil(written(#wanted, format, long))
      assert.is_nil(written(10, format, long))
    end
  end)
end)
