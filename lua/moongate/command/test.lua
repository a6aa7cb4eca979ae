--- `moongate test`: busted in the gateway's own Lua, for specs that use `moongate.spec`.
local HELP = [[
Usage: moongate test [OPTION...] [FILE|FOLDER...]

Runs specs of policies (by default those in spec/) with busted, in the
interpreter that policies run in. All of busted's options are taken;
`moongate test --help` tells this, `busted --help` the options.

Exit status: 0 all passed, 1 some did not.
]]

for _, word in ipairs { ... } do
  if word == "--help" or word == "-h" then
    io.stdout:write(HELP)
    return 0
  end
end

local found, runner = pcall(require, "busted.runner")
if not found then
  io.stderr:write "moongate: busted is not installed (Debian: lua-busted)\n"
  return 1
end
table.insert(arg, 1, "--ignore-lua")
runner { standalone = false }
