--- `moongate try`: what the policies of a configuration make of one login.
local command = require "spec.support.command"
local http_server = require "spec.support.http_server"
local json = require "cjson"

local PASSWORD = "opensesame-7"

local FILES = {
  ["moongate.lua"] = [[
local c = require "moongate.config"
return c.gateway {
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "first", "second" } },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = { "second" },
    mechanisms = { "PLAIN", "CRAM-MD5", "APOP" } },
  c.listen "other" { address = "127.0.0.1:0", protocol = "imap", policy = { "closed" } },
  c.listen "smtp" { address = "127.0.0.1:0", protocol = "smtp", auth = "none",
    policy = { "relay" } },
}
]],
  ["broken.lua"] = "return 1",
  ["scripts/first.lua"] = [[
local moongate = require "moongate"
return {
  connect = function(session)
    if session.client.ip == "192.0.2.66" then
      return moongate.reject { reason = "not-allowed", text = "go away" }
    end
  end,
  secured = function(session) session:log("info", "secured for " .. session.tls.sni) end,
  auth = function() moongate.sleep(0.01) end,
}
]],
  ["scripts/second.lua"] = [[
local moongate = require "moongate"
local http = require "moongate.http"

local ways = {
  alice = function()
    return moongate.accept { user = "a.smith", upstream = "10.0.0.5:143" }
  end,
  bob = function() return moongate.reject { reason = "bad-credentials", text = "no such luck" } end,
  cram = function(credentials)
    return credentials:verify_cram "PASSWORD" and moongate.accept { upstream = "10.0.0.9:110" }
      or moongate.reject {}
  end,
  fails = function(credentials) error("no " .. credentials.password:reveal()) end,
  tells = function(credentials)
    local decision = moongate.reject { text = "you said " .. credentials.password:reveal() }
    return decision
  end,
  asks = function(credentials)
    local answer, err = http.get("http://ADDRESS/who?secret=" .. credentials.password:reveal())
    if not answer then return moongate.tempfail { log = err } end
    return moongate.accept { upstream = answer.body }
  end,
  spends = function()
    while true do end
  end,
}

return { auth = function(session, credentials) return ways[credentials.user](credentials) end }
]],
  ["scripts/closed.lua"] = [[
local moongate = require "moongate"
return {
  auth = function(session, credentials)
    return moongate.accept { upstream = session.tls and session.tls.sni .. ":993" or "plain:143",
      upstream_auth = moongate.login { user = "master", password = credentials.password } }
  end,
  upstream_auth = function() end,
}
]],
  ["scripts/relay.lua"] = [[
local moongate = require "moongate"
return { rcpt = function(session, rcpt)
  if rcpt.domain == "example.org" then return moongate.accept { upstream = "10.0.0.25" } end
  return moongate.reject { text = "not here" }
end }
]],
  ["mocks.lua"] = [[
return { http = { ["http://ADDRESS/who"] = { body = "10.9.9.9:143" } } }
]],
}

