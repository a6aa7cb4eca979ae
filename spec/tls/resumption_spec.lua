--- Sessions of TLS are resumed with any worker, and nowhere else.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local openssl = require "spec.support.openssl"
local posix_signal = require "posix.signal"
local processes = require "spec.support.processes"
local site = require "spec.support.site"
local tls = require "spec.support.tls"

local POLICY = [[
return { connect = function(session)
  session:log("info", "greets, resumed=" .. tostring(session.tls.resumed))
end }
]]

local function bytes(n, seed)
  local list = {}
  for i = 1, n do list[i] = string.char((i * 7 + seed) % 256) end
  return table.concat(list)
end

describe("a TLS session", function()
  local authority, leaf, own, user, gateways

  local function listener(more)
    return { protocol = "imap", more = ([[tls = { mode = "implicit", certificate = { %q, %q },
      key = { %q, %q }, %s }]]):format(leaf.certificate, own.certificate, leaf.key, own.key,
      more or "") }
  end

  local function start(listen, workers)
    local gw = site.start { workers = workers or 2, listen = listen, policy = POLICY }
    table.insert(gateways, gw)
    return gw
  end

  local gw

  setup(function()
    gateways = {}
    authority = ca.new()
    leaf = authority:leaf {}
    own = authority:leaf { kind = "rsa" }
    user = authority:leaf { subject = "/CN=user" }
    gw = start {
      tickets = listener(),
      other = listener(),
      cache = listener "tickets = false, session_cache = true",
      both = listener "session_cache = true",
      none = listener "tickets = false",
      short = listener "session_timeout = 1",
      brief_keys = listener "ticket_period = 3",
      demands = listener(('client_certificate = "required", ca = %q'):format(
        authority.certificate)),
    }
  end)

  teardown(function()
    for _, one in ipairs(gateways or {}) do one:stop() end
    if authority then authority:remove() end
  end)

  after_each(client.discard_all)

  --- A connection that has been greeted, and its session.
  local function visit(port, how)
    local c = tls.connect(port, how)
    c:expect "^%* OK"
    local session = c:session()
    c:close()
    return session, c:is_resumed(), c
  end

  --- The worker that served the last visit of this client.
  local function worker_of(from, c)
    local id = from:session_of(c).session
    return from:expect_log("%[(%d+)%] session " .. id .. ": greets")
  end

  --- Comes back until both workers have resumed; every visit must.
  local function resumes_everywhere(port, how)
    local session, resumed, c = visit(port, how)
    assert.is_false(resumed)
    local seen, count = { [worker_of(gw, c)] = true }, 1
    for _ = 1, 60 do
      how.session = session
      session, resumed, c = visit(port, how)
      assert.is_true(resumed)
      local worker = worker_of(gw, c)
      if not seen[worker] then count = count + 1 end
      seen[worker] = true
      if count == 2 then return end
    end
    error "one worker has served all"
  end

  local function never_resumes(from, to, how)
    how = how or {}
    how.session = visit(from, how)
    local _, resumed = visit(to, how)
    assert.is_false(resumed)
  end

  for _, case in ipairs {
    { "tickets", "1.2", "by a ticket" },
    { "tickets", "1.3", "by a ticket" },
    { "cache", "1.2", "by its identifier" },
    { "cache", "1.3", "without tickets" },
    { "both", "1.2", "by a ticket, with a cache" },
    { "both", "1.3", "by a ticket, with a cache" },
    { "demands", "1.2", "with a client certificate" },
    { "demands", "1.3", "with a client certificate" },
  } do
    it(("of TLS %s is resumed %s with any worker"):format(case[2], case[3]), function()
      resumes_everywhere(gw.ports[case[1]], { max = case[2],
        leaf = case[1] == "demands" and user or nil })
    end)
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it("of TLS " .. version .. " is not resumed at another listener", function()
      never_resumes(gw.ports.tickets, gw.ports.other, { max = version })
      never_resumes(gw.ports.cache, gw.ports.both, { max = version })
      never_resumes(gw.ports.tickets, gw.ports.cache, { max = version })
    end)

    it("of TLS " .. version .. " is not resumed under another name", function()
      local how = { max = version, name = "a.test" }
      how.session = visit(gw.ports.tickets, how)
      how.name = "b.test"
      local _, resumed = visit(gw.ports.tickets, how)
      assert.is_false(resumed)
    end)

    it("of TLS " .. version .. " does not open a listener that demands certificates", function()
      local session = visit(gw.ports.tickets, { max = version })
      local c = tls.connect(gw.ports.demands, { max = version, session = session })
      c:expect "^%* BYE No required SSL certificate$"
      assert.is_false(c:is_resumed())
    end)

    it("of TLS " .. version .. " is not resumed where that is off", function()
      never_resumes(gw.ports.none, gw.ports.none, { max = version })
    end)
  end

  it("is resumed by openssl s_client", function()
    local path = os.tmpname()
    local text = openssl.client(gw.ports.tickets, { "-sess_out", path }, "a LOGOUT\r\n")
    assert.matches("New, TLSv1.3", text)
    for _ = 1, 4 do
      text = openssl.client(gw.ports.tickets, { "-sess_in", path, "-sess_out", path },
        "a LOGOUT\r\n")
      assert.matches("Reused, TLSv1.3", text)
    end
    os.remove(path)
  end)

  it("knows the client's certificate when it is resumed", function()
    local how = { leaf = user }
    how.session = visit(gw.ports.demands, how)
    local _, resumed, c = visit(gw.ports.demands, { session = how.session })
    assert.is_true(resumed)
    assert.equal("client_closed", gw:session_of(c)["end"])
  end)

  it("is no way in when the client's certificate has ended since", function()
    local brief = authority:leaf { subject = "/CN=brief", seconds = 5 }
    local kept = visit(gw.ports.demands, { leaf = brief })
    local session = visit(gw.ports.demands, { leaf = brief, max = "1.2" })
    local function refused(how)
      local c = tls.connect(gw.ports.demands, how)
      local line = c:read_line()
      assert.is_true(c:is_resumed())
      c:close()
      return line:find "^%* BYE SSL certificate error" ~= nil
    end
    processes.eventually(function() return refused { max = "1.2", session = session } end, 10)
    assert.is_true(refused { session = kept })
  end)

  it("outlives the worker that made it", function()
    local session, _, c = visit(gw.ports.tickets, {})
    local worker = tonumber(worker_of(gw, c))
    posix_signal.kill(worker, posix_signal.SIGKILL)
    assert.is_true(processes.wait_gone(worker, 10))
    local resumed
    _, resumed = visit(gw.ports.tickets, { session = session })
    assert.is_true(resumed)
    session = visit(gw.ports.cache, { max = "1.2" })
    _, resumed = visit(gw.ports.cache, { max = "1.2", session = session })
    assert.is_true(resumed)
  end)

  it("is over after the configured time", function()
    local session = visit(gw.ports.short, { max = "1.2" })
    processes.eventually(function()
      local _, resumed = visit(gw.ports.short, { max = "1.2", session = session })
      return not resumed
    end, 5)
  end)

  it("is over when its ticket's key is the one before the last", function()
    local session = visit(gw.ports.brief_keys, { max = "1.2" })
    local _, resumed = visit(gw.ports.brief_keys, { max = "1.2", session = session })
    assert.is_true(resumed)
    processes.eventually(function()
      _, resumed = visit(gw.ports.brief_keys, { max = "1.2", session = session })
      return not resumed
    end, 15)
  end)

  describe("with ticket keys from files", function()
    for _, size in ipairs { 48, 80 } do
      it(("of %d bytes is resumed by another gateway that has them"):format(size), function()
        local first = authority:write("first" .. size, bytes(size, 1))
        local second = authority:write("second" .. size, bytes(size, 2))
        local a = start({ shared = listener(("ticket_keys = { %q }"):format(first)) }, 1)
        local b = start({ shared = listener(("ticket_keys = { %q, %q }"):format(second,
          first)) }, 1)
        local c = start({ shared = listener(("ticket_keys = { %q }"):format(second)) }, 1)
        for _, version in ipairs { "1.2", "1.3" } do
          local session = visit(a.ports.shared, { max = version })
          local renewed, resumed = visit(b.ports.shared, { max = version, session = session })
          assert.is_true(resumed)
          _, resumed = visit(c.ports.shared, { max = version, session = renewed })
          assert.is_true(resumed) -- the second gateway has sealed it again, with its first key
          _, resumed = visit(c.ports.shared, { max = version,
            session = visit(a.ports.shared, { max = version }) })
          assert.is_false(resumed)
        end
      end)
    end
  end)
end)
