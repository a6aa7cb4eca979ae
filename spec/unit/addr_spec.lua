--- IP addresses as text: taken and written as libc does, which the core asks about IPv6 alone; and
-- which addresses are the same: those that are written the same.
local ffi = require "ffi"
require "spec.support.sockaddr"
ffi.cdef "int inet_pton(int family, const char *text, void *address);"
local core = require("spec.support.core").load("base/types.h", "base/error.h", "net/addr.h")

local AF_INET, AF_INET6 = 2, 10

--- As the core writes it, or nil if it does not take it.
local function parse(text)
  local a, room = ffi.new "struct addr", ffi.new "char[128]"
  if not core.addr_parse_ip(ffi.new("struct slice", text, #text), 143, a) then return nil end
  assert.equal(143, core.addr_port(a))
  return ffi.string(core.addr_format_ip(a, room))
end

local function libc_takes(text)
  local address = ffi.new "char[16]"
  return ffi.C.inet_pton(AF_INET, text, address) == 1 or
    ffi.C.inet_pton(AF_INET6, text, address) == 1
end

local GOOD = { "0.0.0.0", "1.2.3.4", "9.10.99.100", "127.0.0.1", "192.168.200.249",
  "255.255.255.255", "::", "::1", "2001:db8::7", "fe80::1:2:3:4", "1:2:3:4:5:6:7:8",
  "::ffff:1.2.3.4" }
local BAD = { "", ".", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.", "1.2.3.4.5",
  "1.2.3.256", "1.2.3.999", "1.2.3.1000", "1.2.3.4294967297", "01.2.3.4", "1.2.3.00", "1.2.3.04",
  "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "+1.2.3.4", "1.2.3.a", "0x1.2.3.4", "1.2.3.4:143", ":",
  "1:2", ":::", "a", "localhost", "1:2:3:4:5:6:7:8:9", "::g", "1.2.3.4::", "1.2.3\0.4", "::1\0",
  "1.2.3.4\0" }

describe("an IP address", function()
  for _, text in ipairs(GOOD) do
    it("is " .. text, function()
      assert.is_true(libc_takes(text))
      assert.equal(text, parse(text))
      assert.equal(text, parse("[" .. text .. "]"))
    end)
  end

  for _, text in ipairs(BAD) do
    it(("is not %q"):format(text), function()
      assert.is_true(text:find "%z" ~= nil or not libc_takes(text))
      assert.is_nil(parse(text))
    end)
  end

  it("has each number in each place", function()
    for n = 0, 255 do
      for _, form in ipairs { "%d.0.0.0", "0.%d.0.0", "0.0.%d.0", "0.0.0.%d" } do
        local text = form:format(n)
        assert.equal(text, parse(text))
      end
    end
  end)
end)

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
