local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "base/base64.h"

local function encode(text)
  local len = tonumber(core.base64_encoded_len(#text))
  local out = ffi.new("char[?]", len + 1)
  core.base64_encode(support.slice(text), out)
  assert.equal(0, out[len], "wrote past its end")
  return ffi.string(out, len)
end

local function decode(text)
  local room = math.floor(#text / 4) * 3
  local out, len = ffi.new("char[?]", room + 1), ffi.new "size_t[1]"
  out[room] = 77
  local fine = core.base64_decode(support.slice(text), out, len)
  assert.equal(77, out[room], "wrote past its end")
  return fine and ffi.string(out, len[0]) or nil
end

describe("base64", function()
  for plain, coded in pairs {
    [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
    foobar = "Zm9vYmFy", ["\0\255\254"] = "AP/+",
  } do
    it("spells " .. coded .. " as RFC 4648 does", function()
      assert.equal(coded, encode(plain))
      assert.equal(plain, decode(coded))
    end)
  end

  it("gives back every byte at every place", function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local text = table.concat(all)
    for from = 1, 4 do assert.equal(text:sub(from), decode(encode(text:sub(from)))) end
  end)

  for what, text in pairs {
    ["one digit"] = "A", ["two digits without padding"] = "Zg", ["three digits"] = "Zm8",
    ["too little padding"] = "Zg=", ["too much padding"] = "Zg===", ["only padding"] = "====",
    ["three pads"] = "Z===", ["padding in the middle"] = "Zg==Zg==", ["a pad first"] = "Z=g=",
    ["junk after padding"] = "Zg==x", ["a space"] = "Zm9 ", ["a tab"] = "Zm9\t",
    ["a newline"] = "Zm9v\r\n", ["the URL alphabet"] = "AP_-", ["NUL"] = "Zm9\0",
    ["0x80"] = "Zm9\128",
    ["bits behind one byte"] = "Zh==", ["bits behind two bytes"] = "Zm9=",
  } do
    it("refuses " .. what, function() assert.is_nil(decode(text)) end)
  end
end)
