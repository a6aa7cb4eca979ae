--- Builds the environments that policies and configurations run in.
--
-- The first file of every Lua state.  It runs with the bare standard library
-- and leaves in `core` what the host and the library need: the strict
-- environments, `require`, and frozen tables.  Nothing else sees the bare
-- library again.  This guards against accidents, not against hostile authors.
local core = ...

local G = { -- kept, since the names below are shadowed
  pairs = pairs, ipairs = ipairs, next = next, pcall = pcall, error = error,
  resume = coroutine.resume, yield = coroutine.yield, create = coroutine.create,
}

-- Frozen tables -------------------------------------------------------------

local inside = setmetatable({}, { __mode = "k" }) -- frozen table -> its data

local function refuse_write(_, key)
  error("the configuration is read-only: can't set " .. tostring(key), 2)
end

--- A copy of `value` that can be read, walked with pairs and ipairs, and not
-- changed.  (`#` does not work on it: LuaJIT asks no table for its length.)
function core.freeze(value)
  if type(value) ~= "table" or inside[value] then return value end
  local data = {}
  for k, v in G.next, value do data[k] = core.freeze(v) end
  local frozen = setmetatable({}, {
    __index = data, __newindex = refuse_write, __metatable = false,
  })
  inside[frozen] = data
  return frozen
end

--- The data of a frozen table; anything else as it is.
function core.thaw(value)
  return inside[value] or value
end

local function strict_pairs(t) return G.pairs(inside[t] or t) end
local function strict_ipairs(t) return G.ipairs(inside[t] or t) end
local function strict_next(t, key) return G.next(inside[t] or t, key) end

-- Coroutines of policies ----------------------------------------------------

-- An await yields through every coroutine up to the host, and its results go
-- the same way back down; all other yields stay between resume and yield.
local function settle(co, ok, first, ...)
  if ok and core.is_token(first) then
    return settle(co, G.resume(co, G.yield(first)))
  end
  return ok, first, ...
end

local function resume(co, ...)
  return settle(co, G.resume(co, ...))
end

