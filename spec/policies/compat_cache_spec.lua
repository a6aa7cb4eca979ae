--- What a cache of several levels asks of `ngx`: one in each worker, one that they share, locks,
-- and messages between workers, as lua-resty-mlcache and its like put them together.
local client = require "spec.support.client"
local modules = require "spec.support.modules"

--- Such a cache, as a driver: it knows nothing of moongate.
local CACHE = [[
local new_tab = require "table.new"
local lrucache, resty_lock = require "resty.lrucache", require "resty.lock"
local cjson = require "cjson.safe"
local pooled = pcall(require, "tablepool")
local fmt, now, shared = string.format, ngx.now, ngx.shared
local spawn, wait = ngx.thread.spawn, ngx.thread.wait

local NOTHING = setmetatable({}, { __tostring = function() return "nothing" end })
local WORN = 1 -- flag of what was over and is given out for a while longer
local instances = setmetatable({}, { __mode = "v" })

local cache = { pooled = pooled, NOTHING = NOTHING }
local methods = { __index = cache }

function cache.new(name, dict_name, options)
  if not shared[dict_name] then return nil, "no such lua_shared_dict: " .. dict_name end
  local lru = instances[name] or assert(lrucache.new(options.size or 10))
  instances[name] = lru
  local self = setmetatable(new_tab(0, 8), methods)
  self.name, self.dict, self.lru, self.options = name, shared[dict_name], lru, options
  self.dict_name, self.heard = dict_name, shared[dict_name]:get "ipc:index" or 0
  return self
end

local function pack(value, ttl)
  local kind = value == nil and 0 or type(value) == "table" and 2 or 1
  local text = kind == 2 and assert(cjson.encode(value)) or kind == 1 and value or ""
  return fmt("%d:%f:%f:%s", kind, now(), ttl, text)
end

--- The value and how long it lives.
local function unpacked(text)
  local kind, at, ttl, rest = text:match "^(%d):([^:]+):([^:]+):(.*)$"
  local value = kind == "1" and rest or kind == "2" and cjson.decode(rest) or nil
  return value, tonumber(ttl) - (now() - tonumber(at))
end

--- Whether the shared level has it, the value, and the text where it is over.
function cache:second(key)
  local text, err, over = self.dict:get_stale(self.name .. key)
  if text == nil then
    if err then return nil, err end
    return false
  end
  if over then return false, nil, text end
  local value, left = unpacked(text)
  if left > 0 then self.lru:set(key, value == nil and NOTHING or value, left) end
  return true, value, nil, err
end

function cache:store(key, text, ttl, flags)
  for _ = 1, self.options.tries or 3 do
    local ok, err, forced = self.dict:set(self.name .. key, text, ttl, flags)
    if ok then return true, forced end
    if err ~= "no memory" then return nil, err end
  end
  return nil, "no memory"
end

--- The value, an error, and the level that it comes from: 4 is one that was over.
function cache:get(key, callback, ...)
  local hit = self.lru:get(key)
  if hit == NOTHING then return nil, nil, 1 end
  if hit ~= nil then return hit, nil, 1 end
  local found, value, old, flags = self:second(key)
  if found then return value, nil, flags == WORN and 4 or 2 end
  local lock, err = resty_lock:new(self.dict_name, { timeout = self.options.patience or 5 })
  if not lock then return nil, "could not create lock: " .. err end
  local waited, problem = lock:lock(self.name .. "lock:" .. key)
  if not waited then
    if problem == "timeout" then return nil, "could not acquire callback lock: timeout" end
    return nil, "lock: " .. tostring(problem)
  end
  local function finish(...)
    local ok, why = lock:unlock()
    if not ok and why ~= "unlocked" then error("could not unlock callback: " .. why) end
    return ...
  end
  if waited > 0 then -- another has asked meanwhile
    found, value, old = self:second(key)
    if found then return finish(value, nil, 2) end
  else
    found, value, old = self:second(key) -- what is over must have outlived the lock
  end
  local ok, fetched, failure, own_ttl = xpcall(function(...) return callback(...) end,
    debug.traceback, ...)
  if not ok then return finish(nil, "callback threw an error: " .. tostring(fetched)) end
  if fetched == nil and failure and old and self.options.resurrect then
    ngx.log(ngx.WARN, "callback returned an error (", failure, ") but stale value found")
    local worn = unpacked(old)
    self:store(key, pack(worn, self.options.resurrect), self.options.resurrect, WORN)
    return finish(worn, nil, 4)
  end
  if failure then return finish(nil, failure) end
  local ttl = own_ttl or fetched == nil and self.options.neg_ttl or self.options.ttl or 30
  local stored, why = self:store(key, pack(fetched, ttl), ttl)
  if not stored then return finish(nil, "could not write to lua_shared_dict: " .. why) end
  self.lru:set(key, fetched == nil and NOTHING or fetched, ttl)
  return finish(fetched, nil, 3)
end

function cache:peek(key)
  local text, err = self.dict:get(self.name .. key)
  if text == nil then return nil, err end
  local value, left = unpacked(text)
  return left, nil, value
end

--- All at once, a light thread each.
function cache:get_bulk(asked)
  local threads, values = {}, new_tab(#asked, 0)
  for i, one in ipairs(asked) do
    threads[i] = assert(spawn(function() return i, self:get(one[1], one[2], one[3]) end))
  end
  for _ = 1, #threads do
    local ok, i, value, err = wait(unpack(threads))
    assert(ok, i)
    values[i] = value == nil and err or value
  end
  return values
end

-- Messages: each has a number in the shared table, and workers ask for those that they don't know.

function cache:broadcast(word, key)
  self.dict:add("ipc:index", 0)
  local index = assert(self.dict:incr("ipc:index", 1))
  local text = fmt("%d:%s:%s", ngx.worker.pid(), word, key)
  local ok, err, forced = self.dict:set("ipc:" .. index, text)
  if forced then ngx.log(ngx.WARN, "messages make other items go") end
  return ok, err
end

function cache:delete(key)
  assert(self.dict:delete(self.name .. key))
  self.lru:delete(key)
  return self:broadcast("drop", key)
end

--- Waits for a message that was numbered and is not there yet.
local function message_at(dict, index, seconds)
  local step, waited = 0.001, 0
  while true do
    local message, err = dict:get("ipc:" .. index)
    if message or err or waited >= seconds then return message, err or "timeout" end
    ngx.sleep(step)
    waited, step = waited + step, math.min(step * 2, 0.5)
  end
end

function cache:update(seconds)
  local last, handled = self.dict:get "ipc:index" or 0, 0
  for index = self.heard + 1, last do
    local message, err = message_at(self.dict, index, seconds or 0.3)
    if not message then return nil, err end
    local pid, word, key = message:match "^(%d+):(%a+):(.*)$"
    if tonumber(pid) ~= ngx.worker.pid() then
      if word == "drop" then self.lru:delete(key) else self.lru:flush_all() end
      handled = handled + 1
    end
    self.heard = index
  end
  return handled
end

function cache:purge()
  self.lru:flush_all()
  self.dict:flush_all()
  return self.dict:flush_expired()
end

return cache
]]

local TOP = [[
local ngx = require "moongate.compat.ngx"
local cache = require "resty.levels"
local resty_lock, lrucache = require "resty.lock", require "resty.lrucache"
local pureffi = require "resty.lrucache.pureffi"
local workers = cache.new("workers", "cache", { ttl = 1000 })

local function fresh(name, options)
  local made = assert(cache.new(name, "cache", options or {}))
  made.lru:flush_all()
  for _, key in ipairs { "a", "b", "c" } do made.dict:delete(name .. key) end
  return made
end

local function levels(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  return table.concat(words, " ")
end
]]

local BODIES = {
  hits = [[
    local c, calls = fresh "hits", 0
    local function callback(word) calls = calls + 1 return word .. calls end
    local first = levels(c:get("a", callback, "v"))
    local second = levels(c:get("a", callback, "v"))
    c.lru:flush_all()
    return first .. ", " .. second .. ", " .. levels(c:get("a", callback, "v")), calls]],
  tables = [[
    local c = fresh "tables"
    c:get("a", function() return { list = { 1, 2 } } end)
    c.lru:flush_all()
    return c:get("a").list[2], cache.pooled]],
  nothing = [[
    local c, calls = fresh("nothing", { neg_ttl = 100 }), 0
    local function callback() calls = calls + 1 end
    c:get("a", callback)
    local first = levels(c:get("a", callback))
    c.lru:flush_all()
    return first .. ", " .. levels(c:get("a", callback)) .. " " .. calls, c:peek "a" > 90]],
  errors = [[
    local c = fresh "errors"
    local _, err = c:get("a", function() return nil, "no database" end)
    local _, thrown = c:get("a", function() error "oh" end)
    assert(thrown:find("callback threw an error", 1, true) and thrown:find("traceback", 1, true))
    return err, levels(c:get("a", function() return "well" end))]],
  own_ttl = [[
    local c = fresh "own"
    c:get("a", function() return "x", nil, 200 end)
    local left, _, value = c:peek "a"
    return value, left > 190 and left <= 200]],
  over = [[
    local c, calls = fresh("over", { ttl = 0.02 }), 0
    local function callback() calls = calls + 1 return "v" .. calls end
    c:get("a", callback)
    ngx.sleep(0.03)
    return levels(c:get("a", callback))]],
  worn = [[
    local c = fresh("worn", { ttl = 0.02, resurrect = 100 })
    local function down() return nil, "down" end
    c:get("a", function() return "old" end)
    ngx.sleep(0.03)
    local first = levels(c:get("a", down))
    c.lru:flush_all()
    return first, levels(c:get("a", down))]],
  one_asks = [[
    local c, calls = fresh "one", 0
    local function callback() calls = calls + 1 ngx.sleep(0.05) return "v" .. calls end
    local asked = {}
    for i = 1, 10 do asked[i] = { "a", callback } end
    return table.concat(c:get_bulk(asked), ""), calls]],
  bulk = [[
    local c = fresh "bulk"
    local function up(word) ngx.sleep(0.01) return word:upper() end
    local values = c:get_bulk { { "a", up, "x" }, { "b", up, "y" },
      { "c", function() return nil, "why" end } }
    return table.concat(values, " ")]],
  patience = [[
    local c = fresh("patience", { patience = 0.02 })
    local held = resty_lock:new "cache"
    held:lock "patiencelock:a"
    local _, err = c:get("a", function() return 1 end)
    held:unlock()
    return err, levels(c:get("a", function() return "now" end))]],
  no_dict = [[
    local _, err = cache.new("x", "nowhere", {})
    local lock, why = resty_lock:new "nowhere"
    return err, why]],
  purge = [[
    local c = fresh "purge"
    c:get("a", function() return 1 end)
    c:purge()
    return levels(c:get("a", function() return 2 end)), #c.dict:get_keys()]],

  lock_expires = [[
    local first, second = resty_lock:new("cache", { exptime = 0.05 }), resty_lock:new "cache"
    assert(first:lock "expires")
    local waited = assert(second:lock "expires")
    assert(select(2, second:lock "other") == "locked")
    return waited > 0 and waited < 5, second:unlock()]],
  lock_prolonged = [[
    local first = resty_lock:new("cache", { exptime = 0.05 })
    local second = resty_lock:new("cache", { timeout = 0 })
    local _, before = first:expire(1)
    first:lock "prolonged"
    assert(first:expire(100) == true)
    ngx.sleep(0.06)
    local got, err = second:lock "prolonged"
    assert(got == nil and first:expire() == true and first:unlock() == 1)
    local _, after = first:unlock()
    return before .. " " .. err, after]],
  lock_lost = [[
    local first, second = resty_lock:new("cache", { exptime = 0.01 }), resty_lock:new "cache"
    first:lock "lost"
    ngx.sleep(0.02)
    second:lock "lost"
    local _, prolonged = first:expire(100)
    assert(first:unlock() == 1)
    local got, err = resty_lock:new("cache", { timeout = 0 }):lock "lost"
    return tostring(got) .. err, prolonged .. second:unlock()]],
  lock_key = [[return select(2, resty_lock:new("cache"):lock(nil))]],
  lock_patience = [[
    local lock = resty_lock:new("cache", { timeout = 100, exptime = 0.02 })
    local other = resty_lock:new("cache")
    other:lock "impatient"
    local got, err = lock:lock "impatient"
    other:unlock()
    return tostring(got), err]],

  lru = [[
    local c = pureffi.new(3)
    for i, key in ipairs { "a", "b", "c" } do c:set(key, i, nil, i + 10) end
    local value, old, flags = c:get "a"
    c:set("d", 4)
    local keys = table.concat(c:get_keys(), ",")
    local list = { 1, 2, 3 }
    assert(c:get_keys(2, list) == list and #list == 2)
    c:delete "d"
    assert(c:count() == 2 and c:capacity() == 3 and c:get "d" == nil and lrucache.new(0) == nil)
    c:flush_all()
    return value .. tostring(old) .. flags .. " " .. keys, c:count()]],
  lru_over = [[
    local c = lrucache.new(2)
    c:set("a", "old", 0.001, 5)
    c:set("b", false, 100, -1)
    ngx.sleep(0.01)
    local value, old, flags = c:get "a"
    local no, _, zero = c:get "b"
    return levels(value, old, flags), levels(no, zero)]],

  names = [[
    for _, level in ipairs { "STDERR", "EMERG", "ALERT", "CRIT", "ERR", "WARN", "NOTICE", "INFO",
      "DEBUG" } do ngx.log(ngx[level], "level ", level) end
    assert(ngx.worker.pid() > 1 and ngx.now() % 1 >= 0 and ngx.get_phase() == "timer")
    return (ngx.config.prefix():gsub("^/tmp/moongate%-gateway%-%w+/$", "the folder"))]],
}

--- In the worker of that number.
for worker, body in pairs {
  ["0"] = { reads = [[return workers:get("shared", function() return "first" end)]],
    updates = [[return workers:update(), workers.lru:get "shared"]] },
  ["1"] = { writes = [[
    workers:get("shared", function() return "first" end)
    workers:delete "shared"
    return workers:get("shared", function() return "second" end), workers:update()]] },
} do
  for name, text in pairs(body) do
    BODIES[name] = ("if ngx.worker.id() ~= %s then return 'another' end %s"):format(worker, text)
  end
end

describe("a cache of several levels", function()
  local run

  setup(function()
    run = modules.start { top = TOP, bodies = BODIES,
      files = { ["scripts/resty/levels.lua"] = CACHE },
      configuration = 'shared = { cache = "1m" },' }
  end)
  after_each(function() client.discard_all() end)
  teardown(function() run.stop() end)

  it("keeps values in the worker and among workers, and asks once", function()
    assert.equal("v1 nil 3, v1 nil 1, v1 nil 2 | 1", run "hits")
    assert.equal("2 | false", run "tables")
    assert.equal("nil nil 1, nil nil 2 1 | true", run "nothing")
    assert.equal("x | true", run "own_ttl")
    assert.equal("v2 nil 3", run "over")
  end)

  it("remembers no error, and may give what is over instead", function()
    assert.equal("no database | well nil 3", run "errors")
    assert.equal("old nil 4 | old nil 4", run "worn")
    run.gateway:expect_log "(callback returned an error %(down%) but stale value found)"
  end)

  it("lets one ask while the others wait, as long as they have patience", function()
    assert.equal(("v1"):rep(10) .. " | 1", run "one_asks")
    assert.equal("X Y why", run "bulk")
    assert.equal("could not acquire callback lock: timeout | now nil 3", run "patience")
    assert.equal("no such lua_shared_dict: nowhere | dictionary not found", run "no_dict")
  end)

  it("forgets all", function() assert.equal("2 nil 3 | 1", run "purge") end)

  it("has locks that end, and can be prolonged", function()
    assert.equal("true | 1", run "lock_expires")
    assert.equal("unlocked timeout | unlocked", run "lock_prolonged")
    assert.equal("niltimeout | not found1", run "lock_lost")
    assert.equal("nil key", run "lock_key")
    assert.equal("nil | timeout", run "lock_patience")
  end)

  it("has a cache of the worker, with flags", function()
    assert.equal("1nil11 d,a,c | 0", run "lru")
    assert.equal("nil old 5 | false 0", run "lru_over")
  end)

  it("finds the names that it logs with", function()
    assert.equal("the folder", run "names")
    run.gateway:expect_log "error [^\n]*(level STDERR)"
    run.gateway:expect_log "warn [^\n]*(level WARN)"
    run.gateway:expect_log "info [^\n]*(level INFO)"
  end)
end)

describe("a cache of several workers", function()
  local run

  setup(function()
    run = modules.start { top = TOP, bodies = BODIES, workers = 2,
      files = { ["scripts/resty/levels.lua"] = CACHE },
      configuration = 'shared = { cache = "1m" },' }
  end)
  after_each(function() client.discard_all() end)
  teardown(function() run.stop() end)

  --- The kernel chooses the worker.
  local function there(name)
    local text
    repeat text = run(name) until text ~= "another"
    return text
  end

  it("hears of what another has changed", function()
    assert.equal("first", there "reads")
    assert.equal("second | 0", there "writes")
    assert.equal("first", there "reads")
    assert.equal("1", there "updates")
    assert.equal("second", there "reads")
  end)
end)
