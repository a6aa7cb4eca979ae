--- Regular expressions in the syntax of Perl: `moongate.re`, with bounds on time and memory.
local core = require "moongate.core"

local re = {}

--- What the first match from byte `from` on has captured, and its place; nil where there is none.
function re.match(subject, pattern, options, from)
  local captures, first, last = core.regex_find(subject, pattern, options, from)
  if not captures then return nil, first end
  return captures, first, last
end

--- Where the first match is, or a group of it: its first byte and its last one, which is before
-- it when it is empty.
function re.find(subject, pattern, options, from, group)
  local captures, first, last = core.regex_find(subject, pattern, options, from, group)
  if not captures then return nil, first end
  if first == 0 then return nil end
  return first, last
end

--- Where to look next: behind the match, and past a character behind an empty one.
local function step(subject, options, first, last)
  if last >= first then return last + 1 end
  local at = first + 1
  if not (options and options:find("u", 1, true)) then return at end
  while subject:find("^[\128-\191]", at) do at = at + 1 end
  return at
end

--- A function that gives the captures of one match after the other, and their places.
function re.gmatch(subject, pattern, options)
  local from = 1
  core.regex_find("", pattern, options) -- what is wrong with it is told here
  return function()
    if not from then return nil end
    local captures, first, last = core.regex_find(subject, pattern, options, from)
    if not captures then
      from = nil
      return nil, first
    end
    from = step(subject, options, first, last)
    return captures, first, last
  end
end

-- Replacing -----------------------------------------------------------------------

--- "$1", "${1}", "${name}", "$0", "$&" and "$$" of a text: a list of texts and { name }.
local function parse(template)
  local parts, at = {}, 1
  while true do
    local dollar = template:find("$", at, true)
    parts[#parts + 1] = template:sub(at, (dollar or #template + 1) - 1)
    if not dollar then return parts end
    local word, stop = template:match("^{([%w_]+)}()", dollar + 1)
    if not word then word, stop = template:match("^([%d&$])()", dollar + 1) end
    if word and word:match "^%d" then word, stop = template:match("^{?(%d+)}?()", dollar + 1) end
    if not word then
      error(("re: \"$\" at byte %d of the replacement: write \"$$\" for itself"):format(dollar), 3)
    end
    if word == "$" then
      parts[#parts + 1] = "$"
    else
      parts[#parts + 1] = { word == "&" and 0 or tonumber(word) or word }
    end
    at = stop
  end
end

local function filled(parts, captures)
  local words = {}
  for i, part in ipairs(parts) do
    words[i] = type(part) == "string" and part or captures[part[1]] or ""
  end
  return table.concat(words)
end

local function replacer(replacement)
  if type(replacement) == "function" then
    return function(captures) return tostring(replacement(captures)) end
  end
  local parts = parse(tostring(replacement))
  return function(captures) return filled(parts, captures) end
end

local function replace(subject, pattern, replacement, options, most)
  local replaced = replacer(replacement)
  local words, count, from, kept = {}, 0, 1, 1
  while count < most do
    local captures, first, last = core.regex_find(subject, pattern, options, from)
    if not captures and first then return nil, first end
    if not captures then break end
    count = count + 1
    words[#words + 1] = subject:sub(kept, first - 1)
    words[#words + 1] = replaced(captures)
    from = step(subject, options, first, last)
    kept = math.max(first, last + 1)
  end
  words[#words + 1] = subject:sub(kept)
  return table.concat(words), count
end

--- The text with its first match replaced, and 1; or as it is, and 0.
function re.sub(subject, pattern, replacement, options)
  return replace(subject, pattern, replacement, options, 1)
end

--- The text with all matches replaced, and how many there were.
function re.gsub(subject, pattern, replacement, options)
  return replace(subject, pattern, replacement, options, math.huge)
end

return re
