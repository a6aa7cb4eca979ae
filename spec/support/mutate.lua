--- Bytes as they should not be: the same for the same seed, on every machine.
--
--     local random = mutate.source(17)
--     random(6)                        -- 1 .. 6
--     mutate.text(random, "a NOOP\r\n") -- the text, damaged; now and then nothing but noise
local bit = require "bit"

local mutate = {}

-- What parsers trip over.
local TOKENS = {
  "\r", "\n", "\0", "\r\n", "\n\n", "\r\r\n", " ", "\t", "\"", "\\", "(", ")", "{", "}", "{0}",
  "{1}\r\n", "{3+}\r\n", "{4096+}\r\n", "{4294967296}\r\n", "{18446744073709551617+}\r\n", "{-1}",
  "~{5}\r\n", "*", "=", "====", "+", "+ ", "-", "* ", "+OK", "-ERR", "250-", "250 ", "%", "%00",
  "\255", "\192\128", "\237\160\128", "\226\128\174", ":", ": ", "0", "9999999999999999999999",
  "\127", "\27[2J", ("A"):rep(70), ("("):rep(300), ("a "):rep(2000), ("\r\n"):rep(40),
}

--- Numbers 1 .. n, by a linear congruence.
function mutate.source(seed)
  local state = seed
  return function(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return math.floor(state / 65536) % n + 1
  end
end

function mutate.noise(random, size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char(random(256) - 1) end
  return table.concat(bytes)
end

local WAYS = {
  function(random, text, at) -- a bit
    local byte = bit.bxor(text:byte(at), bit.lshift(1, random(8) - 1))
    return text:sub(1, at - 1) .. string.char(byte) .. text:sub(at + 1)
  end,
  function(random, text, at) return text:sub(1, at - 1) .. text:sub(at + random(12)) end,
  function(random, text, at) -- a piece twice
    local stop = at + random(20)
    return text:sub(1, stop) .. text:sub(at)
  end,
  function(random, text, at)
    return text:sub(1, at - 1) .. TOKENS[random(#TOKENS)] .. text:sub(at)
  end,
  function(random, text, at)
    return text:sub(1, at - 1) .. mutate.noise(random, random(8)) .. text:sub(at)
  end,
  function(_, text, at) return text:sub(1, at) end,
}

function mutate.text(random, text)
  if random(12) == 1 then return mutate.noise(random, random(600)) end
  for _ = 1, random(4) do
    if text == "" then break end
    text = WAYS[random(#WAYS)](random, text, random(#text))
  end
  return text
end

--- The text in up to four pieces, cut anywhere.
function mutate.pieces(random, text)
  local pieces = {}
  for _ = 1, random(4) - 1 do
    if #text < 2 then break end
    local at = random(#text - 1)
    table.insert(pieces, text:sub(1, at))
    text = text:sub(at + 1)
  end
  table.insert(pieces, text)
  return pieces
end

return mutate
