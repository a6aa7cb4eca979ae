--- What became of every directive.
local report = {}

local Report = {}
Report.__index = Report

function report.new(place) return setmetatable({ place = place, list = {}, of = {} }, Report) end

local RANK = { kept = 1, ["kept with a difference"] = 2, ["not applicable"] = 3, skipped = 4 }

--- How a directive stands in the report; a second word about the same is added to the first.
function Report:add(directive, status, text)
  local line = self.of[directive]
  if not line then
    line = { directive = directive, status = status, texts = {} }
    self.of[directive] = line
    table.insert(self.list, line)
  end
  if RANK[status] > RANK[line.status] then line.status = status end
  if text and not line.texts[text] then
    line.texts[text] = true
    table.insert(line.texts, text)
  end
end

function Report:kept(directive, text) self:add(directive, "kept", text) end
function Report:differs(directive, why) self:add(directive, "kept with a difference", why) end

--- Whether there is a line about it.
function Report:knows(directive) return self.of[directive] ~= nil end

local function words_of(directive)
  local words = directive.name
  for _, argument in ipairs(directive.arguments) do
    words = words .. " " .. argument:gsub("%c", " ")
  end
  if directive.name == "auth_http_header" then
    words = directive.name .. " " .. (directive.arguments[1] or "")
  end
  if #words > 60 then words = words:sub(1, 57) .. "..." end
  return words .. (directive.block and " {}" or "")
end

--- One line a directive, file by file.
function Report:text()
  local lines, files = {}, {}
  for i, line in ipairs(self.list) do
    line.number = i
    files[line.directive.path] = files[line.directive.path] or i
  end
  table.sort(self.list, function(one, other)
    local a, b = one.directive, other.directive
    if a.path ~= b.path then return files[a.path] < files[b.path] end
    if a.line ~= b.line then return a.line < b.line end
    return one.number < other.number
  end)
  for _, line in ipairs(self.list) do
    local why = #line.texts > 0 and ": " .. table.concat(line.texts, "; ") or ""
    table.insert(lines, ("%s: %s: %s%s"):format(self.place(line.directive),
      words_of(line.directive), line.status, why))
  end
  return table.concat(lines, "\n") .. "\n"
end

--- How many have the status.
function Report:count(status)
  local count = 0
  for _, line in ipairs(self.list) do count = count + (line.status == status and 1 or 0) end
  return count
end

return report
