local spec = require "moongate.spec"

--- Runs `body` in a hook over the session; what it returns as a text.
local function say(hook, body, options, more)
  local text = ("local moongate = require \"moongate\"\nreturn { %s = function(session, a, b) "
    .. "local function f() %s end return moongate.reject { log = tostring(f()) } end }")
    :format(hook, body)
  local setup = { "p", files = { ["scripts/p.lua"] = text } }
  for k, v in pairs(more or {}) do setup[k] = v end
  local d = spec.policy(setup):session(options):ask(hook, options)
  return d.kind == "reject" and d.reason or spec.logged()
end

before_each(function() spec.logged() end)

describe("the session", function()
  it("tells what is known of the connection", function()
    local options = { user = "alice", client = "[2001:db8::7]:5000", server = "192.0.2.9:143",
      helo = "laptop", host = "host.example.org", attempt = 2 }
    for expression, wanted in pairs {
      ["session.protocol"] = "imap", ["session.listener"] = "spec", ["session.user"] = "alice",
      ["session.client.ip"] = "2001:db8::7", ["session.client.port"] = "5000",
      ["session.client.host"] = "host.example.org", ["session.client.helo"] = "laptop",
      ["session.server.ip"] = "192.0.2.9", ["session.server.port"] = "143",
      ["session.attempt"] = "2", ["session.tls"] = "nil", ["session.proxy"] = "nil",
      ["#session.id"] = "26",
    } do
      assert.equal(wanted, say("auth", "return " .. expression, options))
    end
  end)

  it("has no other fields and can't be changed", function()
    assert.matches("unknown field \"usr\" (did you mean \"user\"?)",
      say("auth", "return session.usr"), 1, true)
    assert.matches("read%-only", say("auth", "session.user = \"x\""))
    assert.equal("false", say("auth", "return getmetatable(session)"))
  end)

  it("is useless after its hook", function()
    local g = spec.policy { "p", files = { ["scripts/p.lua"] = [[
      local moongate = require "moongate"
      local kept, secret
      return {
        auth = function(session, credentials)
          kept, secret = { session, credentials }, credentials.password
          return moongate.accept()
        end,
        route = function()
          local function failure(fn) return select(2, pcall(fn)):gsub("^%S+:%d+: ", "") end
          return moongate.reject { log = failure(function() return kept[1].id end) .. "; "
            .. failure(function() return kept[2].user end) .. "; "
            .. failure(function() return secret:reveal() end) }
        end,
      }]] } }
    local session = g:session { user = "a", password = "b" }
    session:login("a", "b")
    assert.decision(session:route()).is_reject {
      reason = "the session was used after its hook had ended; the credentials were wiped when the "
        .. "decision was taken; this secret was wiped" }
  end)
end)

describe("session.vars", function()
  it("keeps plain data from hook to hook", function()
    local g = spec.policy { "p", files = { ["scripts/p.lua"] = [[
      local moongate = require "moongate"
      return {
        auth = function(session)
          local v = session.vars
          v.text, v.number, v.yes, v.no, v[1] = "a\0b", 1.5, true, false, "one"
          v.list = { 10, 20, name = "x" }
          v.gone = 1 v.gone = nil v.text = "a\0c"
          return moongate.accept { vars = { tenant = "acme" } }
        end,
        route = function(session)
          local v, all = session.vars, session.vars()
          assert(v.text == "a\0c" and v.number == 1.5 and v.yes == true and v.no == false)
          assert(v[1] == "one" and v.gone == nil and v.tenant == "acme" and all.tenant == "acme")
          assert(v.list[2] == 20 and v.list.name == "x")
          return moongate.reject { log = "right" }
        end,
      }]] } }
    local session = g:session {}
    assert.decision(session:auth { user = "a", password = "b" }).is_accept()
    assert.decision(session:route()).is_reject { reason = "right" }
  end)

  it("refuses what is not plain, and more than 8 KiB", function()
    for _, body in ipairs {
      "session.vars.x = print", "session.vars.x = { {} }", "session.vars.x = session",
      "session.vars.x = a.password", "session.vars[true] = 1", "session.vars.x = ('x'):rep(9000)",
      "for i = 1, 100 do session.vars[i] = ('x'):rep(100) end",
    } do
      assert.matches("session.vars: ", say("auth", body, { user = "a", password = "p" }), 1, true)
    end
    assert.equal("8000", say("auth", "session.vars.x = ('x'):rep(8000) return #session.vars.x"))
  end)
end)

