--- One connection of a spec: a client's, or one that a scripted server accepted.
--
-- What waits (`expect`, `read_line`, ...) turns the loop, or yields in a server's script.
local loop = require "moongate.spec.loop"
local tcp = require "moongate.spec.tcp"

local SHOWN = 400 -- bytes of one piece in a transcript
local KEPT = 200  -- pieces

local connection = {}
connection.__index = connection

function connection:note(what, bytes)
  if #self.transcript >= KEPT then table.remove(self.transcript, 1) end
  local text = bytes and ("%q"):format(bytes:sub(1, SHOWN)):gsub("\\\n", "\\n") or ""
  if bytes and #bytes > SHOWN then text = text .. (" ... %d bytes"):format(#bytes) end
  table.insert(self.transcript, ("%.3f %s %s"):format(loop.now() % 1000, what, text))
end

local function tell(self)
  return ("-- %s (%s)\n   %s"):format(self.name, self.ended or "open",
    table.concat(self.transcript, "\n   "))
end

--- Takes over a descriptor that is connected or connecting.
function connection.new(fd, name)
  local self = setmetatable({
    fd = fd,
    name = name,
    input = "",        -- received and not read yet
    received = {},     -- everything, in pieces, unless there is a `sink`
    output = {},       -- to be sent
    offset = 0,        -- of the first piece in `output`
    transcript = {},
    sent_bytes = 0,
    reading = true,
    writing = false,
    ended = nil,       -- "eof", "reset", "error": no more will come; "closed": by us
    sink = nil,        -- function(bytes): takes what comes instead of `input`
  }, connection)
  loop.watch(fd, self)
  self.silence = loop.witness(function() return tell(self) end)
  return self
end

function connection:on_readable()
  local bytes, why = tcp.recv(self.fd)
  if bytes then
    self:note("<", bytes)
    if self.sink then return self.sink(bytes) end
    table.insert(self.received, bytes)
    self.input = self.input .. bytes
  elseif why ~= "again" then
    self:note("< " .. why)
    self.ended, self.reading = why, false
  end
end

function connection:on_writable()
  while self.output[1] do
    local n = tcp.send(self.fd, self.output[1], self.offset)
    if not n then
      self:note("> the connection is lost")
      self.output, self.lost = {}, true
      break
    end
    if n == 0 then return end
    self.sent_bytes = self.sent_bytes + n
    self.offset = self.offset + n
    if self.offset == #self.output[1] then
      table.remove(self.output, 1)
      self.offset = 0
    end
  end
  self.writing = false
  if self.half_closing then tcp.half_close(self.fd) end
end

--- Queues bytes; they go out while anything waits.
function connection:send(bytes)
  if bytes == "" or self.ended == "closed" then return self end
  self:note(">", bytes)
  table.insert(self.output, bytes)
  self.writing = true
  self:on_writable()
  return self
end

function connection:send_line(line) return self:send(line .. "\r\n") end

--- Sends one byte a segment, as a slow typist does.
function connection:send_slowly(bytes)
  for i = 1, #bytes do self:send(bytes:sub(i, i)) end
  return self
end

--- Waits until all that was queued is with the kernel.
function connection:flush(seconds)
  loop.wait(self.name .. " to send its bytes", function() return not self.writing end, seconds)
end

--- Says that no more will be sent, after what is queued.
function connection:half_close()
  self:note "> end"
  if self.writing then
    self.half_closing = true
  else
    tcp.half_close(self.fd)
  end
end

local function leave(self, close, word)
  if self.ended == "closed" then return end
  self:note("> " .. word)
  loop.forget(self.fd)
  close(self.fd)
  self.ended, self.reading, self.writing = "closed", false, false
end

function connection:close() leave(self, tcp.close, "close") end

--- Closes with a reset.
function connection:reset() leave(self, tcp.reset, "reset") end

--- Closes, and is no longer told of in failures.
function connection:discard()
  self:close()
  self.silence()
end

--- Stops taking bytes from the kernel, and begins again.
function connection:pause() self.reading = false end

function connection:resume() self.reading = self.ended == nil end

--- Everything it ever received.
function connection:all() return table.concat(self.received) end

local function fail(self, what)
  error(("%s expected %s but it has %s; unread: %q"):format(self.name, what, self.ended or "time",
    self.input:sub(1, SHOWN)), 3)
end

--- Waits until `done()` or the end of the connection.
local function await(self, what, done, seconds)
  loop.wait(("%s (%s)"):format(what, self.name), function() return done() or self.ended end,
    seconds)
  return done()
end

local function take(self, n)
  local bytes = self.input:sub(1, n)
  self.input = self.input:sub(n + 1)
  return bytes
end

--- The next line without its CRLF; nil if the connection ends before.
function connection:read_line(seconds)
  local function line_end() return self.input:find("\r\n", 1, true) end
  local at = await(self, "a line", line_end, seconds)
  return at and take(self, at + 1):sub(1, -3)
end

--- The next `n` bytes; nil if the connection ends before.
function connection:read(n, seconds)
  if await(self, n .. " bytes", function() return #self.input >= n end, seconds) then
    return take(self, n)
  end
end

--- The next line, which must match; returns the captures or the line.
function connection:expect(pattern, seconds)
  local line = self:read_line(seconds)
  if not line then fail(self, ("a line like %q"):format(pattern)) end
  if not line:find(pattern) then
    error(("%s: %q is not like %q"):format(self.name, line, pattern), 2)
  end
  return line:match(pattern)
end

--- Lines until one that matches; returns it (or its captures) and the list of those before.
function connection:expect_until(pattern, seconds)
  local before = {}
  while true do
    local line = self:read_line(seconds)
    if not line then fail(self, ("a line like %q"):format(pattern)) end
    if line:find(pattern) then return line:match(pattern), before end
    table.insert(before, line)
  end
end

--- The next bytes, which must be these.
function connection:expect_bytes(bytes, seconds)
  local got = self:read(#bytes, seconds)
  if not got then fail(self, ("%q"):format(bytes)) end
  if got ~= bytes then error(("%s: %q is not %q"):format(self.name, got, bytes), 2) end
end

--- Waits for the end without another byte; `how` is "eof" or "reset", or any if nil.
function connection:expect_end(how, seconds)
  loop.wait("the end of " .. self.name, function() return self.ended or self.input ~= "" end,
    seconds)
  if self.input ~= "" then
    error(("%s has more to read: %q"):format(self.name, self.input:sub(1, SHOWN)), 2)
  end
  if how and self.ended ~= how then
    error(("%s ended with %s, not %s"):format(self.name, self.ended, how), 2)
  end
end

--- Nothing may come for `seconds`.
function connection:expect_silence(seconds)
  loop.pass(seconds)
  if self.input ~= "" or self.ended then
    error(("%s is not silent: %s %q"):format(self.name, self.ended or "", self.input:sub(1, SHOWN)),
      2)
  end
end

return connection
