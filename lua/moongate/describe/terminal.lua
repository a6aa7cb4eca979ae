--- Pages as text for a terminal.
local text = require "moongate.describe.text"

local terminal = {}

local WIDTH = 80
local NARROW = 30 -- less is no column for a sentence

local function widths(rows)
  local most = {}
  for r = 1, #rows do
    local row = rows[r]
    for i = 1, #row - 1 do most[i] = math.max(most[i] or 0, #row[i]) end
  end
  return most
end

--- Lines of a table: the last column is wrapped, below the others where they are wide.
local function table_lines(rows)
  local most, lines, indent = widths(rows), {}, 2
  for _, width in ipairs(most) do indent = indent + (width > 0 and width + 2 or 0) end
  local below = WIDTH - indent < NARROW
  if below then indent = 6 end
  for _, row in ipairs(rows) do
    local head = "  "
    for i = 1, #row - 1 do
      if most[i] > 0 then head = head .. row[i] .. (" "):rep(most[i] + 2 - #row[i]) end
    end
    local last = text.wrap(row[#row], WIDTH - indent)
    if below or not last[1] then
      lines[#lines + 1] = head
    else
      lines[#lines + 1] = head .. table.remove(last, 1)
    end
    for _, line in ipairs(last) do lines[#lines + 1] = (" "):rep(indent) .. line end
  end
  return lines
end

local function plain(words) return (words:gsub("`", "")) end

local function block_lines(block)
  local lines = {}
  if block[1] == "words" then
    for i, line in ipairs(text.wrap(plain(block[2]), WIDTH - 2)) do lines[i] = "  " .. line end
  elseif block[1] == "code" then
    for line in block[2]:gmatch "([^\n]*)\n" do lines[#lines + 1] = "    " .. line end
  else
    local rows = {}
    for i = 2, #block do
      rows[i - 1] = {}
      for j, cell in ipairs(block[i]) do rows[i - 1][j] = plain(cell) end
    end
    lines = table_lines(rows)
  end
  for i, line in ipairs(lines) do lines[i] = line:gsub("%s+$", "") end
  return lines
end

--- The text of a page.
function terminal.page(page)
  local lines = { page.title }
  for _, block in ipairs(page) do
    lines[#lines + 1] = ""
    for _, line in ipairs(block_lines(block)) do lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Two columns: a name, and what it is.
function terminal.list(rows) return table.concat(table_lines(rows), "\n") .. "\n" end

return terminal
