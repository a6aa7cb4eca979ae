--- Words about the description that several of its readers need.
local text = {}

--- A value as it is written in Lua.
function text.literal(value)
  if type(value) == "string" then return ('"%s"'):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local words = {}
  for i, item in ipairs(value) do words[i] = text.literal(item) end
  return #words > 0 and table.concat(words, ", ") or "none"
end

--- "a", "b"
function text.values(values)
  local words = {}
  for i, value in ipairs(values) do words[i] = text.literal(value) end
  return words
end

local SCALES = {
  duration = { { 86400, "d" }, { 3600, "h" } },
  size = { { 1073741824, "g" }, { 1048576, "m" }, { 1024, "k" } },
}

--- A number of seconds or bytes as one would write it in moongate.lua: 86400 is "1d".
local function scaled(value, kind)
  for _, scale in ipairs(type(value) == "number" and SCALES[kind] or {}) do
    if value >= scale[1] and value % scale[1] == 0 then return value / scale[1] .. scale[2] end
  end
  return value
end

local function bytes(count)
  if count >= 1048576 and count % 1048576 == 0 then return count / 1048576 .. " MiB" end
  return count .. " bytes"
end

local function seconds(count)
  if count > 0 and count % 86400 == 0 then return count / 86400 .. "d" end
  if count > 0 and count % 3600 == 0 then return count / 3600 .. "h" end
  if count > 0 and count % 60 == 0 then return count / 60 .. "m" end
  return count .. "s"
end

local function range(field)
  local low, high = field.min, field.max
  if field[2] == "duration" then
    low, high = low and seconds(low), high and seconds(high)
  elseif field[2] == "size" or field.unit == "bytes" then
    low, high = low and bytes(low), high and bytes(high)
  end
  if low and high then return ("%s to %s"):format(low, high) end
  if low then return ("at least %s"):format(low) end
  return high and ("up to %s"):format(high)
end

--- Unit and limits of a field: "seconds, 0 to 60"; "" if there are none.
function text.limits(field)
  local words = {}
  if field.unit ~= "bytes" then words[#words + 1] = field.unit end
  words[#words + 1] = range(field)
  if field.max_length then words[#words + 1] = "up to " .. bytes(field.max_length) end
  return table.concat(words, ", ")
end

--- What a field means, with its limits.
function text.meaning(field)
  local limits = text.limits(field)
  local doc = field.doc or ""
  if limits == "" then return doc end
  return doc == "" and limits or doc .. " (" .. limits .. ")"
end

local TYPES = {
  string = "text", text = "text", mode = "text", boolean = "true or false", number = "number",
  integer = "number", section = "table", map = "table", target = "upstream", data = "table",
  place = "upstream", source = "address",
}

--- The type of a configuration key in words; `mark` puts a value into quotes.
function text.key_type(field, mark)
  if field[2] == "enum" then
    local words = text.values(field.values)
    for i, word in ipairs(words) do words[i] = mark(word) end
    return table.concat(words, ", ")
  end
  local word = TYPES[field[2]] or field[2]
  for _, other in ipairs(field.also or {}) do
    word = word .. " or " .. mark(text.literal(other))
  end
  return word
end

--- The default of a configuration key in words.
function text.key_default(field, mark)
  if field.required then return "required" end
  if field.default == nil then return "" end
  local value = scaled(field.default, field[2])
  if type(value) ~= "table" then return mark(text.literal(value)) end
  local words = text.values(value)
  for i, word in ipairs(words) do words[i] = mark(word) end
  return #words > 0 and table.concat(words, ", ") or "none"
end

--- "get(url [, options])"
function text.signature(fn)
  local words, optional = {}, 0
  for i, argument in ipairs(fn.arguments or {}) do
    local may_miss = argument.optional or argument.default ~= nil
    if may_miss then optional = optional + 1 end
    words[#words + 1] = (may_miss and (i > 1 and " [, " or "[") or i > 1 and ", " or "")
      .. argument[1]
  end
  return fn[1] .. "(" .. table.concat(words) .. ("]"):rep(optional) .. ")"
end

--- A text in lines of at most `width` columns.
function text.wrap(words, width)
  local lines, line = {}, ""
  for word in words:gmatch "%S+" do
    if line ~= "" and #line + 1 + #word > width then
      lines[#lines + 1], line = line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  if line ~= "" then lines[#lines + 1] = line end
  return lines
end

return text
