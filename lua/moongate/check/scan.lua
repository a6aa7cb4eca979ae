--- Looks for mistakes in Lua text without running it, also where no login has led yet.
--
-- A finding is { line =, col =, message =, code =, word = what it is about }.
local core = require "moongate.core"
local lines = require "moongate.lines"
local util = require "jit.util"

local scan = {}

--- The column where `word` first stands in line `number` of the text, or nil.
function scan.column(text, number, word)
  local at = 1
  for _ = 2, number do
    at = (text:find("\n", at, true) or #text) + 1
  end
  local line = text:sub(at, (text:find("\n", at, true) or #text + 1) - 1)
  local from = 1
  while true do
    local start, stop = line:find(word, from, true)
    if not start then return nil end
    local before, after = line:sub(start - 1, start - 1), line:sub(stop + 1, stop + 1)
    if not before:match "[%w_]" and not after:match "[%w_]" then return start end
    from = start + 1
  end
end

-- Globals, by the instructions that the compiler makes of the text -------------

--- The name that an instruction would be about if it were about a global.
local function global_of(fn, instruction)
  return util.funck(fn, -bit.rshift(instruction, 16) - 1)
end

--- The operations of `x = x`: a global is read, then assigned.
local function operations()
  local fn = assert(loadstring "x = x")
  local read, assign = util.funcbc(fn, 1), util.funcbc(fn, 2)
  assert(global_of(fn, read) == "x" and global_of(fn, assign) == "x",
    "scan: this LuaJIT has other instructions")
  return bit.band(read, 0xff), bit.band(assign, 0xff)
end

local READ, ASSIGN = operations()

local function is_defined(environment, name)
  return (pcall(function() return environment[name] end))
end

local function add_global(found, fn, pc, instruction, environment)
  local operator = bit.band(instruction, 0xff)
  if operator ~= READ and operator ~= ASSIGN then return end
  local name = global_of(fn, instruction)
  local line = util.funcinfo(fn, pc).currentline
  if operator == ASSIGN then
    found[#found + 1] = { line = line, word = name, code = "assigned-global",
      message = ("assignment to global \"%s\": declare it local"):format(name) }
  elseif not is_defined(environment, name) then
    found[#found + 1] = { line = line, word = name, code = "undefined-global",
      message = ("undefined global \"%s\""):format(name) }
  end
end

local function walk(found, fn, environment)
  local pc = 1
  local instruction = util.funcbc(fn, pc)
  while instruction do
    add_global(found, fn, pc, instruction, environment)
    pc = pc + 1
    instruction = util.funcbc(fn, pc)
  end
  local index = -1
  local constant = util.funck(fn, index)
  while constant ~= nil do
    if type(constant) == "proto" then walk(found, constant, environment) end
    index = index - 1
    constant = util.funck(fn, index)
  end
end

--- Globals that are read and not there, or assigned: in every function of the text. `kind` says
-- whose environment it is: that of configurations, or of policies. Nothing for a syntax error.
function scan.globals(text, kind)
  local fn = loadstring(text)
  local found = {}
  if not fn then return found end
  local configuration = kind == "config" or kind == "overlay"
  walk(found, fn, configuration and core.config_environment or core.environment)
  for _, finding in ipairs(found) do finding.col = scan.column(text, finding.line, finding.word) end
  return found
end

-- What is not wrong, but wants a second look -------------------------------------

local BLOCKING = { socket = true, lualdap = true, luasql = true, lsqlite3 = true, ssl = true,
  posix = true, lfs = true, ldap = true, pgsql = true }

local function tokens(text)
  local list, at, line, start = {}, 1, 1, 1
  while at <= #text do
    local kind, value, after = lines.token(text, at)
    if kind ~= "space" and not value:match "^%s$" then
      list[#list + 1] = { kind = kind, text = value, line = line, col = at - start + 1 }
    end
    local newline = text:find("\n", at, true)
    while newline and newline < after do
      line, start = line + 1, newline + 1
      newline = text:find("\n", start, true)
    end
    at = after
  end
  return list
end

local NOTHING = { kind = "end", text = "" }

local Walk = {}
Walk.__index = Walk

function Walk:at(i) return self.list[i] or NOTHING end

--- Whether the tokens from `i` on have these texts.
function Walk:has(i, ...)
  for n, text in ipairs { ... } do
    local token = self:at(i + n - 1)
    if token.text ~= text or token.kind == "string" then return false end
  end
  return true
end

function Walk:add(i, code, message)
  local token = self:at(i)
  self.found[#self.found + 1] = { line = token.line, col = token.col, code = code,
    message = message, word = token.text }
end

function Walk:look_at_call(i)
  if self:has(i, ":", "reveal") or self:has(i, ".", "reveal") then
    self:add(i + 1, "reveal", "a secret becomes a Lua string, which is neither hidden nor wiped")
  elseif self:has(i, ":", "retain") or self:has(i, ".", "retain") then
    self:add(i + 1, "retain", "credentials are kept past the decision")
  elseif self:has(i, "os", ".", "execute") or self:has(i, "io", ".", "popen") then
    self:add(i, "blocking", ("%s.%s stops every session of the worker")
      :format(self:at(i).text, self:at(i + 2).text))
  end
end

function Walk:look_at_require(i)
  if not self:has(i, "require") then return end
  local name = self:at(i + 1).kind == "string" and self:at(i + 1) or self:at(i + 2)
  if name.kind == "string" and BLOCKING[name.text:match "^[^.]*"] then
    self:add(i, "blocking", ("\"%s\" waits in C, and stops every session of the worker")
      :format(name.text))
  end
end

--- `local value, err = ...`: both tell of a failure from here on.
function Walk:look_at_results(i)
  if not self:has(i, "local") then return end
  local first, second = self:at(i + 1), self:at(i + 3)
  if first.kind == "word" and self:has(i + 2, ",") and second.kind == "word" then
    self.results[first.text], self.results[second.text] = "value", "error"
  end
end

--- The name whose failure the condition behind `if` at `i` asks about, or nil.
function Walk:failure_of(i)
  local negated = self:has(i + 1, "not")
  local name = self:at(i + (negated and 2 or 1))
  local behind = i + (negated and 3 or 2)
  local kind = name.kind == "word" and self.results[name.text]
  if kind == "value" and negated and self:has(behind, "then") then return name.text end
  if kind == "error" and not negated and self:has(behind, "then") then return name.text end
  local is_nil = self:has(behind, "=", "nil", "then") or self:has(behind, "", "nil", "then")
  if kind == "value" and not negated and is_nil then return name.text end
end

local OPENS = { ["then"] = 0, ["do"] = 1, ["function"] = 1, ["if"] = 1, ["repeat"] = 1 }
local CLOSES = { ["end"] = true, ["until"] = true }

--- An error leads to `return nil`: nobody has decided, and the next policy is asked.
function Walk:look_at_failure(i)
  local name = self:has(i, "if") and self:failure_of(i)
  if not name then return end
  while not self:has(i, "then") do i = i + 1 end
  local depth = 1
  while depth > 0 and self:at(i) ~= NOTHING do
    i = i + 1
    local token = self:at(i)
    local text = token.kind == "word" and token.text
    if depth == 1 and (text == "else" or text == "elseif") then return end
    if depth == 1 and text == "return" then
      local empty = self:has(i + 1, "end")
      local void = self:has(i + 1, "nil", "end") or self:has(i + 1, "nil", ";")
      if empty or void then
        self:add(i, "fail-open", ("\"%s\" tells of a failure, but nil means \"no opinion\": "
          .. "the next policy decides"):format(name))
      end
      return
    end
    depth = depth + (OPENS[text] or 0) - (CLOSES[text] and 1 or 0)
  end
end

--- What `moongate check --strict` warns of.
function scan.strict(text)
  local walking = setmetatable({ list = tokens(text), found = {}, results = {} }, Walk)
  for i = 1, #walking.list do
    if walking.list[i].kind ~= "string" then
      walking:look_at_call(i)
      walking:look_at_require(i)
      walking:look_at_results(i)
      walking:look_at_failure(i)
    end
  end
  return walking.found
end

return scan
