--- Which addresses are the same: those that are written the same.
local ffi = require "ffi"
ffi.cdef [[
typedef unsigned int socklen_t;
struct sockaddr { uint16_t sa_family; char sa_data[14]; };
struct sockaddr_storage { uint16_t ss_family; char text[118]; unsigned long align; };
struct sockaddr_un { uint16_t sun_family; char sun_path[108]; };
]]
local core = require("spec.support.core").load("base/types.h", "base/error.h", "net/addr.h")

local TEXTS = { "1.2.3.4:143", "1.2.3.5:143", "1.2.3.4:144", "[::1]:143", "[::2]:143", "[::1]:144",
  "[::ffff:1.2.3.4]:143", "unix:/run/a", "unix:/run/ab" }

local function address(text)
  local a, err = ffi.new "struct addr", ffi.new "struct error"
  assert.is_true(core.addr_parse(ffi.new("struct slice", text, #text), 0, a, err), text)
  return a
end

describe("an address", function()
  for _, text in ipairs(TEXTS) do
    it(text .. " equals itself and no other", function()
      for _, other in ipairs(TEXTS) do
        assert.equal(text == other, core.addr_equal(address(text), address(other)), other)
      end
    end)
  end

  it("that is none equals nothing", function()
    local none = ffi.new "struct addr"
    assert.is_false(core.addr_equal(none, none))
    assert.is_false(core.addr_equal(none, address "1.2.3.4:143"))
  end)
end)
