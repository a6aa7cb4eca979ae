--- moongate.dns, json, file and timer, as policies use them.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local modules = require "spec.support.modules"
local shipped = require "spec.support.shipped"

local TOP = [[
local map = file.map("users", { fields = { "user", "hash", "upstream" } })
local text = file.read "note"
local turns, once, late = 0, 0, 0
local ticking
ticking = timer.every(0.02, "tick", function()
  turns = turns + 1
  if turns == 3 then ticking:cancel() end
end)
timer.after(0.01, "once", function() once = once + 1 end)
local never = timer.after(0.05, "never", function() late = late + 1 end)
never:cancel()
timer.after(0, "broken", function() error "a timer's error" end)
local overlapping, most = 0, 0
timer.every(0.01, "slow", function()
  overlapping = overlapping + 1
  most = math.max(most, overlapping)
  moongate.sleep(0.1)
  overlapping = overlapping - 1
end)
]]

local BODIES = {
  a = [[ return table.concat(assert(dns.resolve("mail.test", "A")), ",") ]],
  txt = [[ return dns.resolve("mail.test", "TXT")[1] ]],
  none = [[ return #assert(dns.resolve "none.test") ]],
  silent = [[
    local records, err = dns.resolve("silent.test", "A", { timeout = 0.3 })
    return records, err.kind]],
  kind = [[ return dns.resolve("mail.test", "ANY") ]],
  reverse = [[ return dns.reverse_name "192.0.2.7", dns.reverse_name "2001:db8::1" ]],
  round = [[
    local value = assert(json.decode(json.encode { a = { 1, "x", true }, b = json.null }))
    return value.a[1] .. value.a[2] .. tostring(value.a[3]), value.b]],
  nulls = [[
    local value = json.decode '{"a":null,"b":[1,{"c":null}],"d":0}'
    return tostring(value.a) .. #value.b .. tostring(value.b[2].c) .. value.d,
      json.decode('[null]', { null = true })[1] == json.null]],
  null = [[ return json.decode "null" ]],
  broken = [[ return json.decode '{"a":' ]],
  deep = [[ return json.decode(("["):rep(65) .. ("]"):rep(65)) ]],
  secret = [[ return json.encode { password = credentials.password } ]],
  get = [[
    local row = map:get "ann"
    return row.user .. " " .. row.hash .. " " .. row.upstream, map:get("bob").upstream]],
  other = [[ return map:get "ANN", #map .. " " .. map:first().user .. " " .. text ]],
  timers = [[
    moongate.sleep(0.3)
    return turns .. " " .. once .. " " .. late, most]],
}

local FILES = {
  users = "# comment\n\nann:{PLAIN}x:[::1]:143\nbob:{PLAIN}y\r\ncid:z:\n",
  note = "hello",
}

describe("in a policy,", function()
  local run, dns

  setup(function()
    dns = dns_server.start {
      ["mail.test"] = { A = { "192.0.2.1", "192.0.2.2" }, TXT = { "v=1" } },
      ["silent.test"] = { A = false },
    }
    run = modules.start { bodies = BODIES, top = TOP, files = FILES,
      configuration = ("resolver = { %q },"):format(dns.address) }
  end)
  after_each(client.discard_all)
  teardown(function()
    dns:stop()
    run.stop()
  end)

  it("dns finds records, or none, or fails", function()
    assert.equal("192.0.2.1,192.0.2.2", run "a")
    assert.equal("v=1", run "txt")
    assert.equal("0", run "none")
    assert.equal("nil | timeout", run "silent")
    assert.truthy(run "kind":find "^ERROR: .*invalid option 'ANY'")
  end)

  it("dns turns addresses round", function()
    assert.equal("7.2.0.192 | 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2",
      run "reverse")
  end)

  it("json goes there and back; null is nil", function()
    assert.equal("1xtrue", run "round")
    assert.equal("nil2nil0 | true", run "nulls")
    assert.equal("nil", run "null")
  end)

  it("json gives an error for what is none, or too deep", function()
    assert.truthy(run "broken":find "^nil | json: ")
    assert.truthy(run "deep":find "^nil | json: .*nested")
  end)

  it("json never holds a Secret", function()
    assert.truthy(run "secret":find "^ERROR: .*type not supported")
  end)

  it("file.map finds rows by their first field", function()
    assert.equal("ann {PLAIN}x [::1]:143", run "get")
    assert.equal("nil | 3 ann hello", run "other")
  end)

  it("timers run every so often, once, or never, one turn at a time", function()
    assert.equal("3 1 0 | 1", run "timers")
    run.gateway:expect_log "error.-broken.-(a timer's error)"
  end)
end)

describe("file.map of a bad file", function()
  for text, expected in pairs {
    ["ann\n"] = "users:1: fewer than 2 fields",
    ["ann:x\nbob:\n"] = "users:2: fewer than 2 fields",
    ["ann:x\n:y\n"] = "users:2: fewer than 2 fields",
    ["ann:x\nann:y\n"] = "users:2: \"ann\" is there already",
    ["ann:x\0y\n"] = "users:1: control characters",
  } do
    it("says " .. expected, function()
      local ok, message = pcall(modules.start, { bodies = {}, files = { users = text },
        top = 'local map = file.map("users", { fields = { "user", "hash" } })' })
      assert.is_false(ok)
      assert.truthy(message:find(expected, 1, true), message)
    end)
  end

  it("says that there is none", function()
    local ok, message = pcall(shipped.start, {
      policy = { "passwd_file" }, settings = 'passwd_file = { path = "missing" }',
      listen = { imap = "" },
    })
    assert.is_false(ok)
    assert.truthy(message:find("missing", 1, true))
    assert.truthy(message:find("No such file", 1, true), message)
  end)
end)

describe("at the top level of a policy", function()
  for name, call in pairs {
    http = 'http.get "http://127.0.0.1:1/"', dns = 'dns.resolve "a.test"',
    crypt = 'crypt.verify("a", "b")', socket = 'socket.tcp():connect("127.0.0.1", 1)',
  } do
    it(name .. " raises instead of waiting", function()
      local ok, message = pcall(modules.start, { bodies = {}, top = call })
      assert.is_false(ok)
      assert.truthy(message:find("move it into init()", 1, true), message)
    end)
  end
end)
