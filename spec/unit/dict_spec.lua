--- The tables that workers share: what is in them, what goes first, and what a kill leaves.
local core = require "spec.support.core"
local ffi = require "ffi"
local signal = require "posix.signal"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

ffi.cdef [[
typedef int pid_t;
int dup(int fd);
int close(int fd);
void *mmap(void *at, size_t len, int protection, int flags, int fd, long offset);
int munmap(void *at, size_t len);
int getpagesize(void);
int prctl(int option, ...);
]]

local lib = core.load "lua/dict.h"
local C = ffi.C
local PAGE = C.getpagesize()

local MIB = 1048576
local READERS = 130
local KILLS = (os.getenv "MOONGATE_BUILD" or ""):match "asan" and 40 or 200
local PR_SET_PDEATHSIG, READ, MAP_SHARED = 1, 1, 1

local err = ffi.new "struct error"

local function create(size)
  local fd = lib.dict_create(size or MIB, err)
  assert(fd >= 0, ffi.string(err.text))
  return fd
end

local function open(fd)
  local d = lib.dict_open(C.dup(fd), err)
  assert(d ~= nil, ffi.string(err.text))
  return d
end

local slice = core.slice

local function value_of(v)
  local value = ffi.new "struct dict_value"
  if type(v) == "string" then
    value.type, value.text = lib.DICT_STRING, slice(v)
  else
    value.type, value.number = lib.DICT_NUMBER, v
  end
  return value
end

local NAMES = {}
for name in ("DONE ABSENT PRESENT NO_NUMBER TOO_LONG FULL BUSY BROKEN"):gmatch "%S+" do
  NAMES[tonumber(lib["DICT_" .. name])] = name
end

local function said(result) return NAMES[tonumber(result)] end

local function set(d, key, v, now, expiry)
  return said(lib.dict_set(d, slice(key), value_of(v), { now or 1, expiry or 0 }))
end

--- The value; or nil and why.
local function get(d, key, now)
  local value = ffi.new "struct dict_value"
  local result = lib.dict_get(d, slice(key), now or 1, value)
  if result ~= lib.DICT_DONE then return nil, said(result) end
  if value.type == lib.DICT_STRING then return core.text(value.text) end
  return value.number
end

local function incr(d, key, by, now, expiry)
  local number = ffi.new "double[1]"
  local result = lib.dict_add_to(d, slice(key), by or 1, { now or 1, expiry or 0 }, number)
  if result ~= lib.DICT_DONE then return nil, said(result) end
  return number[0]
end

local function delete(d, key, now) return said(lib.dict_delete(d, slice(key), now or 1)) end

local function lease(d, key, limit, worker, process)
  return said(lib.dict_lease(d, slice(key), limit, { worker or 1, process or 1 }))
end

local function give_back(d, key, worker, process)
  return said(lib.dict_give_back(d, slice(key), { worker or 1, process or 1 }))
end

local function leased(d, key)
  local count = ffi.new "uint64_t[1]"
  assert.equal("DONE", said(lib.dict_leased(d, slice(key), count)))
  return tonumber(count[0])
end

local function reap(d, worker, before)
  assert.equal("DONE", said(lib.dict_reap(d, { worker, before })))
end

--- Forks a child that opens the dict and runs `body(d, say)`; `say()` writes a byte to the pipe.
local function fork(fd, body)
  local from, to = unistd.pipe()
  local pid = unistd.fork()
  if pid == 0 then
    C.prctl(PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL))
    unistd.close(from)
    local d = open(fd)
    local fine = pcall(body, d, function() unistd.write(to, ".") end)
    unistd._exit(fine and 0 or 1)
  end
  unistd.close(to)
  return { pid = pid, pipe = from, said = 0 }
end

