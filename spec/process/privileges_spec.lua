-- As root: what workers may do. The specs run as root, as the private Postfix needs.
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local pop3 = require "spec.support.pop3"
local processes = require "spec.support.processes"
local unistd = require "posix.unistd"

local function workers_of(g) return processes.children(g.process.pid) end

--- All of the process' threads: what a thread keeps, the process has.
local function each_thread(pid, check)
  for task in io.popen(("ls /proc/%d/task"):format(pid)):lines() do
    check(processes.status(tonumber(task)) or processes.status(pid))
  end
end

describe("a worker of a gateway that root started", function()
  local g

  setup(function()
    assert.equal(0, unistd.geteuid())
    g = gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" }, "  workers = 2,") }
  end)
  teardown(function() g:stop() end)

  it("is not root, in no respect, in none of its threads", function()
    assert.equal(2, #workers_of(g))
    for _, pid in ipairs(workers_of(g)) do
      each_thread(pid, function(status)
        for id in status.Uid:gmatch "%d+" do assert.not_equal("0", id) end
        for id in status.Gid:gmatch "%d+" do assert.not_equal("0", id) end
        assert.equal(status.Gid:match "%d+", (status.Groups:gsub("%s+$", "")))
      end)
    end
  end)

  it("has no capabilities and can get none", function()
    for _, pid in ipairs(workers_of(g)) do
      each_thread(pid, function(status)
        for _, set in ipairs { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" } do
          assert.matches("^0+$", status[set])
        end
        assert.equal("1", status.NoNewPrivs)
      end)
    end
  end)

  it("leaves no core file and can't be traced", function()
    for _, pid in ipairs(workers_of(g)) do
      local limits = io.open(("/proc/%d/limits"):format(pid)):read "*a"
      assert.matches("Max core file size%s+0%s+0", limits)
      -- A process that is not dumpable has its files in /proc owned by root.
      local code, text = child.run { "stat", "-c", "%U", ("/proc/%d/environ"):format(pid) }
      assert.equal(0, code)
      assert.equal("root\n", text)
    end
  end)
end)

describe("a configured user", function()
  it("is who workers become", function()
    local g = gateway.start { files = pop3.files({ pop3 = "127.0.0.1:0" },
      '  workers = 1, user = "daemon", group = "nogroup",') }
    local status = processes.status(workers_of(g)[1])
    assert.equal("1\t1\t1\t1", status.Uid)
    assert.equal("65534\t65534\t65534\t65534", status.Gid)
    g:stop()
  end)

  it("may not be root", function()
    local fine, message = pcall(gateway.start, { files = pop3.files({ pop3 = "127.0.0.1:0" },
      '  user = "root",') })
    assert.is_false(fine)
    assert.matches("workers never run as root", message)
  end)
end)

describe("a drop that fails", function()
  it("ends the start", function()
    for _, lost in ipairs { "-setuid", "-setgid" } do
      local fine, message = pcall(gateway.start, {
        files = pop3.files { pop3 = "127.0.0.1:0" },
        prefix = { "setpriv", "--bounding-set", lost },
      })
      assert.is_false(fine)
      assert.matches("giving up privileges: set%w+: Operation not permitted", message)
      assert.not_matches("moongate: ready", message)
    end
  end)
end)

describe("a gateway that another user started", function()
  local installed

  -- The project may lie in a home that only its owner can enter, such as /root.
  setup(function()
    installed = assert(require("posix.stdlib").mkdtemp "/tmp/moongate-installed-XXXXXX")
    local code, output = child.run { "sh", "-ec",
      'mkdir -p "$1/bin" "$1/share/moongate" && cp "$2" "$1/bin" && ' ..
      'cp -r lua scripts "$1/share/moongate" && chmod -R a+rX "$1"',
      "sh", installed, gateway.binary() }
    assert.equal(0, code, output)
  end)
  teardown(function() os.execute("rm -rf " .. installed) end)

  --- A gateway that user 65534 started, with what these options of setpriv add.
  local function start(...)
    local prefix = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ... }
    for _, word in ipairs {
      "sh", "-c", 'shift && exec "$0" "$@"', installed .. "/bin/moongate"
    } do
      table.insert(prefix, word)
    end
    return gateway.start { files = pop3.files { pop3 = "127.0.0.1:0" }, prefix = prefix }
  end

  it("works on high ports and stays that user", function()
    local g = start()
    local client, greeting = pop3.connect(g.ports.pop3)
    assert.matches("^%+OK", greeting)
    client:close()
    for _, pid in ipairs(workers_of(g)) do
      local status = processes.status(pid)
      assert.matches("^65534", status.Uid)
      assert.matches("^0+$", status.CapEff)
      assert.equal("1", status.NoNewPrivs)
    end
    g:stop()
  end)

  it("gives its workers none of the capabilities that it was started with", function()
    local g = start("--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service")
    assert.matches("0400$", processes.status(g.process.pid).CapEff)
    for _, pid in ipairs(workers_of(g)) do
      each_thread(pid, function(status)
        for _, set in ipairs { "CapInh", "CapPrm", "CapEff", "CapAmb" } do
          assert.matches("^0+$", status[set])
        end
      end)
    end
    g:stop()
  end)
end)
