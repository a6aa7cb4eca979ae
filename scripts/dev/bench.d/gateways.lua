--- The gateways that scripts/dev/bench compares: one worker (`pair`: two), on CPU 0, the same
--- certificate and ciphers, no log of sessions; upstreams are not told who the client is.
local child = require "moongate.spec.child"
local signal = require "posix.signal"
local stat = require "posix.sys.stat"

local gateways = { ports = { auth = 21080, imap = 21143, pop3 = 21110, smtp = 21587 } }

local CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
local FIRST_PORT, PORTS_EACH, DESCRIPTORS = 22000, 20, 20000
local NGINX_MODULE = "/usr/lib/nginx/modules/ngx_mail_module.so"

local MOONGATE = [[
local c = require "moongate.config"
local tls = { mode = "implicit", certificate = "$certificate", key = "$key",
  ciphers = "$ciphers" }
local function listen(protocol, port, tls)
  return c.listen(tls and "imaps" or protocol) { address = "127.0.0.1:" .. port,
    protocol = protocol, policy = { "$policy" }, forward = "off", tls = tls }
end
return c.gateway {
  workers = $workers, max_sessions = 20000, log = { level = "warn" }, shutdown_timeout = 1,
  settings = { auth_http = { url = "http://127.0.0.1:$auth/auth", keepalive = 64 } },
  listen("imap", $imap), listen("pop3", $pop3), listen("smtp", $smtp), listen("imap", $tls, tls),
}
]]

local TABLE = [[
local moongate = require "moongate"
local users = {
  ["user@example.org"] = { password = "secretpass", upstream = "127.0.0.1:$backend" },
}
return { auth = function(_, credentials)
  local user = users[credentials.user]
  if not user or not credentials.password:equals(user.password) then
    return moongate.reject { reason = "bad-credentials" }
  end
  return moongate.accept { upstream = user.upstream }
end }
]]

local NGINX = [[
load_module $module;
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off; pid $folder/nginx.pid; error_log $folder/error.log crit;
events { worker_connections 19500; use epoll; multi_accept on; accept_mutex off; }
mail {
  server_name mail.example.org;
  auth_http 127.0.0.1:$auth/auth;
  proxy_smtp_auth on; xclient off; proxy_pass_error_message off; proxy_buffer $buffer;
  imap_auth plain login; pop3_auth plain; smtp_auth plain login;
  ssl_session_cache shared:SSL:10m; ssl_session_timeout 1h; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ciphers $ciphers; ssl_certificate $certificate; ssl_certificate_key $key;
  server { listen 127.0.0.1:$imap backlog=4096; protocol imap; }
  server { listen 127.0.0.1:$pop3 backlog=4096; protocol pop3; }
  server { listen 127.0.0.1:$smtp backlog=4096; protocol smtp; }
  server { listen 127.0.0.1:$tls ssl backlog=4096; protocol imap; }
}
]]

local HAPROXY = [[
global
  nbthread 1
  maxconn 9500
  ssl-default-bind-ciphers $ciphers
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  maxconn 9500
  option splice-auto
listen imap
  bind 127.0.0.1:$imap backlog 4096
  bind 127.0.0.1:$tls backlog 4096 ssl crt $pem
  server s 127.0.0.1:$backend
]]

local function exists(path) return stat.stat(path) ~= nil end

local function fill(text, values)
  return (text:gsub("%$(%w+)", function(name) return assert(values[name], name) end))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function moongate(self, values)
  stat.mkdir(self.folder .. "/scripts", 493)
  write(self.folder .. "/scripts/table.lua", fill(TABLE, values))
  values.policy = self.kind == "local" and "table" or "auth_http"
  values.workers = self.kind == "pair" and "2" or "1"
  return { self.root .. "/build/release/moongate", "run", "-c",
    write(self.folder .. "/moongate.lua", fill(MOONGATE, values)) }
end

local function nginx(self, values)
  values.module, values.buffer = NGINX_MODULE, self.kind == "nginx" and "4k" or "16k"
  local path = write(self.folder .. "/nginx.conf", fill(NGINX, values))
  return { "/usr/sbin/nginx", "-e", self.folder .. "/error.log", "-c", path }
end

local function haproxy(self, values)
  return { "/usr/sbin/haproxy", "-db", "-q", "-f",
    write(self.folder .. "/haproxy.cfg", fill(HAPROXY, values)) }
end

local KINDS = {
  { kind = "nginx", command = nginx, needs = NGINX_MODULE },
  { kind = "nginx-16k", command = nginx, needs = NGINX_MODULE },
  { kind = "moongate", command = moongate, needs = "/" },
  { kind = "local", command = moongate, needs = "/" },
  { kind = "pair", command = moongate, needs = "/" },
  { kind = "haproxy", command = haproxy, needs = "/usr/sbin/haproxy" },
}

--- On one CPU, with room for sessions; the load is on the others.
function gateways.on_cpu(cpus, command)
  local words = { "prlimit", ("--nofile=%d:%d"):format(DESCRIPTORS, DESCRIPTORS), "taskset", "-c",
    cpus }
  for _, word in ipairs(command) do table.insert(words, word) end
  return words
end

local function await_port(port)
  local probe = ("exec 3<>/dev/tcp/127.0.0.1/%d"):format(port)
  for _ = 1, 100 do
    if child.run { "bash", "-c", probe } == 0 then return end
    child.run { "sleep", "0.05" }
  end
  error("nobody accepts on port " .. port)
end

local gateway = {}
gateway.__index = gateway

function gateway:start()
  self.words.log = self.folder .. "/log"
  self.process = child.start(self.words)
  await_port(self.ports.imaps)
end

function gateway:reload() signal.kill(self.process.pid, signal.SIGHUP) end

function gateway:stop() self.process:stop() end

local function new(n, entry, root, folder)
  local own, base = folder .. "/" .. entry.kind, FIRST_PORT + n * PORTS_EACH
  stat.mkdir(own, 493)
  local self = setmetatable({ kind = entry.kind, root = root, folder = own,
    ports = { imap = base, pop3 = base + 1, smtp = base + 2, imaps = base + 3 } }, gateway)
  self.words = gateways.on_cpu("0", entry.command(self, {
    auth = gateways.ports.auth, backend = gateways.ports.imap, folder = own, ciphers = CIPHERS,
    imap = base, pop3 = base + 1, smtp = base + 2, tls = base + 3,
    certificate = folder .. "/mail.crt", key = folder .. "/mail.key", pem = folder .. "/mail.pem",
  }))
  return self
end

--- Those that are installed, started.
function gateways.start_all(root, folder)
  local all = {}
  for n, entry in ipairs(KINDS) do
    if exists(entry.needs) then
      local one = new(n - 1, entry, root, folder)
      one:start()
      table.insert(all, one)
    end
  end
  return all
end

function gateways.stop_all(all)
  for _, one in ipairs(all) do one:stop() end
end

return gateways
