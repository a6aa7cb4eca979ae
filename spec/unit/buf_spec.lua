--- Buffers: how they grow, what they refuse, and that nothing stays behind in a block.
local ffi = require "ffi"
local core = require("spec.support.core").load("base/types.h", "base/buf.h")

local function slice(text) return ffi.new("struct slice", text, #text) end

local function new(cap)
  local b = ffi.new "struct buf"
  core.buf_init(b, cap)
  return b
end

local function text(b)
  local bytes = core.buf_bytes(b)
  return ffi.string(bytes.ptr, bytes.len)
end

describe("a buffer", function()
  it("keeps what it has while it grows, to its cap and no further", function()
    for _, cap in ipairs { 1, 100, 256, 257, 1000, 4096, 4097, 5000, 8192, 20000 } do
      local b, all = new(cap), {}
      for i = 1, cap do
        all[i] = string.char(i % 256)
        assert.is_true(core.buf_append(b, slice(all[i])))
      end
      assert.equal(table.concat(all), text(b))
      assert.is_false(core.buf_append(b, slice "x"))
      assert.equal(0, tonumber(core.buf_room(b)))
      core.buf_consume(b, 1)
      assert.is_true(core.buf_append(b, slice "x"))
      assert.equal(table.concat(all, "", 2) .. "x", text(b))
      core.buf_deinit(b)
      assert.equal(0, tonumber(b.size))
    end
  end)

  it("is refused whole", function()
    local b = new(300)
    assert.is_true(core.buf_append(b, slice(("a"):rep(299))))
    assert.is_false(core.buf_append(b, slice "bc"))
    assert.equal(("a"):rep(299), text(b))
    core.buf_deinit(b)
  end)

  it("takes nothing, even when it is full", function()
    local b = new(0)
    assert.is_true(core.buf_append(b, slice ""))
    assert.equal("", text(b))
  end)

  it("leaves nothing behind for who has the block next", function()
    for _, size in ipairs { 256, 512, 1024, 2048, 4096 } do
      local before = {}
      for i = 1, 3 do
        before[i] = new(100000)
        assert.is_true(core.buf_append(before[i], slice(("secret"):rep(size / 6))))
      end
      for i = 1, 3 do core.buf_deinit(before[i]) end
      for i = 1, 3 do
        local b, room = before[i], ffi.new "size_t[1]"
        local memory = core.buf_reserve(b, size, room)
        assert.is_nil(ffi.string(memory, size):find "secret")
      end
      for i = 1, 3 do core.buf_deinit(before[i]) end
    end
  end)
end)
