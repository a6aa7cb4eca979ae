--- moongate.hash: where keys belong, as any program can work out.
require "moongate.spec" -- runs in the gateway's own Lua
local hash = require "moongate.hash"

local function nodes(count)
  local names = {}
  for i = 1, count do names[i] = "10.0.0." .. i .. ":143" end
  return names
end

local function each_user(count, fn)
  for i = 1, count do fn("user" .. i .. "@example.org") end
end

--- How many of `count` keys differ between two rings.
local function moved(a, b, count, to)
  local keys = 0
  each_user(count, function(key)
    local before, after = a:pick(key), b:pick(key)
    if before ~= after then
      keys = keys + 1
      if to then assert.equal(to, after) end
    end
  end)
  return keys
end

--- The first 8 bytes of a SHA-256, as `sha256sum` tells them.
local function digest(text)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  local pipe = io.popen("sha256sum " .. name)
  local hex = pipe:read(16)
  pipe:close()
  os.remove(name)
  return hex
end

--- A number of 16 hexadecimal digits modulo 100.
local function modulo(hex)
  local rest = 0
  for digit in hex:gmatch "%x" do rest = (rest * 16 + tonumber(digit, 16)) % 100 end
  return rest
end

describe("a hash ring", function()
  it("gives a key the same node each time, and all nodes about as many keys", function()
    local ring, again = hash.ring(nodes(10)), hash.ring(nodes(10))
    assert.equal(0, moved(ring, again, 1000))
    local counts = {}
    each_user(10000, function(key)
      local node = ring:pick(key)
      counts[node] = (counts[node] or 0) + 1
    end)
    for _, node in ipairs(nodes(10)) do
      assert.is_true(counts[node] > 700 and counts[node] < 1300, node .. ": " .. counts[node])
    end
  end)

  it("moves only what comes to a node that is added", function()
    local count = moved(hash.ring(nodes(10)), hash.ring(nodes(11)), 10000, nodes(11)[11])
    assert.is_true(count > 10000 / 11 * 0.7 and count < 10000 / 11 * 1.3, count)
  end)

  it("does not care for the order of the nodes", function()
    local names = nodes(5)
    names[1], names[5] = names[5], names[1]
    assert.equal(0, moved(hash.ring(nodes(5)), hash.ring(names), 1000))
  end)

  it("is what the manual says", function()
    local names = nodes(3)
    local points = {}
    for _, name in ipairs(names) do
      for i = 0, 3 do table.insert(points, { digest(name .. "#" .. i), name }) end
    end
    table.sort(points, function(a, b) return a[1] < b[1] end)
    local ring = hash.ring(names, { replicas = 4 })
    each_user(20, function(key)
      local at, node = digest(key), points[1][2]
      for i = #points, 1, -1 do
        if points[i][1] >= at then node = points[i][2] end
      end
      assert.equal(node, ring:pick(key))
    end)
  end)

  it("goes on to the next node while one is not healthy, and asks each once", function()
    local ring, asked = hash.ring(nodes(4)), {}
    local second
    assert.is_nil(ring:pick("alice", function(node)
      asked[#asked + 1] = node
      return false
    end))
    assert.equal(4, #asked)
    assert.equal(asked[1], ring:pick "alice")
    second = ring:pick("alice", function(node) return node ~= asked[1] end)
    assert.equal(asked[2], second)
    local without = {}
    for _, node in ipairs(nodes(4)) do
      if node ~= asked[1] then without[#without + 1] = node end
    end
    assert.equal(second, hash.ring(without):pick "alice") -- as if it were not there
  end)

  it("refuses what is no ring", function()
    for text, arguments in pairs {
      ["1 to 1000 nodes"] = { {} }, ["is there twice"] = { { "a", "a" } },
      ["node 2: a text"] = { { "a", 5 } }, ["node 1: a text"] = { { "" } },
      replicas = { { "a" }, { replicas = 0 } }, ["unknown"] = { { "a" }, { replica = 5 } },
      ["at most 200000"] = { nodes(201), { replicas = 1000 } },
    } do
      local ok, err = pcall(hash.ring, unpack(arguments))
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
    end
    assert.has_error(function() hash.ring({ "a" }):pick("key", "healthy") end)
    assert.has_error(function() hash.ring({ "a" }):pick() end)
  end)
end)

describe("a percentage", function()
  it("is what the manual says", function()
    each_user(20, function(key)
      assert.equal(modulo(digest(key)), hash.percent(key))
      assert.equal(modulo(digest("seed#" .. key)), hash.percent(key, "seed"))
    end)
  end)

  it("divides keys evenly, for each seed in another way", function()
    local low, both = 0, 0
    each_user(10000, function(key)
      local number = hash.percent(key, "a")
      assert.is_true(number >= 0 and number <= 99)
      if number < 20 then
        low = low + 1
        if hash.percent(key, "b") < 20 then both = both + 1 end
      end
    end)
    assert.is_true(low > 1800 and low < 2200, low)
    assert.is_true(both > 300 and both < 500, both)
  end)
end)
