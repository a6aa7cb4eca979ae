--- Lua text as tokens, for those who look for patterns in it: { kind =, text =, line =, col = }.
local lines = require "moongate.lines"

local function read(text)
  local list, at, line, start = {}, 1, 1, 1
  while at <= #text do
    local kind, value, after = lines.token(text, at)
    if kind ~= "space" and not value:match "^%s$" then
      list[#list + 1] = { kind = kind, text = value, line = line, col = at - start + 1 }
    end
    local newline = text:find("\n", at, true)
    while newline and newline < after do
      line, start = line + 1, newline + 1
      newline = text:find("\n", start, true)
    end
    at = after
  end
  return list
end

local NOTHING = { kind = "end", text = "" }

local Tokens = {}
Tokens.__index = Tokens

--- The i-th, or something that is nothing.
function Tokens:at(i) return self.list[i] or NOTHING end

function Tokens:count() return #self.list end

--- Whether the tokens from `i` on have these texts.
function Tokens:has(i, ...)
  for n, text in ipairs { ... } do
    local token = self:at(i + n - 1)
    if token.text ~= text or token.kind == "string" then return false end
  end
  return true
end

--- The name of the module that `require` at `i` asks for, and what follows; or nil.
function Tokens:required(i)
  if not self:has(i, "require") then return nil end
  local bracket = self:has(i + 1, "(") and 1 or 0
  local name = self:at(i + 1 + bracket)
  if name.kind == "string" then return name.text, i + 2 + 2 * bracket end
end

--- A finding about the i-th.
function Tokens:finding(i, code, message)
  local token = self:at(i)
  return { line = token.line, col = token.col, word = token.text, code = code, message = message }
end

return function(text) return setmetatable({ list = read(text) }, Tokens) end
