--- testssl.sh looks at one port and finds nothing but what a private authority must give.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local json = require "cjson"
local site = require "spec.support.site"

-- Of these the first is about the private authority, the second about the machine's openssl.
local EXPECTED = {
  cert_revocation = "HIGH: Neither CRL nor OCSP URI provided",
  engine_problem = "WARN: No engine or GOST support via engine with your /usr/bin/openssl",
}

-- It looks at resumption with two clients in a row, and on a busy machine says at times that it
-- could not; spec/tls/resumption_spec.lua proves resumption itself.
local UNSEEN = { sessionresumption_ticket = "check failed because of connect problem" }

local CHECKS = { "--protocols", "--std", "--fs", "--server-preference", "--server-defaults",
  "--vulnerable" }

describe("testssl.sh", function()
  local authority, gw

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf { subject = "/CN=mail.spec.test", kind = "rsa", days = 200,
      names = { "DNS:mail.spec.test" },
      extensions = "extendedKeyUsage=serverAuth\nkeyUsage=digitalSignature" }
    gw = site.start { workers = 2, policy = "return {}", listen = {
      imaps = { protocol = "imap", more = ([[tls = { mode = "implicit", certificate = %q, key = %q,
        prefer_server_ciphers = true }]]):format(leaf.certificate, leaf.key) },
    } }
  end)

  teardown(function()
    if gw then gw:stop() end
    if authority then authority:remove() end
  end)

  it("finds only what is expected", function()
    local file = authority.folder .. "/findings.json"
    local words = { "testssl", "--quiet", "--color", "0", "--nodns", "none", "--warnings", "batch",
      "--ip", "127.0.0.1", "--add-ca", authority.certificate, "--jsonfile", file, seconds = 600 }
    for _, check in ipairs(CHECKS) do table.insert(words, check) end
    table.insert(words, "mail.spec.test:" .. gw.ports.imaps)
    local _, output = child.run(words)
    local found, good = {}, 0
    for _, finding in ipairs(json.decode(ca.read(file))) do
      if finding.severity == "OK" then
        good = good + 1
      elseif finding.severity ~= "INFO" and finding.finding ~= UNSEEN[finding.id] then
        found[finding.id] = finding.severity .. ": " .. finding.finding
      end
    end
    assert.same(EXPECTED, found, output)
    assert.is_true(good > 30, output)
  end)
end)
