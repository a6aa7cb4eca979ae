--- nginx.conf files of a spec: the gateway that `moongate import` makes of one, and the real nginx.
--
--     local gw = nginx.import { mail = "server { listen 127.0.0.1:@imap; ... }" }
--     gw.at.imap        -- the port that stands for @imap
--     gw.report         -- what import said
--     local real = nginx.start { mail = ... }       -- the same, with ports of its own
--
-- Options: `mail`, what stands in mail{}; `main`, what stands above it; `files`, further files by
-- name; `ports`, those of other servers by name. `gw` is a spec.support.gateway.
local child = require "spec.support.child"
local command = require "spec.support.command"
local gateway = require "spec.support.gateway"
local tcp = require "spec.support.tcp"

local MODULE = "/usr/lib/nginx/modules/ngx_mail_module.so"

local nginx = {}
nginx.__index = nginx

local function free_port()
  local fd = tcp.listen "127.0.0.1"
  local port = tcp.port(fd)
  tcp.close(fd)
  return port
end

--- The text with a port in place of each @name, and all of these.
local function fill(text, known)
  local at = {}
  for name, port in pairs(known or {}) do at[name] = port end
  return (text:gsub("@(%w+)", function(name)
    at[name] = at[name] or free_port()
    return tostring(at[name])
  end)), at
end

local function folder_of(options, text)
  local files = { ["nginx.conf"] = text }
  for name, content in pairs(options.files or {}) do files[name] = content end
  return command.folder(files)
end

--- Runs `moongate import` on it: its output and exit status, and the folder; `words`, further
-- ones of its command line.
function nginx.convert(options)
  local text, at = fill((options.main or "") .. "\nmail {\n" .. options.mail .. "\n}\n",
    options.ports)
  local folder = folder_of(options, text)
  local output, status = command.run("import nginx.conf -o out " .. (options.words or ""),
    { folder = folder })
  return { output = output, status = status, folder = folder, at = at }
end

--- The configuration that was written.
function nginx.written(made)
  local file = assert(io.open(made.folder .. "/out/moongate.lua"), made.output)
  local text = file:read "*a"
  file:close()
  return text
end

--- The gateway that serves what was imported.
function nginx.import(options)
  local made = nginx.convert(options)
  if made.status ~= 0 then
    command.remove(made.folder)
    error("moongate import: " .. made.output, 2)
  end
  local gw = gateway.start { folder = made.folder .. "/out" }
  gw.at, gw.output, gw.above = made.at, made.output, made.folder
  return gw
end

--- Ends such a gateway, and all of its files.
function nginx.discard(gw)
  gw:stop()
  command.remove(gw.above)
end

local MAIN = [[
load_module %s;
user root;
daemon off;
master_process off;
error_log stderr info;
pid nginx.pid;
events { worker_connections 256; }
%s
mail {
%s
}
]]

--- The real one, once it accepts.
function nginx.start(options)
  local text, at = fill(MAIN:format(MODULE, options.real_main or "", options.mail), options.ports)
  local folder = folder_of(options, text)
  local process = child.start { "/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c",
    folder .. "/nginx.conf", log = folder .. "/log" }
  process:expect("(using the \"epoll\" event method)", 20)
  return setmetatable({ process = process, folder = folder, at = at }, nginx)
end

function nginx:stop()
  self.process:stop()
  command.remove(self.folder)
end

return nginx
