--- PROXY headers, version 1 and 2, as bytes: what is taken, what is not, and what is written.
local ffi = require "ffi"
require "spec.support.sockaddr"
local core = require("spec.support.core").load("base/types.h", "base/buf.h", "net/addr.h",
  "net/proxy_header.h")

local SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function tlv(type, value) return string.char(type) .. u16(#value) .. value end

local function v2(command, family, body)
  return SIGNATURE .. string.char(command, family) .. u16(#body) .. body
end

local V4 = "\192\0\2\7\198\51\100\1" .. u16(4711) .. u16(143)
local V6 = "\32\1\13\184" .. ("\0"):rep(11) .. "\7" .. "\32\1\13\184" .. ("\0"):rep(11) .. "\1" ..
  u16(4711) .. u16(143)

local function address(a)
  if a.len == 0 then return "none" end
  local room = ffi.new "char[128]"
  core.addr_format(a, room)
  return ffi.string(room)
end

local function text(slice) return slice.len > 0 and ffi.string(slice.ptr, slice.len) or "" end

--- The header at the front of `bytes`; or nil and "more" or "bad".
local function parse(bytes)
  local header, len = ffi.new "struct proxy_header", ffi.new "size_t[1]"
  local copy = ffi.new("char[?]", #bytes + 1, bytes) -- it writes a NUL behind them
  local result = core.proxy_header_parse(ffi.new("struct slice", copy, #bytes), header, len)
  if result == core.PARSE_MORE then return nil, "more" end
  if result ~= core.PARSE_DONE then return nil, "bad" end
  return {
    len = tonumber(len[0]), is_local = header["local"], source = address(header.source),
    destination = address(header.destination), alpn = text(header.alpn),
    authority = text(header.authority), unique_id = text(header.unique_id), tls = header.tls,
    certificate = header.certificate, verified = header.verified,
    version = text(header.tls_version), cipher = text(header.tls_cipher),
    common_name = text(header.common_name),
  }
end

local function is_bad(bytes)
  local header, why = parse(bytes)
  assert(not header and why == "bad", ("%q: %s"):format(bytes, why or "taken"))
end

--- Every beginning of `bytes` wants more, the whole is taken, and nothing behind it is.
local function parse_whole(bytes)
  for i = 0, #bytes - 1 do
    local header, why = parse(bytes:sub(1, i))
    assert(not header and why == "more", ("%d bytes: %s"):format(i, why or "taken"))
  end
  local header = assert(parse(bytes .. "a LOGIN x y\r\n"))
  assert.equal(#bytes, header.len)
  return header
end

describe("a PROXY header of version 1", function()
  it("names both ends, on IPv4 and IPv6", function()
    local h = parse_whole "PROXY TCP4 192.0.2.7 198.51.100.1 4711 143\r\n"
    assert.same({ "192.0.2.7:4711", "198.51.100.1:143", false },
      { h.source, h.destination, h.is_local })
    h = parse_whole "PROXY TCP6 2001:db8::7 2001:db8::1 4711 143\r\n"
    assert.same({ "[2001:db8::7]:4711", "[2001:db8::1]:143" }, { h.source, h.destination })
  end)

  it("may be of nobody in particular", function()
    assert.is_true(parse_whole("PROXY UNKNOWN\r\n").is_local)
    local h = parse_whole "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"
    assert.same({ true, "none" }, { h.is_local, h.source })
  end)

  for _, line in ipairs {
    "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 4711 143 9\r\n",
    "PROXY TCP4 192.0.2.7  198.51.100.1 4711 143\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 65536 143\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 -1 143\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 04711 143\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 +1 143\r\n",
    "PROXY TCP4 192.0.2.256 198.51.100.1 1 143\r\n",
    "PROXY TCP4 2001:db8::7 2001:db8::1 4711 143\r\n",
    "PROXY TCP6 192.0.2.7 198.51.100.1 4711 143\r\n",
    "PROXY TCP6 [2001:db8::7] 2001:db8::1 4711 143\r\n",
    "PROXY UDP4 192.0.2.7 198.51.100.1 4711 143\r\n",
    "PROXY tcp4 192.0.2.7 198.51.100.1 4711 143\r\n",
    "PROXY TCP4 192.0.2.7 198.51.100.1 4711 143\n",
    "PROXY TCP4 host.test 198.51.100.1 4711 143\r\n",
    "PROXY \r\n", "PROXY TCP4\r\n", "proxy TCP4 192.0.2.7 198.51.100.1 4711 143\r\n",
    "PROXY TCP4 192.0.2.7\0 198.51.100.1 4711 143\r\n",
    "PROXY UNKNOWN " .. ("x"):rep(92) .. "\r\n", "PROXY" .. (" "):rep(110), "GET / HTTP/1.0\r\n",
    "a LOGIN x y\r\n", "\22\3\1\2\0\1\0", "\r\n\r\n\0\r\nQUIX\n",
  } do
    it(("is not %q"):format(line):gsub("[%c\128-\255]", "?"), function() is_bad(line) end)
  end

  it("has 107 bytes at most", function()
    local longest = "PROXY UNKNOWN " .. ("x"):rep(107 - 14 - 2) .. "\r\n"
    assert.is_true(parse(longest).is_local)
    is_bad((longest:gsub("x", "xx", 1)))
  end)
end)

describe("a PROXY header of version 2", function()
  it("names both ends, on IPv4 and IPv6", function()
    local h = parse_whole(v2(0x21, 0x11, V4))
    assert.same({ "192.0.2.7:4711", "198.51.100.1:143", false },
      { h.source, h.destination, h.is_local })
    h = parse_whole(v2(0x21, 0x21, V6))
    assert.same({ "[2001:db8::7]:4711", "[2001:db8::1]:143" }, { h.source, h.destination })
  end)

  it("may be LOCAL, UNSPEC or of a unix socket: nobody in particular", function()
    assert.is_true(parse_whole(v2(0x20, 0x00, "")).is_local)
    local h = parse_whole(v2(0x20, 0x11, V4))
    assert.same({ true, "none" }, { h.is_local, h.source })
    assert.is_true(parse_whole(v2(0x21, 0x00, "")).is_local)
    assert.is_true(parse_whole(v2(0x21, 0x31, ("\0"):rep(216))).is_local)
  end)

  it("has TLVs", function()
    local ssl = "\3\0\0\0\0" .. tlv(0x21, "TLSv1.3") .. tlv(0x22, "ann") .. tlv(0x23, "AES") ..
      tlv(0x24, "SHA256")
    local h = parse_whole(v2(0x21, 0x11, V4 .. tlv(1, "imap") .. tlv(2, "mail.example.com") ..
      tlv(4, "padding") .. tlv(5, "id-1") .. tlv(0xEA, "vendor") .. tlv(0x20, ssl)))
    assert.same({ "imap", "mail.example.com", "id-1", true, true, true, "TLSv1.3", "AES", "ann" },
      { h.alpn, h.authority, h.unique_id, h.tls, h.certificate, h.verified, h.version, h.cipher,
        h.common_name })
  end)

  it("tells a certificate that was not found good, and one that is not there", function()
    local h = parse(v2(0x21, 0x11, V4 .. tlv(0x20, "\3\0\0\0\1")))
    assert.same({ true, true, false }, { h.tls, h.certificate, h.verified })
    h = parse(v2(0x21, 0x11, V4 .. tlv(0x20, "\1\0\0\0\0")))
    assert.same({ true, false, false }, { h.tls, h.certificate, h.verified })
  end)

  it("has a checksum that counts", function()
    -- CRC-32C of "123456789" is e3069283; of a header it was taken from a second program.
    local function crc32c(bytes)
      local bit = require "bit"
      local crc = 0xffffffff
      for i = 1, #bytes do
        crc = bit.bxor(crc, bytes:byte(i))
        for _ = 1, 8 do
          local odd = bit.band(crc, 1) == 1
          crc = bit.rshift(crc, 1)
          if odd then crc = bit.bxor(crc, 0x82f63b78) end
        end
      end
      return bit.bnot(crc)
    end
    assert.equal("e3069283", require("bit").tohex(crc32c "123456789"))
    local function sealed(sum) return v2(0x21, 0x11, V4 .. tlv(3, sum)) end
    local bit = require "bit"
    local crc = crc32c(sealed "\0\0\0\0")
    local function byte(n) return bit.band(bit.rshift(crc, n), 0xff) end
    local sum = string.char(byte(24), byte(16), byte(8), byte(0))
    assert.equal("192.0.2.7:4711", parse_whole(sealed(sum)).source)
    is_bad(sealed(string.char(bit.bxor(byte(24), 1)) .. sum:sub(2)))
    is_bad(sealed(sum:sub(1, 3)))
  end)

  for name, bytes in pairs {
    ["another version"] = v2(0x11, 0x11, V4),
    ["another command"] = v2(0x22, 0x11, V4),
    ["datagrams"] = v2(0x21, 0x12, V4),
    ["another family"] = v2(0x21, 0x41, V4),
    ["too few bytes for IPv4"] = v2(0x21, 0x11, V4:sub(1, 11)),
    ["too few bytes for IPv6"] = v2(0x21, 0x21, V6:sub(1, 35)),
    ["too few bytes for a unix socket"] = v2(0x21, 0x31, ("\0"):rep(215)),
    ["a torn TLV"] = v2(0x21, 0x11, V4 .. "\1\0"),
    ["a TLV that is longer than the header"] = v2(0x21, 0x11, V4 .. "\1\0\5abcd"),
    ["a torn TLV inside of TLS"] = v2(0x21, 0x11, V4 .. tlv(0x20, "\1\0\0\0\0\33\0\9x")),
    ["TLS without its head"] = v2(0x21, 0x11, V4 .. tlv(0x20, "\1\0\0\0")),
    ["a name longer than names are"] = v2(0x21, 0x11, V4 .. tlv(2, ("x"):rep(256))),
    ["an id longer than ids are"] = v2(0x21, 0x11, V4 .. tlv(5, ("x"):rep(129))),
    ["more than anybody needs"] = v2(0x21, 0x11, V4 .. tlv(4, ("x"):rep(5000))),
  } do
    it("is not one with " .. name, function() is_bad(bytes) end)
  end
end)

describe("a PROXY header that is written", function()
  --- A header that lives as long as the strings it points to.
  local function header(fields)
    local h = ffi.new "struct proxy_header"
    for _, name in ipairs { "source", "destination" } do
      local value, err = fields[name], ffi.new "struct error"
      if value then
        assert(core.addr_parse(ffi.new("struct slice", value, #value), 0, h[name], err))
      end
    end
    for name, value in pairs(fields) do
      if name ~= "source" and name ~= "destination" then
        h[name] = type(value) == "string" and ffi.new("struct slice", value, #value) or value
      end
    end
    return h
  end

  local function write(h, version)
    local buf = ffi.new "struct buf"
    core.buf_init(buf, 65536)
    local fine = core.proxy_header_write(h, version, buf)
    local bytes = text(core.buf_bytes(buf))
    core.buf_deinit(buf)
    return fine and bytes
  end

  it("is the text of version 1", function()
    assert.equal("PROXY TCP4 192.0.2.7 198.51.100.1 4711 143\r\n",
      write(header { source = "192.0.2.7:4711", destination = "198.51.100.1:143" }, 1))
    assert.equal("PROXY TCP6 2001:db8::7 2001:db8::1 4711 143\r\n",
      write(header { source = "[2001:db8::7]:4711", destination = "[2001:db8::1]:143" }, 1))
  end)

  it("is UNKNOWN where the families differ, or there is no client", function()
    assert.equal("PROXY UNKNOWN\r\n",
      write(header { source = "[2001:db8::7]:4711", destination = "198.51.100.1:143" }, 1))
    assert.equal("PROXY UNKNOWN\r\n",
      write(header { source = "unix:/tmp/x", destination = "unix:/tmp/y" }, 1))
    assert.equal("PROXY UNKNOWN\r\n", write(header { ["local"] = true }, 1))
  end)

  it("is the bytes of version 2", function()
    assert.equal(v2(0x21, 0x11, V4),
      write(header { source = "192.0.2.7:4711", destination = "198.51.100.1:143" }, 2))
    assert.equal(v2(0x21, 0x21, V6 .. tlv(5, "id-1")), write(header {
      source = "[2001:db8::7]:4711", destination = "[2001:db8::1]:143", unique_id = "id-1" }, 2))
    assert.equal(v2(0x20, 0x00, ""), write(header { ["local"] = true, unique_id = "id-1" }, 2))
  end)

  it("is read back as it was, with all TLVs", function()
    local facts = {
      source = "192.0.2.7:4711", destination = "198.51.100.1:143", alpn = "imap",
      authority = "mail.example.com", unique_id = "id-1", tls = true, certificate = true,
      verified = true, tls_version = "TLSv1.3", tls_cipher = "AES", common_name = "ann",
    }
    local h = parse_whole(write(header(facts), 2))
    for name, value in pairs(facts) do
      assert.equal(value, h[({ tls_version = "version", tls_cipher = "cipher" })[name] or name])
    end
  end)

  it("is none where it would be too long", function()
    assert.is_false(write(header { source = "192.0.2.7:4711", destination = "198.51.100.1:143",
      authority = ("x"):rep(4096) }, 2))
  end)
end)
