--- What `moongate check` has found: gathered, put in order, written in one of its formats.
local json = require "moongate.json"
local scan = require "moongate.check.scan"

local Findings = {}
Findings.__index = Findings

-- What the words of an error are called; the first that fits.
local CODES = {
  { " near '", "syntax" }, { "^unknown hook", "unknown-hook" },
  { "undefined global", "undefined-global" }, { "assignment to global", "assigned-global" },
  { "^policy \"[^\"]*\" not found", "no-policy" }, { "^module ", "no-module" },
  { "^secret%.", "secret" }, { "unknown key", "unknown-key" },
  { "not in what it is laid over", "absent-key" }, { "is missing$", "missing" },
  { " expected", "bad-value" },
}

local function code_of(message, place)
  for _, code in ipairs(CODES) do
    if message:find(code[1]) then return code[2] end
  end
  if not place.kind then return "file" end
  return (place.kind == "policy" or place.kind == "module") and "policy" or "config"
end

--- For what host.evaluate gave; `path` stands for what has no place. `result.place` says where
-- a line is from, if what was read is made of another file.
local function new(result, path)
  local self = setmetatable({ list = {}, seen = {}, files = {}, listing = result.listing or {},
    path = path, place = result.place }, Findings)
  for _, file in ipairs(result.files or {}) do self.files[file.path] = file end
  return self
end

--- Adds { path =, line =, col =, level =, message =, code =, word = }; what is missing there is
-- taken from `more`. The same thing is not told twice.
function Findings:add(finding, more)
  local one = {}
  for k, v in pairs(more or {}) do one[k] = v end
  for k, v in pairs(finding) do one[k] = v end
  if self.place then one.path, one.line = self.place(one.path, one.line) end
  local key = ("%s:%s:%s:%s"):format(one.path, one.line or 0, one.code, one.word or one.message)
  if self.seen[key] then return end
  self.seen[key] = true
  local file = self.files[one.path]
  if not one.col and one.word and one.line and file then
    one.col = scan.column(file.text, one.line, one.word)
  end
  one.order = #self.list
  self.list[#self.list + 1] = one
end

--- The value of the configuration whose key is most like what the message begins with:
-- `listen "a": tls: certificate: ...`, `tls_profiles.inner: ...`, `user "x" does not exist`.
function Findings:value_of(message)
  local best, key = nil, ""
  for part in message:gmatch "[^:]+" do
    local word = part:match "^%s*listen \"([^\"]+)\"" or part:match "^%s*([%w_.]+)"
    if not word then break end
    key = key .. (key ~= "" and "." or part:find "^%s*listen \"" and "listen." or "") .. word
    for _, value in ipairs(self.listing.values or {}) do
      if value.path and (value.key == key or value.key:sub(1, #key + 1) == key .. ".") then
        best = value
        break
      end
    end
  end
  return best
end

--- The word that an error is about: its key, its hook, its global.
local function word_of(message)
  local field = message:match "unknown field \"([%w_]+)\""
  if field then return field end
  local key = message:gsub("^listen \"[^\"]*\": ", ""):match "^([%w_.%[%]-]+): "
  return key and key:match "([%w_]+)[%[%]%d]*$" or message:match "\"([%w_]+)\""
end

--- A policy's own table does not tell the lines of its hooks.
local function line_of_word(text, word)
  local line = 0
  for row in (text .. "\n"):gmatch "([^\n]*)\n" do
    line = line + 1
    local col = scan.column(row, 1, word)
    if col and row:sub(col):match "^[%w_]+%s*[=(]" then return line end
  end
  return 1
end

function Findings:add_error(path, line, message, about)
  local file = self.files[path] or {}
  local code = code_of(message, file)
  local word = about or word_of(message)
  if code == "unknown-hook" and file.text then line = line_of_word(file.text, word) end
  self:add { path = path, line = line, level = "error", code = code, message = message,
    word = word }
end

--- An error that does not say where: of a file that can't be read, or of a value.
function Findings:add_unplaced(message)
  local file, reason = message:match "^(/[^:]+): (.*)$"
  if file then return self:add_error(file, nil, reason) end
  local value = self:value_of(message) or self.listing
  self:add_error(value.path or self.path, value.line, message,
    value.key and value.key:match "([%w_]+)%W*$")
end

--- All errors of an evaluation, "file:line: message" a line.
function Findings:add_errors(text)
  for row in (text or ""):gmatch "[^\n]+" do
    local path, line, message = row:match "^(/.-):(%d+): (.*)$"
    if path then
      self:add_error(path, tonumber(line), message)
    else
      self:add_unplaced(row)
    end
  end
end

function Findings:count(level)
  local count = 0
  for _, finding in ipairs(self.list) do
    if finding.level == level then count = count + 1 end
  end
  return count
end

local function before(a, b)
  if a.path ~= b.path then return a.path < b.path end
  if (a.line or 0) ~= (b.line or 0) then return (a.line or 0) < (b.line or 0) end
  if (a.col or 0) ~= (b.col or 0) then return (a.col or 0) < (b.col or 0) end
  return a.order < b.order
end

local FORMATS = {}

function FORMATS.text(finding)
  local place = finding.path .. (finding.line and ":" .. finding.line or "")
    .. (finding.line and finding.col and ":" .. finding.col or "")
  return ("%s: %s: %s [%s]\n"):format(place, finding.level, finding.message, finding.code)
end

--- As compilers write it: with a line and a column, whatever is known.
function FORMATS.gcc(finding)
  return ("%s:%d:%d: %s: %s [%s]\n"):format(finding.path, finding.line or 1, finding.col or 1,
    finding.level, finding.message, finding.code)
end

local function json_text(list)
  local rows = {}
  for i, finding in ipairs(list) do
    rows[i] = json.encode { file = finding.path, line = finding.line, column = finding.col,
      level = finding.level, message = finding.message, code = finding.code }
  end
  return "[" .. table.concat(rows, ",\n ") .. "]\n"
end

--- Everything, in order.
function Findings:text(format)
  table.sort(self.list, before)
  if format == "json" then return json_text(self.list) end
  local rows = {}
  for i, finding in ipairs(self.list) do rows[i] = FORMATS[format](finding) end
  return table.concat(rows)
end

return { new = new }
