--- What `ngx.shared` asks of a table in Redis, as `core.dict` has it for those in memory.
--
-- Redis itself removes what is over: there is nothing stale, and nothing to be swept. What it
-- removes for lack of memory is its own business. All keys of a table are read or removed in steps,
-- between which others may write.
local redis_table = require "moongate.redis_table"

local STEP = 100 -- keys that Redis looks at between two others' commands

-- ARGV: milliseconds, or "" for ever.
local EXPIRE = [[
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
if ARGV[1] == "" then redis.call("PERSIST", KEYS[1])
else redis.call("PEXPIRE", KEYS[1], ARGV[1]) end
return 1]]

local redis_dict = {}

function redis_dict.parts(name) return select(2, redis_table(name)) end

--- nil and what is wrong in OpenResty's words; `kind` is what the key should hold.
local function failed(err, kind)
  local text = tostring(err)
  if not text:find("WRONGTYPE", 1, true) then return nil, text end
  return nil, kind == "list" and "value not a list" or "value is a list"
end

local function milliseconds(seconds) return seconds and math.ceil(seconds * 1000) or "" end

-- Values ----------------------------------------------------------------------------

function redis_dict.get(parts, key)
  local text, err = parts.pool:get(parts.key_of(key))
  if err then return failed(err) end
  if not text then return nil end
  local value, flags = parts.decode(text)
  if value == nil then return nil, "the value is not one of ours" end
  return value, flags, false
end

local ONLY = { add = "absent", replace = "present" }
local IN_THE_WAY = { add = "exists", replace = "not found" }

function redis_dict.store(parts, how, key, value, seconds, flags)
  local text = parts.encode(value, flags)
  if #text > parts.text_max then return false, "no memory", false end
  local done, err = parts.pool:set(parts.key_of(key), text, { ttl = seconds, only = ONLY[how] })
  if err then return false, tostring(err), false end
  if not done then return false, IN_THE_WAY[how], false end
  return true, nil, false
end

function redis_dict.incr(parts, key, by, first, seconds)
  local sum, err = parts.add_up(key, by, first, milliseconds(seconds))
  if err then
    local _, text = failed(err)
    return nil, text == "value is a list" and "not a number" or text
  end
  if sum == "absent" then return nil, "not found" end
  if not sum then return nil, "not a number" end
  return sum, nil, false
end

function redis_dict.delete(parts, key)
  local count, err = parts.pool:del(parts.key_of(key))
  if not count then return nil, tostring(err) end
  return true
end

function redis_dict.expire(parts, key, seconds)
  local done, err = parts.pool:eval(EXPIRE, { parts.key_of(key) }, { milliseconds(seconds) })
  if not done then return nil, tostring(err) end
  if done == 0 then return nil, "not found" end
  return true
end

function redis_dict.ttl(parts, key)
  local left, err = parts.pool:ttl(parts.key_of(key))
  if err then return nil, tostring(err) end
  if not left then return nil, "not found" end
  return math.max(left, 0)
end

-- Lists -----------------------------------------------------------------------------

local PUSH, POP = { front = "LPUSH", back = "RPUSH" }, { front = "LPOP", back = "RPOP" }

function redis_dict.push(parts, key, place, value)
  local text = parts.encode(value)
  if #text > parts.text_max then return nil, "no memory" end
  local count, err = parts.pool:command(PUSH[place], parts.key_of(key), text)
  if err then return failed(err, "list") end
  return count
end

function redis_dict.pop(parts, key, place)
  local text, err = parts.pool:command(POP[place], parts.key_of(key))
  if err then return failed(err, "list") end
  if not text then return nil end
  return (parts.decode(text))
end

function redis_dict.count(parts, key)
  local count, err = parts.pool:command("LLEN", parts.key_of(key))
  if err then return failed(err, "list") end
  return count
end

-- All of it -------------------------------------------------------------------------

--- Calls `each` with lists of full keys until it returns false; true, or nil and what is wrong.
local function scan(parts, each)
  local pattern = parts.key_of "":gsub("[%*%?%[%]\\]", "\\%0") .. "*"
  local cursor = "0"
  repeat
    local step, err = parts.pool:command("SCAN", cursor, "MATCH", pattern, "COUNT", STEP)
    if not step then return nil, tostring(err) end
    cursor = tostring(step[1])
    local go_on, problem = each(step[2])
    if problem then return nil, problem end
  until cursor == "0" or not go_on
  return true
end

function redis_dict.clear(parts)
  return scan(parts, function(keys)
    if #keys == 0 then return true end
    local _, err = parts.pool:command("UNLINK", unpack(keys))
    return true, err and tostring(err)
  end)
end

function redis_dict.sweep() return 0 end

--- Redis may tell a key twice.
function redis_dict.keys(parts, most)
  local found, seen, begin = {}, {}, #parts.key_of "" + 1
  local ok, err = scan(parts, function(keys)
    for _, key in ipairs(keys) do
      if not seen[key] and (most == 0 or #found < most) then
        seen[key] = true
        found[#found + 1] = key:sub(begin)
      end
    end
    return most == 0 or #found < most
  end)
  if not ok then return nil, err end
  return found
end

return redis_dict
