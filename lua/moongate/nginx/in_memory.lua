--- What `moongate run --nginx` serves: the configuration that `moongate import` would write.
local convert = require "moongate.nginx.convert"
local files = require "moongate.nginx.files"
local origins = require "moongate.nginx.origins"

local in_memory = {}

--- Of nginx.conf: { path = a name beside it, text =, secrets = { [path] = text }, report = }; or
-- nil and all mistakes as one text.
function in_memory.read(path, prefix)
  local made, mistakes = convert.file(path, prefix)
  if not made then
    local lines = {}
    for i, mistake in ipairs(mistakes) do
      lines[i] = ("%s:%d: %s"):format(mistake.path, mistake.line, mistake.text)
    end
    return nil, table.concat(lines, "\n")
  end
  local secrets, folder = {}, files.folder(made.path)
  for name, text in pairs(made.secrets) do secrets[folder .. "/" .. name] = text end
  return { path = origins.path(made.path), text = made.text, secrets = secrets }
end

--- Errors of what `read` gave, at the lines of nginx.conf.
function in_memory.place(made, errors)
  local lines = {}
  for line in errors:gmatch "[^\n]+" do
    local path, number, message = line:match "^(/.-):(%d+): (.*)$"
    local origin, at
    if path == made.path then
      origin, at = origins.of(made, tonumber(number))
    elseif not path then
      message, origin, at = line, origins.of_message(made, line)
    end
    if origin then line = ("%s:%d: %s"):format(origin, at, message) end
    table.insert(lines, line)
  end
  return table.concat(lines, "\n")
end

return in_memory