describe("credentials", function()
  it("hold user and password of PLAIN", function()
    local options = { user = "alice", password = "secret", authzid = "master" }
    assert.equal("PLAIN alice master 6 secret", say("auth", [[return table.concat({ a.mechanism,
      a.user, a.authzid, a.password:len(), a.password:reveal() }, " ")]], options))
    assert.equal("nil nil nil", say("auth",
      "return tostring(a.token) .. ' ' .. tostring(a.challenge) .. ' ' .. tostring(a.response)",
        options))
    assert.matches("unknown field", say("auth", "return a.pasword", options))
    assert.matches("read%-only", say("auth", "a.user = 'x'", options))
  end)

  it("can keep their password for a while, and no other", function()
    local options = { user = "alice", password = "secret" }
    assert.equal("secret secret", say("auth",
      "return a:retain(5):reveal() .. ' ' .. a.password:reveal()", options))
    for _, seconds in ipairs { "0", "-1", "61", "0/0" } do
      assert.matches("up to 60 seconds", say("auth", "a:retain(" .. seconds .. ")", options))
    end
    assert.equal("nil", say("auth", "return a:retain(1)", { mechanism = "CRAM-MD5", user = "tim",
      challenge = "<1@a>", response = "b913a602c7eda7a495b4e6e7334d3890" }))
  end)

  it("verify CRAM-MD5 and APOP", function()
    -- RFC 2195 section 2 and RFC 1939 section 7.
    local cram = { mechanism = "CRAM-MD5", user = "tim",
      challenge = "<1896.697170952@postoffice.reston.mci.net>",
      response = "b913a602c7eda7a495b4e6e7334d3890" }
    assert.equal("true", say("auth", "return a:verify_cram 'tanstaaftanstaaf'", cram))
    assert.equal("true", say("auth", "return a:verify_cram(moongate.secret.of 'tanstaaftanstaaf')",
      cram))
    assert.equal("false", say("auth", "return a:verify_cram 'tanstaaftanstaag'", cram))
    assert.equal("nil", say("auth", "return a.password", cram))
    local apop = { mechanism = "APOP", user = "mrose", protocol = "pop3",
      challenge = "<1896.697170952@dbc.mtview.ca.us>",
        response = "C4C9334BAC560ECC979E58001B3E22FB" }
    local pop3 = { listen = { protocol = "pop3" } }
    assert.equal("true", say("auth", "return a:verify_cram 'tanstaaf'", apop, pop3))
    assert.equal("false", say("auth", "return a:verify_cram ''", apop, pop3))
    assert.matches("the mechanism is PLAIN",
      say("auth", "return a:verify_cram 'x'", { user = "a" }))
  end)
end)

