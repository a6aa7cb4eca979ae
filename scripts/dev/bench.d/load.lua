--- Builds the load generator and its peers, puts load on a gateway and reads from /proc what that
--- cost the gateway's processes.
local child = require "moongate.spec.child"
local gateways = require "gateways"
local json = require "cjson"
local signal = require "posix.signal"
local stat = require "posix.sys.stat"

local load = {}

local QUICK_SHARE = 0.25 -- of the sessions
local SECONDS, STRACE_SECONDS = 120, 60

local function run(command)
  command.seconds = SECONDS
  local code, text = child.run(command)
  if code ~= 0 then error(table.concat(command, " ") .. ":\n" .. text) end
  return text
end

--- Everything goes to build/bench.
function load.build(root)
  root = run({ "realpath", root }):match "[^\n]+"
  load.folder = root .. "/build/bench"
  stat.mkdir(root .. "/build", 493)
  stat.mkdir(load.folder, 493)
  for _, name in ipairs { "authd", "maild", "mailload" } do
    run { "cc", "-O2", "-Wall", "-Wextra", "-Wno-unused-result", "-o", load.folder .. "/" .. name,
      ("%s/scripts/dev/bench.d/%s.c"):format(root, name), "-lssl", "-lcrypto" }
  end
  local certificate, key = load.folder .. "/mail.crt", load.folder .. "/mail.key"
  if not stat.stat(load.folder .. "/mail.pem") then
    run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-days", "3650", "-subj", "/CN=mail.example.org", "-keyout", key,
      "-out", certificate }
    run { "sh", "-c", ("chmod 644 %s; cat %s %s >%s/mail.pem")
      :format(key, certificate, key, load.folder) }
  end
end

local function other_cpus()
  local count = tonumber(run { "nproc", "--all" })
  return count > 1 and "1-" .. count - 1 or "0"
end

--- The upstream and the auth server.
function load.start_peers()
  local ports = gateways.ports
  local servers = { "-I", ports.imap, "-P", ports.pop3, "-S", ports.smtp }
  local peers = {}
  for _, words in ipairs { { "maild" }, { "authd", "-p", ports.auth } } do
    local command = { load.folder .. "/" .. words[1], unpack(words, 2) }
    for _, word in ipairs(servers) do table.insert(command, tostring(word)) end
    for n, word in ipairs(command) do command[n] = tostring(word) end
    command = gateways.on_cpu(other_cpus(), command)
    command.log = load.folder .. "/" .. words[1] .. ".log"
    table.insert(peers, child.start(command))
  end
  return peers
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text or ""
end