local function returned(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

local function wrap(fn)
  local co = G.create(fn)
  return function(...) return returned(resume(co, ...)) end
end

--- What `wait` of a child does: its results, or its error.
function core.wait_for_child(child)
  return returned(core.child_wait(child))
end

-- The handler runs after the stack is unwound: one that runs inside the error
-- could not be stopped by the CPU budget.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, select(2, G.pcall(handler, ...))
end

local function strict_xpcall(fn, handler, ...)
  return handled(handler, G.pcall(fn, ...))
end

-- Strings -------------------------------------------------------------------

-- LuaJIT's own can take hours in one C call that nothing can interrupt.
local strings = {}
for k, v in G.pairs(string) do strings[k] = v end
for _, name in G.ipairs { "find", "match", "gmatch", "gsub" } do strings[name] = core[name] end
strings.dump = nil
strings.gfind = nil

if not core.open then
  local meta = getmetatable ""
  meta.__index = strings
  meta.__metatable = false
end

-- Tables --------------------------------------------------------------------

-- These too are one C call each.  The tail call keeps the caller's line in errors.
local tables = {}
for k, v in G.pairs(table) do tables[k] = v end

function tables.sort(t, less)
  core.check_size(t)
  return table.sort(t, less)
end

function tables.insert(t, ...)
  if select("#", ...) > 1 then core.check_size(t) end
  return table.insert(t, ...)
end

function tables.remove(t, ...)
  if (...) then core.check_size(t) end
  return table.remove(t, ...)
end

-- Modules -------------------------------------------------------------------

local modules = { ["moongate.core"] = core }
local loading = {}

-- The environment of files that have required moongate.compat.ngx, and of what these require.
local openresty = {}

--- Loads `name` once.  Its body runs behind a C call, so it can't wait.  A "driver" is a module
-- that is loaded in the environment of OpenResty.
local function load_module(kind, name)
  local loaded = modules[kind .. ":" .. name]
  if loaded == nil then loaded = modules[name] end
  if loaded ~= nil then return loaded end
  if loading[name] then error("module \"" .. name .. "\" requires itself", 3) end
  local body, message, missing = core.load(kind, name)
  if not body then error(message, missing and 3 or 0) end
  if kind == "driver" then setfenv(body, openresty.environment) end
  loading[name] = true
  local ok, value = G.pcall(core.run, body, name)
  loading[name] = nil
  if not ok then error(value, 0) end
  if value == nil then value = true end
  modules[kind .. ":" .. name] = value
  return value
end

local function check_name(name)
  if type(name) ~= "string" then error("require: a module name expected", 3) end
end

function core.require(name)
  check_name(name)
  return (load_module("module", name))
end

--- The file that requires it has `ngx` from then on, as all that it requires has.
local function policy_require(name)
  check_name(name)
  local module = load_module("module", name)
  if name == "moongate.compat.ngx" and not openresty.enter(3) then
    error("moongate.compat.ngx: to be required by a line of its own", 2)
  end
  return module
end

--- What moongate.compat stands in for comes first: the originals need FFI.
local function driver_require(name)
  check_name(name)
  local stand_in = openresty.stand_ins[name]
  if stand_in ~= nil then return stand_in end
  return (load_module(name:find "^moongate" and "module" or "driver", name))
end

--- Called once, by moongate.compat.ngx.
function core.provide_ngx(ngx, stand_ins)
  openresty.stand_ins = stand_ins
  openresty.environment = openresty.make(ngx)
end

local function config_require(name)
  if name == "moongate.config" then return (load_module("module", name)) end
  if type(name) ~= "string" or name:find "^moongate" then
    error("a configuration may require \"moongate.config\" and files beside it only", 2)
  end
  return (load_module("config", name))
end

-- Labels of counters ---------------------------------------------------------

--- `{a="b",c="d"}`, sorted by name, and how many there are.
function core.label_text(labels)
  local names, words = {}, {}
  for name, value in strict_pairs(labels or {}) do
    if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" then
      error("count: a label is a name and a value", 3)
    end
    if core.is_secret(value) then error("count: a secret can't be a label", 3) end
    names[#names + 1] = name
  end
  if #names == 0 then return "", 0 end
  table.sort(names)
  for i, name in G.ipairs(names) do
    words[i] = ('%s="%s"'):format(name, core.label_value(tostring(labels[name])))
  end
  return "{" .. table.concat(words, ",") .. "}", #names
end

--- Replaced by moongate.config when a configuration requires it.
function core.finish_config(_, path)
  error(path .. ":1: the file must return c.gateway { ... }", 0)
end

-- Environments --------------------------------------------------------------

local function undefined(_, name)
  error("undefined global \"" .. tostring(name) .. "\"", 2)
end

local function assigned(_, name)
  error("assignment to global \"" .. tostring(name) .. "\": declare it local", 2)
end

local function changed(_, name)
  error("the standard library can't be changed: " .. tostring(name), 2)
end

--- A read-only view of a library table.
local function library(names)
  return setmetatable({}, { __index = names, __newindex = changed, __metatable = false })
end

local function pick(from, names)
  local picked = {}
  for name in names:gmatch "%w+" do picked[name] = from[name] end
  return picked
end

local function environment(globals)
  setmetatable(globals, { __index = undefined })
  local env = {}
  globals._G = env
  return setmetatable(env, {
    __index = globals, __newindex = assigned, __metatable = false,
  })
end

local function basics()
  local globals = pick(_G, "assert error getmetatable pcall rawequal rawget rawset select "
    .. "setmetatable tonumber tostring type unpack")
  globals._VERSION = _VERSION
  globals.pairs, globals.ipairs, globals.next = strict_pairs, strict_ipairs, strict_next
  globals.xpcall = strict_xpcall
  globals.string = library(strings)
  globals.table = library(tables)
  globals.bit = library(bit)
  return globals
end

-- The hour of a policy is that of its host: in a spec it is the spec's.
local function time(at)
  return at and os.time(at) or math.floor(core.time())
end

local function date(format, at)
  return os.date(format, at or time())
end

local function policy_globals()
  local globals = basics()
  globals.require = policy_require
  globals.math = library(math)
  local clock = pick(os, "clock difftime getenv")
  clock.time, clock.date = time, date
  globals.os = library(clock)
  globals.debug = library { traceback = debug.traceback }
  globals.coroutine = library {
    create = coroutine.create, status = coroutine.status, running = coroutine.running,
    yield = coroutine.yield, resume = resume, wrap = wrap,
  }
  globals.load = core.compile
  function globals.print(...)
    local words = { ... }
    for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
    core.log("info", table.concat(words, " "))
  end
  function globals.collectgarbage(option)
    if option ~= "count" then error("collectgarbage: only \"count\" is allowed", 2) end
    return collectgarbage "count"
  end
  return globals
end

local function config_globals()
  local globals = basics()
  globals.require = config_require
  local numbers = {}
  for k, v in G.pairs(math) do numbers[k] = v end
  numbers.random, numbers.randomseed = nil, nil -- same file, same configuration
  globals.math = library(numbers)
  return globals
end

function openresty.make(ngx)
  local globals = policy_globals()
  globals.ngx, globals.require = ngx, driver_require
  return environment(globals)
end

--- Whether the function at that level could be given the environment.
function openresty.enter(level)
  return core.open or (G.pcall(setfenv, level + 1, openresty.environment))
end

math.randomseed(core.random())
core.environment = environment(policy_globals())
core.config_environment = environment(config_globals())
