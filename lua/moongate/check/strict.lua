--- What is not wrong in a policy, but wants a second look: `moongate check --strict`.
local tokens = require "moongate.check.tokens"

local BLOCKING = { socket = true, lualdap = true, luasql = true, lsqlite3 = true, ssl = true,
  posix = true, lfs = true, ldap = true, pgsql = true }

local Walk = {}
Walk.__index = Walk

function Walk:add(i, code, message)
  table.insert(self.found, self.tokens:finding(i, code, message))
end

function Walk:look_at_call(i)
  if self.tokens:has(i, ":", "reveal") or self.tokens:has(i, ".", "reveal") then
    self:add(i + 1, "reveal", "a secret becomes a Lua string, which is neither hidden nor wiped")
  elseif self.tokens:has(i, ":", "retain") or self.tokens:has(i, ".", "retain") then
    self:add(i + 1, "retain", "credentials are kept past the decision")
  elseif self.tokens:has(i, "os", ".", "execute") or self.tokens:has(i, "io", ".", "popen") then
    self:add(i, "blocking", ("%s.%s stops every session of the worker")
      :format(self.tokens:at(i).text, self.tokens:at(i + 2).text))
  end
end

function Walk:look_at_require(i)
  local name = self.tokens:required(i)
  if name and BLOCKING[name:match "^[^.]*"] then
    self:add(i, "blocking", ("\"%s\" waits in C, and stops every session of the worker")
      :format(name))
  end
end

--- `local value, err = ...`: both tell of a failure from here on.
function Walk:look_at_results(i)
  if not self.tokens:has(i, "local") then return end
  local first, second = self.tokens:at(i + 1), self.tokens:at(i + 3)
  if first.kind == "word" and self.tokens:has(i + 2, ",") and second.kind == "word" then
    self.results[first.text], self.results[second.text] = "value", "error"
  end
end

--- The name whose failure the condition behind `if` at `i` asks about, or nil.
function Walk:failure_of(i)
  local negated = self.tokens:has(i + 1, "not")
  local name = self.tokens:at(i + (negated and 2 or 1))
  local behind = i + (negated and 3 or 2)
  local kind = name.kind == "word" and self.results[name.text]
  if kind == "value" and negated and self.tokens:has(behind, "then") then return name.text end
  if kind == "error" and not negated and self.tokens:has(behind, "then") then return name.text end
  local is_nil = self.tokens:has(behind, "", "nil", "then") -- "==" has no text
  if kind == "value" and not negated and is_nil then return name.text end
end

local OPENS = { ["then"] = 0, ["do"] = 1, ["function"] = 1, ["if"] = 1, ["repeat"] = 1 }
local CLOSES = { ["end"] = true, ["until"] = true }

--- An error leads to `return nil`: nobody has decided, and the next policy is asked.
function Walk:look_at_failure(i)
  local name = self.tokens:has(i, "if") and self:failure_of(i)
  if not name then return end
  while not self.tokens:has(i, "then") do i = i + 1 end
  local depth = 1
  while depth > 0 and i < self.tokens:count() do
    i = i + 1
    local token = self.tokens:at(i)
    local text = token.kind == "word" and token.text
    if depth == 1 and (text == "else" or text == "elseif") then return end
    if depth == 1 and text == "return" then
      local empty = self.tokens:has(i + 1, "end")
      local void = self.tokens:has(i + 1, "nil", "end") or self.tokens:has(i + 1, "nil", ";")
      if empty or void then
        self:add(i, "fail-open", ("\"%s\" tells of a failure, but nil means \"no opinion\": "
          .. "the next policy decides"):format(name))
      end
      return
    end
    depth = depth + (OPENS[text] or 0) - (CLOSES[text] and 1 or 0)
  end
end

--- What `moongate check --strict` warns of.
return function(text)
  local walk = setmetatable({ tokens = tokens(text), found = {}, results = {} }, Walk)
  for i = 1, walk.tokens:count() do
    if walk.tokens:at(i).kind ~= "string" then
      walk:look_at_call(i)
      walk:look_at_require(i)
      walk:look_at_results(i)
      walk:look_at_failure(i)
    end
  end
  return walk.found
end
