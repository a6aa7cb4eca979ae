--- What upstreams were last seen to offer, and what it was learnt from.
local ffi = require "ffi"
local support = require "spec.support.core"

local core = support.load "proto/capabilities.h"

local MAX = support.constants.CAPABILITIES_MAX

local function new() return ffi.new "struct capabilities" end

local function learn(c, said, text)
  return core.capabilities_learn(c, support.slice(said), support.slice(text))
end

local function is_of(c, said) return core.capabilities_are_of(c, support.slice(said)) end

local function text_of(c) return ffi.string(c.text, c.len) end

describe("capabilities", function()
  it("are those of what was said last, word for word", function()
    local c = new()
    assert.is_true(learn(c, "250-SIZE 1\r\n250 DSN\r\n", "SIZE 1\nDSN"))
    assert.is_true(c.known)
    assert.equal("SIZE 1\nDSN", text_of(c))
    assert.is_true(is_of(c, "250-SIZE 1\r\n250 DSN\r\n"))
    assert.is_false(is_of(c, ""))
    assert.is_false(is_of(c, "250-SIZE 1\r\n"))
    assert.is_false(is_of(c, "250-SIZE 1\r\n250 DSn\r\n"))
    assert.is_false(is_of(c, "250-SIZE 1\r\n250 DSN\r\n "))
    assert.is_true(learn(c, "250 HELP\r\n", ""))
    assert.equal("", text_of(c))
    assert.is_true(is_of(c, "250 HELP\r\n"))
    assert.is_false(is_of(c, "250-SIZE 1\r\n250 DSN\r\n"))
  end)

  it("are of nothing before, and nowhere", function()
    assert.is_false(is_of(new(), ""))
    assert.is_false(is_of(nil, "IDLE"))
    assert.is_false(learn(nil, "IDLE", "IDLE"))
  end)

  it("stay what they were when others could not be told so", function()
    local c = new()
    learn(c, "IDLE", "IDLE")
    for _, bad in ipairs { "A\0", "A\tB", "A\r\nB", "A\127" } do
      assert.is_false(learn(c, bad, bad))
      assert.equal("IDLE", text_of(c))
      assert.is_true(is_of(c, "IDLE"))
    end
  end)

  it("are cut between two, and what was too long is not known again", function()
    local c = new()
    local long = ("A"):rep(MAX - 3) .. "\nB\nCC"
    assert.is_true(learn(c, long, long))
    assert.equal(("A"):rep(MAX - 3) .. "\nB", text_of(c))
    assert.is_false(is_of(c, long))
    assert.is_true(learn(c, ("A"):rep(MAX + 1), ("A"):rep(MAX + 1)))
    assert.equal("", text_of(c))
    assert.is_true(learn(c, ("A"):rep(MAX), ("A"):rep(MAX)))
    assert.equal(("A"):rep(MAX), text_of(c))
    assert.is_true(is_of(c, ("A"):rep(MAX)))
  end)
end)
