--- Looks for mistakes in Lua text without running it, also where no login has led yet.
--
-- A finding is { line =, col =, message =, code =, word = what it is about }.
local describe = require "moongate.describe"
local tokens = require "moongate.check.tokens"
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

local function add_global(found, fn, pc, instruction, globals)
  local operator = bit.band(instruction, 0xff)
  if operator ~= READ and operator ~= ASSIGN then return end
  local name = global_of(fn, instruction)
  local line = util.funcinfo(fn, pc).currentline
  if operator == ASSIGN then
    found[#found + 1] = { line = line, word = name, code = "assigned-global",
      message = ("assignment to global \"%s\": declare it local"):format(name) }
  elseif not globals[name] then
    found[#found + 1] = { line = line, word = name, code = "undefined-global",
      message = ("undefined global \"%s\""):format(name) }
  end
end

local function walk(found, fn, globals)
  local pc = 1
  local instruction = util.funcbc(fn, pc)
  while instruction do
    add_global(found, fn, pc, instruction, globals)
    pc = pc + 1
    instruction = util.funcbc(fn, pc)
  end
  local index = -1
  local constant = util.funck(fn, index)
  while constant ~= nil do
    if type(constant) == "proto" then walk(found, constant, globals) end
    index = index - 1
    constant = util.funck(fn, index)
  end
end

local GLOBALS = { policy = describe.globals "policy",
  configuration = describe.globals "configuration" }

local function globals_of(kind)
  local configuration = kind == "config" or kind == "overlay"
  return configuration and GLOBALS.configuration or GLOBALS.policy
end

--- Globals that are read and not there, or assigned: in every function of the text. `kind` says
-- whose environment it is: that of configurations, or of policies; `with_ngx`, that of policies
-- with moongate.compat.ngx. Nothing for a syntax error.
function scan.globals(text, kind, with_ngx)
  local fn = loadstring(text)
  local found = {}
  if not fn then return found end
  walk(found, fn, setmetatable({ ngx = with_ngx or nil }, { __index = globals_of(kind) }))
  for _, finding in ipairs(found) do finding.col = scan.column(text, finding.line, finding.word) end
  return found
end

--- Whether the text requires the module.
function scan.requires(text, module)
  local list = tokens(text)
  for i = 1, list:count() do
    if list:required(i) == module then return true end
  end
  return false
end

-- Calls of what a module or a library does not have ------------------------------

--- Counts the names of a list that begins at `i`.
local function count_names(list, i, counts)
  while list:at(i).kind == "word" do
    local name = list:at(i).text
    counts[name] = (counts[name] or 0) + 1
    i = list:has(i + 1, ",") and i + 2 or i + 1
    if not list:has(i - 1, ",") then return end
  end
end

--- Where the parameters of the function at `i` begin.
local function parameters_at(list, i)
  repeat i = i + 1 until list:has(i, "(") or i > list:count()
  return i + 1
end

--- How often each name is declared or assigned, whatever its scope.
local function declarations(list)
  local counts = {}
  for i = 1, list:count() do
    if list:has(i, "local") and not list:has(i + 1, "function") or list:has(i, "for") then
      count_names(list, i + 1, counts)
    elseif list:has(i, "function") then
      if list:has(i - 1, "local") then count_names(list, i + 1, counts) end
      count_names(list, parameters_at(list, i), counts)
    elseif list:at(i).kind == "word" and list:has(i + 1, "=") and not list:has(i - 1, "local") then
      count_names(list, i, counts)
    end
  end
  return counts
end

--- The members of what each name stands for throughout the text, as far as that is known.
local function members_of_names(list, kind)
  local counts, members = declarations(list), {}
  for name, fields in pairs(globals_of(kind)) do
    if type(fields) == "table" and not counts[name] then members[name] = fields end
  end
  for i = 1, list:count() do
    local name = list:at(i + 1).text
    local module, after = list:required(i + 3)
    local whole = module and list:has(i, "local") and list:has(i + 2, "=")
      and not (list:has(after, ".") or list:has(after, ":") or list:has(after, "("))
    if whole and counts[name] == 1 then members[name] = describe.module(module) end
  end
  return members
end

local function is_call(token)
  return token.kind == "string" or token.text == "(" or token.text == "{"
end

--- Calls of functions that their module or library does not have: an error when they are reached.
function scan.calls(text, kind)
  local list, found = tokens(text), {}
  local members = members_of_names(list, kind)
  for i = 1, list:count() do
    local name, field = list:at(i).text, list:at(i + 2)
    local fields = list:at(i).kind == "word" and members[name]
    local looks = fields and list:has(i + 1, ".") and field.kind == "word"
      and not list:has(i - 1, ".") and not list:has(i - 1, ":") and is_call(list:at(i + 3))
    if looks and not fields[field.text] then
      table.insert(found, list:finding(i + 2, "undefined-field",
        ("there is no %s.%s"):format(name, field.text)))
    end
  end
  return found
end

return scan
