local moongate = require "moongate"
local spec = require "moongate.spec"

--- The message of a constructor that refuses its options.
local function refused(name, options)
  local ok, message = pcall(moongate[name], options)
  assert.is_false(ok)
  return message
end

describe("a decision", function()
  it("is made of known options only", function()
    assert.matches("reject: unknown field \"reson\" %(did you mean \"reason\"%?%)",
      refused("reject", { reson = "x" }))
    assert.matches("accept: unknown field \"pol\" %(did you mean \"pool\"%?%)",
      refused("accept", { pol = "imap" }))
    assert.matches("accept: unknown field \"tenant\" (there are user, upstream, pool, "
      .. "upstream_auth, vars, log)", refused("accept", { tenant = "acme" }), 1, true)
    assert.matches("to: options have names", refused("to", { "10.0.0.1:143" }))
    assert.matches("reject: a table of options expected, not a string", refused("reject", "no"))
  end)

  it("can't carry a second line into a reply", function()
    for _, text in ipairs { "a\r\nb", "a\nb", "a\rb", "a\0b", "a\127b" } do
      assert.matches("control characters", refused("reject", { text = text }))
      assert.matches("control characters", refused("tempfail", { text = text }))
    end
    assert.matches("more than 400 bytes", refused("reject", { text = ("x"):rep(401) }))
    assert.is_truthy(moongate.reject { text = ("x"):rep(400) })
  end)

  it("can't carry control characters into an upstream's login", function()
    assert.matches("control", refused("accept", { user = "a\r\nb" }))
    assert.matches("control", refused("login", { user = "a\nb" }))
    assert.matches("control", refused("login", { password = "a\r\nQUIT" }))
    assert.matches("control", refused("login", { password = moongate.secret.of "a\0b" }))
  end)

  it("checks types, codes, delays, addresses", function()
    for _, case in ipairs {
      { "reject", { close = 1 }, "close: true or false expected, not a number" },
      { "reject", { delay = -1 }, "delay: a number from" },
      { "reject", { delay = 1e9 }, "delay: a number from" },
      { "reject", { delay = 0 / 0 }, "delay: a number from" },
      { "reject", { code = "200" }, "code: a code such as" },
      { "reject", { code = "535 9.7.8" }, "code: a code such as" },
      { "reject", { enhanced = "5.7" }, "enhanced: a code such as" },
      { "to", {}, "`address`, `host` or `pool` is missing" },
      { "to", { pool = "imap", tls = "off" }, "tls: it does not go with a pool" },
      { "to", { pool = "imap", host = "a" }, "host: it does not go with a pool" },
      { "to", { address = "pool:imap", trusted = false }, "trusted: it does not go with a pool" },
      { "to", { pool = "imap", address = "10.0.0.1" }, "pool: there is an address already" },
      { "to", { address = "10.0.0.1", key = "a" }, "key: it goes with `pool` only" },
      { "to", { pool = 5 }, "pool: text expected, not a number" },
      { "accept", { pool = "imap", upstream = "a" }, "pool: there is an address already" },
      { "to", { address = "pool:" }, "no port from 1 to 65535" },
      { "to", { host = "pool:imap" }, "not a host" },
      { "to", { address = "10.0.0.1:0" }, "no port from 1 to 65535" },
      { "to", { address = "10.0.0.1:143x" }, "no port from 1 to 65535" },
      { "to", { address = "a b:143" }, "not a host" },
      { "to", { address = "" }, "not a host" },
      { "to", { host = "x", port = 70000 }, "port: a number from" },
      { "to", { host = "x", tls = "yes" }, "\"off\", \"starttls\" or \"implicit\"" },
      { "to", { host = "x", source = "eth0" }, "not an IP address" },
      { "login", { mechanism = "NTLM" }, "unknown mechanism" },
      { "login", { token = "" }, "not a token" },
      { "login", { token = "a b" }, "not a token" },
      { "login", { token = "a\1b" }, "not a token" },
      { "login", { token = "a=b" }, "not a token" },
      { "login", { token = ("x"):rep(16385) }, "not a token" },
      { "reject", { sasl = { stauts = "x" } }, "did you mean \"status\"" },
      { "reject", { sasl = { "x" } }, "sasl: unknown field" },
      { "reject", { sasl = { status = 7 } }, "text expected, not a number" },
      { "reject", { sasl = { scope = "a\nb" } }, "control characters" },
      { "reject", { sasl = { scope = ("x"):rep(401) } }, "more than 400 bytes" },
      { "reject", { sasl = ("x"):rep(1025) }, "more than 1024 bytes" },
      { "accept", { upstream_auth = {} }, "moongate.login{} or \"passthrough\" expected" },
    } do
      assert.matches(case[3], refused(case[1], case[2]), 1, true)
    end
  end)

  it("can't be read or changed", function()
    local d = moongate.accept()
    assert.has_error(function() return d.user end)
    assert.has_error(function() d.user = "x" end)
    assert.is_false(getmetatable(d))
    assert.equal("decision: accept", tostring(d))
  end)

  it("is refused in its author's line", function()
    local ok, message = pcall(function()
      local d = moongate.reject { reson = "x" } -- a tail call would leave no line
      return d
    end)
    assert.is_false(ok)
    assert.matches("decisions_spec.lua:%d+: reject", message)
  end)
end)

