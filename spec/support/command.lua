--- Runs a command of the built binary to its end, over files of its own, while the servers of the
-- spec go on.
--
--     local folder = command.folder { ["moongate.lua"] = "...", ["scripts/a.lua"] = "..." }
--     local output, status = command.run("try imap --user a", { folder = folder, input = "pw\n" })
--     command.remove(folder)
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local command = {}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- A new folder with these files.
function command.folder(files)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-command-XXXXXX")
  for name, text in pairs(files) do
    for parent in name:gmatch "()/" do stat.mkdir(folder .. "/" .. name:sub(1, parent), 493) end
    write(folder .. "/" .. name, text)
  end
  return folder
end

function command.remove(folder) os.execute("rm -rf '" .. folder .. "'") end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or unistd.getcwd() .. "/" .. path
end

--- Starts it; `arguments` as for a shell. Its output goes to `process.log`.
function command.start(arguments, options)
  local log = os.tmpname()
  write(options.folder .. "/input", options.input or "")
  return child.start { "/bin/sh", "-c", ('exec "$0" %s <input'):format(arguments),
    absolute(gateway.binary()), log = log, directory = options.folder,
    environment = options.environment }
end

--- Waits for the end of what was started: all that it wrote, and its exit status.
function command.finish(process)
  local function over() return not process:is_running() end
  loop.watch(process.pidfd, { reading = true, on_readable = over })
  local fine, message = pcall(loop.wait, "the end of the command", over, 30)
  loop.forget(process.pidfd)
  process:stop(9)
  local output = process:output()
  os.remove(process.log)
  if not fine then error(message .. "\n" .. output, 0) end
  return output, process.code
end

function command.run(arguments, options)
  return command.finish(command.start(arguments, options))
end

return command
