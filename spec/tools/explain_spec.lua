local api = require "moongate.describe"
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"

local function explain(...)
  return child.run { gateway.binary(), "explain", ... }
end

--- What is said about a name.
local function said(name)
  local code, output = explain(name)
  assert.equal(0, code, output)
  return output
end

describe("moongate explain", function()
  it("lists what there is", function()
    local code, output = explain()
    assert.equal(0, code)
    for _, name in ipairs { "auth", "moongate.reject", "bad-credentials", "session",
      "moongate.http", "listen.limits" } do
      assert.matches("\n  " .. name:gsub("%p", "%%%0") .. " ", output)
    end
  end)

  it("tells what an answer of a hook leads to, in every protocol", function()
    local output = said "auth.reject"
    assert.matches("IMAP  a NO [AUTHENTICATIONFAILED] Authentication failed", output, 1, true)
    assert.matches("POP3  -ERR [AUTH] Authentication failed", output, 1, true)
    assert.matches("SMTP  535 5.7.8 Authentication failed", output, 1, true)
    assert.matches("421 4.3.0 Temporary failure", said "connect.tempfail", 1, true)
    assert.not_matches("IMAP", said "rcpt.reject")
  end)

  it("tells of hooks, with an example", function()
    local output = said "route"
    assert.matches("route(session)", output, 1, true)
    assert.matches("    return moongate.to {", output, 1, true)
  end)

  it("tells of objects, functions, keys, reasons and globals", function()
    for name, words in pairs {
      ["session.tls"] = "client_cert.fingerprint", ["session:set_user"] = "session:set_user(name)",
      ["moongate.http.get"] = "moongate.http.get(url [, options])",
      ["http.get.timeout"] = "0.001 to 600", ["tls.sni"] = "name that the client asked for",
      ["listen.limits.hook_timeout"] = "(0.05s to 10m)", hook_timeout = "type: duration",
      ["listen.tls.names.certificate"] = "required", limit = "Too many connections",
      ["string"] = "takes too long",
      ["moongate.wait.seconds"] = "0 to 60", End = "upstream_refused",
      ["moongate.timer"] = "moongate.timer.every(seconds, name, body [, options])",
    } do
      assert.matches(words, said(name), 1, true)
    end
  end)

  it("tells both where a name is a hook and a decision", function()
    local output = said "certificate"
    assert.matches("certificate(session)", output, 1, true)
    assert.matches("moongate.certificate \"name\"", output, 1, true)
  end)

  it("names the places of a name that is in many", function()
    local output = said "port"
    assert.matches('^"port" is:\n', output)
    for _, place in ipairs { "moongate.to.port", "session.client.port", "upstream.port" } do
      assert.matches("\n  " .. place .. "\n", output, 1, true)
    end
  end)

  it("says what was probably meant", function()
    local code, output = explain "auth.rejct"
    assert.same({ 1, 'moongate: there is no "auth.rejct" (did you mean "auth.reject"?)\n' },
      { code, output })
    code, output = explain "xylophone"
    assert.same({ 1, 'moongate: there is no "xylophone"\n' }, { code, output })
  end)

  it("knows every name that is described", function()
    local pages, terminal = require "moongate.describe.pages", require "moongate.describe.terminal"
    for _, entry in ipairs(api.entries()) do
      local text = terminal.page(pages.of(entry))
      assert.is_true(#text > #entry.name, entry.name)
      for line in text:gmatch "[^\n]+" do
        assert.is_true(#line <= 110, entry.name .. ": " .. line)
        assert.not_matches("table: 0x", line)
      end
    end
  end)

  it("has help, and minds its words", function()
    local code, output = explain "--help"
    assert.equal(0, code)
    assert.matches("^Usage: moongate explain", output)
    assert.equal(2, (explain("a", "b")))
    assert.equal(2, (explain "--nonsense"))
  end)
end)