describe("a verdict", function()
  local function decide(hook, body, options)
    local text = "local moongate = require \"moongate\"\nreturn { " .. hook
      .. " = function(session, more) " .. body .. " end }"
    return spec.policy { "p", files = { ["scripts/p.lua"] = text } }
      :session({ user = "alice", password = "secret", upstream = "10.9.9.9:143" })
      :ask(hook, options)
  end

  it("carries what the policy said", function()
    assert.decision(decide("auth", [[return moongate.reject { reason = "expired", text = "Gone",
      code = "535", enhanced = "5.7.8", delay = 2.5, close = true }]]))
      .is_reject { reason = "expired", text = "Gone", code = "535", enhanced = "5.7.8",
        delay = 2.5, close = true, policy = "p" }
    assert.decision(decide("auth", "return moongate.tempfail { log = \"down\" }"))
      .is_tempfail { log = "down", bug = false }
    assert.decision(decide("auth", "return moongate.wait { seconds = 3 }")).is_wait { delay = 3 }
  end)

  it("names upstreams of every form", function()
    for given, wanted in pairs {
      ["10.0.0.5:143"] = "10.0.0.5:143", ["[2001:db8::1]:143"] = "[2001:db8::1]:143",
      ["imap.example.org:1143"] = "imap.example.org:1143",
        ["imap.example.org"] = "imap.example.org:143",
      ["2001:db8::1"] = "[2001:db8::1]:143", ["unix:/run/imap"] = "unix:/run/imap",
    } do
      local body = ("return moongate.to { address = %q }"):format(given)
      assert.decision(decide("route", body)).is_to { address = wanted, tls = "off" }
    end
    assert.decision(decide("route", [[return moongate.to { host = "x.example", port = 99,
      tls = "starttls", fallback = "y.example:98" }]]))
      .is_to { address = "x.example:99", tls = "starttls", fallback = "y.example:98" }
    assert.decision(decide("auth", "return moongate.accept { upstream = \"10.0.0.1:143\" }"))
      .is_accept { address = "10.0.0.1:143" }
  end)

  it("names a pool of the configuration, in every place of an upstream", function()
    local pools = [[
local c = require "moongate.config"
return c.gateway {
  pools = { imap = { "10.0.0.1" }, ["imap-b"] = { "10.0.0.2", "10.0.0.3" } },
  c.listen "spec" { protocol = "imap", policy = { "p" }, address = "127.0.0.1:0" },
}]]
    local function with_pools(hook, body)
      local text = ("local moongate = require 'moongate'\nreturn { %s = function() %s end }")
        :format(hook, body)
      return spec.policy { config = pools, files = { ["scripts/p.lua"] = text } }
        :session({ user = "alice", password = "secret" }):ask(hook)
    end
    assert.decision(with_pools("auth", "return moongate.accept { pool = 'imap' }"))
      .is_accept { pool = "imap" }
    assert.decision(with_pools("auth", "return moongate.accept { upstream = 'pool:imap' }"))
      .is_accept { pool = "imap" }
    assert.decision(with_pools("route",
      "return moongate.to { pool = 'imap', key = 'acme', fallback = 'pool:imap-b' }"))
      .is_to { pool = "imap", key = "acme", fallback = "pool:imap-b" }
    assert.decision(with_pools("route", "return moongate.to { pool = 'imap', "
      .. "fallback = moongate.to { pool = 'imap-b' } }")).is_to { fallback = "pool:imap-b" }
    assert.decision(with_pools("connect_failed",
      "return moongate.retry { upstream = 'pool:imap-b' }")).is_retry { pool = "imap-b" }
    assert.decision(with_pools("route", "return moongate.to { address = 'pool:143' }"))
      .is_to { address = "pool:143" } -- digits are a port
    spec.logged()
    assert.decision(with_pools("route", "local to = moongate.to { pool = 'imap-c' } return to"))
      .is_tempfail { bug = true }
    assert.matches("scripts/p.lua:2: to: pool: unknown pool \"imap-c\" (did you mean \"imap-b\"?)",
      spec.logged(), 1, true)
    assert.decision(with_pools("connect_failed", "return moongate.retry { upstream = 'pool:x' }"))
      .is_tempfail { bug = true }
    assert.matches("retry: upstream: unknown pool \"x\"", spec.logged(), 1, true)
  end)

  it("may depend on what is known of upstreams", function()
    local text = [[
local moongate = require "moongate"
local pool = moongate.pool "imap"
return { auth = function()
  local words = { tostring(pool) }
  for _, m in ipairs(pool:members()) do
    words[#words + 1] = ("%s %s %d %d"):format(tostring(m), tostring(m:healthy()), m:sessions(),
      m:failures())
  end
  assert(moongate.upstream("[2001:db8::1]:143"):address() == "[2001:db8::1]:143")
  assert(moongate.upstream("nobody.knows"):healthy())
  assert(not pcall(moongate.upstream, "pool:imap") and not pcall(moongate.upstream, "a b"))
  return moongate.reject { text = table.concat(words, ", ") }
end }]]
    local config = [[
local c = require "moongate.config"
return c.gateway {
  pools = { imap = { "10.0.0.2", "unix:/run/imap", "[2001:db8::1]:143" } },
  c.listen "spec" { protocol = "imap", policy = { "p" }, address = "127.0.0.1:0" },
}]]
    local gateway = spec.policy { config = config, files = { ["scripts/p.lua"] = text } }
    assert.decision(gateway:session({ user = "a", password = "b" }):ask "auth").is_reject {
      text = "pool:imap, 10.0.0.2 true 0 0, unix:/run/imap true 0 0, [2001:db8::1]:143 true 0 0" }
    local _, errors = spec.open { config = config,
      files = { ["scripts/p.lua"] = text:gsub('pool "imap"', 'pool "imp"') } }
    assert.matches("scripts/p.lua:2: pool: name: unknown pool \"imp\" (did you mean \"imap\"?)",
      errors, 1, true)
  end)

  it("logs in upstream as the client did, but for what is given", function()
    local d = decide("auth", "return moongate.accept { user = \"bob\", "
      .. "upstream_auth = moongate.login { password = \"master\" } }")
    assert.same({ "bob", "master" }, { d.login.user, d.login.password:reveal() })
    d = decide("auth", "return moongate.accept { upstream_auth = moongate.login { user = 'adm' } }")
    assert.same({ "adm", "secret" }, { d.login.user, d.login.password:reveal() })
    d = decide("auth", "return moongate.accept { upstream_auth = "
      .. "moongate.login { user = \"x\", password = more.password } }")
    assert.same({ "x", "secret" }, { d.login.user, d.login.password:reveal() })
  end)

  it("of retry may name another upstream", function()
    assert.decision(decide("connect_failed",
      "return moongate.retry { upstream = \"10.0.0.2:143\" }"))
      .is_retry { address = "10.0.0.2:143" }
    assert.decision(decide("connect_failed", "return moongate.retry()")).is_retry()
  end)
end)
