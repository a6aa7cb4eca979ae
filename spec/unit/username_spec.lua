local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "proto/username.h"

--- What `given` becomes with `settings`, or nil if it is refused.
local function apply(given, settings)
  local s, arena = ffi.new "struct username_settings", ffi.new "struct arena"
  local domain, allowed = settings.default_domain or "", settings.allowed or ""
  local user, kept = ffi.new "struct slice", nil
  core.arena_init(arena, settings.memory or 4096)
  s.letter_case = settings.lower and core.USERNAME_LOWER or core.USERNAME_KEEP
  s.default_domain, s.allowed = support.slice(domain), support.slice(allowed)
  s.utf8, s.max = settings.utf8 ~= false, settings.max or 512
  if core.username_apply(s, arena, support.slice(given), user) then kept = support.text(user) end
  core.arena_wipe(arena)
  return kept
end

describe("username_apply", function()
  it("leaves a name as it is", function()
    assert.equal("Bob Smith+x@Example.org", apply("Bob Smith+x@Example.org", {}))
  end)

  it("spells it in small letters where that is set, ASCII only", function()
    assert.equal("bob@example.org", apply("Bob@EXAMPLE.org", { lower = true }))
    assert.equal("b\195\150b", apply("B\195\150B", { lower = true }))
  end)

  it("appends the default domain where there is none", function()
    assert.equal("bob@example.org", apply("bob", { default_domain = "example.org" }))
    assert.equal("bob@there", apply("bob@there", { default_domain = "example.org" }))
    assert.equal("bob@", apply("bob@", { default_domain = "example.org" }))
  end)

  it("spells the default domain in small letters too", function()
    assert.equal("bob@example.org", apply("BOB", { default_domain = "Example.ORG", lower = true }))
  end)

  it("takes the default domain as it is, whatever is allowed", function()
    assert.equal("bob@x-y", apply("bob", { default_domain = "x-y", allowed = "bo" }))
  end)

  it("allows only the characters that are set", function()
    assert.equal("bob@b", apply("bob@b", { allowed = "bo@" }))
    assert.is_nil(apply("bob'--", { allowed = "bo@" }))
    assert.is_nil(apply("b ob", { allowed = "bo@" }))
  end)

  it("looks at letters as they become", function()
    assert.equal("bob", apply("BoB", { allowed = "bo", lower = true }))
    assert.is_nil(apply("BoB", { allowed = "bo" }))
    assert.is_nil(apply("BoB", { allowed = "BO", lower = true }))
  end)

  it("counts the domain in the length", function()
    assert.equal(("x"):rep(16), apply(("x"):rep(16), { max = 16 }))
    assert.is_nil(apply(("x"):rep(17), { max = 16 }))
    assert.equal("12345678@1234567", apply("12345678", { max = 16, default_domain = "1234567" }))
    assert.is_nil(apply("12345678", { max = 16, default_domain = "12345678" }))
  end)

  it("refuses a name for which there is no memory", function()
    assert.is_nil(apply("bob", { lower = true, memory = 0 }))
  end)

  for what, name in pairs {
    ["two bytes"] = "b\195\182b", ["three"] = "\226\130\172", ["four"] = "\240\159\152\128",
    ["the last code point"] = "\244\143\191\191", ["the first past C1"] = "\194\160",
  } do
    it("takes UTF-8 of " .. what .. " only where that is set", function()
      assert.equal(name, apply(name, {}))
      assert.is_nil(apply(name, { utf8 = false }))
    end)
  end

  for what, name in pairs {
    ["nothing"] = "", ["NUL"] = "victim\0junk", ["CR LF"] = "bob\r\nDELE 1", ["a tab"] = "b\tb",
    ["DEL"] = "b\127b", ["escape"] = "\27[2J", ["a C1 control"] = "\194\133",
    ["an overlong slash"] = "\192\175", ["an overlong NUL"] = "\224\128\128",
    ["an overlong of four bytes"] = "\240\130\130\172", ["a surrogate"] = "\237\160\128",
    ["past the last code point"] = "\244\144\128\128",
    ["a first byte that is none"] = "\245\128\128\128",
    ["a cut sequence"] = "b\195", ["a cut sequence of four"] = "\240\159\152",
    ["a lone following byte"] = "b\182b", ["a sequence that breaks off"] = "\226\130b",
    ["255"] = "\255",
  } do
    it("refuses " .. what, function()
      assert.is_nil(apply(name, {}))
      assert.is_nil(apply(name, { lower = true, default_domain = "example.org" }))
    end)
  end
end)
