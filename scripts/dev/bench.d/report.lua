--- What scripts/dev/bench has measured, as a table, as rows for JSON, and as a picture.
local report = {}

local OURS = { "pair", "moongate", "local" }
local WIDTH, ROW, LEFT, BAR = 760, 22, 290, 360

local function median(values)
  if not values then return nil end
  local sorted = { unpack(values) }
  table.sort(sorted)
  local middle = math.floor(#sorted / 2)
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

--- The median of the ratios round by round: what slows the machine slows both.
local function ratio(ours, theirs)
  if not ours or not theirs then return nil end
  local ratios = {}
  for n, value in ipairs(ours) do
    if theirs[n] and theirs[n] ~= 0 then table.insert(ratios, value / theirs[n]) end
  end
  return median(ratios)
end

local function row(scenario, figures)
  local ours
  for _, kind in ipairs(OURS) do ours = ours or figures[kind] end
  local versus = scenario.versus or "nginx"
  local result = { name = scenario.name, title = scenario.title, unit = scenario.unit,
    target = scenario.target, versus = versus, limit = scenario.limit, moongate = median(ours),
    ratios = {}, medians = {}, figures = figures }
  for kind, values in pairs(figures) do
    result.medians[kind] = median(values)
    if values ~= ours then result.ratios[kind] = ratio(ours, values) end
  end
  if scenario.target and result.ratios[versus] then
    result.met = result.ratios[versus] <= scenario.target
  elseif scenario.limit and result.moongate then
    result.met = result.moongate <= scenario.limit
  end
  return result
end

function report.rows(scenarios, results)
  local rows = {}
  for _, scenario in ipairs(scenarios) do
    if results[scenario.name] then table.insert(rows, row(scenario, results[scenario.name])) end
  end
  return rows
end

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

function report.machine()
  local model = output "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1"
  return ("%s, %s CPUs, Linux %s, load %s"):format(model, output "nproc", output "uname -r",
    output "cut -d' ' -f1 /proc/loadavg")
end

function report.heading(options)
  return ("%s; %s; %s%d rounds\n"):format(os.date "%Y-%m-%d", report.machine(),
    options.quick and "quick, " or "", options.rounds)
end

local function number(value)
  if not value then return "" end
  return (value >= 100 and "%.0f" or value >= 10 and "%.1f" or "%.2f"):format(value)
end

local function cell(result, kind)
  local value, share = result.medians[kind], result.ratios[kind]
  if not value then return "" end
  return ("%s (%s)"):format(number(value), share and ("%.2f"):format(share) or "-")
end

local function aim(result)
  if result.target then
    local whose = result.versus == "moongate" and "one worker" or result.versus
    return ("<= %.2f x %s"):format(result.target, whose)
  end
  return result.limit and ("<= %s"):format(result.limit) or ""
end

--- Markdown. In brackets: Moongate's figure as a share of that one's.
function report.table(rows)
  local lines = { "| | unit | Moongate | nginx | nginx, 16k | HAProxy | target | |",
    "|---|---|---|---|---|---|---|---|" }
  for _, result in ipairs(rows) do
    local verdict = result.met == nil and "" or result.met and "met" or "missed"
    table.insert(lines, ("| %s | %s | %s | %s | %s | %s | %s | %s |"):format(result.title,
      result.unit, number(result.moongate), cell(result, "nginx"), cell(result, "nginx-16k"),
      cell(result, "haproxy"), aim(result), verdict))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function escape(text) return (text:gsub("&", "&amp;"):gsub("<", "&lt;")) end

local function bar(result, y)
  local share = result.ratios.nginx
  local length = math.min(share, 1.25) / 1.25 * BAR
  local parts = {
    ('<text x="%d" y="%d" text-anchor="end">%s</text>'):format(LEFT - 8, y + 12,
      escape(result.title)),
    ('<rect x="%d" y="%d" width="%.1f" height="14" fill="#3b6ea5"/>'):format(LEFT, y, length),
    ('<text x="%.1f" y="%d">%.2f</text>'):format(LEFT + length + 6, y + 12, share),
  }
  return table.concat(parts, "\n")
end

--- Bars: Moongate's figure as a share of nginx's.
function report.svg(rows)
  local parts, y = {}, 34
  for _, result in ipairs(rows) do
    if result.ratios.nginx then
      table.insert(parts, bar(result, y))
      y = y + ROW
    end
  end
  local one = LEFT + BAR / 1.25
  local head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
    .. 'font-family="sans-serif" font-size="12">\n'
    .. '<rect width="100%%" height="100%%" fill="white"/>\n'
    .. '<text x="%d" y="18" text-anchor="middle">nginx = 1; shorter is better</text>\n'
    .. '<line x1="%d" y1="26" x2="%d" y2="%d" stroke="#999" stroke-dasharray="4 3"/>\n')
    :format(WIDTH, y + 8, one, one, one, y)
  return head .. table.concat(parts, "\n") .. "\n</svg>\n"
end

return report
