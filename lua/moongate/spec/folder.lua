--- A temporary folder with the configuration of a gateway under a spec: what is given as text, and
-- links to the files of the author's project.
local folder = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read "*l"
  pipe:close()
  return output
end

local function dirname(path) return path:match "^(.*)/" or "." end

-- A link to a folder becomes a folder of links, so that writing there leaves the project alone.
local SCRIPT = [[
set -e
open_up() {
  [ -L "$1" ] || { mkdir -p "$1"; return; }
  from=$(readlink "$1"); rm "$1"; mkdir "$1"; fill "$from" "$1"
}
fill() { find "$(cd "$1" && pwd)" -mindepth 1 -maxdepth 1 -exec ln -sf -t "$2" {} +; }
]]

--- Adds to `lines` what makes room for the file `name`.
local function make_room(lines, top, name)
  local path = top
  for part in name:gmatch "([^/]+)/" do
    path = path .. "/" .. part
    table.insert(lines, "open_up " .. quote(path))
  end
  table.insert(lines, "rm -f " .. quote(top .. "/" .. name))
end

--- Runs the lines, and writes the files that there is room for then.
local function put(top, lines, files)
  for name in pairs(files) do make_room(lines, top, name) end
  local ok = os.execute(table.concat(lines, "\n"))
  if ok ~= 0 and ok ~= true then error("the files can't be laid out in " .. top, 0) end
  for name, text in pairs(files) do
    local file = assert(io.open(top .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
end

--- The folder. `project` (may be nil) is the author's, all of which is found in it; `scripts` are
-- folders whose policies are too; `files` are texts by their names.
function folder.make(project, scripts, files)
  local top = output_of "mktemp -d /tmp/moongate-spec.XXXXXX"
  local lines = { SCRIPT }
  if project then table.insert(lines, ("fill %s %s"):format(quote(project), quote(top))) end
  for _, from in ipairs(scripts) do
    table.insert(lines, ("open_up %s; fill %s %s"):format(quote(top .. "/scripts"), quote(from),
      quote(top .. "/scripts")))
  end
  put(top, lines, files)
  return top
end

--- Puts more files into it. What they replace was a link, or is gone.
function folder.put(top, files) put(top, { SCRIPT }, files) end

function folder.remove(top) os.execute("rm -rf " .. quote(top)) end

folder.quote = quote

--- The text of a file, or nil and why not.
function folder.read(path)
  local file, message = io.open(path)
  if not file then return nil, message end
  local text = file:read "*a"
  file:close()
  return text
end

folder.dirname = dirname

return folder
