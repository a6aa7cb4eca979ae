--- Reloads under load: nobody who logs in, idles or says nothing hears of a thousand of them.
local epoll = require "spec.support.epoll"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"
local signal = require "posix.signal"

local sanitized = (os.getenv "MOONGATE_BUILD" or ""):match "asan"
local RELOADS, IDLE, SILENT = sanitized and 60 or 1000, 2000, 200
local WARM = RELOADS / 4 -- after these, memory stays as it is
local AT_ONCE, SECONDS = 4, 400

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 2,
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = "numbered",
    upstream = "127.0.0.1:%d", limits = { login_timeout = "30m", attempts = %d } },
  c.listen "other%d" { address = "127.0.0.1:0", protocol = "pop3", policy = "numbered" },
}
]]

local POLICY = [[
local moongate = require "moongate"
local timer = require "moongate.timer"
timer.every(0.05, "tick", function() moongate.log("info", "tick of %d") end)
return {
  auth = function(session, credentials)
    moongate.sleep(0.001)
    session.vars.number = %d
    return moongate.accept { user = credentials.user }
  end,
}
]]

-- An upstream that knows LOGIN, AUTHENTICATE with an initial response, and NOOP.
local upstream = {
  line = function(connection, line)
    local tag, verb = line:match "^(%S+) (%a+)"
    if verb == "CAPABILITY" then connection:send "* CAPABILITY IMAP4rev1 SASL-IR\r\n" end
    connection:send(("%s OK %s done\r\n"):format(tag, verb))
  end,
}

--- Resident memory of the workers, in KiB.
local function resident(g)
  local sum = 0
  for _, pid in ipairs(processes.children(g.process.pid)) do
    local status = processes.status(pid)
    if status and status.VmRSS then sum = sum + tonumber(status.VmRSS:match "%d+") end
  end
  return sum
end

--- What has been logged since the last call; whole lines.
local function follow(g)
  local file, rest = assert(io.open(g.process.log)), ""
  return function()
    local text = rest .. (file:read "*a" or "")
    rest = text:match "[^\n]*$"
    return text:sub(1, #text - #rest)
  end
end

describe("1,000 reloads, each of a policy, a limit and a listener", function()
  local loop, g, port, news
  local counts = { started = 0, logged_in = 0, refused = 0, lost = 0, idle = 0, answered = 0,
    silent = 0 }

  local function write(number)
    g:write("moongate.lua", CONFIG:format(port, 1 + number % 9, number))
    g:write("scripts/numbered.lua", POLICY:format(number, number))
  end

  --- Logs in, leaves, and comes again, as long as `counts.coming` is true.
  local function visitor()
    counts.started = counts.started + 1
    local done = false
    local function again()
      if counts.coming then visitor() end
    end
    loop:connect(g.ports.imap, {
      line = function(connection, line)
        if line:match "^%* OK" then connection:send "a LOGIN erin moonlight\r\n" end
        if line:match "^a " then
          done = true
          local kind = line:match "^a OK" and "logged_in" or "refused"
          counts[kind] = counts[kind] + 1
          loop:close(connection)
          again()
        end
      end,
      closed = function()
        if not done then counts.lost = counts.lost + 1 end
        again()
      end,
    })
  end

  local function stay(count, line)
    local all = {}
    for i = 1, count do
      all[i] = loop:connect(g.ports.imap, { line = line,
        closed = function() counts.lost = counts.lost + 1 end })
      if i % 200 == 0 or i == count then
        loop:run(function() return counts.idle + counts.silent + counts.lost >= #all end, SECONDS)
      end
    end
    return all
  end

  local function await(pattern)
    local found
    loop:run(function()
      for line in news():gmatch "[^\n]+" do
        if line:find "reload refused" then error(g:log()) end
        found = found or line:match(pattern)
      end
      return found
    end, SECONDS)
    return found
  end

  it("are noticed by nobody", function()
    epoll.allow_descriptors(2 * IDLE + SILENT + 2000)
    loop = epoll.new()
    port = loop:listen(upstream, function(connection)
      connection:send "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"
    end)
    g = gateway.start { files = { ["moongate.lua"] = CONFIG:format(port, 3, 0),
      ["scripts/numbered.lua"] = POLICY:format(0, 0) } }
    finally(function()
      loop:stop()
      g:stop()
    end)
    news = follow(g)

    local idle = stay(IDLE, function(connection, line)
      if line:match "^%* OK" then connection:send "a LOGIN idle moonlight\r\n" end
      if line:match "^a OK" then counts.idle = counts.idle + 1 end
      if line:match "^b OK" then counts.answered = counts.answered + 1 end
    end)
    assert.equal(IDLE, counts.idle)
    counts.idle = 0
    local silent = stay(SILENT, function(_, line)
      if line:match "^%* OK" then counts.silent = counts.silent + 1 end
      if line:match "^c OK" then counts.answered = counts.answered + 1 end
    end)
    assert.equal(SILENT, counts.silent)

    counts.coming = true
    for _ = 1, AT_ONCE do visitor() end
    local warm
    for number = 1, RELOADS do
      write(number)
      signal.kill(g.process.pid, signal.SIGHUP)
      assert.equal(tostring(number + 1), await "reload: generation (%d+) serves")
      if number == WARM then warm = resident(g) end
    end
    counts.coming = false
    loop:run(function()
      return counts.logged_in + counts.refused + counts.lost == counts.started
    end, SECONDS)
    assert.equal(0, counts.refused)
    assert.equal(0, counts.lost)
    assert.is_true(counts.logged_in > RELOADS / 2, counts.logged_in)

    for _, connection in ipairs(idle) do connection:send "b NOOP\r\n" end
    for _, connection in ipairs(silent) do connection:send "c LOGIN silent moonlight\r\n" end
    loop:run(function() return counts.answered + counts.lost == IDLE + SILENT end, SECONDS)
    assert.equal(0, counts.lost)

    local now = resident(g)
    if not sanitized then
      local grown = ("%d KiB after %d reloads, %d KiB after all"):format(warm, WARM, now)
      assert.is_true(now <= warm * 1.05, grown)
    end

    -- In each worker one generation ticks at a time, and the last one still does.
    local last = {}
    for pid, number in g:log():gmatch "info %[(%d+)%] policy: tick of (%d+)\n" do
      assert.is_true(tonumber(number) >= (last[pid] or 0))
      last[pid] = tonumber(number)
    end
    g:expect_log(("tick of (%d)"):format(RELOADS), SECONDS)
  end)
end)
