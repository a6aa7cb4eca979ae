--- nginx.conf files of a spec: the gateway that `moongate import` makes of one, and the real nginx.
--
--     local gw = nginx.import { mail = "server { listen 127.0.0.1:@imap; ... }" }
--     gw.at.imap        -- the port that stands for @imap
--     gw.output         -- what import said
--     local gw = nginx.run { mail = ... }           -- the same by `moongate run --nginx`
--     local real = nginx.start { mail = ... }       -- the same, with ports of its own
--
-- Options: `mail`, what stands in mail{}, or a function that makes it for each of them; `main`,
-- what stands above it; `files`, further files by name; `ports`, those of other servers by name. In
-- the text @folder is the folder of nginx.conf.
-- `gw` is a spec.support.gateway.
local child = require "spec.support.child"
local command = require "spec.support.command"
local gateway = require "spec.support.gateway"
local ports = require "spec.support.ports"

-- What nginx needs, and Moongate has no use for.
local HEAD = [[
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
]]

local MAIN = [[
user root;
master_process off;
error_log stderr info;
pid nginx.pid;
events { worker_connections 256; }
]]

local nginx = {}
nginx.__index = nginx

--- The text with a port in place of each @name, in small letters, and all of these.
local function fill(text, known, folder)
  local at = {}
  for name, port in pairs(known or {}) do at[name] = port end
  text = text:gsub("@folder", folder)
  return (text:gsub("@(%l%w*)", function(name)
    at[name] = at[name] or ports.free()
    return tostring(at[name])
  end)), at
end

--- A new folder with nginx.conf and the options' files, and the port of each @name.
local function write(options, head)
  local folder = command.folder(options.files or {})
  local mail = type(options.mail) == "function" and options.mail() or options.mail
  local text, at = fill((head or "") .. (options.main or "") .. "\nmail {\n" .. mail .. "\n}\n",
    options.ports, folder)
  local file = assert(io.open(folder .. "/nginx.conf", "w"))
  file:write(text)
  file:close()
  return folder, at
end

--- Runs `moongate import` on it: its output and exit status, and the folder; `words`, further
-- ones of its command line.
function nginx.convert(options)
  local folder, at = write(options)
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

--- The gateway that serves the nginx.conf itself.
function nginx.run(options)
  local folder, at = write(options, options.main and HEAD)
  local words = {}
  for i, word in ipairs(options.words or {}) do words[i] = word:gsub("@folder", folder) end
  local gw = gateway.start { folder = folder, nginx = true, words = words }
  gw.at, gw.above = at, folder
  return gw
end

--- Ends such a gateway, and all of its files.
function nginx.discard(gw)
  gw:stop()
  command.remove(gw.above)
end

--- The real one, once it accepts. It must log notices to standard error.
function nginx.start(options)
  local folder, at = write(options, HEAD .. (options.main and "" or MAIN))
  return setmetatable({ folder = folder, at = at }, nginx):launch()
end

--- Starts it, for the first time or again.
function nginx:launch()
  self.process = child.start { "/usr/sbin/nginx", "-e", "stderr", "-p", self.folder, "-c",
    self.folder .. "/nginx.conf", log = self.folder .. "/log" }
  self.process:expect("(using the \"epoll\" event method)", 20)
  return self
end

function nginx:stop()
  self.process:stop()
  command.remove(self.folder)
end

return nginx
