--- Runs `moongate check` over the files of a temporary folder, while the spec's servers go on.
--
--     local code, text = check.run {
--       files = { ["moongate.lua"] = "...", ["scripts/users.lua"] = "..." },
--       "--strict", "--env", "staging",                -- words of the command line
--       environment = { API_KEY = "k3y" }, errors = false,    -- false: standard output alone
--     }
--
-- The folder's name is cut from the text.
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"

local check = {}

--- A configuration of one listener; `more` are further keys of the gateway, `listener` of it.
function check.configuration(more, listener)
  return ([[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  c.listen "one" { address = "127.0.0.1:0", protocol = "imap", policy = "policy",%s },
%s
}
]]):format(listener or "", more or "")
end

--- A policy that returns these hooks.
function check.policy(hooks)
  return "local moongate = require \"moongate\"\nreturn {\n" .. (hooks or "") .. "\n}\n"
end

function check.folder(files)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-check-XXXXXX")
  for name, text in pairs(files) do
    local path = folder .. "/" .. name
    stat.mkdir(path:match "^(.*)/", 493)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end
  return folder
end

local function await(program)
  local ended = false
  loop.watch(program.pidfd, { reading = true, on_readable = function()
    loop.forget(program.pidfd)
    ended = true
  end })
  loop.wait("the end of moongate check", function() return ended end, 60)
  return program:wait()
end

function check.run(options)
  local files = options.files or {}
  files["moongate.lua"] = files["moongate.lua"] or check.configuration()
  files["scripts/policy.lua"] = files["scripts/policy.lua"] or check.policy()
  local folder = check.folder(files)
  local silence = options.errors == false and " 2>/dev/null" or ""
  local words = { "sh", "-c", "exec \"$@\"" .. silence, "sh", gateway.binary(), "check", "-c",
    folder .. "/moongate.lua", unpack(options) }
  words.environment = options.environment
  words.log = os.tmpname()
  local program = child.start(words)
  local code = await(program)
  local text = program:output():gsub(folder:gsub("%p", "%%%0") .. "/", "")
  program:stop()
  os.remove(words.log)
  os.execute("rm -rf " .. folder)
  return code, text
end

return check
