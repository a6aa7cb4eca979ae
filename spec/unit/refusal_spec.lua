local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "proto/refusal.h"

local function refusal(reason, stage, fields)
  local r = ffi.new("struct refusal", { reason = core["REASON_" .. reason],
    stage = core["STAGE_" .. stage] })
  for key, value in pairs(fields or {}) do r[key] = support.slice(value) end
  return r
end

local function smtp(...)
  local out = ffi.new "char[32]"
  core.refusal_smtp_code(refusal(...), out)
  return ffi.string(out)
end

--- The table as policies' authors read it in the manual: reason, IMAP, POP3, and SMTP at the login,
--- instead of the greeting, at HELO or MAIL, and at RCPT.
local GOLDEN = {
  { "BAD_CREDENTIALS", "[AUTHENTICATIONFAILED]", "[AUTH]",
    "535 5.7.8", "554 5.7.1", "530 5.7.0", "550 5.7.1" },
  { "NOT_ALLOWED", "[AUTHORIZATIONFAILED]", "[AUTH]",
    "535 5.7.0", "554 5.7.1", "550 5.7.1", "550 5.7.1" },
  { "LIMIT", "[LIMIT]", "[IN-USE]", "454 4.7.0", "421 4.7.0", "451 4.7.1", "451 4.7.1" },
  { "EXPIRED", "[EXPIRED]", "[AUTH]", "535 5.7.8", "554 5.7.1", "550 5.7.1", "550 5.7.1" },
  { "TLS_REQUIRED", "[PRIVACYREQUIRED]", "",
    "538 5.7.11", "554 5.7.0", "530 5.7.0", "530 5.7.0" },
  { "UNAVAILABLE", "[UNAVAILABLE]", "[SYS/TEMP]",
    "454 4.7.0", "421 4.3.0", "451 4.3.0", "451 4.3.0" },
  { "SERVER_BUG", "[SERVERBUG]", "[SYS/PERM]",
    "454 4.7.0", "421 4.3.5", "451 4.3.5", "451 4.3.5" },
  { "EARLY", "", "", "503 5.5.0", "503 5.5.0", "503 5.5.0", "503 5.5.0" },
  { "TOO_MANY", "", "", "421 4.7.0", "421 4.7.0", "421 4.7.0", "421 4.7.0" },
  { "TIMEOUT", "", "", "421 4.4.2", "421 4.4.2", "421 4.4.2", "421 4.4.2" },
  { "SHUTDOWN", "[UNAVAILABLE]", "[SYS/TEMP]",
    "421 4.3.2", "421 4.3.2", "421 4.3.2", "421 4.3.2" },
  { "KICKED", "", "[SYS/TEMP]", "421 4.3.2", "421 4.3.2", "421 4.3.2", "421 4.3.2" },
  { "CERTIFICATE", "", "", "421 4.7.1", "421 4.7.1", "421 4.7.1", "421 4.7.1" },
}

describe("a refusal", function()
  for _, row in ipairs(GOLDEN) do
    local reason = row[1]
    it("for " .. reason .. " has the codes of the manual", function()
      local r = refusal(reason, "LOGIN")
      assert.equal(row[2], support.text(core.refusal_imap_code(r)))
      assert.equal(row[3], support.text(core.refusal_pop3_code(r)))
      assert.equal(row[4], smtp(reason, "LOGIN"))
      assert.equal(row[5], smtp(reason, "CONNECT"))
      assert.equal(row[6], smtp(reason, "COMMAND"))
      assert.equal(row[7], smtp(reason, "RCPT"))
      assert.matches("^%u[%a ,]+$", support.text(core.refusal_text(r)))
    end)
  end

  it("is known for every reason there is", function()
    assert.equal(tonumber(core.REASON_COUNT), #GOLDEN)
  end)

  it("that is temporary or a limit is never told as a wrong password", function()
    for _, reason in ipairs { "UNAVAILABLE", "SERVER_BUG", "LIMIT", "TIMEOUT", "SHUTDOWN" } do
      local r = refusal(reason, "LOGIN")
      assert.equal("4", smtp(reason, "LOGIN"):sub(1, 1))
      assert.is_nil(support.text(core.refusal_imap_code(r)):find("FAILED", 1, true))
      assert.not_equal("[AUTH]", support.text(core.refusal_pop3_code(r)))
    end
  end)

  it("has the policy's words if it gave some", function()
    local r = refusal("LIMIT", "LOGIN", { text = "come back on Monday" })
    assert.equal("come back on Monday", support.text(core.refusal_text(r)))
  end)

  for given, expected in pairs {
    ["550"] = "550 5.7.8", ["451"] = "451 4.7.0", ["550 5.1.1"] = "550 5.1.1",
    ["550 nope"] = "550 nope",
    -- What could not be a refusal, or would not stay one line, is not used.
    ["250"] = "535 5.7.8", ["5"] = "535 5.7.8", ["5xx"] = "535 5.7.8", ["5500"] = "535 5.7.8",
    ["550-5.1.1"] = "535 5.7.8", ["550 5.1.1\r\n250 OK"] = "535 5.7.8", ["550 \0"] = "535 5.7.8",
  } do
    it(("takes the SMTP code %q as %q"):format(given, expected), function()
      assert.equal(expected, smtp("BAD_CREDENTIALS", "LOGIN", { code = given }))
    end)
  end

  it("cuts an SMTP code that is too long", function()
    local long = "550 " .. ("x"):rep(99)
    assert.equal(long:sub(1, 31), smtp("LIMIT", "LOGIN", { code = long }))
  end)

  for given, expected in pairs {
    ["5.1.1"] = "535 5.1.1", ["5.123.456"] = "535 5.123.456",
    -- Of another class than the code, or none at all.
    ["4.1.1"] = "535 5.7.8", ["5.1"] = "535 5.7.8", ["5.1.1.1"] = "535 5.7.8",
    ["5.1.x"] = "535 5.7.8", ["5.1.1\n"] = "535 5.7.8", ["5.12345.67890"] = "535 5.7.8",
  } do
    it(("takes the enhanced code %q as %q"):format(given, expected), function()
      assert.equal(expected, smtp("BAD_CREDENTIALS", "LOGIN", { enhanced = given }))
    end)
  end

  for label, reason in pairs {
    [""] = "BAD_CREDENTIALS", ["bad-credentials"] = "BAD_CREDENTIALS",
    ["invalid-token"] = "BAD_CREDENTIALS", ["not-allowed"] = "NOT_ALLOWED", limit = "LIMIT",
    ["rate-limited"] = "LIMIT", expired = "EXPIRED", ["tls-required"] = "TLS_REQUIRED",
    unavailable = "UNAVAILABLE", ["server-bug"] = "SERVER_BUG", ["no-mailbox"] = "NOT_ALLOWED",
    ["wrong-tenant"] = "NOT_ALLOWED", LIMIT = "NOT_ALLOWED",
  } do
    it(("labelled %q is %s"):format(label, reason), function()
      assert.equal(tonumber(core["REASON_" .. reason]),
        tonumber(core.reason_of_label(support.slice(label))))
    end)
  end
end)
