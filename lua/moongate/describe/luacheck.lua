--- What luacheck takes for policies and configurations, as the text of a .luacheckrc.
local describe = require "moongate.describe"

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function quoted(names)
  local words = {}
  for i, name in ipairs(names) do words[i] = ("%q"):format(name) end
  return words
end

local function add_standard(lines, name, kind)
  local globals = describe.globals(kind)
  lines[#lines + 1] = ("stds.%s = {\n  read_globals = {"):format(name)
  for _, global in ipairs(sorted(globals)) do
    local members = globals[global]
    if members == true then
      lines[#lines + 1] = ("    %q,"):format(global)
    else
      lines[#lines + 1] = ("    %s = { fields = { %s } },"):format(global,
        table.concat(quoted(sorted(members)), ", "))
    end
  end
  lines[#lines + 1] = "  },\n}"
end

return function()
  local lines = { "-- Written by `moongate lsp --luacheck`." }
  add_standard(lines, "moongate", "policy")
  add_standard(lines, "moongate_configuration", "configuration")
  lines[#lines + 1] = 'std = "moongate"'
  lines[#lines + 1] = 'files["**/moongate.lua"] = { std = "moongate_configuration" }'
  return table.concat(lines, "\n") .. "\n"
end
