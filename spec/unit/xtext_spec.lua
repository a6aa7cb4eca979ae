local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "proto/xtext.h"

local function encode(text)
  local max = tonumber(core.xtext_encoded_max(#text))
  local out = ffi.new("char[?]", max + 1)
  local len = tonumber(core.xtext_encode(support.slice(text), out))
  assert(len <= max)
  return ffi.string(out, len)
end

describe("xtext_encode", function()
  it("leaves what may stand in a command", function()
    local plain = "bob.smith-1_x@example.org!#$%&'*/?^`{|}~[UNAVAILABLE]:<>"
    assert.equal(plain, encode(plain))
  end)

  it("encodes its own signs", function() assert.equal("a+2Bb+3Dc", encode "a+b=c") end)

  it("encodes what would end the value or the line", function()
    assert.equal("a+20b+0D+0Ac+00d+09", encode "a b\r\nc\0d\t")
  end)

  it("encodes all from 0x7f up", function()
    assert.equal("+7F+80+C3+B6+FF", encode "\127\128\195\182\255")
  end)

  it("makes nothing of nothing", function() assert.equal("", encode "") end)
end)

describe("xtext_decode", function()
  local function decode(text)
    local out, len = ffi.new("char[?]", #text + 1), ffi.new "size_t[1]"
    if not core.xtext_decode(support.slice(text), out, len) then return nil end
    return ffi.string(out, tonumber(len[0]))
  end

  it("gives back whatever was encoded", function()
    local all = {}
    for byte = 0, 255 do all[byte + 1] = string.char(byte) end
    all = table.concat(all)
    assert.equal(all, decode(encode(all)))
    assert.equal("", decode "")
  end)

  it("takes no half of a sign", function()
    for _, text in ipairs { "+", "+4", "a+4", "+4g", "+g4", "+ 4", "++41", "+4a", "+-1" } do
      assert.is_nil(decode(text), text)
    end
    assert.equal("AB", decode "+41B")
  end)
end)
