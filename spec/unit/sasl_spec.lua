--- What the transcripts of the protocols can't say: the exchange itself, and what it leaves behind.
local ffi = require "ffi"
local support = require "spec.support.core"
local transcript = require "spec.support.transcript"
local dialog = require "spec.support.dialog"
local core = support.load "proto/dialog.h"

local base64 = transcript.base64
local driver

before_each(function()
  driver = dialog.new { protocol = "imap", mechanisms = "plain login cram-md5 external" }
end)
after_each(function() driver:free() end)

local STEPS = { [0] = "CHALLENGE", "DONE", "DENIED", "CANCELLED", "BAD" }

local function begin(mechanism, initial)
  local challenge = ffi.new "struct slice"
  local given = initial and support.slice(initial) or ffi.new "struct slice"
  local step = core.sasl_begin(driver.d, core["MECHANISM_" .. mechanism], given, challenge)
  return STEPS[tonumber(step)], support.text(challenge)
end

local function respond(line)
  local challenge = ffi.new "struct slice"
  local step = core.sasl_respond(driver.d, support.slice(line), challenge)
  return STEPS[tonumber(step)], support.text(challenge)
end

describe("mechanism_find", function()
  for _, name in ipairs { "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL" } do
    it("finds " .. name .. " in any case", function()
      for _, spelling in ipairs { name, name:lower() } do
        local found = ffi.new "enum mechanism[1]"
        assert.is_true(core.mechanism_find(support.slice(spelling), found))
        assert.equal(name, ffi.string(core.mechanism_name(found[0])))
      end
    end)
  end

  for _, name in ipairs { "", "NONE", "APOP", "PLAI", "PLAINS", "PLAIN\0", "CRAM_MD5" } do
    it(("knows no %q"):format(name), function()
      assert.is_false(core.mechanism_find(support.slice(name), ffi.new "enum mechanism[1]"))
    end)
  end
end)

describe("an exchange", function()
  it("is active until it is over", function()
    assert.equal("CHALLENGE", begin "PLAIN")
    assert.is_true(driver.d.sasl.active)
    assert.equal("DONE", respond(base64 "\0bob\0secret"))
    assert.is_false(driver.d.sasl.active)
  end)

  it("leaves nothing of a failed attempt to the next", function()
    assert.equal("CHALLENGE", begin("LOGIN", base64 "bob"))
    assert.equal("BAD", respond "!")
    assert.equal("", driver:facts().user)
    assert.equal("CHALLENGE", begin "LOGIN")
    assert.equal("", driver:facts().user)
  end)

  it("leaves nothing of a cancelled attempt", function()
    begin("LOGIN", base64 "bob")
    assert.equal("CANCELLED", respond "*")
    local facts = driver:facts()
    assert.same({ "NONE", "" }, { facts.mechanism, facts.user })
    assert.is_false(driver.d.sasl.active)
  end)

  it("gives back the memory of its attempt", function()
    for _ = 1, 200 do
      assert.equal("DONE", begin("PLAIN", base64("\0bob\0" .. ("p"):rep(1000))))
      core.dialog_forget(driver.d)
    end
    assert.equal("NONE", driver:facts().fault)
  end)

  it("takes a user and a password of 1024 bytes each, and no more", function()
    local long = ("x"):rep(1024)
    assert.equal("DONE", begin("PLAIN", base64(long .. "\0" .. long .. "\0" .. long)))
    assert.equal("BAD", begin("PLAIN", base64("x" .. long .. "\0bob\0x")))
    assert.equal("BAD", begin("PLAIN", base64("\0x" .. long .. "\0x")))
    assert.equal("BAD", begin("PLAIN", base64("\0bob\0x" .. long)))
    assert.equal("BAD", begin("PLAIN", base64(("\0"):rep(2) .. long:rep(4))))
  end)

  it("refuses what can't be a response before it takes memory", function()
    assert.equal("CHALLENGE", begin "PLAIN")
    assert.equal("BAD", respond(("A"):rep(100000)))
    assert.equal("NONE", driver:facts().fault)
  end)

  it("takes bytes from 0x80 up as they are", function()
    assert.equal("DONE", begin("PLAIN", base64 "\0b\195\164b\0\255"))
    assert.equal("b\195\164b", driver:facts().user)
    assert.equal("\255", driver:facts().password)
  end)

  for what, bytes in pairs { LF = "\n", CR = "\r", TAB = "\t", ESC = "\27", DEL = "\127" } do
    it("takes no " .. what .. " anywhere", function()
      assert.equal("BAD", begin("PLAIN", base64("a" .. bytes .. "\0bob\0secret")))
      assert.equal("BAD", begin("PLAIN", base64("\0bo" .. bytes .. "b\0secret")))
      assert.equal("BAD", begin("PLAIN", base64("\0bob\0sec" .. bytes .. "ret")))
      assert.equal("BAD", begin("LOGIN", base64("bob" .. bytes)))
      assert.equal("CHALLENGE", begin("LOGIN", base64 "bob"))
      assert.equal("BAD", respond(base64("secret" .. bytes)))
      assert.equal("CHALLENGE", begin "CRAM_MD5")
      assert.equal("BAD", respond(base64("bob" .. bytes .. " " .. ("a"):rep(32))))
      assert.equal("BAD", begin("EXTERNAL", base64("bob" .. bytes)))
    end)
  end

  it("of CRAM-MD5 takes a user with spaces", function()
    begin "CRAM_MD5"
    assert.equal("DONE", respond(base64("bob smith " .. ("Ab"):rep(16))))
    assert.equal("bob smith", driver:facts().user)
    assert.equal(("Ab"):rep(16), driver:facts().response)
  end)

  it("ends for want of memory and says so", function()
    driver:free()
    driver = dialog.new { protocol = "imap", ["arena-max"] = "1024" }
    assert.equal("BAD", begin("PLAIN", base64 "\0bob\0secret"))
    assert.equal("RESOURCES", driver:facts().fault)
    core.dialog_forget(driver.d)
    assert.equal("RESOURCES", driver:facts().fault, "this session can't be trusted any more")
  end)
end)

describe("dialog_offers", function()
  it("is what is enabled", function()
    driver:offer "plain"
    assert.is_true(core.dialog_offers(driver.d, core.MECHANISM_PLAIN))
    assert.is_false(core.dialog_offers(driver.d, core.MECHANISM_EXTERNAL))
    assert.is_false(core.dialog_offers(driver.d, core.MECHANISM_NONE))
  end)

  it("is EXTERNAL only for a client with a verified certificate", function()
    driver:offer "plain external"
    assert.is_false(core.dialog_offers(driver.d, core.MECHANISM_EXTERNAL))
    driver.d.certified = true
    assert.is_true(core.dialog_offers(driver.d, core.MECHANISM_EXTERNAL))
  end)

  it("is nothing in clear where TLS is required", function()
    driver.settings.tls_required = true
    assert.is_false(core.dialog_offers(driver.d, core.MECHANISM_PLAIN))
    driver.d.secure = true
    assert.is_true(core.dialog_offers(driver.d, core.MECHANISM_PLAIN))
  end)
end)
