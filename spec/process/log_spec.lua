local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local stat = require "posix.sys.stat"

local function start(target, more)
  return gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" },
    ('  workers = 2,\n  log = { target = %q%s },'):format(target, more or "")) }
end

local function read(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

--- One whole session, which is one line in the log.
local function quit(g)
  local client = pop3.connect(g.ports.pop3)
  local answer = pop3.ask(client, "QUIT")
  client:close()
  return answer
end

local function lines(path)
  local count = 0
  for _ in read(path):gmatch "end=client_quit[^\n]*\n" do count = count + 1 end
  return count
end

describe("a log file", function()
  it("gets every line whole and goes on in a new file after SIGUSR1", function()
    local path = os.tmpname()
    os.remove(path)
    local g = start(path)
    for _ = 1, 50 do assert.matches("^%+OK", quit(g)) end
    processes.eventually(function() return lines(path) == 50 end, 5)
    local _, mode = child.run { "stat", "-c", "%a", path }
    assert.equal("640\n", mode)

    os.rename(path, path .. ".1")
    signal.kill(g.process.pid, signal.SIGUSR1)
    processes.eventually(function() return read(path):match "log reopened" end, 5)
    for _ = 1, 50 do assert.matches("^%+OK", quit(g)) end
    processes.eventually(function() return lines(path) == 50 end, 5)
    assert.equal(50, lines(path .. ".1"))
    for line in (read(path) .. read(path .. ".1")):gmatch "[^\n]+" do
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT", line)
    end
    assert.not_matches("end=", g:log())
    g:stop()
    assert.matches("stopped\n$", read(path))
    os.remove(path)
    os.remove(path .. ".1")
  end)

  it("stays in use when it can't be opened again", function()
    local path = os.tmpname()
    os.remove(path)
    local g = start(path)
    os.rename(path, path .. ".1")
    assert(stat.mkdir(path, 493))
    signal.kill(g.process.pid, signal.SIGUSR1)
    processes.eventually(function()
      return read(path .. ".1"):match "the old log stays in use: log: .*: Is a directory"
    end, 5)
    assert.matches("^%+OK", quit(g))
    processes.eventually(function() return lines(path .. ".1") == 1 end, 5)
    g:stop()
    os.execute("rm -rf " .. path .. " " .. path .. ".1")
  end)

  it("may not be a symbolic link", function()
    local path = os.tmpname()
    os.execute(("ln -sf /etc/passwd %s.link"):format(path))
    local fine, message = pcall(start, path .. ".link")
    assert.is_false(fine)
    assert.matches("Too many levels of symbolic links", message)
    os.execute(("rm -f %s %s.link"):format(path, path))
  end)
end)

describe("a log that can't be written", function()
  it("does not hurt service when the disk is full", function()
    local g = start "/dev/full"
    for _ = 1, 30 do assert.matches("^%+OK", quit(g)) end
    g.process:expect "log lines are lost: No space left on device"
    g:stop()
  end)

  it("does not hurt service when nobody reads a pipe, and counts what was lost", function()
    local path = os.tmpname()
    os.remove(path)
    assert.equal(0, (child.run { "mkfifo", path }))
    local holder = io.open(path, "r+")
    local g = start(path, ', level = "debug"')
    local workers = processes.children(g.process.pid)
    -- A pipe holds 64 KiB and a ring 256 KiB; these are far more.
    local client = pop3.connect(g.ports.pop3)
    for _ = 1, 1500 do assert.matches("^%+OK", quit(g)) end
    assert.matches("^%+OK", pop3.ask(client, "NOOP"))
    -- Read until the pipe holds a line that tells the loss.
    local code, text = child.run { "timeout", "20", "grep", "-m1", "lines were lost", path }
    assert.equal(0, code)
    assert.matches("log: %d+ lines were lost", text)
    assert.same(workers, processes.children(g.process.pid))
    client:close()
    g:stop()
    holder:close()
    os.remove(path)
  end)
end)

describe("syslog", function()
  local folder, daemon, had

  setup(function()
    folder = assert(require("posix.stdlib").mkdtemp "/tmp/moongate-syslog-XXXXXX")
    stat.chmod(folder, 493)
    daemon = require "socket.unix".dgram()
    daemon:settimeout(5)
    assert(daemon:bind(folder .. "/log"))
    stat.chmod(folder .. "/log", 438)
    had = stat.lstat "/dev/log" ~= nil
    if not had then io.open("/dev/log", "w"):close() end
  end)
  teardown(function()
    daemon:close()
    if not had then os.remove "/dev/log" end
    os.execute("rm -rf " .. folder)
  end)

  --- Starts a gateway that sees `daemon` as /dev/log; the machine's own stays as it is.
  local function start_with_daemon(target)
    return gateway.start {
      files = pop3.files({ pop3 = "127.0.0.1:0" }, ("  log = { target = %q },"):format(target)),
      prefix = { "unshare", "-m", "sh", "-c",
        ('mount --bind %s/log /dev/log && exec "$@"'):format(folder), "sh" },
    }
  end

  local function next_packet(pattern)
    repeat
      local packet = assert(daemon:receive())
      if packet:match(pattern) then return packet end
    until false
  end

  it("gets a packet for each line, with facility and level", function()
    local g = start_with_daemon "syslog:mail"
    assert.matches("^<22>moongate%[%d+%]: ", next_packet "serving with")
    quit(g)
    assert.matches("^<22>moongate%[%d+%]: ", next_packet "end=client_quit")
    g:write("moongate.lua", "return nil")
    signal.kill(g.process.pid, signal.SIGHUP)
    assert.matches("^<19>moongate%[%d+%]: ", next_packet "reload refused")
    g:stop()
  end)

  it("goes on when the daemon hangs", function()
    local g = start_with_daemon "syslog:local3"
    for _ = 1, 400 do assert.matches("^%+OK", quit(g)) end
    assert.matches("^<158>", next_packet "end=client_quit")
    g:stop()
  end)

  it("that is not there ends the start", function()
    local fine, message = pcall(gateway.start, {
      files = pop3.files({ pop3 = "127.0.0.1:0" }, '  log = { target = "syslog:mail" },'),
      prefix = { "unshare", "-m", "sh", "-c",
        'mount --bind /dev/null /dev/log && exec "$@"', "sh" },
    })
    assert.is_false(fine)
    assert.matches("log: /dev/log: Connection refused", message)
  end)

  it("needs a facility that exists, an address, a tag and no other words", function()
    for target, expected in pairs { ["syslog:male"] = "male",
      ["syslog:mail,server=a.name"] = "syslog: not an IP address",
      ["syslog:mail,tag=a-b"] = "a tag has letters",
      ["syslog:mail,tag=" .. ("x"):rep(33)] = "a tag has 1 to 32 characters",
      ["syslog:mail,colour=red"] = "syslog has no parameter \"colour=red\"" } do
      local fine, message = pcall(start, target)
      assert.is_false(fine)
      assert.truthy(message:find(expected, 1, true), message)
    end
  end)
end)
