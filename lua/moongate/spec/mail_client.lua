--- A mail client of a spec that runs the real gateway: `gw:imap { tls = true }`.
--
--     imap:expect "* OK"; imap:send "a LOGIN alice secret"; imap:expect "a OK"; imap:noop()
local client = require "moongate.spec.client"
local tls = require "moongate.spec.tls"

local STARTTLS = {
  imap = { "s STARTTLS", "s OK" }, pop3 = { "STLS", "+OK" }, smtp = { "STARTTLS", "220" },
}
local GREETINGS = { imap = "* OK", pop3 = "+OK", smtp = "220" }
local NOOPS = { imap = { "n NOOP", "n OK" }, pop3 = { "NOOP", "+OK" }, smtp = { "NOOP", "250" } }

local MailClient = {}
MailClient.__index = MailClient

--- Sends a line.
function MailClient:send(line)
  self.connection:send_line(line)
  return self
end

--- Whether the answer comes behind this line: of IMAP one without a tag, of SMTP one that another
-- follows.
local function goes_before(self, line, text)
  if self.protocol == "imap" then return line:sub(1, 2) == "* " and text:sub(1, 1) ~= "*" end
  return self.protocol == "smtp" and line:match "^%d%d%d%-" ~= nil
end

--- The next line that tells, which must begin with `text`; it is returned.
function MailClient:expect(text)
  while true do
    local line = self.connection:read_line()
    if not line then
      error(("%q expected, but the connection has ended"):format(text), 2)
    end
    if not goes_before(self, line, text) then
      if line:sub(1, #text) == text then return line end
      error(("%q expected, but it said %q"):format(text, line), 2)
    end
  end
end

--- A command that does nothing, and its answer.
function MailClient:noop()
  local noop = NOOPS[self.protocol]
  self:send(noop[1])
  return self:expect(noop[2])
end

--- Waits for the gateway to close.
function MailClient:expect_end() self.connection:expect_end() end

function MailClient:close() self.connection:discard() end

--- Connects. Options: `tls`, from the first byte; `starttls`, then the greeting is read already;
-- `sni`.
local function connect(protocol, port, options)
  local connection = client.connect(port)
  local self = setmetatable({ protocol = protocol, connection = connection }, MailClient)
  local how = (options.tls or options.starttls) and tls.client { name = options.sni }
  if options.tls then
    tls.start(connection, how):handshake()
  elseif options.starttls then
    local words = STARTTLS[protocol]
    self:expect(GREETINGS[protocol])
    self:send(words[1]):expect(words[2])
    tls.start(connection, how):handshake()
  end
  return self
end

return { connect = connect, class = MailClient }
