--- Which line of nginx.conf a line of the configuration comes from that was made of it. It says so
-- itself, in a comment: `-- nginx.conf:12`.
local files = require "moongate.nginx.files"

local SUFFIX = ".lua"

local origins = {}

--- The name of what is made of an nginx.conf and not written.
function origins.path(path) return path .. SUFFIX end

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do table.insert(lines, line) end
  return lines
end

--- Path and line, for a line of `made`, { path =, text = }. A line that does not say where it comes
-- from belongs to the value above it; what is above all values of its table, to the first of them.
function origins.of(made, number)
  local lines = lines_of(made.text)
  local at, step = number, -1
  while lines[at] do
    local path, line = lines[at]:match "%-%- (%S+):(%d+)$"
    if path then return files.below(files.folder(made.path), path), tonumber(line) end
    if step < 0 and lines[at]:find "{$" then step = 1 end
    at = at + step
  end
  return made.path:sub(1, -#SUFFIX - 1), 1
end

--- The same for a message about `made` that names no line, but a file or a listener; or nil.
function origins.of_message(made, message)
  local lines = lines_of(made.text)
  local file = message:match "(/[^%s\":]+)"
  local listener = message:match "^listen (\"[^\"]+\")"
  local inside = false
  for number, line in ipairs(lines) do
    inside = inside or listener and line:find("c.listen " .. listener, 1, true)
    local is_there = inside and (not file or line:find(file, 1, true))
    if is_there or not listener and file and line:find("\"" .. file .. "\"", 1, true) then
      return origins.of(made, number)
    end
  end
end

--- For files that were read, { path =, text = } each: a function that takes path and line of what
-- was made, and gives those of nginx.conf; of another file they stay.
function origins.finder(read)
  local made = {}
  for _, file in ipairs(read) do
    if file.kind == "config" and file.path:sub(-#SUFFIX) == SUFFIX then made[file.path] = file end
  end
  return function(path, line)
    if made[path] and line then return origins.of(made[path], line) end
    return path, line
  end
end

return origins