--- Waits until the child has said `count` things in all.
local function hear(child, count)
  while child.said < count do
    local bytes = assert(unistd.read(child.pipe, 4096))
    assert.is_true(#bytes > 0, "the child has ended")
    child.said = child.said + #bytes
  end
end

--- Ends it, and counts all that it said.
local function finish(child, number)
  if number then signal.kill(child.pid, number) end
  while true do
    local bytes = unistd.read(child.pipe, 65536)
    if not bytes or #bytes == 0 then break end
    child.said = child.said + #bytes
  end
  unistd.close(child.pipe)
  local _, how, status = wait.wait(child.pid)
  return how, status
end

--- The word of the lock: 0 if it is free.
local function lock_word(fd)
  local at = C.mmap(nil, PAGE, READ, MAP_SHARED, fd, MIB)
  return ffi.cast("volatile uint32_t *", at), function() C.munmap(at, PAGE) end
end

--- Stops the child while it has the lock.
local function stop_inside(child, word)
  repeat
    signal.kill(child.pid, signal.SIGCONT)
    hear(child, child.said + 1)
    for _ = 1, 1000 do if word[0] ~= 0 then break end end
    signal.kill(child.pid, signal.SIGSTOP)
    wait.wait(child.pid, wait.WUNTRACED)
  until word[0] ~= 0
end

describe("a dict", function()
  local fd, d

  before_each(function()
    fd = create()
    d = open(fd)
  end)
  after_each(function()
    lib.dict_close(d)
    C.close(fd)
  end)

  it("keeps what is written, in every process that opens it", function()
    local other = open(fd)
    assert.same({ nil, "ABSENT" }, { get(d, "a") })
    assert.equal("DONE", set(d, "a", "text"))
    assert.equal("text", get(other, "a"))
    assert.equal("DONE", set(other, "a", 7))
    assert.equal(7, get(d, "a"))
    assert.equal(9, incr(d, "a", 2))
    assert.equal("DONE", set(d, "empty", ""))
    assert.equal("", get(other, "empty"))
    assert.equal("DONE", delete(other, "a"))
    assert.equal("ABSENT", delete(d, "a"))
    assert.is_nil(get(d, "a"))
    lib.dict_close(other)
  end)

  it("adds only what is not there", function()
    local function add(v, now, expiry)
      return said(lib.dict_add(d, slice "a", value_of(v), { now, expiry or 0 }))
    end
    assert.equal("DONE", add("one", 1, 10))
    assert.equal("PRESENT", add("two", 9))
    assert.equal("one", get(d, "a", 9))
    assert.equal("DONE", add("two", 10))
    assert.equal("two", get(d, "a", 10))
  end)

  it("takes keys of any bytes and length", function()
    local keys = {}
    for _, len in ipairs { 1, 2, 509, 510, 511, 512, 8192 } do
      keys[#keys + 1] = ("k"):rep(len)
      keys[#keys + 1] = ("k"):rep(len - 1) .. "\0"
    end
    for i, key in ipairs(keys) do assert.equal("DONE", set(d, key, i)) end
    for i, key in ipairs(keys) do assert.equal(i, get(d, key)) end
    for i, key in ipairs(keys) do
      assert.equal(i + 1, incr(d, key))
      assert.equal("DONE", delete(d, key))
      assert.is_nil(get(d, key))
    end
  end)

  it("bounds values", function()
    assert.equal(16384, tonumber(lib.dict_value_max(d)))
    assert.equal("DONE", set(d, "a", ("v"):rep(16384)))
    assert.equal("TOO_LONG", set(d, "a", ("v"):rep(16385)))
    assert.equal(16384, #get(d, "a"))
    assert.same({ nil, "NO_NUMBER" }, { incr(d, "a") })
  end)

  it("forgets what is over", function()
    local expiry = ffi.new "uint64_t[1]"
    local function end_of(key, now)
      local result = lib.dict_expiry(d, slice(key), now, expiry)
      return result == lib.DICT_DONE and tonumber(expiry[0]) or said(result)
    end
    assert.equal("DONE", set(d, "a", "x", 100, 150))
    assert.equal("x", get(d, "a", 149))
    assert.is_nil(get(d, "a", 150))
    assert.equal(150, end_of("a", 149))
    assert.equal("ABSENT", end_of("a", 150))
    assert.equal("ABSENT", delete(d, "a", 150))
    -- A sum keeps the end that it began with, and begins anew after it.
    assert.equal(1, incr(d, "n", 1, 100, 200))
    assert.equal(2, incr(d, "n", 1, 199, 300))
    assert.equal(1, incr(d, "n", 1, 200, 300))
    assert.equal(300, end_of("n", 250))
    assert.equal("DONE", set(d, "n", 1, 250))
    assert.equal(0, end_of("n", 1e9))
  end)

  it("is never full: what is over goes first, then what is over soonest, then the rest", function()
    local text = ("v"):rep(1000)
    for i = 1, 20 do assert.equal("DONE", set(d, "over" .. i, text, 1, 50)) end
    for i = 1, 20 do assert.equal("DONE", set(d, "late" .. i, text, 1, 90000 + i)) end
    for i = 1, 20 do assert.equal("DONE", set(d, "soon" .. i, text, 1, 80000 + i)) end
    assert.equal("DONE", set(d, "first", text))
    local order = { "over1", "over20", "soon1", "soon20", "late1", "late20", "first" }
    local seen = {}
    local function note(i)
      for _, key in ipairs(order) do
        if not seen[key] and not get(d, key, 100) then
          seen[key] = i
          table.insert(seen, key)
        end
      end
    end
    for i = 1, 5000 do
      assert.equal("DONE", set(d, "forever" .. i, text, 100))
      assert.equal(text, get(d, "forever" .. i, 100))
      note(i)
    end
    assert.same(table.concat(order, " "), table.concat(seen, " "))
    assert.is_true(seen.soon1 > 200, seen.soon1 .. ": something went long before there was need")
    assert.is_nil(get(d, "forever4000"))
    assert.equal(text, get(d, "forever4900"))
  end)

  it("takes values of all lengths when it is full", function()
    math.randomseed(1)
    for i = 1, 3000 do
      local len = math.random() < 0.5 and math.random(0, 100) or math.random(0, 16384)
      local key = math.random(1, 600) .. ("k"):rep(math.random() < 0.1 and 3000 or 0)
      assert.equal("DONE", set(d, key, ("v"):rep(len), i, math.random() < 0.5 and i + 500 or 0))
      assert.equal(len, #get(d, key, i))
    end
  end)

  it("leases up to a limit, whoever holds them", function()
    assert.equal("DONE", lease(d, "ann", 2, 1, 1))
    assert.equal("DONE", lease(d, "ann", 2, 2, 2))
    assert.equal("PRESENT", lease(d, "ann", 2, 3, 3))
    assert.equal("DONE", lease(d, "bob", 2, 3, 3))
    assert.equal("ABSENT", give_back(d, "ann", 3, 3))
    assert.equal("DONE", give_back(d, "ann", 2, 2))
    assert.equal("ABSENT", give_back(d, "ann", 2, 2))
    assert.equal(1, leased(d, "ann"))
    assert.equal("DONE", lease(d, "ann", 2, 3, 3))
    assert.equal("PRESENT", lease(d, "ann", 0, 3, 3))
  end)

  it("gives back what a process held that has died, and nothing else", function()
    for i = 1, 300 do
      assert.equal("DONE", lease(d, "key" .. i, 9, 1, 4))
      assert.equal("DONE", lease(d, "key" .. i, 9, 1, 4))
      assert.equal("DONE", lease(d, "key" .. i, 9, 2, 5))
      assert.equal("DONE", lease(d, "key" .. i, 9, 1, 6))
    end
    reap(d, 1, 5)
    for i = 1, 300 do assert.equal(2, leased(d, "key" .. i)) end
    reap(d, 1, 5)
    reap(d, 3, 99)
    assert.equal(2, leased(d, "key1"))
    reap(d, 1, 7)
    reap(d, 2, 6)
    for i = 1, 300 do assert.equal(0, leased(d, "key" .. i)) end
  end)

  it("refuses leases when there is no room but theirs, and goes on with the rest", function()
    assert.equal("DONE", set(d, "value", 1))
    local held = 0
    while lease(d, "key" .. held, 1) == "DONE" do held = held + 1 end
    assert.is_true(held > 1000)
    assert.equal("FULL", lease(d, "more", 1))
    assert.equal("FULL", set(d, "value", 1))
    for i = 0, held - 1 do assert.equal("DONE", give_back(d, "key" .. i)) end
    assert.equal("DONE", set(d, "value", 1))
    assert.equal("DONE", lease(d, "more", 1))
  end)
end)

describe("processes that share a dict", function()
  local fd, d

  before_each(function()
    fd = create()
    d = open(fd)
  end)
  after_each(function()
    lib.dict_close(d)
    C.close(fd)
  end)

  it("add up exactly", function()
    local children = {}
    for i = 1, 4 do
      children[i] = fork(fd, function(own)
        for _ = 1, 1500 do
          -- One that has to wait long for the lock is told so.
          repeat until incr(own, "all")
          repeat until incr(own, "own" .. i)
        end
      end)
    end
    for _, child in ipairs(children) do assert.same({ "exited", 0 }, { finish(child) }) end
    assert.equal(6000, get(d, "all"))
    for i = 1, 4 do assert.equal(1500, get(d, "own" .. i)) end
  end)

  it("lose nothing that was done when one is killed in the midst of a change", function()
    local word, unmap = lock_word(fd)
    local done = 0
    for i = 1, KILLS do
      local child = fork(fd, function(own, say)
        for turn = 1, math.huge do
          assert(incr(own, "n") and say() == nil)
          assert(lease(own, "ann", 1e6, 1, i) == "DONE")
          assert(set(own, "key" .. turn % 3000, ("v"):rep(turn % 900), turn, turn + 40) == "DONE")
          assert(get(own, "n"))
        end
      end)
      stop_inside(child, word)
      finish(child, signal.SIGKILL)
      local n = get(d, "n")
      assert.is_true(n >= done + child.said and n <= done + child.said + 1)
      done = n
      assert.is_true(leased(d, "ann") >= child.said - 1)
      reap(d, 1, i + 1)
      assert.equal(0, leased(d, "ann"))
    end
    unmap()
    -- It still removes each row together with its place in the order.
    for i = 1, 3000 do assert.equal("DONE", set(d, "after" .. i, ("v"):rep(1000))) end
    assert.is_nil(get(d, "n"))
  end)

  -- LMDB has a table of 126 readers, and each that is killed would take a place of it for good.
  it("look on, however many were killed in the midst of it", function()
    assert.equal("DONE", set(d, "a", 1))
    for _ = 1, READERS do
      local child = fork(fd, function(own, say)
        say()
        while true do get(own, "a") end
      end)
      hear(child, 1)
      finish(child, signal.SIGKILL)
    end
    assert.equal(1, get(d, "a"))
    assert.equal("DONE", set(d, "a", 2))
    local other = open(fd)
    assert.equal(2, get(other, "a"))
    lib.dict_close(other)
  end)

  it("do not wait for one that was stopped in the midst of a change", function()
    local word, unmap = lock_word(fd)
    assert.equal("DONE", set(d, "a", 1))
    local child = fork(fd, function(own, say)
      while say() == nil do incr(own, "n") end
    end)
    stop_inside(child, word)
    for _ = 1, 50 do assert.same({ nil, "BUSY" }, { get(d, "a") }) end
    assert.same({ nil, "BUSY" }, { incr(d, "a") })
    finish(child, signal.SIGKILL)
    assert.equal(1, get(d, "a"))
    unmap()
  end)

  it("tell who has the lock, and whether it is still the same time", function()
    local word, unmap = lock_word(fd)
    local page = lib.dict_watch(fd, err)
    local free = lib.dict_hold_of(page)
    assert.equal(0, free.process)
    local child = fork(fd, function(own, say)
      while say() == nil do incr(own, "n") end
    end)
    stop_inside(child, word)
    local before = lib.dict_hold_of(page)
    assert.equal(child.pid, before.process)
    assert.same({ nil, "BUSY" }, { get(d, "n") })
    assert.is_true(lib.dict_hold_of(page).number == before.number)
    local after
    for _ = 1, 100 do -- it may have been stopped again before it went on
      stop_inside(child, word)
      after = lib.dict_hold_of(page)
      if after.number > before.number then break end
    end
    assert.is_true(after.number > before.number)
    assert.equal(child.pid, after.process)
    finish(child, signal.SIGKILL)
    assert.equal(0, lib.dict_hold_of(page).process)
    lib.dict_unwatch(page)
    unmap()
  end)
end)

it("a dict for which there is no memory is refused", function()
  assert.equal(-1, lib.dict_create(2 ^ 50, err))
  assert.matches("bytes: ", ffi.string(err.text))
end)
