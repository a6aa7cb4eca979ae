--- What is shown of a dialogue to somebody who looks on.
local ffi = require "ffi"
local base64 = require("spec.support.transcript").base64
local support = require "spec.support.core"

local core = support.load("proto/dialog.h", "proto/protocols.h", "proto/redact.h")

local PASSWORD = "s3cret-pw"

--- What is shown of a line.
local function shown(protocol, who, line)
  local d, out = ffi.new "struct dialog", ffi.new "char[200]"
  d.proto = core["proto_" .. protocol]
  d.credentials.password.bytes = support.slice(PASSWORD)
  return support.text(core.redact_line(d, core["SPEAKER_" .. who], support.slice(line), out, 200))
end

local ENCODED = "AGFubgBzM2NyZXQtcHc=" -- "\0ann\0s3cret-pw"

describe("of a command is shown", function()
  for line, wanted in pairs {
    ["a LOGIN ann pass\r\n"] = "a LOGIN ***",
    ["a login {3}\r\nann {4}\r\npass\r\n"] = "a LOGIN ***",
    ["a AUTHENTICATE PLAIN\r\n"] = "a AUTHENTICATE PLAIN",
    ["a authenticate plain " .. ENCODED] = "a AUTHENTICATE plain ***",
    ["a AUTHENTICATE " .. ENCODED] = "a AUTHENTICATE ***",
    ["a NOOP"] = "a NOOP",
    ["a NOOP word"] = "a NOOP ***",
    ['a ID ("name" "x")'] = 'a ID ("name" "x")',
    ['a ID ("name" "' .. PASSWORD .. '")'] = "***",
    ["a SELECT INBOX"] = "***",
    [ENCODED] = "***",
    [ENCODED .. " NOOP"] = "***",
    [""] = "***",
    ["a"] = "***",
    [("a"):rep(40) .. " NOOP"] = "***",
  } do
    it(("%q in IMAP: %s"):format(line, wanted), function()
      assert.equal(wanted, shown("imap", "CLIENT", line))
    end)
  end

  for line, wanted in pairs {
    ["USER ann\r\n"] = "USER ann", ["PASS x y z"] = "PASS ***", ["pass"] = "pass",
    ["APOP ann 0123"] = "APOP ***", ["AUTH PLAIN " .. ENCODED] = "AUTH PLAIN ***",
    ["AUTH"] = "AUTH", ["RETR 1"] = "***",
  } do
    it(("%q in POP3: %s"):format(line, wanted), function()
      assert.equal(wanted, shown("pop3", "CLIENT", line))
    end)
  end

  for line, wanted in pairs {
    ["EHLO a.example"] = "EHLO a.example", ["AUTH LOGIN"] = "AUTH LOGIN",
    ["AUTH PLAIN " .. ENCODED] = "AUTH PLAIN ***", ["DATA"] = "***",
    ["MAIL FROM:<a@example.org>"] = "MAIL FROM:<a@example.org>",
  } do
    it(("%q in SMTP: %s"):format(line, wanted), function()
      assert.equal(wanted, shown("smtp", "GATEWAY_UPSTREAM", line))
    end)
  end

  it("nothing within an exchange", function()
    assert.equal("***", shown("imap", "CLIENT_RESPONSE", "a NOOP"))
  end)
end)

describe("of a reply is shown", function()
  for line, wanted in pairs {
    ["* OK ready\r\n"] = "* OK ready",
    ["a NO [AUTHENTICATIONFAILED] no"] = "a NO [AUTHENTICATIONFAILED] no",
    [ENCODED .. " BAD what"] = "*** BAD what",
    ["bm9uc2Vuc2U BAD what"] = "*** BAD what",
    ["+ PDEuMkB4Pg=="] = "+ PDEuMkB4Pg==",
    ["a BAD LOGIN ann " .. PASSWORD] = "***",
    ["* BAD you said (" .. ENCODED .. ")"] = "***",
  } do
    it(("%q: %s"):format(line, wanted), function()
      assert.equal(wanted, shown("imap", "UPSTREAM", line))
    end)
  end

  local TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"

  --- What is shown of an upstream's line to a client that came with TOKEN.
  local function of_token(line)
    local d, out = ffi.new "struct dialog", ffi.new "char[200]"
    d.proto = core.proto_imap
    d.credentials.mechanism = core.MECHANISM_OAUTHBEARER
    d.credentials.password.bytes = support.slice(TOKEN)
    return support.text(core.redact_line(d, core.SPEAKER_UPSTREAM, support.slice(line), out, 200))
  end

  it("no part of a token, plain or in base64, whole or cut", function()
    local said = base64("n,a=ann,\1auth=Bearer " .. TOKEN .. "\1\1")
    for _, line in ipairs { TOKEN, TOKEN:sub(1, 20), said, said:sub(1, 90), said:sub(1, 91) } do
      assert.equal("***", of_token("a BAD " .. line))
    end
    assert.equal("+ eyJzdGF0dXMiOiI0MDEifQ==", of_token "+ eyJzdGF0dXMiOiI0MDEifQ==")
  end)

  it("nothing of what SCRAM's server says, which a password could be guessed by", function()
    local function shown_of(mechanism, protocol, line)
      local d, out = ffi.new "struct dialog", ffi.new "char[200]"
      d.proto, d.credentials.mechanism = core["proto_" .. protocol], core[mechanism]
      return support.text(core.redact_line(d, core.SPEAKER_GATEWAY, support.slice(line), out, 200))
    end
    for line, protocol in pairs { ["+ cj1hLHM9Yixp"] = "imap", ["334 dj1h"] = "smtp" } do
      assert.equal(line:match "^%S+" .. " ***", shown_of("MECHANISM_SCRAM_SHA_1", protocol, line))
      assert.equal(line, shown_of("MECHANISM_LOGIN", protocol, line))
    end
    assert.equal("+ ", shown_of("MECHANISM_SCRAM_SHA_256_PLUS", "pop3", "+ "))
    assert.equal("+OK in", shown_of("MECHANISM_SCRAM_SHA_256", "pop3", "+OK in"))
  end)

  it("as much as there is room for", function()
    assert.equal(199, #shown("smtp", "UPSTREAM", "250 " .. ("x"):rep(500)))
    assert.equal(199, #shown("imap", "UPSTREAM", "a BAD " .. ("x"):rep(500)))
    assert.equal(199, #shown("smtp", "CLIENT", "EHLO " .. ("x"):rep(500)))
  end)
end)
