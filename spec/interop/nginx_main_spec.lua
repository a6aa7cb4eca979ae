--- The main level of nginx.conf, beside the real nginx: processes, their limits and their logs.
local client = require "spec.support.client"
local nginx_pair = require "spec.support.nginx_pair"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local stat = require "posix.sys.stat"

local MAIN = [[
user nobody nogroup;
worker_processes 2;
worker_rlimit_nofile 300;
worker_shutdown_timeout 1s;
pid run/some.pid;
events { worker_connections 64; }
error_log stderr info;
]]

local MAIL = [[
  auth_http 127.0.0.1:@auth/auth;
  server { listen 127.0.0.1:@imap; protocol imap; }
]]

describe("the main level beside the real nginx:", function()
  local pair
  setup(function()
    pair = nginx_pair.start { main = MAIN, mail = MAIL, files = { ["run/empty"] = "" } }
  end)
  after_each(function() pair:clear() end)
  teardown(function() pair:stop() end)

  local function both() return ipairs { pair.real, pair.gw } end

  local function read(path)
    local file = io.open(path)
    local text = file and file:read "*a"
    if file then file:close() end
    return text
  end

  it("worker_processes: as many", function()
    for _, one in both() do
      processes.eventually(function() return #processes.children(one.process.pid) == 2 end, 10)
    end
  end)

  it("user: who workers are", function()
    for _, one in both() do
      -- nginx says that it is ready before its workers have become anybody
      local worker
      processes.eventually(function()
        worker = processes.status(processes.children(one.process.pid)[1] or 0)
        return worker and worker.Uid == "65534\t65534\t65534\t65534"
      end, 10)
      assert.equal("65534\t65534\t65534\t65534", worker.Gid)
    end
  end)

  it("worker_rlimit_nofile: how many files they may open", function()
    for _, one in both() do
      local limits = read(("/proc/%d/limits"):format(processes.children(one.process.pid)[1]))
      assert.matches("Max open files%s+300%s+300", limits)
    end
  end)

  it("pid, and worker_shutdown_timeout for sessions that are relayed", function()
    local clients = {}
    for i, one in both() do
      assert.equal(one.process.pid, tonumber(read(one.folder .. "/run/some.pid")))
      clients[i] = client.connect(one.at.imap)
      clients[i]:send_line("a LOGIN u p"):expect_until "^a OK"
    end
    for i, one in both() do
      signal.kill(one.process.pid, signal.SIGQUIT)
      clients[i]:expect_end()
      one.process:wait(10)
      assert.is_nil(read(one.folder .. "/run/some.pid"))
    end
    pair.gw:run()
    pair.real:launch()
  end)
end)

describe("error_log beside the real nginx:", function()
  local pair, udp, path, local_socket

  local MORE = [[
user root; # who opens the logs again
worker_processes 1;
events { worker_connections 64; }
error_log stderr notice;
error_log logs/error.log;
error_log logs/info.log info;
error_log syslog:server=127.0.0.1:@udp info;
error_log syslog:server=unix:@path,facility=mail,tag=gateway_1,nohostname,severity=debug info;
error_log syslog:server=localhost:@udp,facility=cron,tag=quiet error;
]]

  setup(function()
    udp = require "socket".udp()
    assert(udp:setsockname("127.0.0.1", 0))
    path = os.tmpname()
    os.remove(path)
    local_socket = require "socket.unix".dgram()
    assert(local_socket:bind(path))
    stat.chmod(path, 438)
    for _, one in ipairs { udp, local_socket } do one:settimeout(10) end
    local _, port = udp:getsockname()
    pair = nginx_pair.start { main = MORE, mail = MAIL, files = { ["logs/empty"] = "" },
      ports = { udp = tonumber(port), path = path } }
  end)
  teardown(function()
    pair:stop()
    udp:close()
    local_socket:close()
    os.remove(path)
  end)

  --- A visit, and what the log says of it.
  local function visit(one)
    local c = client.connect(one.at.imap)
    c:send_line("a LOGOUT"):expect_until "^a OK"
    c:expect_end()
    return (one == pair.real and "client 127.0.0.1:%d connected" or "client=127.0.0.1:%d ")
      :format(c.port)
  end

  --- The packets that tell of a visit to nginx, and to the gateway.
  local function packets(from)
    local found = {}
    for i, one in ipairs { pair.real, pair.gw } do
      local sign = visit(one)
      local packet
      repeat packet = assert(from:receive()) until packet:find(sign, 1, true)
      found[i] = packet
    end
    return found
  end

  it("syslog: server, and nginx's own facility and tag", function()
    local host = io.popen "hostname":read "*l"
    for _, packet in ipairs(packets(udp)) do
      local name = packet:match "^<190>%u%l%l [ %d]%d %d%d:%d%d:%d%d (%S+) nginx: "
      assert.equal(host, name, packet)
    end
  end)

  it("syslog: facility, tag and nohostname; severity is that of the line", function()
    for _, packet in ipairs(packets(local_socket)) do
      assert.matches("^<22>%u%l%l [ %d]%d %d%d:%d%d:%d%d gateway_1: ", packet)
    end
  end)

  local function read(name)
    local file = assert(io.open(name))
    local text = file:read "*a"
    file:close()
    return text
  end

  it("several files below the prefix, and standard error, each from its own level on", function()
    for _, one in ipairs { pair.real, pair.gw } do
      local sign = visit(one)
      processes.eventually(function()
        return read(one.folder .. "/logs/info.log"):find(sign, 1, true)
      end, 10)
      assert.is_nil(read(one.folder .. "/logs/error.log"):find(sign, 1, true))
      assert.is_nil(one.process:output():find(sign, 1, true))
    end
  end)

  it("SIGUSR1 opens all of them again", function()
    for _, one in ipairs { pair.real, pair.gw } do
      local file = one.folder .. "/logs/info.log"
      assert(os.rename(file, file .. ".1"))
      signal.kill(one.process.pid, signal.SIGUSR1)
      processes.eventually(function() return io.open(file) end, 10)
      processes.eventually(function()
        local sign = visit(one)
        return read(file):find(sign, 1, true)
      end, 10)
    end
  end)
end)