describe("a secret", function()
  local options = { user = "alice", password = "hunter2" }

  it("can be compared and named, not seen", function()
    assert.equal("true false false true", say("auth", [[local p = a.password
      return table.concat({ tostring(p:equals "hunter2"), tostring(p:equals "hunter3"),
        tostring(p:equals ""), tostring(p:equals(p)) }, " ")]], options))
    assert.equal("secret(redacted)", say("auth", "return a.password", options))
    -- echo -n hunter2 | openssl dgst -sha256 -hmac key
    assert.equal("05d210d8af05129cb4bc04565faa72f94362ebaf20427cdf098059b5429d95bf",
      say("auth", "return a.password:hmac 'key'", options))
    -- printf 'a\0hunter2' | sha256sum
    assert.equal("55deb0900c9ae5c0d44d494ee5aa69759127598abcb4326f45e0e4cba84fa34d", say("auth",
      [[return a.password:sha256(require "moongate".secret.of "a", "\0")]], options))
    assert.equal("f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7",
      say("auth", "return a.password:sha256()", options))
  end)

  it("raises wherever it could leak", function()
    for _, body in ipairs {
      "return a.password .. 'x'", "return 'x' .. a.password", "return a.password < a.password",
      "return #a.password", "session:log('info', a.password)",
      "session:log('info', 'x', { p = a.password })", "moongate.log('info', a.password)",
      "session:count('x', { p = a.password })", "moongate.reject { log = a.password }",
      "moongate.reject { text = a.password }", "session.vars.p = a.password",
      "return require 'moongate.json'.encode { p = a.password }",
      "return ('%s'):rep(1):format(a.password) == 'hunter2' and 'leak' or error 'ok'",
      "return table.concat { 'x', a.password }", "return ('x'):rep(a.password)",
      "return ('x'):gsub('x', { x = a.password })", "return ('x'):find(a.password)",
      "return ('%d'):format(a.password)", "return a.password + 1", "return -a.password",
      "return a.password()", "return tonumber(a.password) .. ''", "a.password.x = 1",
      "for k in pairs(a.password) do return k end", "return load(a.password)()",
      "return a.password <= a.password", "session:set_user(a.password)",
      "session:log(a.password, 'x')", "session.vars[a.password] = 1", "moongate.count(a.password)",
      "moongate.log('info', 'x', { [a.password] = 1 })", "moongate.reject { reason = a.password }",
      "return require 'moongate.json'.encode { [a.password] = 1 }", "print(a.password) error 'ok'",
      "error(a.password)", "error { a.password }", "return require(a.password)",
    } do
      local answer = say("auth", body, options)
      assert.is_nil(answer:find("hunter2", 1, true))
      assert.matches("policy \"p\", hook \"auth\"", answer, 1, true)
    end
  end)
end)

describe("addresses of an SMTP envelope", function()
  local smtp = { listen = { protocol = "smtp" } }

  it("are taken apart", function()
    local function parts(command)
      return say("rcpt", [[return table.concat({ a.address, a.local_part, tostring(a.domain),
        tostring(a.params.SIZE) }, "|")]], { protocol = "smtp", rcpt = command }, smtp)
    end
    assert.equal("bob@example.org|bob|example.org|nil", parts "RCPT TO:<bob@example.org>")
    assert.equal("\"a>b@c\"@d|\"a>b@c\"|d|10", parts "RCPT TO:<\"a>b@c\"@d> SIZE=10 BODY=8BITMIME")
    assert.equal("postmaster|postmaster|nil|nil", parts "rcpt to: <postmaster>")
    assert.equal("||nil|nil", parts "RCPT TO:<>")
    assert.equal("x@y|x|y|nil", parts "RCPT TO:x@y")
    assert.equal("||nil|nil", parts "RCPT")
  end)

  it("of the sender stand in the session", function()
    assert.equal("a@b", say("rcpt", "return session.mail_from",
      { protocol = "smtp", mail = "MAIL FROM:<a@b>", rcpt = "RCPT TO:<c@d>" }, smtp))
  end)
end)

describe("what the other hooks are told", function()
  it("connect_failed: the upstream and what happened", function()
    assert.equal("10.0.0.9:143 10.0.0.9 143 refused", say("connect_failed",
      "return table.concat({ a.address, a.host, a.port, b }, ' ')",
      { upstream = "10.0.0.9", failure = "refused" }))
  end)

  it("upstream_refused: the reply", function()
    assert.equal("bad-credentials NO nope", say("upstream_refused",
      "return a.reason .. ' ' .. a.text", { reply = "NO nope" }))
  end)
end)
