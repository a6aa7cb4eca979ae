--- A private Dovecot and Postfix on loopback ports: what the demonstration and the interop specs
-- put behind the gateway.
--
--     local servers = require("spec.support.servers").start { users = { ["erin@x.test"] = "pw" } }
--     servers.imap, servers.pop3, servers.smtp, servers.submission   -- ports of 127.0.0.1
--     servers:stop()
--
-- Everything lives in one temporary folder. Postfix delivers by LMTP to that Dovecot, which also
-- answers its SASL questions; mail for anybody else is refused, so nothing ever leaves the
-- machine. Postfix's master only runs as root.
local child = require "spec.support.child"
local ports = require "spec.support.ports"
local posix_stat = require "posix.sys.stat"
local pwd = require "posix.pwd"
local socket = require "socket"
local stdlib = require "posix.stdlib"
local unistd = require "posix.unistd"

local MASTER = "/usr/lib/postfix/sbin/master"

local DOVECOT = [[
base_dir = $folder/dovecot
state_dir = $folder/dovecot
instance_name = $folder
log_path = /dev/stderr
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:$folder/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
mail_max_userip_connections = 0
passdb {
  driver = passwd-file
  args = username_format=%u $folder/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$folder/mail/%u
}
namespace inbox {
  inbox = yes
  mailbox Sent {
    auto = create
  }
}
service imap-login {
  inet_listener imap {
    port = $imap
  }
  inet_listener imaps {
    port = 0
  }
  service_count = 0
}
service pop3-login {
  inet_listener pop3 {
    port = $pop3
  }
  inet_listener pop3s {
    port = 0
  }
  service_count = 0
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service lmtp {
  unix_listener $folder/lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener $folder/sasl {
    mode = 0666
  }
}
]]

local MAIN_CF = [[
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/postfix-data
maillog_file = /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.$domain
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = $domain
virtual_mailbox_maps = texthash:$folder/postfix/mailboxes
virtual_transport = lmtp:unix:$folder/lmtp
default_transport = error:5.7.1 this private server delivers to its own users only
relay_transport = error:5.7.1 this private server delivers to its own users only
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_type = dovecot
smtpd_sasl_path = $folder/sasl
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = none
smtp_tls_security_level = none
lmtp_tls_security_level = none
smtputf8_enable = no
]]

local MASTER_CF = [[
127.0.0.1:$smtp inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=no
127.0.0.1:$submission inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_tls_security_level=$submission_tls
tlsmgr unix - - n 1000? 1 tlsmgr
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
]]

-- Postfix's own post-install makes the same; this needs a twentieth of the time.
local QUEUES = { "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
  "private", "saved", "trace" }

local servers = {}
servers.__index = servers

local function write(path, text, mode)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  posix_stat.chmod(path, mode or 420)
end

local function make_folder(path, user, mode)
  assert(posix_stat.mkdir(path, 493))
  if user then
    local entry = pwd.getpwnam(user)
    assert(entry, "no user " .. user)
    unistd.chown(path, entry.pw_uid, entry.pw_gid)
  end
  if mode then posix_stat.chmod(path, mode) end
end

--- Waits until a server answers on the port with its greeting, which it returns.
local function greeting(port, server, seconds)
  local at = socket.gettime() + seconds
  repeat
    local connection = socket.connect("127.0.0.1", port)
    if connection then
      connection:settimeout(seconds)
      local line = connection:receive "*l"
      connection:close()
      if line then return line end
    end
    server:wait(0.02)
  until server.code or socket.gettime() > at
  error(("nothing greets on port %d:\n%s"):format(port, server:output()))
end

local function fill(self, text) return (text:gsub("%$([%l%d_]+)", self)) end

local function start_dovecot(self)
  make_folder(self.folder .. "/dovecot")
  make_folder(self.folder .. "/mail", "nobody")
  local users = {}
  for user, password in pairs(self.users) do
    users[#users + 1] = user .. ":{PLAIN}" .. password .. "\n"
  end
  write(self.folder .. "/users", table.concat(users))
  write(self.folder .. "/dovecot.conf", fill(self, DOVECOT .. self.more_dovecot))
  self.dovecot = child.start { "dovecot", "-F", "-c", self.folder .. "/dovecot.conf",
    log = self.folder .. "/dovecot.log" }
end

local function start_postfix(self)
  make_folder(self.folder .. "/queue")
  make_folder(self.folder .. "/queue/pid")
  make_folder(self.folder .. "/postfix-data", "postfix", 448)
  for _, name in ipairs(QUEUES) do
    make_folder(self.folder .. "/queue/" .. name, "postfix", 448)
  end
  make_folder(self.folder .. "/queue/maildrop", "postfix", 472)
  make_folder(self.folder .. "/queue/public", "postfix", 456)
  make_folder(self.folder .. "/postfix")
  local mailboxes = {}
  for user in pairs(self.users) do mailboxes[#mailboxes + 1] = user .. " here\n" end
  write(self.folder .. "/postfix/mailboxes", table.concat(mailboxes))
  write(self.folder .. "/postfix/main.cf", fill(self, MAIN_CF .. self.more_postfix))
  write(self.folder .. "/postfix/master.cf", fill(self, MASTER_CF .. self.more_master))
  self.postfix = child.start { MASTER, "-c", self.folder .. "/postfix", "-s",
    makes_session = true, log = self.folder .. "/postfix.log" }
end

--- Starts both servers. `users` maps whole addresses of one domain to passwords. `dovecot`,
-- `postfix` and `master` are appended to dovecot.conf, main.cf and master.cf; in them `$name` is a
-- port for each of `ports`. `files` go to `$folder`.
-- `submission_tls` is smtpd_tls_security_level there.
function servers.start(options)
  assert(unistd.geteuid() == 0, "the private Postfix needs root to run")
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-XXXXXX")
  posix_stat.chmod(folder, 493)
  local self = setmetatable({ folder = folder, users = options.users,
    more_dovecot = options.dovecot or "", more_postfix = options.postfix or "",
    more_master = options.master or "", submission_tls = options.submission_tls or "none" },
    servers)
  for name, text in pairs(options.files or {}) do write(folder .. "/" .. name, text) end
  self.domain = next(options.users):match "@(.+)$"
  local names = { "imap", "pop3", "smtp", "submission", unpack(options.ports or {}) }
  for _, name in ipairs(names) do self[name] = ports.free() end
  local fine, message = pcall(function()
    start_dovecot(self)
    start_postfix(self)
    for _, port in ipairs { self.imap, self.pop3 } do greeting(port, self.dovecot, 20) end
    for _, port in ipairs { self.smtp, self.submission } do greeting(port, self.postfix, 20) end
  end)
  if fine then return self end
  self:stop()
  error(message, 2)
end

local delivered = 0

--- Brings a mail into the user's INBOX by way of Postfix and waits until it lies there.
function servers:deliver(user, subject, body)
  delivered = delivered + 1
  local id = ("%d.%d@spec.test"):format(unistd.getpid(), delivered)
  local smtp = assert(socket.connect("127.0.0.1", self.smtp))
  smtp:settimeout(10)
  local function say(line, code)
    if line then assert(smtp:send(line .. "\r\n")) end
    local answer
    repeat answer = assert(smtp:receive "*l") until answer:match "^%d%d%d "
    assert(answer:sub(1, 3) == code, answer)
  end
  say(nil, "220")
  say("HELO spec.test", "250")
  say("MAIL FROM:<sender@spec.test>", "250")
  say("RCPT TO:<" .. user .. ">", "250")
  say("DATA", "354")
  say(("Message-Id: <%s>\r\nFrom: sender@spec.test\r\nSubject: %s\r\n\r\n%s\r\n."):format(id,
    subject, body:gsub("\r?\n", "\r\n"):gsub("\n%.", "\n..")), "250")
  smtp:close()
  self.dovecot:expect("msgid=<" .. id:gsub("%W", "%%%0") .. ">: saved mail", 30)
end

--- Ends both servers and removes all they wrote.
function servers:stop()
  if self.postfix then self.postfix:stop() end
  if self.dovecot then self.dovecot:stop() end
  os.execute("rm -rf '" .. self.folder .. "'")
end

return servers
