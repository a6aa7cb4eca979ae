--- Which lines of policies have run: `moongate test --coverage FILE`.
--
-- The host counts the lines that run, by the path that the policy had while its gateway was built.
-- Counted are files of the author's project: those under the current folder.
local host = require "moongate.spec.host"
local folder = require "moongate.spec.folder"

local coverage = {}

local real = {} -- path in a temporary folder -> path in the project
local seen = {} -- paths of the project
local output    -- the file to write

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local here

--- The policies of a gateway that was built from the folder `top`, which still exists.
function coverage.note(paths)
  if not output or #paths == 0 then return end
  local quoted = {}
  for i, path in ipairs(paths) do quoted[i] = folder.quote(path) end
  local targets = lines_of("realpath -- " .. table.concat(quoted, " "))
  for i, path in ipairs(paths) do
    if targets[i] and targets[i]:sub(1, #here + 1) == here .. "/" then
      real[path] = targets[i]:sub(#here + 2)
      seen[real[path]] = true
    end
  end
end

-- The lines that have code ----------------------------------------------------

local function add_lines(proto, lines)
  local util = require "jit.util"
  local info = util.funcinfo(proto)
  for at = 1, info.bytecodes - 1 do
    local line = util.funcinfo(proto, at).currentline
    if line and line > 0 then lines[line] = true end
  end
  for k = -1, -info.gcconsts, -1 do
    local child = util.funck(proto, k)
    if type(child) == "proto" then add_lines(child, lines) end
  end
end

local function code_lines(path)
  local lines = {}
  local chunk = loadfile(path)
  if chunk then add_lines(chunk, lines) end
  return lines
end

-- The report ------------------------------------------------------------------

--- { [path] = { [line] = how often } }
local function counts()
  local all = {}
  for path in pairs(seen) do
    all[path] = {}
    for line in pairs(code_lines(path)) do all[path][line] = 0 end
  end
  for path, lines in pairs(host.covered()) do
    local file = all[real[path] or ""]
    for line, count in pairs(file and lines or {}) do
      if file[line] then file[line] = file[line] + count end
    end
  end
  return all
end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function percent(hit, all) return all == 0 and 100 or 100 * hit / all end

--- Writes one file's part; how many lines have run, and how many there are.
local function write_file(out, path, lines)
  local hit = 0
  out:write("SF:", here, "/", path, "\n")
  local numbers = sorted(lines)
  for _, line in ipairs(numbers) do
    out:write(("DA:%d,%d\n"):format(line, lines[line]))
    if lines[line] > 0 then hit = hit + 1 end
  end
  out:write(("LH:%d\nLF:%d\nend_of_record\n"):format(hit, #numbers))
  return hit, #numbers
end

function coverage.finish()
  local all = counts()
  local out = assert(io.open(output, "w"))
  local hits, lines = 0, 0
  out:write "TN:\n"
  io.stdout:write "\nLines of policies that ran:\n"
  for _, path in ipairs(sorted(all)) do
    local hit, count = write_file(out, path, all[path])
    hits, lines = hits + hit, lines + count
    io.stdout:write(("%6.1f %%  %5d of %5d  %s\n"):format(percent(hit, count), hit, count, path))
  end
  io.stdout:write(("%6.1f %%  %5d of %5d  in all\n"):format(percent(hits, lines), hits, lines))
  out:close()
end

--- Counts from now on, and writes `file` when busted has run.
function coverage.begin(file)
  output = file
  here = lines_of("realpath .")[1]
  host.cover()
  local make = require "busted.core"
  package.loaded["busted.core"] = function()
    local busted = make()
    busted.subscribe({ "exit" }, function()
      coverage.finish()
      return nil, true
    end)
    return busted
  end
end

return coverage
