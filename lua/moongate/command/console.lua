--- `moongate console`: a Lua prompt in the state of a configuration's policies.
local describe = require "moongate.describe"
local host = require "moongate.spec.host"
local line_editor = require "moongate.command.line_editor"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate console [-c FILE] [--env NAME]

A Lua prompt in the environment of the policies of a configuration, which
serves nobody meanwhile.  The modules are at hand by their short names
(http.get), and what waits is waited for.  Values are shown, but secrets are
not.  What is typed may go on over several lines; Ctrl-D ends.  At a terminal
there are a history and, by the Tab key, names; otherwise standard input is
read to its end.

  -c, --config FILE   configuration (/etc/moongate/moongate.lua)
      --env NAME      the environment that is laid over it
      --help          this text

Exit status: 0 done, 1 the configuration is wrong or, where standard input is
no terminal, something failed; 2 wrong usage.
]]

local given, rest = options.read({ ... }, {
  command = "console", help = HELP, { "config", "c", value = true }, { "env", value = true },
})
if not given then return rest end
if rest[1] then return options.wrong("console", ("%q is one argument too many"):format(rest[1])) end

local gateway, errors = host.open(given.config or "/etc/moongate/moongate.lua",
  { live = true, disk = true, environment = given.env }, function() end)
if not gateway then
  io.stderr:write(errors, errors:match "\n$" and "" or "\n")
  return 1
end

-- Names for the Tab key ---------------------------------------------------------

local MODULES = {}
for _, module in ipairs(describe.modules) do
  local name = module.name:gsub("^moongate%.", "")
  if name ~= "spec" and name ~= "config" then MODULES[name] = describe.module(module.name) end
end

local function add_names(names, from, prefix, start)
  for name in pairs(from) do
    if type(name) == "string" and name:sub(1, #start) == start then
      names[#names + 1] = prefix .. name
    end
  end
end

--- All that may stand for `word`, the beginning of a name.
local function complete(word)
  local prefix, start = word:match "^(.*[.:])([^.:]*)$"
  prefix, start = prefix or "", start or word
  local path = prefix:gsub("[.:]$", "")
  local names, known = {}, describe.globals "policy"
  local typed = {}
  for name in (gateway:call("names", path) or ""):gmatch "[^\n]+" do typed[name] = true end
  add_names(names, typed, prefix, start)
  if path == "" then
    add_names(names, known, prefix, start)
    add_names(names, MODULES, prefix, start)
  else
    local of = MODULES[path] or known[path]
    if type(of) == "table" then add_names(names, of, prefix, start) end
  end
  table.sort(names)
  return names
end

-- The prompt --------------------------------------------------------------------

local failed = false

local function tell(stream, text)
  if text ~= "" then stream:write(text, text:match "\n$" and "" or "\n") end
  stream:flush()
end

--- A message, and of its traceback what is not the console's own.
local function without_own_frames(message)
  local lines = {}
  for line in (message .. "\n"):gmatch "([^\n]*)\n" do
    local own = line:match "^\t.*/moongate/%l+%.lua:" or line:match "^\tconsole:"
      or line:match "^\t%[C%]:"
    if not own then lines[#lines + 1] = line end
  end
  if lines[#lines] == "stack traceback:" then lines[#lines] = nil end
  return table.concat(lines, "\n")
end

--- Runs `text`; true if it is only a beginning, and `more` may come.
local function run(text, more)
  local shown, message, unfinished = gateway:run(text)
  if not shown and unfinished and more then return true end
  tell(io.stderr, host.logged())
  if shown then
    tell(io.stdout, shown)
  else
    failed = true
    tell(io.stderr, without_own_frames(message))
  end
end

local editor = line_editor.new(complete)
host.logged() -- what was logged while the configuration was read
local text
while true do
  local line = editor:read(text and ">> " or "> ")
  if not line then break end
  text = text and text .. "\n" .. line or line
  if not text:match "%S" or not run(text, true) then text = nil end
end
if text then run(text, false) end
return failed and not editor.interactive and 1 or 0