--- A process and all that it has started.
local function tree(pid, into)
  into = into or {}
  table.insert(into, pid)
  for kid in read(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch "%d+" do
    tree(tonumber(kid), into)
  end
  return into
end

--- Nanoseconds of CPU time of all of them.
local function cpu(pids)
  local sum = 0
  for _, pid in ipairs(pids) do
    for task in run({ "ls", ("/proc/%d/task"):format(pid) }):gmatch "%d+" do
      sum = sum + tonumber(read(("/proc/%d/task/%s/schedstat"):format(pid, task)):match "^%d+" or 0)
    end
  end
  return sum
end

--- KiB: their share of all memory that they have.
local function pss(pids)
  local sum = 0
  for _, pid in ipairs(pids) do
    sum = sum + tonumber(read(("/proc/%d/smaps_rollup"):format(pid)):match "\nPss:%s*(%d+)")
  end
  return sum
end

local function words_of(gateway, scenario, mode, n, arguments)
  local words = { load.folder .. "/mailload", mode, "-p", tostring(gateway.ports[scenario.port]),
    "-n", tostring(n) }
  for word in arguments:gmatch "%S+" do table.insert(words, word) end
  return gateways.on_cpu(other_cpus(), words)
end

local function answer_of(text)
  local line
  for each in text:gmatch "[^\n]+" do line = each end
  local result = json.decode((assert(line, "mailload said nothing")))
  if result.errors ~= 0 then
    error(("mailload: %d errors: %s"):format(result.errors, result.why))
  end
  return result
end

--- What else has the load of logins.
local LOGINS = { strace = true, busiest = true }

local function put(gateway, scenario, n)
  local arguments = scenario.load .. (scenario.mib and " -m " .. scenario.mib or "")
  local mode = LOGINS[scenario.mode] and "login" or scenario.mode
  return answer_of(run(words_of(gateway, scenario, mode, n, arguments)))
end

--- Sessions that are held until `close` is called; `tell(line)` writes to the generator's stdin and
-- returns what it says to that.
local function hold(gateway, scenario, mode, n, arguments)
  local out = os.tmpname()
  local log = out .. ".log"
  local command = table.concat(words_of(gateway, scenario, mode, n, arguments), " ")
  local generator = io.popen(("exec %s >%s 2>%s"):format(command, out, log), "w")
  local seen = 0
  local function next_line()
    for _ = 1, SECONDS * 20 do
      local text = read(out)
      local line = text:sub(seen + 1):match "^[^\n]*\n"
      if line then
        seen = seen + #line
        return answer_of(line)
      end
      child.run { "sleep", "0.05" }
    end
    error("mailload did not answer: " .. read(log))
  end
  next_line()
  return {
    tell = function(line)
      generator:write(line, "\n")
      generator:flush()
      return next_line()
    end,
    close = function()
      generator:close()
      os.remove(out)
      os.remove(log)
    end,
  }
end

local function login(gateway, scenario, n)
  local crowd = scenario.crowd and hold(gateway, scenario, "idle", scenario.crowd,
    "-P imap -c 32 -t " .. SECONDS)
  local pids = tree(gateway.process.pid)
  local before = cpu(pids)
  local result = put(gateway, scenario, n)
  child.run { "sleep", "0.2" } -- the last sessions end
  local used = cpu(pids) - before
  if crowd then crowd.close() end
  return result[scenario.figure] or used / 1000 / n
end

local function bulk(gateway, scenario, n)
  local pids = tree(gateway.process.pid)
  local before = cpu(pids)
  put(gateway, scenario, n)
  return (cpu(pids) - before) / 1000 / (n * scenario.mib)
end

--- Memory of sessions at rest, in a gateway that has just started and served enough to keep what it
-- keeps between logins.
local function idle(gateway, scenario, n)
  gateway:stop()
  gateway:start()
  put(gateway, { load = scenario.load, port = scenario.port, mode = "login" }, 1000)
  child.run { "sleep", "0.3" }
  local pids = tree(gateway.process.pid)
  local before = pss(pids)
  local held = hold(gateway, scenario, "idle", n, scenario.load)
  child.run { "sleep", "1" }
  local used = pss(pids) - before
  held.close()
  return used / n
end

--- How long the busiest process worked.
local function busiest(gateway, scenario, n)
  local pids, before, most = tree(gateway.process.pid), {}, 0
  for _, pid in ipairs(pids) do before[pid] = cpu { pid } end
  put(gateway, scenario, n)
  child.run { "sleep", "0.2" }
  for _, pid in ipairs(pids) do most = math.max(most, cpu { pid } - before[pid]) end
  return most / 1000 / n
end

local function ping(gateway, scenario, n)
  local held = hold(gateway, scenario, "ping", n, scenario.load)
  local pids = tree(gateway.process.pid)
  local before = cpu(pids)
  local result = held.tell "go"
  local used = cpu(pids) - before
  held.close()
  return result[scenario.figure] or used / 1000 / result.n
end

local function strace(gateway, scenario, n)
  local out = load.folder .. "/strace"
  local command = { "strace", "-c", "-f", "-o", out, log = out .. ".log" }
  for _, pid in ipairs(tree(gateway.process.pid)) do
    table.insert(command, "-p")
    table.insert(command, tostring(pid))
  end
  os.remove(out .. ".log")
  local tracer = child.start(command)
  tracer:expect("attached", STRACE_SECONDS)
  put(gateway, scenario, n)
  child.run { "sleep", "0.3" }
  tracer:stop(signal.SIGINT)
  local calls = 0
  for count, name in read(out):gmatch "\n *[%d.]+ +[%d.]+ +%d+ +(%d+)[ %d]- (%l[%w_]*)%f[\n]" do
    if name ~= "total" then calls = calls + count end
  end
  return calls / n
end

local function worker(gateway)
  for _, pid in ipairs(tree(gateway.process.pid)) do
    if read(("/proc/%d/cmdline"):format(pid)):find "@worker" then return pid end
  end
end

--- The longest that the worker did not wait for events, while the gateway reloaded five times: the
-- least of the five, as other programs hold it up too. An error if a session was lost.
local function stall(gateway, scenario, n)
  local out, least = load.folder .. "/strace", math.huge
  local held = hold(gateway, scenario, "ping", n, scenario.load .. " -r 100 -d 1")
  for _ = 1, 5 do
    local tracer = child.start { "strace", "-ttt", "-T", "-e", "trace=epoll_wait", "-o", out,
      "-p", tostring(worker(gateway)), log = out .. ".log" }
    tracer:expect("attached", STRACE_SECONDS)
    gateway:reload()
    child.run { "sleep", "1.5" }
    tracer:stop(signal.SIGINT)
    os.remove(out .. ".log")
    local most, waited_until = 0, nil
    for from, seconds in read(out):gmatch "\n([%d.]+) epoll_wait[^\n]*<([%d.]+)>" do
      if waited_until then most = math.max(most, from - waited_until) end
      waited_until = from + seconds
    end
    least = math.min(least, most)
  end
  held.tell "go" -- all are still there
  held.close()
  return least * 1e6
end

local MODES = { login = login, connect = login, busiest = busiest, bulk = bulk, idle = idle,
  ping = ping, stall = stall, strace = strace }

--- One figure of `scenario`, of a share of its sessions when `quick`.
function load.measure(gateway, scenario, quick)
  local n = scenario.n
  if quick and n > 300 and not scenario.all then n = n * QUICK_SHARE end
  return MODES[scenario.mode](gateway, scenario, n)
end

return load