describe("moongate try", function()
  local server, folder, outputs

  setup(function()
    server = http_server.start { answer = function()
      return { body = "10.7.7.7:143" }
    end }
    local texts = {}
    for name, text in pairs(FILES) do
      texts[name] = text:gsub("ADDRESS", (server.url:match "//([^/]+)")):gsub("PASSWORD", PASSWORD)
    end
    folder = command.folder(texts)
    outputs = {}
  end)
  teardown(function()
    server:stop()
    command.remove(folder)
    assert.truthy(#outputs > 10)
    assert.falsy(table.concat(outputs):find(PASSWORD, 1, true))
  end)

  --- Runs it; all that was written, and the exit status.
  local function try(arguments)
    local output, status = command.run("try " .. arguments, { input = PASSWORD .. "\n",
      folder = folder })
    outputs[#outputs + 1] = output
    return output, status
  end

  local function login(user, more)
    return try(("imap --user %s --password-stdin -c moongate.lua %s"):format(user, more or ""))
  end

  it("shows every hook in the order it is asked, with its place and its time", function()
    local output, status = login "alice"
    assert.equal(0, status)
    assert.truthy(output:match("^#0 connect +first%.lua:3 +%-> nil %(no opinion%) +%d+%.%d ms\n"
      .. "#1 auth +first%.lua:9 +%-> nil %(no opinion%) +%d+%.%d ms +sleep 0%.01 %d+%.%d\n"
      .. "#1 auth +second%.lua:%d+ +%-> accept{user=a%.smith, upstream=10%.0%.0%.5:143} "
      .. "+%d+%.%d ms\n"
      .. "#2 route +%(default%) +%-> 10%.0%.0%.5:143\n"
      .. "decision accept   client would see \"%(what 10%.0%.0%.5:143 answers to the login%)\" "
      .. "  secrets shown: %d+\n$"), output)
  end)

  it("tells what the client would be told of a refusal", function()
    local output, status = login "bob"
    assert.equal(3, status)
    assert.truthy(output:find('decision reject   client would see '
      .. '"a NO [AUTHENTICATIONFAILED] no such luck"', 1, true), output)
    output, status = try "pop3 --user bob --password-stdin -c moongate.lua"
    assert.equal(3, status)
    assert.truthy(output:find('client would see "-ERR [AUTH] no such luck"', 1, true), output)
  end)

  it("ends where the connection is refused", function()
    local output, status = login("alice", "--client 192.0.2.66")
    assert.equal(3, status)
    assert.truthy(output:find("#0 connect +first%.lua:3 +%-> reject{reason=not%-allowed, "), output)
    assert.falsy(output:find("#1", 1, true))
  end)

  for user, where in pairs { fails = "second%.lua:%d+: no %*%*%*", spends = "second%.lua" } do
    it(("is a temporary failure when the policy %s"):format(user), function()
      local output, status = login(user)
      assert.equal(4, status)
      assert.truthy(output:find("error: [^\n]*" .. where), output)
      assert.truthy(output:find('client would see "a NO [UNAVAILABLE]', 1, true), output)
    end)
  end

  it("shows no password, whoever has it shown", function()
    local output, status = login "tells"
    assert.equal(3, status)
    assert.truthy(output:find('reject{text="***"}', 1, true), output)
    assert.truthy(output:find("second%.lua:15 "), output) -- the line of the decision itself
    assert.truthy(output:find("you said ***", 1, true), output)
    assert.truthy(output:find("secrets shown: 1\n", 1, true), output)
  end)

  it("does real I/O, and tells how long it took", function()
    local output, status = login "asks"
    assert.equal(0, status)
    assert.truthy(output:find "http GET http://[%d.:]+/who 200 %d+%.%d\n", output)
    assert.truthy(output:find("upstream=10.7.7.7:143", 1, true), output)
    assert.equal(1, #server.requests)
  end)

  it("does none with --mock", function()
    local output, status = login("asks", "--mock mocks.lua")
    assert.equal(0, status)
    assert.truthy(output:find("upstream=10.9.9.9:143", 1, true), output)
    assert.equal(1, #server.requests)
  end)

  it("fails where a mock is missing", function()
    local output, status = try "imap --user asks --password-stdin -c moongate.lua --mock broken.lua"
    assert.equal(1, status)
    assert.truthy(output:find("it must return a table", 1, true), output)
  end)

  it("puts the client on TLS", function()
    local output, status = login("carol", "--listener other --sni mail.acme.example")
    assert.equal(0, status)
    assert.truthy(output:find("upstream=mail.acme.example:993", 1, true), output)
    assert.truthy(output:find("upstream_auth=login{user=master, password=secret}", 1, true), output)
    assert.truthy(output:find "#1 route +%(default%) [^\n]+\n#2 upstream_auth +closed%.lua:7")
    output = login("alice", "--sni mail.acme.example --starttls")
    assert.truthy(output:find("#1 secured", 1, true), output)
    assert.truthy(output:find("log info: secured for mail.acme.example", 1, true), output)
  end)

  for _, mechanism in ipairs { "CRAM-MD5", "APOP" } do
    it(("answers the challenge of %s"):format(mechanism), function()
      local output, status = try(("pop3 --user cram --password-stdin -c moongate.lua "
        .. "--mechanism %s"):format(mechanism))
      assert.equal(0, status, output)
    end)
  end

  it("goes through a transaction of SMTP without AUTH", function()
    local output, status = try("smtp -c moongate.lua --set helo=there.example "
      .. "--set 'mail=MAIL FROM:<a@example.com>' --set 'rcpt=RCPT TO:<b@example.org>'")
    assert.equal(0, status, output)
    output, status = try("smtp -c moongate.lua --set 'mail=MAIL FROM:<a@example.com>' "
      .. "--set 'rcpt=RCPT TO:<b@example.net>'")
    assert.equal(3, status)
    assert.truthy(output:find("550 5.7.1 not here", 1, true), output)
  end)

  it("writes one JSON object", function()
    local output, status = login("bob", "--json")
    assert.equal(3, status)
    local told = json.decode(output)
    assert.equal("reject", told.result.kind)
    assert.equal("a NO [AUTHENTICATIONFAILED] no such luck", told.result.wire)
    assert.equal(3, #told.events)
    local auth = told.events[3]
    assert.equal("auth second", auth.hook .. " " .. auth.policy)
    assert.equal("PLAIN", auth.credentials.mechanism)
    assert.truthy(auth.credentials.password:match "^secret:%x+$")
    assert.equal("no such luck", auth.decision.text)
  end)

  it("reads the password from a file", function()
    local _, status = try("imap --user alice --password-file /etc/hostname -c moongate.lua")
    assert.equal(0, status)
  end)

  for arguments, wanted in pairs {
    ["imap --user a -c nowhere.lua"] = { 1, "nowhere.lua" },
    ["imap --user a -c broken.lua"] = { 1, "broken.lua" },
    ["imap --user a -c moongate.lua --listener nothing"] = { 1, "has no listener \"nothing\"" },
    ["imap --user a -c moongate.lua --mechanism NONE"] = { 1, "unknown mechanism" },
    ["imap -c moongate.lua"] = { 2, "--user is missing" },
    ["nntp --user a"] = { 2, "imap, pop3 or smtp?" },
    ["imap --user a --nonsense"] = { 2, "--nonsense" },
    ["imap --user a --set x=y"] = { 2, "--set x=y" },
    ["--help"] = { 0, "Exit status: 0 accepted" },
  } do
    it(("ends with %d for: %s"):format(wanted[1], arguments), function()
      local output, status = try(arguments)
      assert.equal(wanted[1], status, output)
      assert.truthy(output:find(wanted[2], 1, true), output)
    end)
  end
end)
