--- The running gateway, asked at its control socket by the commands.
--
--     local answer, text = gateway.get(given, "/v1/sessions", { user = "ann" })
--     if not answer then return text end -- the exit status; the reason has been told
local host = require "moongate.command.host"
local http = require "moongate.http"
local json = require "moongate.json"
local tcp = require "moongate.socket"

local gateway = {}

local DEFAULT = "/run/moongate/control.sock"
local LONGEST = 600 -- seconds; the gateway itself has shorter limits
local ANSWER_MAX = 64 * 1024 * 1024

--- For the table of options of each command, and its help.
gateway.SOCKET = { "socket", "s", value = true }
gateway.JSON = { "json" }
gateway.HELP = [[
  -s, --socket PATH   the gateway's control socket; by default what
                      MOONGATE_SOCKET says, else /run/moongate/control.sock
]]

local function say(message)
  io.stderr:write("moongate: ", message, "\n")
  return nil, 1
end

local HINTS = {
  ["No such file or directory"] = [[
  Is the gateway running? Is "control" in its configuration, with this socket?
  Another path is given with --socket, or in MOONGATE_SOCKET.]],
  ["Connection refused"] = [[
  Nobody listens there: is the gateway running?]],
  ["Permission denied"] = [[
  Try as root, or as a user that "control" in the configuration lets in by the
  socket's mode, owner and group.]],
}

--- What went wrong on the way, and what to do.
local function unreachable(path, why)
  local text = tostring(why):gsub("^http: ", "")
  for sign, hint in pairs(HINTS) do
    if text:find(sign, 1, true) then return say(text .. "\n" .. hint) end
  end
  return say(("%s: no answer (%s)"):format(path, text))
end

local function query(fields)
  local parts = {}
  for name, value in pairs(fields or {}) do
    table.insert(parts, ("%s=%s"):format(name, http.escape(value)))
  end
  table.sort(parts)
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

--- The path of the control socket; or nil and the exit status.
local function socket_path(given)
  local path = given.socket or os.getenv "MOONGATE_SOCKET" or DEFAULT
  if path:match "^/" and #path <= 107 then return path end
  return say(("%s: the socket's absolute path is needed"):format(path))
end

local function complain(answer)
  for line in tostring(answer.error):gmatch "[^\n]+" do say(line) end
  return nil, 1
end

--- The response, and the socket's path; or nil and the exit status.
local function request(given, path, options)
  local socket, status = socket_path(given)
  if not socket then return nil, status end
  options.unix_socket, options.timeout, options.max_body = socket, LONGEST, ANSWER_MAX
  local res, why = host.run(LONGEST, function()
    return http.request("http://localhost" .. path, options)
  end)
  if not res then return unreachable(socket, why) end
  return res, socket
end

local function ask(given, path, options)
  local res, socket = request(given, path, options)
  if not res then return nil, socket end
  local answer = json.decode(res.body)
  if type(answer) ~= "table" then
    return say(("%s: this is not a gateway's control socket"):format(socket))
  end
  if res.status ~= 200 then return complain(answer) end
  local missing = answer.missing
  if missing and #missing > 0 then
    io.stderr:write(("moongate: no answer from worker %s\n"):format(table.concat(missing, ", ")))
  end
  return answer, res.body
end

--- Asks; returns the answer as a table and as text, or nil and the exit status.
function gateway.get(given, path, fields)
  return ask(given, path .. query(fields), { method = "GET" })
end

--- The text of an answer that is no JSON, or nil and the exit status.
function gateway.text(given, path)
  local res, status = request(given, path, { method = "GET" })
  if not res then return nil, status end
  if res.status == 200 then return res.body end
  return complain(json.decode(res.body) or { error = "no answer that makes sense" })
end

--- The same for what changes something; `fields` are texts.
function gateway.post(given, path, fields)
  local body = fields and next(fields) and json.encode(fields) or ""
  return ask(given, path, { method = "POST", body = body })
end

-- An answer without an end ------------------------------------------------------

local SILENCE = 3600 -- seconds between two lines, after which it is listened again

--- The next line; or nil and why there is none.
local function receive_line(connection)
  local parts = {}
  while true do
    local line, why, part = connection:receive "*l"
    if line then return table.concat(parts) .. line end
    table.insert(parts, part or "")
    if why.kind ~= "timeout" then return nil, why, table.concat(parts) end
  end
end

--- Reads the head of the answer: its status, or nil and why not.
local function receive_head(connection)
  local first, why = receive_line(connection)
  if not first then return nil, why end
  repeat
    local line
    line, why = receive_line(connection)
    if not line then return nil, why end
  until line == ""
  return tonumber(first:match "^HTTP/1%.[01] (%d%d%d)")
end

local function follow(path, target, take)
  local connection = tcp.tcp()
  local ok, why = connection:connect("unix:" .. path)
  if not ok then return unreachable(path, why) end
  connection:settimeout(SILENCE)
  local status
  ok, why = connection:send(("GET %s HTTP/1.0\r\n\r\n"):format(target))
  if ok then status, why = receive_head(connection) end
  if not status then return unreachable(path, why) end
  if status ~= 200 then
    local text = select(3, receive_line(connection))
    return complain(json.decode(text or "") or { error = "no answer that makes sense" })
  end
  for line in receive_line, connection do
    if not take(line) then return true end
  end
  return say "the gateway has ended it"
end

--- Calls `take` with every line of an answer that has no end, until that is false; true. Or nil
-- and the exit status.
function gateway.follow(given, path, fields, take)
  local socket, status = socket_path(given)
  if not socket then return nil, status end
  return host.run(1e9, function() return follow(socket, path .. query(fields), take) end)
end

--- Rows of texts below a line of titles, in columns.
function gateway.columns(titles, rows)
  local widths, out = {}, {}
  local all = { titles, unpack(rows) }
  for _, row in ipairs(all) do
    for i, text in ipairs(row) do
      row[i] = tostring(text):gsub("%c", "?")
      widths[i] = math.max(widths[i] or 0, #row[i])
    end
  end
  for _, row in ipairs(all) do
    local cells = {}
    for i, text in ipairs(row) do cells[i] = text .. (" "):rep(widths[i] - #text) end
    table.insert(out, (table.concat(cells, "  "):gsub("%s+$", "")))
  end
  return table.concat(out, "\n") .. "\n"
end

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } }

--- "2d 3h", "14m 2s": the two largest units.
function gateway.duration(seconds)
  local rest, parts = math.floor(seconds), {}
  for _, unit in ipairs(UNITS) do
    local count = math.floor(rest / unit[1])
    rest = rest - count * unit[1]
    if (count > 0 or #parts > 0) and #parts < 2 then table.insert(parts, count .. unit[2]) end
  end
  return #parts > 0 and table.concat(parts, " ") or "0s"
end

local SIZES = { "", "k", "M", "G", "T" }

--- "812", "3.4M".
function gateway.size(bytes)
  local i = 1
  while bytes >= 1024 and i < #SIZES do
    bytes, i = bytes / 1024, i + 1
  end
  return i == 1 and tostring(bytes) or ("%.1f%s"):format(bytes, SIZES[i])
end

return gateway
