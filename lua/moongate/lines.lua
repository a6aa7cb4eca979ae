--- Finds the line on which a key of a table constructor is written.
local function skip_long(text, at, level)
  local _, stop = text:find("]" .. ("="):rep(level) .. "]", at, true)
  return (stop or #text) + 1
end

--- The level of a long bracket that opens at `at`, or nil.
local function long_level(text, at)
  if text:byte(at) ~= 91 then return nil end -- [
  local level = 0
  while text:byte(at + 1 + level) == 61 do level = level + 1 end -- =
  return text:byte(at + 1 + level) == 91 and level or nil
end

local function skip_comment(text, at)
  local level = long_level(text, at + 2)
  if level then return skip_long(text, at, level) end
  return text:find("\n", at, true) or #text + 1
end

local function skip_string(text, at)
  local quote = text:byte(at)
  at = at + 1
  while at <= #text and text:byte(at) ~= quote do
    at = at + (text:byte(at) == 92 and 2 or 1)
  end
  return at + 1
end

local function is_word(byte)
  return byte and (byte == 95 or byte >= 48 and byte <= 57
    or byte >= 65 and byte <= 90 or byte >= 97 and byte <= 122)
end

local function skip_word(text, at)
  while is_word(text:byte(at)) do at = at + 1 end
  return at
end

--- The next token that matters from `at` on: its kind, its text, what follows.
local function token(text, at)
  local byte = text:byte(at)
  if byte == 45 and text:byte(at + 1) == 45 then return "space", "", skip_comment(text, at) end
  if byte == 34 or byte == 39 then
    local stop = skip_string(text, at)
    return "string", text:sub(at + 1, stop - 2), stop
  end
  local level = long_level(text, at)
  if level then return "string", "", skip_long(text, at, level) end
  if is_word(byte) then
    local stop = skip_word(text, at)
    return "word", text:sub(at, stop - 1), stop
  end
  if byte == 61 and text:byte(at + 1) == 61 then return "other", "", at + 2 end
  return "other", text:sub(at, at), at + 1
end

local function start_of_line(text, line)
  local at = 1
  for _ = 2, line do
    local newline = text:find("\n", at, true)
    if not newline then break end
    at = newline + 1
  end
  return at
end

local function newlines(text, from, to)
  local count = 0
  for i = from, to do
    if text:byte(i) == 10 then count = count + 1 end
  end
  return count
end

local Scan = {}
Scan.__index = Scan

--- Whether `word` is the key that is looked for on this level.
function Scan:names(word)
  return self.depth == self.level and word == self.keys[self.level]
end

--- An equals sign stands behind `word`: the scan goes a level deeper.
function Scan:assigned(word, line)
  if not self:names(word) then return end
  self.found = line
  self.level = self.level + 1
  self.done = type(self.keys[self.level]) ~= "string"
end

function Scan:mark(mark)
  if mark == "{" then self.depth = self.depth + 1 end
  if mark == "}" then
    self.depth = self.depth - 1
    self.done = self.depth < 1 or self.depth < self.level - 1
  end
end

--- Where the constructor's text begins: behind `name`, in quotes or bare, if it
-- is on the line.
local function start_of_block(text, line, name)
  local at = start_of_line(text, line)
  local newline = text:find("\n", at, true) or #text + 1
  for _, anchor in ipairs { '"' .. name .. '"', "'" .. name .. "'", name } do
    local _, stop = text:find(anchor, at, true)
    if stop and stop < newline then return stop + 1 end
  end
  return at
end

--- The line of `keys` (a path of names) in the first table constructor behind
-- `name` on or after `line`; the line of the last key that was found, or
-- `line` itself.
local function key_line(text, line, name, keys)
  local scan = setmetatable({ depth = 0, level = 1, keys = keys, found = line,
    done = type(keys[1]) ~= "string" }, Scan)
  local at, word, word_line = start_of_block(text, line, name), nil, line
  while at <= #text and not scan.done do
    local kind, value, after = token(text, at)
    if kind == "word" or kind == "string" then
      word, word_line = value, line
    elseif value == "=" and word then
      scan:assigned(word, word_line)
      word = nil
    elseif value == "{" or value == "}" then
      scan:mark(value)
      word = nil
    elseif value == "," or value == ";" then
      word = nil
    end
    line = line + newlines(text, at, after - 1)
    at = after
  end
  return scan.found
end

return { key_line = key_line, token = token }
