--- GET /v1/metrics of the control socket: the format, line by line, and the numbers.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local control = require "spec.support.control"
local http_server = require "spec.support.http_server"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local site = require "spec.support.site"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local POLICY = [[
local metrics = require "moongate.metrics"
local check = require "moongate.auth_http".new { url = "%s" }

return {
  auth = function(session, credentials)
    metrics.count("asked", 1, { user = credentials.user })
    metrics.count("bytes", 2.5)
    metrics.count "bytes_total"
    metrics.gauge("last", 7, { odd = 'a"b\\c\nd' .. "\255\9\195\169" })
    if credentials.user == "broken" then error "on purpose" end
    if credentials.user == "asks" then return check(session, credentials) end
    if credentials.user == "bad" then return moongate.reject() end
    return moongate.accept { upstream = "pool:back" }
  end,
}
]]

--- The body of the answer and its head.
local function ask(path)
  local c = control.connect(path)
  c:send "GET /v1/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
  assert.equal("200", c:expect "^HTTP/1.1 (%d+)")
  local _, head = c:expect_until "^$"
  c:discard()
  return table.concat(head, "\n")
end

local VALUES = { ["+Inf"] = true, ["-Inf"] = true, NaN = true }

--- `{a="b",...}` as it is written, taken apart strictly.
local function read_labels(text, line)
  local rest = assert(text:match "^{(.*)}$", line)
  while rest ~= "" do
    local name, after = rest:match '^([%a_][%w_]*)="()'
    assert(name, line)
    local at = after
    while rest:sub(at, at) ~= '"' do
      local c = rest:sub(at, at)
      assert(c ~= "" and c ~= "\n", line)
      if c == "\\" then
        assert(rest:sub(at + 1, at + 1):match '[\\"n]', line)
        at = at + 1
      end
      at = at + 1
    end
    rest = rest:sub(at + 1)
    if rest ~= "" then rest = assert(rest:match "^,(.+)$", line) end
  end
end

--- Everything by "name{labels}": each line is understood, each family comes once and is described.
local function read(text)
  local found, families, family = {}, {}, nil
  assert.equal("\n", text:sub(-1))
  for line in text:gmatch "([^\n]*)\n" do
    local help, words = line:match "^# HELP (moongate_[%w_]+) (.+)$"
    local kind_of, kind = line:match "^# TYPE (moongate_[%w_]+) (%a+)$"
    if help then
      assert.is_nil(families[help], line)
      assert.not_equal("Not described.", words, line)
      family, families[help] = help, {}
    elseif kind_of then
      assert.equal(family, kind_of)
      assert.is_nil(families[family].kind)
      assert(kind == "counter" or kind == "gauge", line)
      assert.equal(kind == "counter", family:match "_total$" ~= nil, line)
      families[family].kind = kind
    else
      local name, labels, value = line:match "^([%a_][%w_]*)(%b{}) (%S+)$"
      if not name then name, value, labels = line:match "^([%a_][%w_]*) (%S+)$" end
      assert(name, line)
      assert.equal(family, name)
      assert(families[family].kind, line)
      if labels then read_labels(labels, line) end
      assert(tonumber(value) or VALUES[value], line)
      local key = name:gsub("^moongate_", "") .. (labels or "")
      assert.is_nil(found[key], line)
      found[key] = tonumber(value)
    end
  end
  return found
end

