--- Drives one protocol dialog of the C core, as a session would: bytes of both sides in, bytes of
--- both sides out, and a script in the place of policies and upstreams.
local ffi = require "ffi"
local core = require("spec.support.core").load("proto/dialog.h", "proto/protocols.h")

ffi.cdef "void *malloc(size_t size); void free(void *p);"

local ARENA_MAX, BUFFER_MAX = 65536, 65536

--- Names of the constants of an enum: `names.ask[3]` is "ASK_HELO".
local names = { ask = {}, fault = {}, reason = {}, mechanism = {} }
for _, path in ipairs { "proto/proto.h", "proto/dialog.h", "proto/refusal.h", "proto/sasl.h" } do
  local file = assert(io.open("core/" .. path))
  for name in file:read("*a"):gmatch "%f[%w_]([%u][%u%d_]+)%f[^%w_]" do
    local list = names[name:match("^%u+"):lower()]
    local known, value = pcall(function() return tonumber(core[name]) end)
    if list and known and not name:match "COUNT$" then list[value] = name end
  end
  file:close()
end

local function constant(prefix, word)
  return core[prefix .. word:upper():gsub("-", "_")]
end

local function text_of(slice)
  return slice.len > 0 and ffi.string(slice.ptr, slice.len) or ""
end

--- What `accept` may say of the client, and `told` has of it.
local FACTS = {}
for word in ("ip port name server_ip server_port session ttl transport server_name"):gmatch "%S+" do
  FACTS[word] = tonumber(core["IDENTITY_" .. word:upper()])
end

local Dialog = {}
Dialog.__index = Dialog

