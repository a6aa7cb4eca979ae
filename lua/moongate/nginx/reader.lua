--- Reads a whole nginx.conf: words, quotes, blocks, and the files that it includes.
--
-- What is read is a list of directives, { name =, arguments = {}, path =, line =, block = }, where
-- `block` is such a list or nil. A mistake raises { path =, line =, text = }.
local files = require "moongate.nginx.files"

local INCLUDES_MAX, DEPTH_MAX, FILE_MAX = 1000, 32, 4194304
local NAMED = { t = "\t", r = "\r", n = "\n" }

local reader = {}

--- Raises what is wrong on a line.
function reader.fail(at, message, ...)
  error({ path = at.path, line = at.line, text = message:format(...) }, 0)
end
local fail = reader.fail

local Scan = {}
Scan.__index = Scan

function Scan:count_lines(from, upto)
  for _ in self.text:sub(from, upto):gmatch "\n" do self.line = self.line + 1 end
end

--- Behind spaces and comments; nil at the end of the file.
function Scan:skip()
  while true do
    local stop = self.text:match("^%s+()", self.at)
    if not stop and self.text:sub(self.at, self.at) == "#" then
      stop = self.text:match("^[^\n]*()", self.at)
    end
    if not stop then return self.at <= #self.text or nil end
    self:count_lines(self.at, stop - 1)
    self.at = stop
  end
end

--- What nginx makes of backslashes: `\"`, `\'`, `\\`, `\t`, `\r` and `\n` are escapes, others stay.
local function unescape(raw)
  return (raw:gsub("\\(.)", function(mark)
    if mark:find "[\"'\\]" then return mark end
    return NAMED[mark]
  end))
end

--- Where the text ends that begins behind the quote at `self.at`.
function Scan:end_of_quoted(quote)
  local at = self.at + 1
  while at <= #self.text do
    local byte = self.text:sub(at, at)
    if byte == quote then return at end
    at = at + (byte == "\\" and 2 or 1)
  end
  fail(self, "the text that begins here has no end (%s is missing)", quote)
end

function Scan:quoted(quote)
  local stop = self:end_of_quoted(quote)
  local word = unescape(self.text:sub(self.at + 1, stop - 1))
  self:count_lines(self.at, stop)
  self.at = stop + 1
  if not self.text:find("^[%s;{]", self.at) then
    fail(self, "a space, \";\" or \"{\" is missing behind the closing %s", quote)
  end
  return word
end

function Scan:bare()
  local start = self.at
  while self.at <= #self.text do
    local byte = self.text:sub(self.at, self.at)
    local variable = byte == "{" and self.text:sub(self.at - 1, self.at - 1) == "$"
    if not variable and byte:find "[%s;{]" then break end
    self.at = self.at + (byte == "\\" and 2 or 1)
  end
  local raw = self.text:sub(start, self.at - 1)
  self:count_lines(start, self.at - 1)
  return unescape(raw)
end

--- The next token: "word" and its text, or the mark ";", "{" or "}"; nil at the end.
function Scan:token()
  if not self:skip() then return nil end
  local byte = self.text:sub(self.at, self.at)
  if byte:find "[;{}]" then
    self.at = self.at + 1
    return byte
  end
  if byte == "\"" or byte == "'" then return "word", self:quoted(byte) end
  return "word", self:bare()
end

--- One directive, without what is in its block; nil at the end of the block or file.
function Scan:directive(is_block)
  local kind, word = self:token()
  if kind == nil and is_block then fail(self, "the file ends where a \"}\" is missing") end
  if kind == "}" and not is_block then fail(self, "unexpected \"}\"") end
  if kind == nil or kind == "}" then return nil end
  if kind ~= "word" then fail(self, "unexpected \"%s\"", kind) end
  local made = { name = word, arguments = {}, path = self.path, line = self.line }
  while true do
    kind, word = self:token()
    if kind == "word" then
      table.insert(made.arguments, word)
    elseif kind == ";" or kind == "{" then
      return made, kind == "{"
    else
      fail(made, "the directive \"%s\" is not ended by \";\"", made.name)
    end
  end
end

local Reader = {}
Reader.__index = Reader

--- All directives of the block at hand are added to `list`. What is included is left out where
-- nothing is imported from: `skips`.
function Reader:block(scan, list, is_block, depth, skips)
  if depth > DEPTH_MAX then fail(scan, "blocks and includes are nested too deep") end
  while true do
    local directive, opens = scan:directive(is_block)
    if not directive then return list end
    if opens then
      local is_main = not is_block and not scan.in_mail
      local foreign = skips or is_main and directive.name ~= "mail"
      directive.block = self:block(scan, {}, true, depth + 1, foreign)
      table.insert(list, directive)
    elseif directive.name == "include" and not skips then
      self:include(directive, list, depth + 1, is_block or scan.in_mail)
    else
      table.insert(list, directive)
    end
  end
end

function Reader:include(directive, list, depth, in_mail)
  local pattern = directive.arguments[1]
  if #directive.arguments ~= 1 then fail(directive, "\"include\" takes one file or pattern") end
  local full = files.below(self.folder, pattern)
  local is_pattern = pattern:find "[*?%[]" ~= nil
  for _, path in ipairs(is_pattern and files.glob(full) or { full }) do
    self.included = self.included + 1
    if self.included > INCLUDES_MAX then fail(directive, "too many files are included") end
    self:file(path, list, depth, directive, in_mail)
  end
end

function Reader:file(path, list, depth, from, in_mail)
  local text, message = files.read(path, FILE_MAX)
  if not text then fail(from or { path = path, line = 1 }, "%s", message) end
  local scan = setmetatable({ text = text, at = 1, line = 1, path = path }, Scan)
  scan.in_mail = in_mail
  return self:block(scan, list, false, depth)
end

--- The directives of a file. As in nginx, what it includes is relative to its own folder.
function reader.read(path)
  local self = setmetatable({ folder = files.folder(path), included = 0 }, Reader)
  return self:file(path, {}, 0)
end

return reader
