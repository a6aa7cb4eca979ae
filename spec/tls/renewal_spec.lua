--- Certificates that are replaced on disk while the gateway serves.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local SESSIONS, RELAYED = 500, 250

local POLICY = [[
return {
  certificate = function(session)
    if session.tls.sni == "chosen.test" then return moongate.certificate "chosen" end
  end,
  auth = function() return moongate.accept { upstream = %q } end,
}
]]

describe("certificates on disk", function()
  local authority, first, second, up, gw

  setup(function()
    authority = ca.new()
    first = authority:leaf { subject = "/CN=first" }
    second = authority:leaf { subject = "/CN=second" }
    up = upstream.start { script = upstream.imap() }
  end)
  teardown(function()
    up:stop()
    authority:remove()
  end)

  --- Writes a file as careful tools do: whole, and under its name at once.
  local function replace(name, text)
    assert(os.rename(authority:write(name .. ".new", text), authority.folder .. "/" .. name))
  end

  local function install(leaf)
    replace("live.key", ca.read(leaf.key))
    replace("live.pem", ca.read(leaf.certificate))
  end

  before_each(function()
    local other = authority:leaf { subject = "/CN=other" }
    local live = authority:join("live.pem", first.certificate)
    local key = authority:join("live.key", first.key)
    gw = site.start {
      policy = POLICY:format(up.address),
      more = ([[workers = 2, certificates = {
        chosen = { certificate = %q, key = %q },
      },]]):format(live, key),
      listen = {
        imaps = { protocol = "imap", more = ("tls = { mode = 'implicit', certificate = %q, "
          .. "key = %q, names = { ['name.test'] = { certificate = %q, key = %q } } },")
          :format(live, key, live, key) },
        keyed = { protocol = "imap", more = ("tls = { mode = 'implicit', certificate = %q, "
          .. "key = %q, ticket_keys = %q },"):format(other.certificate, other.key,
          authority:write("tickets", ("a"):rep(80))) },
        other = { protocol = "imap", more = ("tls = { mode = 'implicit', certificate = %q, "
          .. "key = %q },"):format(other.certificate, other.key) },
      },
    }
  end)
  after_each(function()
    client.discard_all()
    up:clear()
    gw:stop()
  end)

  local function shown(port, how)
    local c = tls.connect(port, how)
    local subject = c:peer_subject()
    c:discard()
    return subject
  end

  --- Waits until it holds twelve times in a row: with both workers. One of them has told that it
  -- has the new ones.
  local function await_both(holds)
    local hits = 0
    processes.eventually(function()
      hits = holds() and hits + 1 or 0
      return hits == 12
    end, 20)
  end

  local function await_shown(port, subject)
    await_both(function() return shown(port) == subject end)
  end

  it("are swapped under 500 sessions without losing one", function()
    local clients = {}
    for i = 1, SESSIONS do
      clients[i] = tls.connect(gw.ports.imaps)
      clients[i]:expect "^%* OK"
      if i <= RELAYED then clients[i]:send_line("a LOGIN ann secret"):expect_until "^a OK" end
    end
    local pids = processes.children(gw.process.pid)
    assert.equal("/CN=first", clients[1]:peer_subject())

    install(second)
    gw:expect_log "certificates: (3) listeners have new ones"
    await_shown(gw.ports.imaps, "/CN=second")
    assert.equal("/CN=second", shown(gw.ports.imaps, { name = "name.test" }))
    assert.equal("/CN=second", shown(gw.ports.imaps, { name = "chosen.test" }))
    assert.equal("/CN=other", shown(gw.ports.other))

    for _, c in ipairs(clients) do c:send_line("n NOOP"):expect "^n OK" end
    assert.same(pids, processes.children(gw.process.pid))
  end)

  it("that make no sense change nothing, until they do", function()
    replace("live.pem", ca.read(second.certificate))
    gw:expect_log "certificates: the old ones stay: ([^\n]*key belongs to another[^\n]*)"
    assert.equal("/CN=first", shown(gw.ports.imaps))

    replace("live.pem", ca.read(second.certificate):sub(1, 200))
    gw:expect_log "old ones stay.*(old ones stay[^\n]*live.pem[^\n]*)"
    assert.equal("/CN=first", shown(gw.ports.imaps))

    os.remove(authority.folder .. "/live.key")
    gw:expect_log "(old ones stay[^\n]*live.key: No such file)"
    assert.equal("/CN=first", shown(gw.ports.imaps))

    install(second)
    gw:expect_log "(listeners have new ones)"
    await_shown(gw.ports.imaps, "/CN=second")
  end)

  it("are what a worker gets that is started later, with the policies of before", function()
    for _, name in ipairs { "moongate.lua", "scripts/policy.lua" } do
      gw:write(name, "this is no Lua")
    end
    install(second)
    gw:expect_log "(listeners have new ones)"
    for _, pid in ipairs(processes.children(gw.process.pid)) do
      signal.kill(pid, signal.SIGKILL)
    end
    gw:expect_log "(worker %d is back.*worker %d is back)"
    assert.equal("/CN=second", shown(gw.ports.imaps))
    local c = tls.connect(gw.ports.imaps)
    c:send_line("a LOGIN ann secret"):expect_until "^a OK"
  end)

  it("are told of once, before they end", function()
    local short = authority:leaf { names = { "DNS:short.test" }, days = 3 }
    install(short)
    gw:expect_log "(certificate [^\n]*live.pem: short.test expires in [23] days)"
    local _, count = gw:log():gsub("expires in", "")
    assert.equal(1, count)

    local code, output = child.run { gateway.binary(), "check", "-c", gw.folder .. "/moongate.lua" }
    assert.equal(0, code)
    assert.matches("live.pem: short.test expires in [23] days", output)
  end)

  it("are followed by ticket keys", function()
    local function resumes(session)
      local c = tls.connect(gw.ports.keyed, { max = "1.2", session = session })
      local resumed = c:is_resumed()
      session = c:session()
      c:discard()
      return resumed, session
    end
    local _, session = resumes()
    assert.is_true(resumes(session))
    replace("tickets", ("b"):rep(80))
    gw:expect_log "(listeners have new ones)"
    await_both(function() return not resumes(session) end)
    _, session = resumes()
    assert.is_true(resumes(session))
  end)
end)
