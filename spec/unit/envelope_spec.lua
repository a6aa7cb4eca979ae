--- What a MAIL or RCPT command says, as policies are told it.
local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "proto/envelope.h"

local function parse(command)
  local a = core.envelope_parse(support.slice(command))
  local domain = a.domain.ptr ~= nil and support.text(a.domain) or nil
  return { support.text(a.address), support.text(a.local_part), domain }, a.params
end

local function params_of(command)
  local _, rest = parse(command)
  local left = ffi.new("struct slice[1]", rest)
  local name, value, all = ffi.new "struct slice[1]", ffi.new "struct slice[1]", {}
  while core.envelope_next_param(left, name, value) do
    all[#all + 1] = support.text(name[0]) .. "=" .. support.text(value[0])
  end
  return all
end

describe("envelope_parse", function()
  for command, expected in pairs {
    ["MAIL FROM:<erin@example.org>"] = { "erin@example.org", "erin", "example.org" },
    ["RCPT TO:  <erin@example.org>"] = { "erin@example.org", "erin", "example.org" },
    ["RCPT TO:erin@example.org SIZE=1"] = { "erin@example.org", "erin", "example.org" },
    ["MAIL FROM:<>"] = { "", "", nil },
    ["RCPT TO:<postmaster>"] = { "postmaster", "postmaster", nil },
    ["RCPT TO:<erin@>"] = { "erin@", "erin", "" },
    ["RCPT TO:<@a,@b:erin@c.example>"] = { "@a,@b:erin@c.example", "@a,@b:erin", "c.example" },
    ['RCPT TO:<"a@b"@c.example>'] = { '"a@b"@c.example', '"a@b"', "c.example" },
    ['RCPT TO:<"a>\\"> b"@c.example> x'] = { '"a>\\"> b"@c.example', '"a>\\"> b"', "c.example" },
    ["RCPT TO:<erin@c.example"] = { "erin@c.example", "erin", "c.example" },
    ["RCPT TO:<erin\\"] = { "erin\\", "erin\\", nil },
    ["RCPT"] = { "", "", nil },
    [""] = { "", "", nil },
  } do
    it("takes " .. command, function() assert.same(expected, (parse(command))) end)
  end

  it("tells the parameters", function()
    assert.same({ "SIZE=100", "BODY=8BITMIME", "SMTPUTF8=" },
      params_of "MAIL FROM:<erin@c.example> SIZE=100  BODY=8BITMIME SMTPUTF8")
    assert.same({ "a==b" }, params_of "RCPT TO:erin@c.example =x a==b =")
    assert.same({}, params_of "RCPT TO:<erin@c.example>")
  end)
end)
