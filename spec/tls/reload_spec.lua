--- Reloads of a gateway that speaks TLS: certificates and settings are part of the commit.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local site = require "spec.support.site"
local socket = require "socket"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local POLICY = [[
return {
  auth = function(session, credentials)
    if not credentials.password:equals(%q) then
      return moongate.reject { reason = "bad-credentials" }
    end
    return moongate.accept { upstream = %q }
  end,
}
]]

local sanitized = (os.getenv "MOONGATE_BUILD" or ""):match "asan"

describe("a reload with TLS", function()
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

  local function options(leaf, more, workers)
    local section = ("certificate = %q, key = %q, %s"):format(leaf.certificate, leaf.key,
      more or "")
    return { workers = workers or 2, listen = {
      imaps = { protocol = "imap", more = ("tls = { mode = 'implicit', %s },"):format(section) },
      imap = { protocol = "imap", more = ("tls = { mode = 'required', %s },"):format(section) },
    } }
  end

  local function policy(word) return POLICY:format(word, up.address) end

  local function start(leaf, workers)
    local how = options(leaf, nil, workers)
    how.policy = policy "one"
    gw = site.start(how)
  end

  local function write(leaf, word, more, workers)
    gw:write("moongate.lua", site.configuration(options(leaf, more, workers)))
    gw:write("scripts/policy.lua", 'local moongate = require "moongate"\n' .. policy(word))
  end

  local function log_in(c, word)
    return (c:send_line("a LOGIN ann " .. word):expect_until "^a (%u+)")
  end

  local function connect()
    local c = tls.connect(gw.ports.imaps)
    c:expect "^%* OK"
    return c
  end

  --- What a new client is shown, and whether `word` lets it in.
  local function look(word)
    local c = connect()
    local subject, answer = c:peer_subject(), log_in(c, word)
    c:discard()
    return { subject, answer }
  end

  after_each(function()
    client.discard_all()
    up:clear()
    gw:stop()
  end)

  it("changes certificates, settings and policies at once", function()
    start(first)
    local relayed, silent, plain = connect(), connect(), client.connect(gw.ports.imap)
    assert.equal("OK", log_in(relayed, "one"))
    plain:expect "^%* OK"
    write(second, "two", "min_version = '1.3',")
    assert.equal(2, gw:reload())

    for _ = 1, 8 do assert.same({ "/CN=second", "OK" }, look "two") end
    assert.same({ "/CN=second", "NO" }, look "one")
    assert.is_false((pcall(tls.connect, gw.ports.imaps, { max = "1.2" })))
    relayed:send_line("n NOOP"):expect "^n OK"
    assert.equal("OK", log_in(silent, "two"))
    plain:send_line("s STARTTLS"):expect "^s OK"
    tls.start(plain, tls.client {}):handshake()
    assert.equal("/CN=first", plain:peer_subject()) -- it keeps its settings up to its login
    assert.equal("OK", log_in(plain, "two"))
  end)

  it("that is refused for a certificate changes neither", function()
    start(first)
    write({ certificate = second.certificate, key = first.key }, "two")
    local number, log = gw:reload()
    assert.is_nil(number)
    assert.matches("key", log)
    assert.same({ "/CN=first", "OK" }, look "one")
  end)

  it("has the newest certificates though their renewal was under way", function()
    local live = authority:join("live.pem", first.certificate)
    local key = authority:join("live.key", first.key)
    start { certificate = live, key = key }
    local function install(leaf)
      for name, path in pairs { ["live.key"] = leaf.key, ["live.pem"] = leaf.certificate } do
        local new = authority:write(name .. ".new", ca.read(path))
        assert(os.rename(new, authority.folder .. "/" .. name))
      end
    end
    --- The process that makes the new bundle.
    local function helper()
      for _, pid in ipairs(processes.children(gw.process.pid)) do
        local file = io.open(("/proc/%d/cmdline"):format(pid))
        local words = file and file:read "*a" or ""
        if file then file:close() end
        if words:find("@helper", 1, true) then return pid end
      end
    end
    local function catch_helper()
      local giving_up = socket.gettime() + 5
      repeat
        local pid = helper()
        if pid and signal.kill(pid, signal.SIGSTOP) == 0 then return pid end
      until socket.gettime() > giving_up
    end

    local leaves, pid, newest = { first, second }, nil, nil
    for i = 1, 20 do -- it is gone soon
      newest = leaves[1 + i % 2]
      install(newest)
      pid = catch_helper()
      if pid and processes.status(pid) then break end
    end
    assert.truthy(pid)
    write({ certificate = live, key = key }, "two")
    assert.equal(2, gw:reload())
    assert.is_true(processes.wait_gone(pid, 20))
    for _ = 1, 8 do
      assert.same({ newest == first and "/CN=first" or "/CN=second", "OK" }, look "two")
    end
    -- And the next renewal finds its way.
    install(newest == first and second or first)
    local from = #gw:log()
    processes.eventually(function()
      return gw:log():find("listeners have new ones", from, true)
    end, 20)
    assert.same({ newest == first and "/CN=second" or "/CN=first", "OK" }, look "two")
  end)

  it("leaves no contexts behind, while sessions of the first one idle", function()
    start(first, 1)
    local idle = {}
    for i = 1, 50 do
      idle[i] = connect()
      assert.equal("OK", log_in(idle[i], "one"))
    end
    local function resident()
      local pid = processes.children(gw.process.pid)[1]
      return tonumber(processes.status(pid).VmRSS:match "%d+")
    end
    local count, warm = sanitized and 12 or 80, nil
    for i = 1, count do
      write(i % 2 == 0 and first or second, "one", ("session_timeout = %d,"):format(i), 1)
      assert.equal(i + 1, gw:reload())
      assert.same({ i % 2 == 0 and "/CN=first" or "/CN=second", "OK" }, look "one")
      if i == count / 4 then warm = resident() end
    end
    for _, c in ipairs(idle) do c:send_line("n NOOP"):expect "^n OK" end
    local now = resident()
    if not sanitized then
      assert.is_true(now <= warm * 1.05, ("%d KiB, then %d KiB"):format(warm, now))
    end
  end)
end)
