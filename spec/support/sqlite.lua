--- An SQLite database in a temporary folder, made and changed by Debian's `sqlite3`.
--
--     local db = require("spec.support.sqlite").start { sql = "create table users (...);" }
--     db.path, db:ask "select 1", db:replace "create table ..."
--     local release = db:begin "begin exclusive;"     -- another process, until `release()`
--     db:stop()
--
-- The folder and what is in it belong to the user of workers (nobody), unless `foreign`: then a
-- worker can only read the file.
local child = require "spec.support.child"
local pwd = require "posix.pwd"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local sqlite = {}
sqlite.__index = sqlite

local function run(path, text)
  local code, output = child.run { "sqlite3", "-bail", path, text }
  assert(code == 0, output)
  return (output:gsub("\n$", ""))
end

local function own(path, foreign)
  if foreign or unistd.geteuid() ~= 0 then return end
  local nobody = pwd.getpwnam "nobody"
  unistd.chown(path, nobody.pw_uid, nobody.pw_gid)
end

function sqlite:ask(text) return run(self.path, text) end

--- Puts another file in the place of this one, as a program that makes it anew would.
function sqlite:replace(text)
  local next_one = self.path .. ".next"
  run(next_one, text)
  own(next_one, self.foreign)
  assert(os.rename(next_one, self.path))
end

--- The same with what need not be a database.
function sqlite:write(bytes)
  local file = assert(io.open(self.path .. ".next", "w"))
  file:write(bytes)
  file:close()
  assert(os.rename(self.path .. ".next", self.path))
end

--- Starts a program that reads statements, lines of text.
local function start(self, lines)
  self.runs = self.runs + 1
  local script = ("%s/script%d"):format(self.folder, self.runs)
  local file = assert(io.open(script, "w"))
  file:write(lines)
  file:close()
  local process = child.start { "sqlite3", "-bail", "-cmd", ".timeout 20000", self.path,
    ".read " .. script, log = ("%s/log%d"):format(self.folder, self.runs) }
  table.insert(self.processes, process)
  return process
end

--- Another process that has run these statements and keeps the file open; the result ends it, after
-- `last`.
function sqlite:begin(statements, last)
  local gate = ("%s/gate%d"):format(self.folder, self.runs)
  assert(stat.mkfifo(gate, 384))
  local process = start(self, ("%s\n.shell echo begun\n.shell cat %s\n%s\n")
    :format(statements, gate, last or ""))
  process:expect("(begun)", 20)
  return function()
    assert(io.open(gate, "w")):close()
    assert(process:wait(20) == 0, process:output())
  end
end

--- Another process that runs a long list of statements; it ends by itself. It does not wait for
-- the disk, whose speed would decide how long it holds locks.
function sqlite:start_writing(statements)
  return start(self, "pragma synchronous = off;\n" .. statements)
end

function sqlite.start(options)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-sqlite-XXXXXX")
  stat.chmod(folder, 493)
  local self = setmetatable({ folder = folder, path = folder .. "/users.db", runs = 0,
    processes = {}, foreign = options.foreign }, sqlite)
  self:ask(options.sql)
  own(folder, options.foreign)
  own(self.path, options.foreign)
  return self
end

function sqlite:stop()
  for _, process in ipairs(self.processes) do process:stop() end
  os.execute("rm -rf '" .. self.folder .. "'")
end

return sqlite
