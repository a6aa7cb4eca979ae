local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "proto/imap_frame.h"

local LIMITS = ffi.new("struct imap_limits", { command = 64, literal = 40, unasked = 20 })

--- Feeds `bytes` as arrivals that end at each offset in `cuts`.
local function receive(bytes, cuts)
  local framer, command = ffi.new "struct framer", ffi.new "struct slice"
  local commands, prompts, start = {}, 0, 0
  for _, upto in ipairs(cuts) do
    while true do
      local pending = ffi.new("struct slice", ffi.cast("const char *", bytes) + start, upto - start)
      local result = core.imap_frame(framer, pending, LIMITS, command)
      if result == core.PARSE_BAD then return "bad" end
      if result == core.PARSE_MORE then break end
      if result == core.PARSE_PROMPT then prompts = prompts + 1 end
      if result == core.PARSE_DONE then
        commands[#commands + 1] = ffi.string(command.ptr, command.len)
        start = start + tonumber(command.len)
      end
    end
  end
  return commands, prompts
end

local function whole(bytes) return { #bytes } end

local function byte_by_byte(bytes)
  local cuts = {}
  for i = 1, #bytes do cuts[i] = i end
  return cuts
end

describe("imap_frame", function()
  it("ends a plain command at its CRLF", function()
    local input = "a NOOP\r\nb NOOP\r\n"
    assert.same({ "a NOOP\r\n", "b NOOP\r\n" }, (receive(input, whole(input))))
  end)

  it("keeps a literal inside the command, newlines and all", function()
    local input = "a LOGIN bob {6+}\r\nx\r\n{9}\r\n"
    assert.same({ input }, (receive(input, whole(input))))
  end)

  it("asks for each synchronising literal exactly once", function()
    local input = "a LOGIN {3}\r\nbob {2}\r\npw\r\n"
    local commands, prompts = receive(input, byte_by_byte(input))
    assert.same({ input }, commands)
    assert.equal(2, prompts)
  end)

  it("answers alike however the bytes arrive", function()
    local input = "a LOGIN {3}\r\nbob {2+}\r\npw\r\nb NOOP\r\n"
    local commands = receive(input, whole(input))
    for cut = 1, #input - 1 do
      assert.same(commands, (receive(input, { cut, #input })), "cut at " .. cut)
    end
  end)

  it("takes a bare line feed as the end of a line, as clients on a terminal send it", function()
    assert.same({ "a NOOP\n" }, (receive("a NOOP\n", { 7 })))
  end)

  it("takes a literal of nothing", function()
    assert.same({ "a {0+}\r\n\r\n" }, (receive("a {0+}\r\n\r\n", { 10 })))
  end)

  for _, size in ipairs { "41", "55", "4294967295", "18446744073709551619", ("9"):rep(40) } do
    it("ends a command before a literal of " .. size .. " bytes, unasked", function()
      local input = "a LOGIN {" .. size .. "}\r\n"
      local commands, prompts = receive(input, whole(input))
      assert.same({ input }, commands)
      assert.equal(0, prompts)
    end)
  end

  it("lets a literal be as long as allowed", function()
    local input = "a {40}\r\n" .. ("x"):rep(40) .. "\r\n"
    local commands, prompts = receive(input, whole(input))
    assert.same({ input }, commands)
    assert.equal(1, prompts)
  end)

  for name, input in pairs {
    ["an endless line"] = ("x"):rep(64),
    ["a line that is too long"] = ("x"):rep(63) .. "\r\n",
    ["an unasked literal past the limit"] = "a LOGIN {21+}\r\n",
    ["an unasked literal too long to count"] = "a LOGIN {" .. ("9"):rep(30) .. "+}\r\n",
    ["an unasked literal whose length overflows"] = "a LOGIN {18446744073709551619+}\r\n",
    ["more literals than the command may hold"] = ("x {20+}\r\n" .. ("y"):rep(20)):rep(3),
  } do
    it("refuses " .. name, function()
      assert.equal("bad", receive(input, whole(input)))
      assert.equal("bad", receive(input, byte_by_byte(input)))
    end)
  end
end)

local function replies(bytes, cuts)
  local framer, reply = ffi.new "struct framer", ffi.new "struct slice"
  local out, start = {}, 0
  for _, upto in ipairs(cuts) do
    while true do
      local pending = ffi.new("struct slice", ffi.cast("const char *", bytes) + start, upto - start)
      local result = core.imap_frame_reply(framer, pending, 64, reply)
      if result == core.PARSE_BAD then return "bad" end
      if result == core.PARSE_MORE then break end
      assert.equal(core.PARSE_DONE, result)
      out[#out + 1] = ffi.string(reply.ptr, reply.len)
      start = start + tonumber(reply.len)
    end
  end
  return out
end

describe("imap_frame_reply", function()
  for input, expected in pairs {
    ["* OK hi\r\na OK\r\n"] = { "* OK hi\r\n", "a OK\r\n" },
    ["* LIST {3}\r\n\r\nx y\r\na OK\r\n"] = { "* LIST {3}\r\n\r\nx y\r\n", "a OK\r\n" },
    -- Words for people end in whatever they like.
    ["* OK see {3}\r\na OK {4}\r\n+ {5}\r\n"] = { "* OK see {3}\r\n", "a OK {4}\r\n", "+ {5}\r\n" },
    ["* BYE {3}\r\n"] = { "* BYE {3}\r\n" },
    ["* OKAY {1}\r\nx\r\n"] = { "* OKAY {1}\r\nx\r\n" },
  } do
    it(("splits %q however it arrives"):format(input), function()
      assert.same(expected, replies(input, whole(input)))
      assert.same(expected, replies(input, byte_by_byte(input)))
    end)
  end

  for name, input in pairs {
    ["an endless line"] = ("x"):rep(64),
    ["a literal past the limit"] = "* LIST {60}\r\n",
    ["a literal too long to count"] = "* LIST {" .. ("9"):rep(30) .. "}\r\n",
  } do
    it("refuses " .. name, function() assert.equal("bad", replies(input, whole(input))) end)
  end
end)
