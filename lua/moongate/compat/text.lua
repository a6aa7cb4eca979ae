--- The functions of `ngx` that only make texts of texts.
local core = require "moongate.core"

local text = {}

local function unhex(hex)
  return (hex:gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
end

function text.md5(value) return core.md5(value) end
function text.md5_bin(value) return unhex(core.md5(value)) end
function text.sha1_bin(value) return unhex(core.sha1(value)) end
function text.hmac_sha1(key, value) return unhex(core.hmac_sha1(key, value)) end
function text.crc32_short(value) return core.crc32(value) end
function text.crc32_long(value) return core.crc32(value) end

function text.encode_base64(value, without_padding)
  local encoded = core.encode_base64(value)
  return without_padding and (encoded:gsub("=+$", "")) or encoded
end

--- Padding may be missing.
function text.decode_base64(value)
  if type(value) ~= "string" then error("decode_base64: a string expected", 2) end
  return (core.decode_base64(value .. ("="):rep(-#value % 4)))
end

-- URIs ------------------------------------------------------------------------------

local KEEP = { [0] = "[%z\1-\32#%%?\127-\255]", [2] = "[^%w%-._~]" } -- what is written as %XX

local function escaped(byte) return ("%%%02X"):format(byte:byte()) end

--- `kind` 0: a whole URI; 2: a part of one.
function text.escape_uri(value, kind)
  return (tostring(value):gsub(KEEP[kind or 2] or KEEP[2], escaped))
end

function text.unescape_uri(value)
  return (tostring(value):gsub("+", " "):gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function add_argument(words, name, value)
  if value == true then
    words[#words + 1] = text.escape_uri(name)
  elseif value then
    words[#words + 1] = text.escape_uri(name) .. "=" .. text.escape_uri(value)
  end
end

function text.encode_args(arguments)
  local words = {}
  for name, value in pairs(arguments) do
    if type(value) == "table" then
      for _, one in ipairs(value) do add_argument(words, name, one) end
    else
      add_argument(words, name, value)
    end
  end
  return table.concat(words, "&")
end

--- What is there already becomes a list.
local function add_to(found, name, value)
  local there = found[name]
  if there == nil then
    found[name] = value
  elseif type(there) == "table" then
    there[#there + 1] = value
  else
    found[name] = { there, value }
  end
end

function text.decode_args(value, most)
  local found, count = {}, 0
  most = most or 100
  for word in value:gmatch "[^&]+" do
    if most > 0 and count == most then return found, "truncated" end
    local name, rest = word:match "^([^=]*)=(.*)$"
    count = count + 1
    add_to(found, text.unescape_uri(name or word), name == nil or text.unescape_uri(rest))
  end
  return found
end

function text.http_time(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", seconds)
end

return text
