--- The answers of name servers that a worker keeps.
local ffi = require "ffi"
local support = require "spec.support.core"
local core = support.load "net/dns_cache.h"

local A, TXT = 1, 16

local Cache = {}
Cache.__index = Cache

local function cache(entries, bytes)
  local self = setmetatable({ real = core.dns_cache_new(entries or 8, bytes or 16384) }, Cache)
  finally(function() core.dns_cache_free(self.real) end)
  return self
end

local function key(name, kind)
  return ffi.new("struct dns_key", { support.slice(name), kind or A })
end

function Cache:keep(name, from, to, records, kind)
  local slices = ffi.new("struct slice[?]", math.max(#records, 1))
  for i, record in ipairs(records) do slices[i - 1] = support.slice(record) end
  core.dns_cache_keep(self.real, key(name, kind), from, ffi.new("struct dns_answer",
    { records = slices, count = #records, ["until"] = to, turn = 5 }))
end

--- The records, joined, and which turn it is; nil if nothing is known.
function Cache:find(name, now, kind)
  local answer = ffi.new "struct dns_answer"
  if not core.dns_cache_find(self.real, key(name, kind), now, answer) then return nil end
  local records = {}
  for i = 1, tonumber(answer.count) do records[i] = support.text(answer.records[i - 1]) end
  return table.concat(records, " "), tonumber(answer.turn)
end

function Cache:count() return tonumber(core.dns_cache_count(self.real)) end
function Cache:bytes() return tonumber(core.dns_cache_bytes(self.real)) end

describe("the cache of DNS answers", function()
  it("finds a name's answer until its time is over", function()
    local c = cache()
    c:keep("Mail.test", 100, 130, { "192.0.2.1", "192.0.2.2" })
    assert.equal("192.0.2.1 192.0.2.2", c:find("mail.TEST", 100))
    assert.equal("192.0.2.1 192.0.2.2", c:find("mail.test", 129.9))
    assert.is_nil(c:find("other.test", 110))
    assert.is_nil(c:find("mail.test", 130))
    assert.equal(0, c:count())
    assert.equal(0, c:bytes())
  end)

  it("knows types apart, and that there is nothing", function()
    local c = cache()
    c:keep("a.test", 0, 9, { "v=1" }, TXT)
    c:keep("a.test", 0, 9, {})
    assert.equal("v=1", c:find("a.test", 1, TXT))
    assert.equal("", c:find("a.test", 1))
  end)

  it("takes a newer answer for an older one", function()
    local c = cache()
    c:keep("a.test", 0, 9, { "1" })
    c:keep("a.test", 1, 3, { "2" })
    assert.equal("2", c:find("a.test", 2))
    assert.is_nil(c:find("a.test", 4))
    c:keep("a.test", 5, 9, { "3" })
    c:keep("a.test", 6, 6, { "4" })
    assert.is_nil(c:find("a.test", 6))
  end)

  it("keeps nothing that has no time", function()
    local c = cache()
    c:keep("a.test", 5, 5, { "1" })
    assert.equal(0, c:count())
  end)

  it("knows nothing once the clock was set back", function()
    local c = cache()
    c:keep("a.test", 1000, 1030, { "1" })
    assert.is_nil(c:find("a.test", 999))
  end)

  it("counts the turns of an answer", function()
    local c = cache()
    c:keep("a.test", 0, 9, { "1", "2" })
    for turn = 5, 8 do assert.equal(turn, select(2, c:find("a.test", 1))) end
  end)

  it("drops the answer that was not found for longest when there are too many", function()
    local c = cache(3)
    for i = 1, 3 do c:keep(i .. ".test", 0, 9, { "x" }) end
    c:find("1.test", 1)
    c:keep("4.test", 1, 9, { "x" })
    assert.equal(3, c:count())
    assert.is_nil(c:find("2.test", 1))
    for _, i in ipairs { 1, 3, 4 } do assert.equal("x", c:find(i .. ".test", 1)) end
  end)

  it("drops as many as a new one needs the bytes of, and keeps none that is large", function()
    local c = cache(1000, 16384)
    for i = 1, 200 do
      c:keep(i .. ".test", 0, 9, { ("x"):rep(500) })
      assert.is_true(c:bytes() <= 16384)
    end
    local count = c:count()
    assert.is_true(count > 16 and count < 33, count)
    assert.is_not_nil(c:find("200.test", 1))
    c:keep("large.test", 0, 9, { ("x"):rep(1024) })
    assert.is_nil(c:find("large.test", 1))
    assert.equal(count, c:count())
  end)

  it("forgets all of it", function()
    local c = cache()
    for i = 1, 5 do c:keep(i .. ".test", 0, 9, { "x" }) end
    core.dns_cache_clear(c.real)
    assert.equal(0, c:count())
    assert.equal(0, c:bytes())
    assert.is_nil(c:find("1.test", 1))
  end)
end)
