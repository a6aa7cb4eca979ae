--- `moongate test`: busted in the gateway's own Lua, for specs that use `moongate.spec`.
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate test [--coverage FILE] [OPTION...] [FILE|FOLDER...]

Runs specs of policies (by default those in spec/) with busted, in the
interpreter that policies run in.  As in policies, a global that nobody has
defined is an error, and so is to assign one.

  --coverage FILE   write which lines of policies ran to FILE, in the format of
                    lcov, and a summary to standard output
  --help            this text

All other options are busted's (`busted --help`); a file .busted here may set
them.

Exit status: 0 all passed, 1 some did not or busted is missing, 2 wrong usage.
]]

--- Takes our own options out of `words`: --coverage.
local function split(words)
  local rest, coverage = {}, nil
  local i = 1
  while i <= #words do
    local word = words[i]
    local file = word:match "^%-%-coverage=(.*)$"
    if word == "--coverage" then
      i = i + 1
      file = words[i] or ""
    end
    if file then coverage = file else rest[#rest + 1] = word end
    i = i + 1
  end
  return rest, coverage
end

for _, word in ipairs { ... } do
  if word == "--help" or word == "-h" then
    io.stdout:write(HELP)
    return 0
  end
end
local rest, coverage = split { ... }
if coverage == "" or coverage and coverage:match "^%-" then
  return options.wrong("test", "--coverage: the name of a file is missing")
end

local found, runner = pcall(require, "busted.runner")
if not found then
  io.stderr:write "moongate: busted is not installed (Debian: lua-busted)\n"
  return 1
end

require("moongate.spec.strict").guard()
if coverage then require("moongate.spec.coverage").begin(coverage) end
arg = rest -- luacheck: ignore
table.insert(arg, 1, "--ignore-lua")
runner { standalone = false }
