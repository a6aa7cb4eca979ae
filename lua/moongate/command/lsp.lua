--- `moongate lsp`: writes what editors and other tools need to help with policies.
local json_schema = require "moongate.describe.json_schema"
local json_text = require "moongate.describe.json_text"
local luacheck = require "moongate.describe.luacheck"
local luals = require "moongate.describe.luals"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate lsp [-o FOLDER]
       moongate lsp --luacheck | --json-schema

Writes .luarc.json and library/*.d.lua, with which lua-language-server helps
an editor with policies and configurations: completion, types, what is wrong.
A policy says "---@type moongate.Policy" before its table of hooks.

  -o, --output FOLDER   where to (.)
      --luacheck        print a .luacheckrc with the globals of policies instead
      --json-schema     print a JSON schema of the configuration instead
      --help            this text

Exit status: 0 done, 1 failed, 2 wrong usage.
]]

local function fail(message)
  io.stderr:write("moongate: ", message, "\n")
  return 1
end

local function make_folder(path)
  return os.execute(("mkdir -p '%s'"):format(path:gsub("'", "'\\''"))) == 0
end

local function write(path, text)
  local file, message = io.open(path, "w")
  if not file then return message end
  local written
  written, message = file:write(text)
  local closed, later = file:close()
  return not (written and closed) and (message or later) or nil
end

local function write_all(folder)
  if not (make_folder(folder .. "/library/moongate/compat")) then
    return fail(folder .. ": no folder can be made there")
  end
  local files = { [".luarc.json"] = json_text(luals.settings) }
  for name, text in pairs(luals.files()) do files["library/" .. name] = text end
  for name, text in pairs(files) do
    local message = write(folder .. "/" .. name, text)
    if message then return fail(message) end
  end
  return 0
end

local given, rest = options.read({ ... }, {
  command = "lsp", help = HELP,
  { "output", "o", value = true }, { "luacheck" }, { "json-schema" },
})
if not given then return rest end
if rest[1] then return options.wrong("lsp", ("%q is one argument too many"):format(rest[1])) end
if given.luacheck then
  io.stdout:write(luacheck())
elseif given["json-schema"] then
  io.stdout:write(json_text(json_schema()))
else
  return write_all(given.output or ".")
end
return 0
