--- The manual: lua/REFERENCE.md, and the tables of conf/README.md.
local describe = require "moongate.describe"
local pages = require "moongate.describe.pages"
local text = require "moongate.describe.text"

local markdown = {}

local WIDTH = 100

local function cell(words)
  return (words:gsub("|", "\\|"))
end

--- The lines of a table.
function markdown.rows(rows)
  local lines = { "| " .. table.concat(rows.head, " | ") .. " |",
    "|" .. ("---|"):rep(#rows.head) }
  for _, row in ipairs(rows) do
    local cells = {}
    for i, words in ipairs(row) do cells[i] = cell(words) end
    lines[#lines + 1] = "| " .. table.concat(cells, " | ") .. " |"
  end
  return lines
end

local function append(lines, more)
  for _, line in ipairs(more) do lines[#lines + 1] = line end
  lines[#lines + 1] = ""
end

local function block_lines(block)
  if block[1] == "words" then return text.wrap(block[2], WIDTH) end
  if block[1] == "rows" then
    local rows = { head = block.head }
    for i = 2, #block do rows[i - 1] = block[i] end
    return markdown.rows(rows)
  end
  local lines = { "```lua" }
  for line in block[2]:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  lines[#lines + 1] = "```"
  return lines
end

local function add_page(lines, page, level)
  append(lines, { ("#"):rep(level) .. " `" .. page.title .. "`" })
  for _, block in ipairs(page) do append(lines, block_lines(block)) end
end

local function add_section(lines, title, words)
  append(lines, { "## " .. title })
  if words then append(lines, text.wrap(words, WIDTH)) end
end

local function entry(name, kind)
  for _, found in ipairs(describe.find(name)) do
    if found.kind == kind then return found end
  end
end

-- The parts ------------------------------------------------------------------------

local function hook_table()
  local rows = { head = { "hook", "asked", "may answer", "nobody decides" } }
  for i, hook in ipairs(describe.hooks) do
    local answers = {}
    for j, name in ipairs(hook.decides) do answers[j] = name end
    if hook.returns then answers[1] = "a list of names" end
    rows[i] = { "`" .. pages.hook_call(hook) .. "`",
      (hook.protocol == "smtp" and "SMTP, " or "") .. hook.asked,
      table.concat(answers, ", "), hook.otherwise }
  end
  return rows
end

local function add_hooks(lines)
  add_section(lines, "Hooks", "A policy returns a table of these. Returning nothing, or nil, "
    .. "means \"no opinion\": the next policy of the chain is asked.")
  append(lines, markdown.rows(hook_table()))
  for _, hook in ipairs(describe.hooks) do
    add_page(lines, pages.of(entry(hook[1], "hook")), 3)
  end
end

local function add_decisions(lines)
  add_section(lines, "Decisions", "What a hook may answer. Fields are checked when the decision "
    .. "is made: an unknown one, or a value that is out of its limits, raises in that line. No "
    .. "text that goes to clients or upstreams may hold control characters.")
  for _, decision in ipairs(describe.decisions) do
    add_page(lines, pages.of(entry("moongate." .. decision[1], "decision")), 3)
  end
end

local function add_reasons(lines)
  add_section(lines, "Reasons", "How a client is told why it is refused, where the decision has "
    .. "no `text`, `code` or `enhanced` of its own.")
  append(lines, block_lines(pages.reason_block()))
end

local function add_class(lines, class)
  add_page(lines, pages.of(entry(class.variable, "class")), 3)
  for _, method in ipairs(class.methods or {}) do
    add_page(lines, pages.of(entry(class.variable .. "." .. method[1], "function")), 4)
  end
end

local function add_objects(lines)
  add_section(lines, "Objects", "What hooks are called with, and what they may be given.")
  for _, class in ipairs(describe.classes) do add_class(lines, class) end
  for _, alias in ipairs(describe.aliases) do
    add_page(lines, pages.of(entry(alias[1], "alias")), 3)
  end
end

local function add_modules(lines)
  add_section(lines, "Modules", "`moongate.config` is for configurations, all others are for "
    .. "policies. Options are checked: an unknown one raises.")
  for _, module in ipairs(describe.modules) do
    add_page(lines, pages.of(entry(module.name, "module")), 3)
    for _, fn in ipairs(module.functions) do
      add_page(lines, pages.of(entry(module.name .. "." .. fn[1], "function")), 4)
    end
    for _, class in ipairs(module.classes or {}) do add_class(lines, class) end
  end
end

local function add_globals(lines)
  for _, kind in ipairs { "policy", "configuration" } do
    add_section(lines, "Globals of a " .. kind)
    local rows = { head = { "name", "members", "" } }
    for i, global in ipairs(describe.environment[kind]) do
      rows[i] = { "`" .. global[1] .. "`", global.fields or "", global.doc or "" }
    end
    append(lines, markdown.rows(rows))
  end
end

--- The text of lua/REFERENCE.md.
function markdown.reference()
  local lines = {}
  append(lines, { "# The reference of the Lua API" })
  append(lines, text.wrap("Written by `scripts/dev/reference` from [api/](api/README.md), as "
    .. "`moongate explain` is. [README.md](README.md) is where to begin; the keys of "
    .. "`moongate.lua` are in [conf/README.md](../conf/README.md).", WIDTH))
  add_hooks(lines)
  add_decisions(lines)
  add_reasons(lines)
  add_objects(lines)
  add_modules(lines)
  add_globals(lines)
  lines[#lines] = nil
  return table.concat(lines, "\n") .. "\n"
end

-- conf/README.md ----------------------------------------------------------------------

local function key_tables()
  local tables = {}
  for _, section in ipairs(describe.sections()) do
    local rows = pages.keys(section.fields)
    local block = { head = rows.head }
    for i = 2, #rows do block[i - 1] = rows[i] end
    tables[section.title] = markdown.rows(block)
  end
  return tables
end

--- The text of conf/README.md with its tables of keys written anew: each stands under the
-- heading of its section. Also the titles of sections that have no table there.
function markdown.configuration(old)
  local tables, lines, title, skipping = key_tables(), {}, nil, false
  for line in old:gmatch "([^\n]*)\n" do
    title = line:match "^## (%S+)$" or title
    if line == "| key | type | default | meaning |" and tables[title] then
      for _, row in ipairs(tables[title]) do lines[#lines + 1] = row end
      tables[title], skipping = nil, true
    end
    skipping = skipping and line:match "^|" ~= nil
    if not skipping then lines[#lines + 1] = line end
  end
  local missing = {}
  for name in pairs(tables) do missing[#missing + 1] = name end
  table.sort(missing)
  return table.concat(lines, "\n") .. "\n", missing
end

return markdown
