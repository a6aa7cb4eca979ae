--- Values in nginx's units.
local units = {}

local MS = { y = 31536000000, M = 2592000000, w = 604800000, d = 86400000, h = 3600000, m = 60000,
  s = 1000, ms = 1 }
local ORDER = { y = 1, M = 2, w = 3, d = 4, h = 5, m = 6, s = 7, ms = 8 }
local BYTES = { [""] = 1, k = 1024, m = 1048576, g = 1073741824 }

--- Seconds of "90", "1m30s", "1h 30m", "500ms"; nil if it is no time.
function units.seconds(text)
  local total, last, rest = 0, 0, text
  while rest ~= "" do
    local digits, unit, after = rest:match "^%s*(%d+)(%a*)%s*(.*)$"
    if not digits then return nil end
    local order = ORDER[unit] or unit == "" and after == "" and 7
    if not order or order <= last then return nil end
    total = total + tonumber(digits) * (MS[unit] or 1000)
    last, rest = order, after
  end
  return last > 0 and total / 1000 or nil
end

--- Bytes of "4096", "8k", "1M"; nil if it is no size.
function units.bytes(text)
  local digits, unit = text:match "^(%d+)(%a?)$"
  local factor = digits and BYTES[unit:lower()]
  return factor and tonumber(digits) * factor
end

function units.number(text) return text:match "^%d+$" and tonumber(text) end

--- true of "on", false of "off", else nil.
function units.flag(text)
  text = text:lower()
  if text == "on" then return true end
  if text == "off" then return false end
end

--- Seconds as a person writes them: 60 is "1m".
function units.duration_text(seconds)
  for _, unit in ipairs { "d", "h", "m" } do
    local whole = MS[unit] / 1000
    if seconds > 0 and seconds % whole == 0 then
      return ("\"%d%s\""):format(seconds / whole, unit)
    end
  end
  if seconds == math.floor(seconds) then return ("\"%ds\""):format(seconds) end
  return ("\"%dms\""):format(seconds * 1000)
end

--- Bytes as a person writes them: 8192 is "8k".
function units.size_text(bytes)
  for _, unit in ipairs { "g", "m", "k" } do
    if bytes > 0 and bytes % BYTES[unit] == 0 then
      return ("\"%d%s\""):format(bytes / BYTES[unit], unit)
    end
  end
  return ("%d"):format(bytes)
end

return units