--- A slice over a Lua string that lives as long as the dialog.
function Dialog:slice(text)
  self.anchors[#self.anchors + 1] = text
  return ffi.new("struct slice", ffi.cast("const char *", text), #text)
end

--- Sets `d.mechanisms` to the mechanisms named in `list`.
function Dialog:offer(list)
  self.d.mechanisms = 0
  for word in list:gmatch "%S+" do
    local bit = 2 ^ tonumber(constant("MECHANISM_", word))
    self.d.mechanisms = self.d.mechanisms + bit
  end
  self.settings.mechanisms = self.d.mechanisms
end

function Dialog:learn(list)
  self.learnt.len, self.learnt.known = #list, true
  ffi.copy(self.learnt.text, list, #list)
end

local function apply_settings(self, given)
  local settings = self.settings
  settings.server_name = self:slice(given["server-name"] or "mail.example.com")
  settings.greeting = self:slice(given.greeting or "")
  if given.capabilities then settings.capabilities = self:slice(given.capabilities) end
  settings.command_max = tonumber(given["command-max"] or 4096)
  settings.literal_max = tonumber(given["literal-max"] or 4096)
  settings.reply_max = tonumber(given["reply-max"] or 8192)
  for field, header in pairs {
    no_auth = "no-auth", starttls = "starttls", tls_required = "tls-required",
    ask_helo = "ask-helo", ask_mail = "ask-mail", ask_verifier = "ask-verifier",
    xoip = "xoip", pass_error_message = "pass-error-message",
    pass_capabilities = "pass-capabilities",
  } do
    settings[field] = given[header] == "yes"
  end
end

--- A dialog of the protocol called `given.protocol`, with the settings of a transcript's header.
local function new(given)
  local self = setmetatable({ anchors = {} }, Dialog)
  self.given = given
  self.arena, self.learnt = ffi.new "struct arena", ffi.new "struct capabilities"
  self.to_client, self.to_upstream = ffi.new "struct buf", ffi.new "struct buf"
  self.settings, self.d = ffi.new "struct proto_settings", ffi.new "struct dialog"
  core.arena_init(self.arena, tonumber(given["arena-max"] or ARENA_MAX))
  core.buf_init(self.to_client, BUFFER_MAX)
  core.buf_init(self.to_upstream, BUFFER_MAX)
  apply_settings(self, given)

  local d = self.d
  self.proto = core["proto_" .. given.protocol]
  d.proto, d.settings, d.arena = self.proto, self.settings, self.arena
  d.to_client, d.to_upstream, d.learnt = self.to_client, self.to_upstream, self.learnt
  d.secure = given.secure == "yes"
  d.certified = given.certified == "yes"
  d.peer_trusted = given.trusted == "yes"
  d.salt = self:slice(given.salt or "<1896.697170952@mail.example.com>")
  self:offer(given.mechanisms or "plain login")
  if given.learnt then self:learn(given.learnt) end
  core.dialog_init(d)
  return self
end

function Dialog:free()
  core.dialog_forget(self.d)
  core.arena_wipe(self.arena)
  core.buf_deinit(self.to_client)
  core.buf_deinit(self.to_upstream)
end

local function drain(buffer)
  local text = text_of(core.buf_bytes(buffer))
  core.buf_consume(buffer, #text)
  return text
end

--- What was written to the client and to the upstream since the last call.
function Dialog:written()
  return drain(self.to_client), drain(self.to_upstream)
end

--- Shows the bytes at hand to one half.  Returns "more", "prompt", "bad", or "done" with how many
--- bytes were handled and the name of what the protocol asks for.  The bytes are in memory of
--- exactly their size, which is overwritten and freed at once: what is read past them, or kept of
--- them, is seen by the sanitizer or as a wrong fact.
function Dialog:show(half, bytes)
  local frame = half == "client" and self.proto.frame_command or self.proto.frame_reply
  local on_unit = half == "client" and self.proto.on_command or self.proto.on_reply
  local memory = ffi.cast("char *", ffi.C.malloc(math.max(#bytes, 1)))
  ffi.copy(memory, bytes, #bytes)
  local unit = ffi.new "struct slice"
  local result = frame(self.d, ffi.new("struct slice", memory, #bytes), unit)
  local outcome, len, ask = "bad", nil, nil
  if result == core.PARSE_MORE then
    outcome = "more"
  elseif result == core.PARSE_PROMPT then
    outcome = "prompt"
  elseif result == core.PARSE_DONE then
    outcome, len = "done", tonumber(unit.len)
    ask = names.ask[tonumber(on_unit(self.d, unit))]
  end
  ffi.fill(memory, #bytes, 0x58)
  ffi.C.free(memory)
  return outcome, len, ask
end

function Dialog:is_out_of_memory() return self.d.fault == core.FAULT_RESOURCES end

function Dialog:say(what) self.proto.say(self.d, core["SAY_" .. what]) end

--- All that a session could read off the dialog now.
function Dialog:facts()
  local d = self.d
  local credentials, envelope = d.credentials, d.envelope
  local told = {}
  for name, index in pairs(FACTS) do
    local value = text_of(d.told.facts[index])
    if value ~= "" then told[#told + 1] = name .. "=" .. value end
  end
  table.sort(told)
  return {
    told = table.concat(told, " "),
    mechanism = names.mechanism[tonumber(credentials.mechanism)]:sub(11):gsub("_", "-"),
    user = text_of(credentials.user), authzid = text_of(credentials.authzid),
    password = text_of(credentials.password.bytes), response = text_of(credentials.response),
    helo = text_of(envelope.helo), ehlo = envelope.ehlo and "yes" or "no",
    mail = text_of(envelope.mail), rcpt = text_of(envelope.rcpt),
    fault = names.fault[tonumber(d.fault)]:sub(7), errors = tostring(d.errors),
    reason = names.reason[tonumber(d.reply.reason)]:sub(8):lower():gsub("_", "-"),
    text = text_of(d.reply.text), sasl = text_of(d.reply.sasl),
    tag = text_of(d.tag), client_id = text_of(d.client_id),
    learnt = self.learnt.known and ffi.string(self.learnt.text, self.learnt.len) or "unknown",
  }
end

--- What the session says when a policy or the upstream refuses.
function Dialog:refuse(reason, options)
  local d = self.d
  local stage = options.stage or (d.envelope.rcpt.len > 0 and "rcpt" or "login")
  d.refusal = ffi.new("struct refusal", {
    reason = reason and constant("REASON_", reason) or d.reply.reason,
    stage = constant("STAGE_", stage), text = self:slice(options.text or ""),
    code = self:slice(options.code or ""), enhanced = self:slice(options.enhanced or ""),
    verbatim = self:slice(options.verbatim == "yes" and text_of(d.reply.text) or ""),
  })
  self:say "REFUSAL"
  core.dialog_forget(d)
end

--- What the session says before it refuses a token.
function Dialog:deny(sasl)
  self.d.refusal = ffi.new("struct refusal", { sasl = self:slice(sasl or "") })
  self:say "DENIAL"
end

--- What the session does when a policy accepts: the login at the next upstream begins.
function Dialog:accept(options)
  local d, login = self.d, self.d.login
  core.dialog_restart_upstream(d)
  login.user = options.user and self:slice(options.user) or d.credentials.user
  login.password.bytes = options.password and self:slice(options.password)
    or d.credentials.password.bytes
  login.token = not options.password and core.mechanism_has_token(d.credentials.mechanism)
  login.authzid = self:slice(options.authzid or "")
  login.mechanism = constant("MECHANISM_", options.mechanism or "none")
  login.none = options.none == "yes" or d.envelope.rcpt.len > 0
  d.forward = constant("FORWARD_", options.forward or self.given.forward or "off")
  local facts = { ip = "192.0.2.7", name = "client.example.net" }
  for name, value in pairs(options) do facts[name] = value end
  for name, index in pairs(FACTS) do d.identity.facts[index] = self:slice(facts[name] or "") end
end

--- What upstreams offer is asked for before any user logs in.
function Dialog:probe()
  self.d.probing = true
  core.dialog_restart_upstream(self.d)
end

function Dialog:retry() core.dialog_restart_upstream(self.d) end

--- TLS is there: all that was said in clear is forgotten.
function Dialog:secure()
  self.d.secure = true
  core.dialog_restart(self.d)
end

function Dialog:bye(reason)
  self.d.refusal = ffi.new("struct refusal", { reason = constant("REASON_", reason) })
  self:say "BYE"
end

return { new = new }