describe("metrics", function()
  local gw, path, up, auth, authority

  local function start()
    local section
    path, section = control.place()
    authority = ca.new()
    local leaf = authority:leaf { names = { "DNS:mail.test" } }
    auth = http_server.start { answer = function() return { status = 500 } end }
    up = upstream.start { script = upstream.imap() }
    gw = site.start {
      workers = 2,
      listen = {
        imap = { protocol = "imap", more = "limits = { attempts = 10 }," },
        imaps = { protocol = "imap", more =
          ("tls = { mode = \"implicit\", certificate = %q, key = %q },"):format(leaf.certificate,
            leaf.key) },
      },
      more = section .. ("pools = { back = { %q } },"):format(up.address),
      policy = POLICY:format(auth.url),
    }
    return leaf
  end

  local function stop()
    client.discard_all()
    gw:stop()
    up:stop()
    auth:stop()
    control.remove(path)
    authority:remove()
  end

  local function text() return select(2, control.command(path, "metrics")) end
  local function metrics() return read(text()) end

  local function login(user, expected)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s secret"):format(user)):expect_until(expected)
    return c
  end

  local function end_of(c)
    c:close()
    gw:session_of(c)
  end

  it("tell what all workers have counted, and go on over a reload", function()
    local leaf = start()
    finally(stop)
    for _ = 1, 6 do end_of(login("ann", "^a OK")) end
    for _ = 1, 2 do end_of(login("bad", "^a NO")) end
    end_of(login("broken", "^a NO %[UNAVAILABLE%]"))
    end_of(login("asks", "^a NO %[UNAVAILABLE%]"))
    local secure = tls.connect(gw.ports.imaps, { trusted = authority.certificate })
    secure:expect "^%* OK"
    local held = login("ann", "^a OK")

    local found = metrics()
    for name, value in pairs {
      ['logins_total{outcome="accepted",protocol="imap"}'] = 7,
      ['logins_total{outcome="refused",protocol="imap"}'] = 2,
      ['logins_total{outcome="failed",protocol="imap"}'] = 2,
      ['sessions_total{protocol="imap"}'] = 12,
      ['sessions_ended_total{end="client_closed"}'] = 10,
      ['sessions{phase="splice",protocol="imap"}'] = 1,
      ['sessions{phase="command",protocol="imap"}'] = 1,
      ['sessions{phase="close",protocol="imap"}'] = 0,
      ['hook_calls_total{hook="auth"}'] = 11,
      ['hook_errors_total{hook="auth",policy="policy"}'] = 1,
      ['decisions_total{hook="auth",kind="reject"}'] = 2,
      [('auth_requests_total{outcome="answered",server=%q}'):format(auth.url)] = 1,
      ['tls_handshakes_total{outcome="full",peer="client"}'] = 1,
      ['pool_member_sessions{member="' .. up.address .. '",pool="back"}'] = 1,
      ['pool_member_workers{member="' .. up.address .. '",pool="back",state="down"}'] = 0,
      ['policy_asked_total{user="ann"}'] = 7,
      policy_bytes_total = 11 * 3.5,
      generation = 1, ['reloads_total{outcome="done"}'] = 0, workers_missing = 0,
      ['workers{state="ready"}'] = 2, ['worker_restarts_total{worker="1"}'] = 0,
      log_lines_dropped_total = 0,
    } do
      assert.equal(value, found[name], name)
    end
    assert.is_true(found['hook_seconds_total{hook="auth"}'] > 0)
    assert.is_true(found.started_seconds > 1.7e9)
    local expires = found[('certificate_expires_seconds{file="%s"}'):format(leaf.certificate)]
    assert.is_true(expires > os.time())
    assert.is_number(found['policy_last{odd="a\\"b\\\\c\\nd??\195\169"}'])
    assert.matches("\ncontent%-type: text/plain; version=0.0.4; charset=utf%-8\n",
      ("\n" .. ask(path) .. "\n"):lower():gsub("\r", ""))

    assert.equal(2, gw:reload())
    assert.is_nil(gw:write("scripts/policy.lua", "return {"))
    assert.is_nil(gw:reload())
    found = metrics()
    assert.equal(2, found.generation)
    assert.equal(1, found['reloads_total{outcome="done"}'])
    assert.equal(1, found['reloads_total{outcome="refused"}'])
    assert.equal(7, found['policy_asked_total{user="ann"}'])
    end_of(held)
    end_of(secure)
  end)

  it("never fall when a worker dies", function()
    start()
    finally(stop)
    for _ = 1, 8 do end_of(login("ann", "^a OK")) end
    local before = metrics()
    local status = control.get(path, "/v1/status")
    for _, worker in ipairs(status.workers) do signal.kill(worker.pid, signal.SIGKILL) end
    local after = processes.eventually(function()
      local found = metrics()
      return found['workers{state="ready"}'] == 2 and found.workers_missing == 0
        and found['worker_restarts_total{worker="1"}'] == 1
        and found['worker_restarts_total{worker="2"}'] == 1 and found
    end, 20)
    for name, value in pairs(before) do
      if name:match "_total" then assert.is_true((after[name] or 0) >= value, name) end
    end
    assert.equal(8, after['logins_total{outcome="accepted",protocol="imap"}'])
    end_of(login("ann", "^a OK"))
    assert.equal(9, metrics()['logins_total{outcome="accepted",protocol="imap"}'])
    assert.equal(9, metrics()['policy_asked_total{user="ann"}'])
  end)
end)
