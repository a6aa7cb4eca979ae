--- `spec.gateway`: the real program for the specs of authors.
local spec = require "moongate.spec"

local CONFIG = [[
local c = require "moongate.config"
local upstreams = require "upstreams"

return c.gateway {
  workers = 1,
  settings = { auth_http = { url = upstreams.auth } },
  tls_profiles = { default = {} },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "auth_http" },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = "mine",
    upstream = upstreams.pop3 },
  c.listen "smtp" { address = "127.0.0.1:0", protocol = "smtp", policy = "mine",
    upstream = upstreams.smtp },
  c.listen "imaps" { address = "127.0.0.1:0", protocol = "imap", policy = "mine",
    upstream = upstreams.imap,
    tls = { mode = "implicit", certificate = "leaf.pem", key = "leaf.key" } },
  c.listen "starttls" { address = "127.0.0.1:0", protocol = "imap", policy = "mine",
    upstream = upstreams.imap,
    tls = { mode = "required", certificate = "leaf.pem", key = "leaf.key" } },
}
]]

local POLICY = [[
local moongate = require "moongate"
return {
  auth = function(session, credentials)
    if not credentials.password:equals "secret" then
      return moongate.reject { text = "%s" }
    end
    return moongate.accept { user = credentials.user .. "@" .. (session.tls and
      session.tls.sni or "clear") }
  end,
}
]]

describe("a gateway of an author's project", function()
  local top, gw

  setup(function()
    local pipe = io.popen "mktemp -d /tmp/moongate-project.XXXXXX"
    top = pipe:read "*l"
    pipe:close()
    os.execute(("mkdir %s/scripts && openssl req -x509 -newkey ec -pkeyopt "
      .. "ec_paramgen_curve:P-256 -nodes -days 3 -subj /CN=mail.example.org -keyout %s/leaf.key "
      .. "-out %s/leaf.pem 2>/dev/null"):format(top, top, top))
    for name, text in pairs { ["moongate.lua"] = CONFIG,
      ["scripts/mine.lua"] = POLICY:format "No" } do
      local file = assert(io.open(top .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    gw = spec.gateway { config = top .. "/moongate.lua" }
  end)
  teardown(function()
    gw:stop(true)
    os.execute("rm -rf " .. top)
  end)

  it("asks the auth server, and relays to the mail server", function()
    local imap = gw:imap()
    imap:expect "* OK"
    imap:send("a LOGIN alice secret"):expect "a OK"
    imap:noop()
    assert.equal("alice", gw.auth.requests[1].headers["auth-user"])
    assert.equal("secret", gw.upstream.imap:peer(1).password)
    imap:close()
  end)

  it("hears from the auth server what the spec says", function()
    local before = gw.auth.answer
    gw.auth.answer = function()
      return { headers = { ["Auth-Status"] = "Not today", ["Auth-Wait"] = "1" } }
    end
    local imap = gw:imap()
    imap:expect "* OK"
    assert.matches("Not today", imap:send("a LOGIN alice secret"):expect "a NO")
    gw.auth.answer = before
    imap:close()
  end)

  it("speaks POP3 and SMTP", function()
    local pop3 = gw:pop3()
    pop3:expect "+OK"
    pop3:send("USER bob"):expect "+OK"
    pop3:send("PASS secret"):expect "+OK"
    pop3:noop()
    assert.equal("bob@clear", gw.upstream.pop3:peer(1).user)
    local smtp = gw:smtp()
    smtp:expect "220"
    smtp:send("EHLO client"):expect "250"
    smtp:send("AUTH PLAIN AGJvYgBzZWNyZXQ="):expect "235"
    smtp:noop()
    pop3:close()
    smtp:close()
  end)

  it("speaks TLS, from the first byte or after STARTTLS", function()
    for title, options in pairs { implicit = { tls = true, sni = "a.example" },
      later = { starttls = true, sni = "a.example", listener = "starttls" } } do
      gw.upstream.imap:clear()
      local imap = gw:imap(options)
      if options.tls then imap:expect "* OK" end
      imap:send("a LOGIN ann secret"):expect "a OK"
      assert.equal("ann@a.example", gw.upstream.imap:peer(1).user, title)
      imap:close()
    end
  end)

  it("says what came in the place of what was expected", function()
    local imap = gw:imap()
    assert.error_matches(function() imap:expect "* BYE" end,
      "\"* BYE\" expected, but it said \"* OK", 1, true)
    imap:send "a LOGOUT"
    assert.error_matches(function() imap:expect "b OK" end, "\"b OK\" expected, but it said \"a OK",
      1, true)
    imap:expect_end()
    assert.error_matches(function() gw:imap { listener = "nope" } end,
      "there is no listener \"nope\"")
  end)

  it("reloads what is written, or tells why not and goes on", function()
    local function refusal()
      local pop3 = gw:pop3()
      pop3:expect "+OK"
      pop3:send("USER bob"):expect "+OK"
      local line = pop3:send("PASS wrong"):expect "-ERR"
      pop3:close()
      return line:match "%] (.*)"
    end
    local idle = gw:imap()
    idle:expect "* OK"
    idle:send("a LOGIN alice secret"):expect "a OK"
    gw:write("scripts/mine.lua", POLICY:format "Never")
    assert.equal(2, gw:reload())
    assert.equal("Never", refusal())
    gw:write("scripts/mine.lua", "return { auth = ")
    local ok, errors = gw:reload()
    assert.is_nil(ok)
    assert.matches("scripts/mine.lua:1: ", errors, 1, true)
    assert.equal("Never", refusal())
    idle:noop()
    idle:close()
    local file = io.open(top .. "/scripts/mine.lua")
    assert.equal(POLICY:format "No", file:read "*a")
    file:close()
  end)
end)

describe("a gateway that logs an error", function()
  local function broken()
    local gw = spec.gateway { "p", files = { ["scripts/p.lua"] =
      "return { auth = function() error \"boom\" end }" } }
    local imap = gw:imap()
    imap:expect "* OK"
    imap:send("a LOGIN alice secret"):expect "a NO [UNAVAILABLE]"
    return gw
  end

  it("fails its spec when it is stopped", function()
    local gw = broken()
    assert.error_matches(function() gw:stop() end, "has logged an error: .*p.lua:1: boom")
    broken():stop(true)
  end)

  it("does not start with mistakes", function()
    assert.error_matches(function() spec.gateway { config = "return {\n" } end, "moongate.lua:2: ")
  end)
end)
