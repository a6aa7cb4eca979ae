--- What the description says about a name, as a page that can be written in any form.
--
-- A page is { title =, blocks }. A block is { "words", text }, { "rows", head = { ... }, { ... } }
-- or { "code", text }. Texts have names in backticks.
local describe = require "moongate.describe"
local text = require "moongate.describe.text"

local pages = {}

local function code(words) return words ~= "" and "`" .. words .. "`" or "" end

local function words(page, ...)
  local sentence = table.concat { ... }
  if sentence ~= "" then page[#page + 1] = { "words", sentence } end
end

-- Fields -------------------------------------------------------------------------

local function type_of(field)
  if field.values then return table.concat(text.values(field.values), "|") end
  return field[2]
end

local function add_rows(rows, fields, prefix)
  for _, field in ipairs(fields) do
    rows[#rows + 1] = {
      code(prefix .. field[1]), code(type_of(field)),
      field.default ~= nil and code(text.literal(field.default)) or "", text.meaning(field),
    }
    add_rows(rows, field.fields or {}, prefix .. field[1] .. ".")
  end
end

--- Rows for fields, and for the fields in them.
function pages.fields(fields, what)
  local rows = { "rows", head = { what or "field", "type", "default", "meaning" } }
  add_rows(rows, fields, "")
  return rows
end

-- Functions ----------------------------------------------------------------------

local function result(fn)
  local results = {}
  for i, value in ipairs(fn.returns or {}) do
    results[i] = code(value[1]) .. (value.doc and " (" .. value.doc .. ")" or "")
  end
  return table.concat(results, ", ")
end

local function failures(fn)
  local kinds = {}
  for i, kind in ipairs(fn.fails) do kinds[i] = code(kind) end
  return table.concat(kinds, ", ")
end

--- " Waits.", or when it does.
local function waits(fn)
  local when = type(fn.awaits) == "string" and " " .. fn.awaits or ""
  return fn.awaits and " Waits" .. when .. "." or ""
end

local function add_function(page, fn)
  words(page, fn.doc or "", waits(fn))
  if #(fn.arguments or {}) > 0 then
    page[#page + 1] = pages.fields(fn.arguments, "argument")
  end
  local returned = result(fn)
  if returned ~= "" then words(page, "Returns ", returned, ".") end
  if fn.fails then
    words(page, "What fails gives `nil` and a `Failure`: ", failures(fn), ".",
      fn.partial and " The third result is " .. fn.partial.doc .. "." or "")
  end
  if fn.errors then words(page, fn.errors:gsub("^%l", string.upper), ".") end
  if fn.since then words(page, "Since ", fn.since, ".") end
end

--- How a function is called: "moongate.http.get(url [, options])", "session:log(...)".
function pages.call(fn, of)
  local class = of.variable
  return (class and class .. ":" or of.name .. ".") .. text.signature(fn)
end

pages["function"] = function(entry)
  local page = { title = pages.call(entry.fn, entry.of) }
  add_function(page, entry.fn)
  return page
end

-- Hooks --------------------------------------------------------------------------

--- "auth(session, credentials)"
function pages.hook_call(hook)
  return text.signature(hook)
end

local SMTP = {
  login = "SMTP", rcpt = "SMTP, at RCPT", connect = "SMTP", command = "SMTP",
}

--- What the client hears when nothing but the decision is said: { { protocol, line } }.
function pages.wire(hook, decision)
  local heard = {}
  if not hook.stages or decision ~= "reject" and decision ~= "tempfail" then return heard end
  local reason = describe.named(describe.reasons,
    decision == "tempfail" and "unavailable" or hook.reason)
  local function with(...)
    local line = {}
    for _, word in ipairs { ... } do
      if word ~= "" then line[#line + 1] = word end
    end
    return table.concat(line, " ")
  end
  local stage = hook.stages[1]
  if hook.protocol ~= "smtp" then
    local start = stage == "connect" and "* BYE" or "a NO"
    heard[1] = { "IMAP", with(start, reason.imap, reason.text) }
    heard[2] = { "POP3", with("-ERR", reason.pop3, reason.text) }
  end
  for _, name in ipairs(hook.stages) do
    heard[#heard + 1] = { SMTP[name], with(reason[name], reason.text) }
  end
  return heard
end

local function add_wire(page, hook, decision)
  local heard = pages.wire(hook, decision)
  if #heard == 0 then return end
  local rows = { "rows", head = { "protocol", "the client hears" } }
  for _, line in ipairs(heard) do rows[#rows + 1] = { line[1], code(line[2]) } end
  page[#page + 1] = rows
end

local function add_answers(page, hook)
  if #hook.decides == 0 then return end
  local rows = { "rows", head = { "answer", "what follows" } }
  for _, name in ipairs(hook.decides) do
    local heard = pages.wire(hook, name)
    local lines = {}
    for i, line in ipairs(heard) do lines[i] = line[1] .. " " .. code(line[2]) end
    rows[#rows + 1] = { code(name), hook.answers[name]
      .. (#lines > 0 and " " .. table.concat(lines, "; ") or "") }
  end
  page[#page + 1] = rows
end

local function called_with(hook)
  local arguments = {}
  for i, argument in ipairs(hook.arguments) do
    arguments[i] = code(argument[1]) .. " (" .. code(argument[2])
      .. (argument.doc and ": " .. argument.doc or "") .. ")"
  end
  return table.concat(arguments, ", ")
end

function pages.hook(entry)
  local hook = entry.hook
  local page = { title = pages.hook_call(hook) }
  words(page, hook.doc)
  words(page, "Asked ", hook.asked, ".", hook.protocol and " SMTP only." or "",
    hook.awaits and "" or " It can't wait.",
    hook.budget and (" It has %d seconds."):format(hook.budget) or "")
  if #hook.arguments > 0 then words(page, "Called with ", called_with(hook), ".") end
  if hook.returns then words(page, "Returns ", code(hook.returns), " or nil.") end
  add_answers(page, hook)
  words(page, "Nobody decides: ", hook.otherwise, ".",
    hook.failing and " " .. hook.failing:gsub("^%l", string.upper) .. "." or "")
  page[#page + 1] = { "code", hook.example }
  return page
end

function pages.answer(entry)
  local hook, decision = entry.hook, entry.decision
  local page = { title = ("%s: moongate.%s"):format(pages.hook_call(hook), decision[1]) }
  words(page, decision.doc)
  words(page, hook.answers[decision[1]])
  if decision[1] == "reject" and hook.stages then
    words(page, "`reason` is ", code(text.literal(hook.reason)), " by default.")
  end
  add_wire(page, hook, decision[1])
  page[#page + 1] = pages.fields(decision.fields)
  return page
end

-- Decisions, reasons ---------------------------------------------------------------

--- "moongate.reject { ... }"
function pages.decision_call(decision)
  return "moongate." .. decision[1] .. (decision.argument and " \"name\"" or " { ... }")
end

--- The hooks that a decision answers, as names.
function pages.answers_of(decision)
  local hooks = {}
  for _, hook in ipairs(describe.hooks) do
    for _, name in ipairs(hook.decides) do
      if name == decision[1] then hooks[#hooks + 1] = code(hook[1]) end
    end
  end
  return table.concat(hooks, ", ")
end

function pages.decision(entry)
  local decision = entry.decision
  local page = { title = pages.decision_call(decision) }
  words(page, decision.doc)
  local hooks = pages.answers_of(decision)
  if hooks ~= "" then words(page, "Answers ", hooks, ".") end
  page[#page + 1] = pages.fields(decision.fields, decision.argument and "argument" or "field")
  return page
end

--- The table of all reasons.
function pages.reason_block()
  local rows = { "rows", head = { "reason", "IMAP", "POP3", "SMTP: AUTH", "connection",
    "HELO, MAIL", "RCPT", "text", "meaning" } }
  for _, reason in ipairs(describe.reasons) do
    local labels = { code(reason[1]) }
    for _, label in ipairs(reason.labels) do labels[#labels + 1] = code(label) end
    rows[#rows + 1] = { table.concat(labels, ", "), code(reason.imap), code(reason.pop3),
      reason.login, reason.connect, reason.command, reason.rcpt, reason.text, reason.doc }
  end
  return rows
end

function pages.reason(entry)
  local reason = entry.reason
  local page = { title = ("reason %q"):format(reason[1]) }
  words(page, reason.doc:gsub("^%l", string.upper), ".")
  if #reason.labels > 0 then
    words(page, "The same: ", table.concat(text.values(reason.labels), ", "), ".")
  end
  page[#page + 1] = { "rows", head = { "answering", "the client hears" },
    { "IMAP", code(reason.imap) }, { "POP3", code(reason.pop3) }, { "SMTP AUTH", reason.login },
    { "SMTP connection", reason.connect }, { "SMTP HELO, MAIL", reason.command },
    { "SMTP RCPT", reason.rcpt }, { "text", reason.text },
  }
  return page
end

-- Objects and modules ----------------------------------------------------------------

local function add_class(page, class)
  words(page, class.doc)
  if #(class.fields or {}) > 0 then page[#page + 1] = pages.fields(class.fields) end
  if class.call then
    words(page, "It is a function itself: ", code(text.signature {
      class.variable, arguments = class.call.arguments }), ".",
      waits(class.call), " Returns ", result(class.call), ".")
  end
end

function pages.class(entry)
  local class = entry.class
  local names = { class.variable, unpack(class.also or {}) }
  local page = { title = table.concat(names, ", ") .. ": " .. class[1] }
  add_class(page, class)
  local rows = { "rows", head = { "method", "meaning" } }
  for _, method in ipairs(class.methods or {}) do
    rows[#rows + 1] = { code(pages.call(method, class)), method.doc }
  end
  if #rows > 1 then page[#page + 1] = rows end
  return page
end

function pages.alias(entry)
  local alias = entry.alias
  local page = { title = alias[1] }
  words(page, alias.doc)
  local rows = { "rows", head = { "value", "meaning" } }
  for _, value in ipairs(alias.values) do
    local word = type(value) == "table" and value[1] or value
    rows[#rows + 1] = { code(text.literal(word)), type(value) == "table" and value.doc or "" }
  end
  page[#page + 1] = rows
  return page
end

function pages.module(entry)
  local module = entry.module
  local page = { title = ("require %q"):format(module.name) }
  words(page, module.doc)
  local rows = { "rows", head = { "function", "meaning" } }
  for _, decision in ipairs(module.decisions and describe.decisions or {}) do
    rows[#rows + 1] = { code(pages.decision_call(decision)), decision.doc }
  end
  for _, fn in ipairs(module.functions) do
    rows[#rows + 1] = { code(pages.call(fn, module)), fn.doc }
  end
  page[#page + 1] = rows
  if module.values then page[#page + 1] = pages.fields(module.values, "value") end
  return page
end

-- The rest ---------------------------------------------------------------------------

function pages.field(entry)
  local page = { title = entry.name }
  local field = entry.field
  words(page, "type: ", code(type_of(field)),
    field.default ~= nil and "; default: " .. code(text.literal(field.default)) or "")
  local meaning = text.meaning(field)
  if meaning ~= "" then words(page, meaning:gsub("^%l", string.upper), ".") end
  if field.fields then page[#page + 1] = pages.fields(field.fields) end
  return page
end

--- The table of a section's keys.
function pages.keys(fields)
  local rows = { "rows", head = { "key", "type", "default", "meaning" } }
  for _, field in ipairs(fields) do
    rows[#rows + 1] = { code(field[1]), text.key_type(field, code), text.key_default(field, code),
      field.doc }
  end
  return rows
end

function pages.section(entry)
  local page = { title = entry.name }
  words(page, entry.section.doc:gsub("^%l", string.upper), ".")
  page[#page + 1] = pages.keys(entry.section.fields)
  return page
end

function pages.key(entry)
  local field = entry.field
  local page = { title = entry.name }
  local default = text.key_default(field, code)
  words(page, "type: ", text.key_type(field, code),
    default == "required" and "; required" or default ~= "" and "; default: " .. default or "")
  words(page, text.meaning(field):gsub("^%l", string.upper), ".")
  return page
end

function pages.global(entry)
  local global = entry.global
  local page = { title = global[1] }
  words(page, "As in plain Lua", global.doc and ": " .. global.doc or "", ".")
  if global.fields then words(page, "It has ", global.fields, ".") end
  return page
end

--- The page of an entry of moongate.describe.
function pages.of(entry) return pages[entry.kind](entry) end

return pages
