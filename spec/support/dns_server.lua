--- A scripted DNS server in the spec's process, on a UDP port of 127.0.0.1.
--
--     local dns = dns_server.start { ["imap.test"] = { A = { "127.0.0.2" } } }
--     dns.address   -- for `resolver = { ... }`
--
-- A name that is not listed does not exist; a type that is `false` is never answered, and of one
-- that is "SERVFAIL" the server says so. Answers live for `dns.ttl` seconds, at first 0.
local bit = require "bit"
local loop = require "spec.support.loop"
local socket = require "posix.sys.socket"
local tcp = require "spec.support.tcp"

local TYPES = { [1] = "A", [2] = "NS", [5] = "CNAME", [12] = "PTR", [15] = "MX", [16] = "TXT",
  [28] = "AAAA" }

local dns_server = {}
dns_server.__index = dns_server

local function number(n) return string.char(bit.rshift(n, 8), bit.band(n, 255)) end

local function encode_name(name)
  return (name:gsub("([^.]+)%.?", function(label) return string.char(#label) .. label end)) .. "\0"
end

--- Only the forms "::1" and the full eight groups.
local function encode_v6(text)
  if text == "::1" then return ("\0"):rep(15) .. "\1" end
  return (text:gsub("(%x+):?", function(group) return number(tonumber(group, 16)) end))
end

local encoders = {
  A = function(value)
    return (value:gsub("(%d+)%.?", function(byte) return string.char(tonumber(byte)) end))
  end,
  AAAA = encode_v6,
  PTR = encode_name,
  NS = encode_name,
  CNAME = encode_name,
  TXT = function(value) return string.char(#value) .. value end,
  MX = function(value)
    local preference, name = value:match "^(%d+) (.*)$"
    return number(tonumber(preference)) .. encode_name(name)
  end,
}

--- The name asked for, the number of its type, and where the question ends.
local function parse_question(packet)
  local labels, at = {}, 13
  while packet:byte(at) ~= 0 do
    local size = packet:byte(at)
    table.insert(labels, packet:sub(at + 1, at + size))
    at = at + 1 + size
  end
  return table.concat(labels, "."):lower(), packet:byte(at + 1) * 256 + packet:byte(at + 2), at + 4
end

function dns_server:reply(packet, from)
  local name, number_of_type, stop = parse_question(packet)
  local kind = TYPES[number_of_type]
  local entry = self.names[name]
  table.insert(self.questions, { name = name, type = kind, id = packet:sub(1, 2),
    from = from.port })
  local values = entry and entry[kind]
  if values == false then return nil end
  local failed = values == "SERVFAIL"
  local answers = {}
  for _, value in ipairs(not failed and values or {}) do
    local data = encoders[kind](value)
    table.insert(answers, "\192\12" .. number(number_of_type) .. "\0\1\0\0"
      .. number(self.ttl) .. number(#data) .. data)
  end
  local code = failed and 2 or entry and 0 or 3
  return packet:sub(1, 2) .. string.char(0x81, 0x80 + code) .. "\0\1" .. number(#answers)
    .. "\0\0\0\0" .. packet:sub(13, stop) .. table.concat(answers)
end

function dns_server:on_readable()
  local packet, from = socket.recvfrom(self.fd, 4096)
  local reply = packet and self:reply(packet, from)
  if not reply then return end
  if self.held then
    table.insert(self.held, { reply, from })
  else
    socket.sendto(self.fd, reply, from)
  end
end

--- Answers nothing until `release`.
function dns_server:hold() self.held = {} end

function dns_server:release()
  for _, held in ipairs(self.held) do socket.sendto(self.fd, unpack(held)) end
  self.held = nil
end

function dns_server.start(names)
  local fd = tcp.datagrams "127.0.0.1"
  local self = setmetatable({ fd = fd, names = names, questions = {}, ttl = 0, reading = true },
    dns_server)
  self.address = "127.0.0.1:" .. tcp.port(fd)
  loop.watch(fd, self)
  return self
end

--- How often this was asked; a packet that is sent again is the same question.
function dns_server:asked(name, kind)
  local count, seen = 0, {}
  for _, q in ipairs(self.questions) do
    local question = q.from .. q.id
    if q.name == name and q.type == kind and not seen[question] then
      seen[question] = true
      count = count + 1
    end
  end
  return count
end

function dns_server:stop()
  loop.forget(self.fd)
  tcp.close(self.fd)
end

return dns_server
