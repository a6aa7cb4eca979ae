--- A real Postfix hears through XCLIENT who the client is, with a login and without one.
local gateway = require "spec.support.gateway"
local interop = require "spec.support.interop"
local servers = require "spec.support.servers"
local socket = require "socket"
local transcript = require "spec.support.transcript"

local CLIENT = "127.0.0.9" -- the gateway itself comes from 127.0.0.1

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  c.listen "mx" { address = "127.0.0.1:0", protocol = "smtp", policy = { "recipients" },
    auth = "none", upstream = "127.0.0.1:$smtp" },
  c.listen "submission" { address = "127.0.0.1:0", protocol = "smtp", policy = { "users" },
    upstream = "127.0.0.1:$submission" },
  c.listen "quiet" { address = "127.0.0.1:0", protocol = "smtp", policy = { "recipients" },
    auth = "none", forward = "off", upstream = "127.0.0.1:$smtp" },
}
]]

local RECIPIENTS = [[
local moongate = require "moongate"
return { rcpt = function() return moongate.accept {} end }
]]

describe("a Postfix behind the gateway", function()
  local real, gw
  setup(function()
    real = servers.start { users = interop.USERS }
    gw = gateway.start { files = {
      ["moongate.lua"] = CONFIG:gsub("%$([%l%d]+)", real),
      ["scripts/recipients.lua"] = RECIPIENTS,
      ["scripts/users.lua"] = interop.POLICY,
    } }
  end)
  teardown(function()
    if gw then gw:stop() end
    if real then real:stop() end
  end)

  --- Says `lines` to a listener from CLIENT, and returns the code of each answer.
  local function talk(port, lines)
    local connection = assert(socket.tcp())
    connection:settimeout(20)
    assert(connection:bind(CLIENT, 0))
    assert(connection:connect("127.0.0.1", port))
    local codes = {}
    for i = 0, #lines do
      if i > 0 then assert(connection:send(lines[i] .. "\r\n")) end
      local line
      repeat line = assert(connection:receive "*l") until line:match "^%d%d%d "
      codes[#codes + 1] = line:sub(1, 3)
    end
    connection:close()
    return table.concat(codes, " ")
  end

  --- The head of the mail called `id` once it has been delivered.
  local function delivered(id)
    real.dovecot:expect("msgid=<" .. id .. ">: saved mail", 30)
    local cat = io.popen("grep -rl 'Message-Id: <" .. id .. ">' '" .. real.folder ..
      "/mail' | xargs head -n 12")
    local text = cat:read "*a"
    cat:close()
    return text
  end

  it("knows address and HELO of a client that sends without a login", function()
    local codes = talk(gw.ports.mx, { "EHLO helo.client.test", "MAIL FROM:<a@client.test>",
      "RCPT TO:<erin@example.org>", "DATA", "Message-Id: <mx@spec.test>\r\n\r\nhello\r\n.",
      "QUIT" })
    assert.equal("220 250 250 250 354 250 221", codes)
    local head = delivered "mx@spec.test"
    assert.is_truthy(head:find("from helo.client.test", 1, true), head)
    assert.is_truthy(head:find("[" .. CLIENT .. "]", 1, true), head)
    assert.is_truthy(head:find("with ESMTP", 1, true), head)
  end)

  it("says itself what it thinks of a recipient", function()
    local codes = talk(gw.ports.mx, { "HELO helo.client.test", "MAIL FROM:<a@client.test>",
      "RCPT TO:<nobody@example.org>", "RCPT TO:<erin@example.org>", "RSET", "QUIT" })
    assert.equal("220 250 250 550 250 250 221", codes)
  end)

  it("knows the client of a login, and who it is", function()
    local login = transcript.base64 "\0erin@example.org\0moonlight"
    local codes = talk(gw.ports.submission, { "EHLO helo.client.test", "AUTH PLAIN " .. login,
      "MAIL FROM:<erin@example.org>", "RCPT TO:<frank@example.org>", "RSET", "QUIT" })
    assert.equal("220 250 235 250 250 250 221", codes)
    local codes_of_mail = talk(gw.ports.submission, { "EHLO helo.client.test",
      "AUTH PLAIN " .. login, "MAIL FROM:<erin@example.org>", "RCPT TO:<frank@example.org>", "DATA",
      "Message-Id: <login@spec.test>\r\n\r\nhello\r\n.", "QUIT" })
    assert.equal("220 250 235 250 250 354 250 221", codes_of_mail)
    real.postfix:expect("client=[^\n]*%[" .. CLIENT:gsub("%.", "%%.") ..
      "%], sasl_method=PLAIN, sasl_username=erin@example.org", 20)
  end)

  it("hears of the gateway alone where XCLIENT is off", function()
    local codes = talk(gw.ports.quiet, { "EHLO helo.client.test", "MAIL FROM:<a@client.test>",
      "RCPT TO:<erin@example.org>", "DATA", "Message-Id: <quiet@spec.test>\r\n\r\nhello\r\n.",
      "QUIT" })
    assert.equal("220 250 250 250 354 250 221", codes)
    real.postfix:expect("client=[^\n]*%[127%.0%.0%.1%]", 20)
  end)
end)
