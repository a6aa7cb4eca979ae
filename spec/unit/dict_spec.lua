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
for name in ("DONE ABSENT PRESENT NO_NUMBER NO_VALUE NO_LIST TOO_LONG FULL BUSY BROKEN"):gmatch
  "%S+" do
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

local ENDS = { front = lib.DICT_FRONT, back = lib.DICT_BACK }

--- How many there are then; or nil and why.
local function push(d, key, where, v, now)
  local count = ffi.new "uint32_t[1]"
  local result = lib.dict_push(d, { slice(key), ENDS[where] }, value_of(v), now or 1, count)
  if result ~= lib.DICT_DONE then return nil, said(result) end
  return count[0]
end

local function pop(d, key, where, now)
  local value = ffi.new "struct dict_value"
  local result = lib.dict_pop(d, { slice(key), ENDS[where] }, now or 1, value)
  if result ~= lib.DICT_DONE then return nil, said(result) end
  return value.type == lib.DICT_STRING and core.text(value.text) or value.number
end

local function length(d, key, now)
  local number = ffi.new "uint32_t[1]"
  local result = lib.dict_count(d, slice(key), now or 1, number)
  return result == lib.DICT_DONE and number[0] or said(result)
end

local function expire(d, key, now, expiry)
  return said(lib.dict_expire(d, slice(key), { now, expiry }))
end

