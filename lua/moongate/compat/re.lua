--- `ngx.re`, on moongate.re. A mistake in a pattern is told as `nil, err`.
local own = require "moongate.re"

local re = {}

--- Our letters of OpenResty's: how a pattern is compiled or kept is our business.
local function letters(options)
  if options == nil then return nil end
  if options:find("d", 1, true) then error("the DFA mode is not there", 0) end
  return (options:gsub("[joJ]", ""):gsub("U", "u"))
end

--- The results, or nil and the words of whatever went wrong.
local function told(ok, value, ...)
  if not ok then return nil, (tostring(value):gsub("^.-: re: ", "")) end
  if value == nil and ... then return nil, tostring((...)) end
  return value, ...
end

local function matched(subject, regex, options, context, results)
  local captures, first, last =
    own.match(subject, regex, letters(options), context and context.pos or 1)
  if not captures then return nil, first end
  if context then context.pos = math.max(first, last + 1) end
  if not results then return captures end
  for key, value in pairs(captures) do results[key] = value end
  return results
end

function re.match(...) return told(pcall(matched, ...)) end

local function found(subject, regex, options, context, group)
  local from, chosen = context and context.pos or 1, letters(options)
  local first, last = own.find(subject, regex, chosen, from, group)
  if not first then return nil, last end
  if context then
    local _, stop = own.find(subject, regex, chosen, from)
    context.pos = stop + 1
  end
  return first, last
end

function re.find(...)
  local first, second = told(pcall(found, ...))
  if first == nil then return nil, nil, second end
  return first, second
end

function re.gmatch(subject, regex, options)
  local ok, iterate = pcall(function() return own.gmatch(subject, regex, letters(options)) end)
  if not ok then return told(false, iterate) end
  return function()
    local captures, err = iterate()
    if captures then return captures end
    return nil, err and tostring(err)
  end
end

local function replaced(replace)
  return function(subject, regex, replacement, options)
    local text, count = told(pcall(function()
      return replace(subject, regex, replacement, letters(options))
    end))
    if text == nil then return nil, nil, count end
    return text, count
  end
end

re.sub, re.gsub = replaced(own.sub), replaced(own.gsub)

return re
