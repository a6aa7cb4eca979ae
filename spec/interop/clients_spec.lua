--- Real clients reach a real Dovecot and Postfix through the gateway.
local child = require "spec.support.child"
local interop = require "spec.support.interop"
local json = require "cjson"

describe("through the gateway", function()
  local pair
  setup(function() pair = interop.start() end)
  teardown(function() if pair then pair:stop() end end)

  local ERIN, FRANK = "erin@example.org", "frank@example.org"
  local ERIN_PASSWORD, FRANK_PASSWORD = "moonlight", "star light%\"x"

  --- Runs a client and returns its output; it must end with `status`, or 0.
  local function client(command, status)
    local code, output = child.run(command)
    assert(code == (status or 0), ("%s ended with %s:\n%s\n%s"):format(command[1], code, output,
      pair.gateway:log()))
    return output
  end

  local function url(protocol, path)
    local port = pair.ports[protocol == "smtp" and "submission" or protocol]
    return ("%s://127.0.0.1:%d/%s"):format(protocol, port, path or "")
  end

  local function curl(user, password, ...)
    return { "curl", "-sS", "-m", "20", "-u", user .. ":" .. password, ... }
  end

  local function node(script, ...)
    return { "node", "spec/interop/" .. script, environment = {
      NODE_PATH = "build/npm/node_modules" }, ... }
  end

  --- Waits until Postfix has brought the mail that it took with this reply to Dovecot.
  local function delivered(reply)
    local id = assert(reply:match "queued as (%w+)", reply)
    pair.servers.postfix:expect("lmtp%[%d+%]: " .. id .. ": [^\n]-status=(sent)")
  end

  --- What lies in the user's INBOX, read straight from Dovecot.
  local function inbox(user)
    local _, output = child.run { "sh", "-c",
      ("cat '%s/mail/%s'/new/* '%s/mail/%s'/cur/*"):format(pair.root, user, pair.root, user) }
    return output
  end

  describe("curl", function()
    it("fetches a mail by IMAP", function()
      pair.servers:deliver(ERIN, "for curl", "one\ntwo")
      local text = client(curl(ERIN, ERIN_PASSWORD, url("imap", "INBOX;UID=1")))
      assert.matches("Subject: for curl\r\n", text, 1, true)
      assert.matches("one\r\ntwo\r\n", text, 1, true)
    end)

    it("fetches a mail by POP3", function()
      local text = client(curl(ERIN, ERIN_PASSWORD, url("pop3", "1")))
      assert.matches("one\r\ntwo\r\n", text, 1, true)
    end)

    for _, mechanism in ipairs { "PLAIN", "LOGIN" } do
      it("logs in to IMAP with AUTH=" .. mechanism, function()
        client(curl(ERIN, ERIN_PASSWORD, "--login-options", "AUTH=" .. mechanism, url "imap"))
      end)

      it("logs in to POP3 with AUTH=" .. mechanism, function()
        client(curl(ERIN, ERIN_PASSWORD, "--login-options", "AUTH=" .. mechanism, url "pop3"))
      end)

      it("sends a mail by SMTP with AUTH=" .. mechanism, function()
        client(curl(ERIN, ERIN_PASSWORD, "--login-options", "AUTH=" .. mechanism,
          "--mail-from", ERIN, "--mail-rcpt", FRANK, "-T", "CMakeLists.txt", url "smtp"))
      end)
    end

    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      it("is refused with a wrong password by " .. protocol, function()
        client(curl(ERIN, "wrong", url(protocol)), 67)
      end)
    end
  end)

  describe("swaks", function()
    for _, mechanism in ipairs { "PLAIN", "LOGIN" } do
      it("sends with AUTH " .. mechanism .. " and a password of odd characters", function()
        delivered(client { "swaks", "--server", "127.0.0.1:" .. pair.ports.submission,
          "--auth", mechanism, "--auth-user", FRANK, "--auth-password", FRANK_PASSWORD,
          "--from", FRANK, "--to", ERIN, "--header", "Subject: swaks " .. mechanism })
      end)
    end

    it("is refused with a wrong password", function()
      local output = client({ "swaks", "--server", "127.0.0.1:" .. pair.ports.submission, "--auth",
        "PLAIN", "--auth-user", FRANK, "--auth-password", "wrong", "--to", ERIN }, 28)
      assert.matches("535", output)
    end)
  end)

  it("mbsync copies a mailbox both ways", function()
    local folder = pair:folder "mbsync"
    pair.servers:deliver(ERIN, "for mbsync", "text")
    pair:write("mbsync/new/1.spec", "Subject: written here\n\ntext\n")
    pair:write("mbsync/cur/keep", "")
    os.remove(folder .. "/cur/keep")
    pair:folder "mbsync/tmp"
    pair:write("mbsyncrc", ([[
IMAPAccount gateway
Host 127.0.0.1
Port %d
User %s
Pass "%s"
SSLType None
AuthMechs *

IMAPStore far
Account gateway

MaildirStore near
Inbox %s

Channel both
Far :far:
Near :near:
Sync All
SyncState *
]]):format(pair.ports.imap, ERIN, ERIN_PASSWORD, folder))
    client { "mbsync", "-c", pair.root .. "/mbsyncrc", "both" }
    local near = client { "sh", "-c", "cat " .. folder .. "/*/*" }
    assert.matches("Subject: for mbsync", near, 1, true)
    assert.matches("Subject: written here", inbox(ERIN), 1, true)
  end)

  for _, protocol in ipairs { "imap", "pop3" } do
    it("fetchmail fetches by " .. protocol, function()
      local folder = pair:folder("fetchmail-" .. protocol)
      pair.servers:deliver(ERIN, "fetchmail " .. protocol, "text")
      pair:write("fetchmailrc", ([[
set no bouncemail
set pidfile "%s/pid"
set idfile "%s/ids"
poll 127.0.0.1 service %d protocol %s auth password
  username "%s" password "%s" sslproto '' fetchall keep mda "cat >>%s/out"
]]):format(folder, folder, pair.ports[protocol], protocol, ERIN, ERIN_PASSWORD, folder), 448)
      client { "fetchmail", "-f", pair.root .. "/fetchmailrc", "--nodetach", "--nosyslog" }
      assert.matches("Subject: fetchmail " .. protocol, client { "cat", folder .. "/out" }, 1, true)
    end)
  end

  describe("ImapFlow", function()
    it("reads, appends and hears of new mail in IDLE", function()
      local got = json.decode(client(node("imapflow.js", pair.ports.imap, ERIN, ERIN_PASSWORD)))
      assert.equal("from ImapFlow", got.subject)
      assert.equal(got.before + 1, got.count)
      assert.equal("Subject: from ImapFlow\r\n\r\nbody\r\n", got.source)
      assert.is_true(got.idle)
    end)

    it("is told of a refusal as one", function()
      local got = json.decode(client(node("imapflow.js", pair.ports.imap, ERIN, "wrong"), 1))
      assert.is_true(got.refused)
    end)
  end)

  describe("Nodemailer", function()
    for _, mechanism in ipairs { "PLAIN", "LOGIN" } do
      it("sends with AUTH " .. mechanism, function()
        local got = json.decode(client(node("nodemailer.js", pair.ports.submission, ERIN,
          ERIN_PASSWORD, FRANK, mechanism)))
        assert.same({ FRANK }, got.accepted)
        delivered(got.response)
      end)
    end

    it("is told of a refusal as one", function()
      local got = json.decode(client(node("nodemailer.js", pair.ports.submission, ERIN, "wrong",
        FRANK, "PLAIN"), 1))
      assert.same({ error = "EAUTH", code = 535 }, got)
    end)
  end)
end)
