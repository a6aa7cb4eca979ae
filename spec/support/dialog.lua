--- One login as the protocol halves see it, driven without a socket.
--
-- `dialog.new { protocol = "imap", settings = { starttls = true } }` is a client that has just
-- connected. Everything that a slice points to is kept alive by the object.
local ffi = require "ffi"
local support = require "spec.support.core"

local core = support.load("proto/dialog.h", "proto/protocols.h", "base/buf.h", "base/arena.h")

local ASKS = { "INPUT", "STARTTLS", "AUTH", "HELO", "MAIL", "RCPT", "SPLICE", "REFUSE", "CLOSE" }

local DEFAULTS = {
  server_name = "gate.example", command_max = 8192, literal_max = 2048, reply_max = 8192,
  pass_capabilities = true,
}

local Dialog = {}
Dialog.__index = Dialog

local M = { core = core }

local function set(self, struct, values)
  for key, value in pairs(values) do
    if type(value) == "string" then
      self.kept[#self.kept + 1] = value
      struct[key] = support.slice(value)
    else
      struct[key] = value
    end
  end
end

--- The set of mechanisms called so: "PLAIN LOGIN CRAM-MD5 APOP".
function M.mechanisms(names)
  local bits = 0
  for name in names:gmatch "%S+" do
    bits = bits + 2 ^ tonumber(ffi.cast("int", ffi.C["MECHANISM_" .. name:gsub("-", "_")]))
  end
  return bits
end

function M.new(options)
  options = options or {}
  local self = setmetatable({ kept = {} }, Dialog)
  self.settings = ffi.new "struct proto_settings"
  set(self, self.settings, DEFAULTS)
  set(self, self.settings, options.settings or {})
  self.arena = ffi.gc(ffi.new "struct arena", core.arena_wipe)
  core.arena_init(self.arena, options.arena_max or 65536)
  self.client_out = ffi.gc(ffi.new "struct buf", core.buf_deinit)
  core.buf_init(self.client_out, options.output_max or 65536)
  self.upstream_out = ffi.gc(ffi.new "struct buf", core.buf_deinit)
  core.buf_init(self.upstream_out, options.output_max or 65536)
  self.learnt = ffi.new "struct capabilities"

  self.d = ffi.new "struct dialog"
  local d = self.d
  d.proto = core.proto_find(support.slice(options.protocol or "imap"))
  d.settings, d.arena, d.learnt = self.settings, self.arena, self.learnt
  d.to_client, d.to_upstream = self.client_out, self.upstream_out
  d.mechanisms = M.mechanisms(options.mechanisms or "PLAIN LOGIN")
  set(self, d, { salt = options.salt or "<1.2@gate.example>" })
  d.secure = options.secure or false
  core.dialog_init(d)
  self.from_client, self.from_upstream = "", ""
  return self
end

--- How the gateway will log in upstream.
function Dialog:login(values)
  local password = values.password
  values.password = nil
  set(self, self.d.login, values)
  set(self, self.d.login.password, { bytes = password or "" })
end

local function taken(buf)
  local text = support.text(core.buf_bytes(buf))
  core.buf_consume(buf, #text)
  return text
end

--- What was written to either side since last asked.
function Dialog:to_client() return taken(self.client_out) end
function Dialog:to_upstream() return taken(self.upstream_out) end

--- Says what the gateway says by itself: "GREETING", "REFUSAL".
function Dialog:say(what)
  self.d.proto.say(self.d, ffi.C["SAY_" .. what])
end

function Dialog:refuse(values)
  for _, key in ipairs { "reason", "stage" } do
    if values[key] then values[key] = ffi.C[key:upper() .. "_" .. values[key]] end
  end
  set(self, self.d.refusal, values)
  self:say "REFUSAL"
end

--- Feeds bytes and handles whole units until the protocol asks for more than input, or they are
-- used up.  Returns what it asks for: "AUTH", "CLOSE", "BAD" (not to be framed), or nil.
local function feed(self, pending, frame, act)
  while true do
    local unit = ffi.new "struct slice"
    local bytes = self[pending]
    local result = frame(self.d, support.slice(bytes), unit)
    if result == ffi.C.PARSE_MORE then return nil end
    if result == ffi.C.PARSE_BAD then return "BAD" end
    if result == ffi.C.PARSE_PROMPT then
      self:say "GO_AHEAD"
    else
      local ask = act(self.d, unit)
      self[pending] = bytes:sub(tonumber(unit.len) + 1)
      if ask ~= ffi.C.ASK_INPUT then return ASKS[tonumber(ask) + 1] end
    end
  end
end

function Dialog:client(bytes)
  self.from_client = self.from_client .. bytes
  return feed(self, "from_client", self.d.proto.frame_command, self.d.proto.on_command)
end

function Dialog:upstream(bytes)
  self.from_upstream = self.from_upstream .. bytes
  return feed(self, "from_upstream", self.d.proto.frame_reply, self.d.proto.on_reply)
end

--- What the client gave: { mechanism, user, authzid, password, response }.
function Dialog:credentials()
  local c = self.d.credentials
  return {
    mechanism = ffi.string(core.mechanism_name(c.mechanism)), user = support.text(c.user),
    authzid = support.text(c.authzid), password = support.text(c.password.bytes),
    response = support.text(c.response),
  }
end

--- The name of the fault, without its prefix.
function Dialog:fault()
  for _, name in ipairs { "NONE", "QUIT", "ABUSE", "GARBAGE", "GREETING", "PREAUTH", "BYE",
    "NO_LOGIN", "NO_STARTTLS", "RESOURCES" } do
    if self.d.fault == ffi.C["FAULT_" .. name] then return name end
  end
end

return M