--- All keys, of which `rows` are looked at in one go.
local function keys_of(d, now, rows)
  local found, walk, keys = ffi.new "struct buf", ffi.new "struct dict_walk", {}
  lib.buf_init(found, MIB)
  local result
  repeat
    result = said(lib.dict_walk(d, now or 1, rows or 1000, walk, found))
  until result ~= "DONE"
  assert.equal("ABSENT", result)
  local bytes = core.text(lib.buf_bytes(found))
  lib.buf_deinit(found)
  while bytes ~= "" do
    local len = ffi.cast("const uint32_t *", bytes)[0]
    keys[#keys + 1] = bytes:sub(5, 4 + len)
    bytes = bytes:sub(5 + len)
  end
  table.sort(keys)
  return keys
end

local function sweep(d, now, most)
  local removed = ffi.new "size_t[1]"
  assert.equal("DONE", said(lib.dict_sweep(d, now, most or 1e9, removed)))
  return tonumber(removed[0])
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

  it("keeps what is over for a minute, for who asks for it", function()
    assert.equal("DONE", set(d, "a", "x", 1, 100))
    assert.equal("DONE", set(d, "other", 1, 60099))
    assert.equal("x", get(d, "a", 0))
    assert.equal("DONE", set(d, "other", 1, 60100))
    assert.is_nil(get(d, "a", 0))
  end)

  it("removes nothing that is not over for those who keep it", function()
    local text, safe = ("v"):rep(1000), { 100, 0, true }
    local value, added = value_of(text), 0
    assert.equal("DONE", set(d, "over", text, 1, 50))
    while lib.dict_set(d, slice("key" .. added), value, safe) == lib.DICT_DONE do
      added = added + 1
      assert.is_false(lib.dict_has_forced(d))
    end
    assert.equal("FULL", said(lib.dict_set(d, slice "more", value, safe)))
    assert.is_nil(get(d, "over", 0))
    assert.is_true(added > 200)
    for i = 0, added - 1 do assert.equal(text, get(d, "key" .. i)) end
    assert.equal("DONE", set(d, "more", text, 100))
    assert.is_true(lib.dict_has_forced(d))
    assert.is_nil(get(d, "key0"))
    assert.equal("DONE", set(d, "key1", 1))
    assert.is_false(lib.dict_has_forced(d))
  end)

  it("replaces and adds to what is there only", function()
    local sum = ffi.new "double[1]"
    local function replace(v, now)
      return said(lib.dict_replace(d, slice "a", value_of(v), { now, 0 }))
    end
    local function add(now) return said(lib.dict_add_to_present(d, slice "a", 2, now, sum)) end
    assert.same({ "ABSENT", "ABSENT" }, { replace(1, 1), add(1) })
    assert.equal("DONE", set(d, "a", 5, 1, 100))
    assert.equal("DONE", add(99))
    assert.equal(7, sum[0])
    assert.same({ "ABSENT", "ABSENT" }, { replace(1, 100), add(100) })
    assert.equal("DONE", set(d, "a", 5))
    assert.equal("DONE", replace("text", 1))
    assert.same({ "text", "NO_NUMBER" }, { get(d, "a"), add(1) })
  end)

  it("ends sooner, or never, what is there", function()
    local long = ("k"):rep(600)
    assert.equal("ABSENT", expire(d, "a", 1, 100))
    for key, v in pairs { a = "text", [long] = 1.5 } do
      local value = value_of(v)
      value.flags = 7
      assert.equal("DONE", said(lib.dict_set(d, slice(key), value, { 1, 50 })))
      assert.equal("DONE", expire(d, key, 1, 100))
      assert.equal(v, get(d, key, 99))
      assert.is_nil(get(d, key, 100))
      assert.equal("DONE", expire(d, key, 99, 0))
      assert.equal("DONE", said(lib.dict_get(d, slice(key), 1000, value)))
      assert.same({ 7, 0 }, { value.flags, tonumber(value.expiry) })
    end
    -- And it goes in its new order.
    assert.equal("DONE", expire(d, "a", 1, 10))
    assert.equal(1, sweep(d, 10))
    assert.is_nil(get(d, "a", 0))
    assert.equal(1.5, get(d, long))
  end)

  it("keeps flags, also of what is added to", function()
    local value = value_of(1)
    value.flags = 2 ^ 32 - 1
    assert.equal("DONE", said(lib.dict_set(d, slice "n", value, { 1, 0 })))
    assert.equal(3, incr(d, "n", 2))
    assert.equal("DONE", said(lib.dict_get(d, slice "n", 1, value)))
    assert.equal(2 ^ 32 - 1, value.flags)
    assert.equal("DONE", set(d, "n", 1))
    assert.equal("DONE", said(lib.dict_get(d, slice "n", 1, value)))
    assert.equal(0, value.flags)
  end)

  it("has lists, whose ends are at hand", function()
    assert.same({ nil, "ABSENT" }, { pop(d, "l", "front") })
    assert.equal("ABSENT", length(d, "l"))
    for i, v in ipairs { "b", "", 1.5, ("long"):rep(500) } do
      assert.equal(i, push(d, "l", "back", v))
    end
    assert.equal(5, push(d, "l", "front", "a\0"))
    assert.equal(5, length(d, "l"))
    assert.equal(("long"):rep(500), pop(d, "l", "back"))
    assert.equal("a\0", pop(d, "l", "front"))
    assert.equal("b", pop(d, "l", "front"))
    assert.equal(1.5, pop(d, "l", "back"))
    assert.equal("", pop(d, "l", "back"))
    assert.same({ nil, "ABSENT" }, { pop(d, "l", "back") })
    assert.same({}, keys_of(d))
  end)

  it("lets no list be a value, nor the other way round", function()
    assert.equal("DONE", set(d, "v", "x"))
    assert.equal(1, push(d, "l", "back", "x"))
    assert.same({ nil, "NO_LIST" }, { push(d, "v", "back", "x") })
    assert.same({ nil, "NO_LIST" }, { pop(d, "v", "back") })
    assert.equal("NO_LIST", length(d, "v"))
    assert.same({ nil, "NO_VALUE" }, { get(d, "l") })
    assert.same({ nil, "NO_NUMBER" }, { incr(d, "l") })
    assert.equal("DONE", set(d, "l", "x"))
    assert.equal("x", get(d, "l"))
  end)

  it("ends lists as it ends values", function()
    push(d, "l", "back", "old")
    assert.equal("DONE", expire(d, "l", 1, 100))
    assert.equal(2, push(d, "l", "back", "x", 50))
    assert.equal("old", pop(d, "l", "front", 50))
    assert.same({ nil, "ABSENT" }, { pop(d, "l", "front", 100) })
    assert.equal(1, push(d, "l", "back", "new", 100))
    assert.equal("new", pop(d, "l", "front", 1e9))
  end)

  it("bounds lists as it bounds values", function()
    local pushed = 0
    while push(d, "l", "front", ("v"):rep(100)) do pushed = pushed + 1 end
    assert.same({ nil, "TOO_LONG" }, { push(d, "l", "back", ("v"):rep(100)) })
    assert.is_true(pushed > 130 and pushed * 100 < 16384)
    assert.equal(pushed, length(d, "l"))
    pop(d, "l", "back")
    assert.equal(pushed, push(d, "l", "back", ("w"):rep(100)))
    assert.equal(("w"):rep(100), pop(d, "l", "back"))
  end)

  it("tells its keys, and forgets all", function()
    local long = ("k"):rep(5000)
    set(d, "a\0b", 1)
    set(d, long, "text")
    push(d, "list", "back", 1)
    set(d, "over", 1, 1, 5)
    lease(d, "held", 9)
    assert.same({ "a\0b", long, "list" }, keys_of(d, 5))
    assert.equal(4, #keys_of(d, 4))
    for rows = 1, 4 do assert.same(keys_of(d, 5), keys_of(d, 5, rows)) end
    assert.equal("DONE", said(lib.dict_clear(d)))
    assert.same({}, keys_of(d))
    assert.equal(1, leased(d, "held"))
    assert.equal("DONE", set(d, "a", 1))
    assert.same({ "a" }, keys_of(d))
  end)

  it("forgets all when it is full", function()
    for i = 1, 3000 do assert.equal("DONE", set(d, "key" .. i, ("v"):rep(i % 3000))) end
    assert.equal("DONE", said(lib.dict_clear(d)))
    assert.same({}, keys_of(d))
    for i = 1, 3000 do assert.equal("DONE", set(d, "key" .. i, ("v"):rep(i % 3000))) end
  end)

  it("sweeps what is over, as much as is wanted", function()
    for i = 1, 200 do set(d, "over" .. i, 1, 1, 50) end
    set(d, "late", 1, 1, 51)
    assert.equal(0, sweep(d, 49))
    assert.equal(3, sweep(d, 50, 3))
    assert.equal(197, sweep(d, 50))
    assert.same({ "late" }, keys_of(d, 1))
  end)

  it("tells how large it is, and how much is left", function()
    local bytes = ffi.new "size_t[1]"
    local function left()
      assert.equal("DONE", said(lib.dict_free_space(d, bytes)))
      return tonumber(bytes[0])
    end
    assert.equal(MIB, tonumber(lib.dict_size(d)))
    local before = left()
    assert.is_true(before > MIB / 2 and before < MIB)
    for i = 1, 100 do set(d, "key" .. i, ("v"):rep(1000)) end
    assert.is_true(left() < before - 100000)
    for i = 1, 2000 do set(d, "key" .. i, ("v"):rep(1000)) end
    assert.is_true(left() < 100000)
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
