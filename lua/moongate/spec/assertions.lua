--- `assert.decision(d).is_accept { ... }` and its kin, as an extension of luassert:
-- is_accept, is_reject, is_tempfail, is_wait, is_to, is_retry, is_login, is_certificate,
-- is_verifier, is_none.
-- The fields given must be those of the decision; `is_not_...` is the opposite.
local assert = require "luassert"
local say = require "say"

local KINDS = {
  accept = "accept", reject = "reject", tempfail = "tempfail", wait = "wait", to = "to",
  retry = "retry", login = "login", certificate = "certificate", verifier = "verifier",
  none = "nil",
}
local HIDDEN = { wires = true, protocol = true }

--- What can be read of a decision in a failure; secrets stay opaque.
local function describe(decision)
  local words = {}
  for name, value in pairs(decision) do
    local default = value == false or value == 0 or name == "tls" and value == "off"
    if not HIDDEN[name] and not default then
      words[#words + 1] = name .. " = " .. (type(value) == "table" and "{...}"
        or type(value) == "string" and ("%q"):format(value) or tostring(value))
    end
  end
  table.sort(words)
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function is(kind)
  return function(state, arguments)
    local decision = rawget(state, "moongate_decision")
    if type(decision) ~= "table" then
      error("assert.decision(d) comes before is_" .. kind, 0)
    end
    local wanted, wrong = { kind = KINDS[kind] }, decision.kind ~= KINDS[kind]
    for name, value in pairs(type(arguments[1]) == "table" and arguments[1] or {}) do
      wanted[name] = value
      wrong = wrong or decision[name] ~= value
    end
    arguments[1], arguments[2], arguments.n = describe(wanted), describe(decision), 2
    arguments.nofmt = { true, true }
    return not wrong
  end
end

say:set("assertion.decision.positive", "Expected the decision\n%s\nbut it is\n%s")
say:set("assertion.decision.negative", "Expected any decision but\n%s\nand it is\n%s")

assert:register("modifier", "decision", function(state, arguments)
  if arguments then rawset(state, "moongate_decision", arguments[1]) end
  return state
end)
for kind in pairs(KINDS) do
  assert:register("assertion", kind, is(kind), "assertion.decision.positive",
    "assertion.decision.negative")
end
