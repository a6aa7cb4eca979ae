--- What a worker keeps of the names that it looks up, and for whom it asks once.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local loop = require "spec.support.loop"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
local dns = require "moongate.dns"

local function both(name)
  local children = {}
  for i = 1, 10 do
    children[i] = moongate.spawn(dns.resolve, name, "TXT")
    children[i + 10] = moongate.spawn(dns.resolve, name:upper(), "TXT")
  end
  local found = 0
  for _, child in ipairs(children) do
    local records = child:wait()
    if records[1] == "v=1" then found = found + 1 end
  end
  return found
end

return {
  auth = function(_, credentials)
    local to, port = credentials.user:match "^(%S+) (%d+)$"
    if to then return moongate.accept { upstream = to .. ":" .. port } end
    return moongate.reject { text = both(credentials.user) .. " have found it" }
  end,
}
]]

describe("a name", function()
  local gw, dns, up

  before_each(function()
    dns = dns_server.start {
      ["one.test"] = { A = { "127.0.0.3" }, TXT = { "v=1" } },
      ["two.test"] = { A = { "127.0.0.3", "127.0.0.5" } },
    }
    dns.ttl = 3600
    up = upstream.start { ip = "0.0.0.0", script = upstream.imap() }
    gw = site.start {
      listen = { imap = { protocol = "imap" } },
      more = ("resolver = { %q },"):format(dns.address),
      policy = POLICY,
    }
  end)
  after_each(function()
    client.discard_all()
    up:stop() -- relayed sessions end with it
    gw:stop()
    dns:stop()
  end)

  local function begin(user)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %q secret"):format(user))
  end

  --- The answer to a login whose upstream has the name, and where it was.
  local function login(name)
    local c = begin(name .. " " .. up.port)
    local answer = c:expect_until "^a (%u+)"
    c:discard()
    return answer, gw:session_of(c).upstream
  end

  local function expect_asked(count, name)
    assert.same({ count, count }, { dns:asked(name, "A"), dns:asked(name, "AAAA") })
  end

  it("is asked for once, and so is what it does not have", function()
    for _ = 1, 3 do assert.equal("OK", (login "one.test")) end
    expect_asked(1, "one.test")
  end)

  it("is asked for once by all who ask at the same time", function()
    dns.ttl = 0
    local c = begin "one.test"
    c:expect "^a NO.*20 have found it"
    assert.equal(1, dns:asked("one.test", "TXT"))
  end)

  it("is asked for by the next when its time is over", function()
    dns.ttl = 0
    for _ = 1, 3 do assert.equal("OK", (login "one.test")) end
    expect_asked(3, "one.test")
  end)

  it("leads each to another of its addresses first", function()
    local places = {}
    for i = 1, 4 do
      local _, place = login "two.test"
      places[i] = place:match "^[^:]+"
    end
    assert.same({ "127.0.0.3", "127.0.0.5", "127.0.0.3", "127.0.0.5" }, places)
    expect_asked(1, "two.test")
  end)

  it("is looked up again after a reload", function()
    login "one.test"
    dns.names["one.test"].A = { "127.0.0.6" }
    assert.is_number(gw:reload())
    local _, place = login "one.test"
    assert.matches("^127%.0%.0%.6:", place)
    expect_asked(2, "one.test")
  end)

  it("that was not found, or whose server failed, is asked for by the next", function()
    assert.equal("NO", (login "late.test"))
    dns.names["late.test"] = { A = "SERVFAIL" }
    assert.equal("NO", (login "late.test"))
    dns.names["late.test"].A = { "127.0.0.3" }
    assert.equal("OK", (login "late.test"))
  end)

  it("that is no longer known is nowhere", function()
    dns.ttl = 1
    assert.equal("OK", (login "one.test"))
    dns.names["one.test"].A = "SERVFAIL"
    local latest = loop.now() + 20
    local answer
    repeat
      answer = login "one.test"
      loop.pass(0.1)
    until answer == "NO" or loop.now() > latest
    assert.equal("NO", answer)
  end)

  it("is asked for again by who comes after a packet that was lost", function()
    dns.ttl = 0
    dns.names["one.test"].A = false
    begin("one.test " .. up.port)
    loop.wait("the question", function() return dns:asked("one.test", "A") > 0 end)
    loop.pass(0.6)
    dns.names["one.test"].A = { "127.0.0.3" }
    assert.equal("OK", (login "one.test"))
    assert.equal(2, dns:asked("one.test", "A"))
  end)

  it("is found by who waits, whoever else has left", function()
    dns:hold()
    local first, second = begin("one.test " .. up.port), begin("one.test " .. up.port)
    loop.wait("the question", function() return dns:asked("one.test", "A") > 0 end)
    first:discard()
    gw:session_of(first)
    dns:release()
    second:expect_until "^a OK"
  end)
end)
