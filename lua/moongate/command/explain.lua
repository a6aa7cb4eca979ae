--- `moongate explain`: what a name of the API or of the configuration means.
local describe = require "moongate.describe"
local options = require "moongate.command.options"
local pages = require "moongate.describe.pages"
local terminal = require "moongate.describe.terminal"

local HELP = [[
Usage: moongate explain [NAME]

Tells what a name means that policies or configurations use: a hook, one of
its answers, a decision, a field of an object, a module, a function, a key of
moongate.lua. Without a name it lists what there is.

  moongate explain auth.reject
  moongate explain session.tls
  moongate explain listen.limits.hook_timeout
  moongate explain http.get

Exit status: 0 done, 1 there is no such name, 2 wrong usage.
]]

local MANY = 3 -- pages at once; of more only the names are listed

local GROUPS = {
  { "hook", "Hooks" }, { "decision", "Decisions" }, { "reason", "Reasons of a reject" },
  { "class", "Objects" }, { "module", "Modules" }, { "section", "Configuration" },
}

local function list_all()
  for _, group in ipairs(GROUPS) do
    local rows = {}
    for _, entry in ipairs(describe.entries()) do
      if entry.kind == group[1] then rows[#rows + 1] = { entry.name, entry[entry.kind].doc } end
    end
    io.stdout:write(group[2], "\n", terminal.list(rows), "\n")
  end
  io.stdout:write "moongate explain NAME tells more about one, or about a name in it.\n"
  return 0
end

local function tell(name, entries)
  if #entries > MANY then
    io.stdout:write(("%q is:\n"):format(name))
    for _, entry in ipairs(entries) do io.stdout:write("  ", entry.name, "\n") end
    return 0
  end
  for i, entry in ipairs(entries) do
    io.stdout:write(i > 1 and "\n" or "", terminal.page(pages.of(entry)))
  end
  return 0
end

local given, rest = options.read({ ... }, { command = "explain", help = HELP })
if not given then return rest end
if #rest > 1 then return options.wrong("explain", ("%q is one name too many"):format(rest[2])) end
if not rest[1] then return list_all() end

local entries = describe.find(rest[1])
if #entries > 0 then return tell(rest[1], entries) end
local near = describe.near(rest[1], require "moongate.core".nearest)
io.stderr:write(("moongate: there is no %q"):format(rest[1]),
  near and (" (did you mean %q?)"):format(near) or "", "\n")
return 1
