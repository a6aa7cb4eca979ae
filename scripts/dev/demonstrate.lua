--- Runs the quickstart gateway before a private Dovecot and Postfix and moves a mail through it;
-- the part of scripts/dev/start that needs the built gateway. Run in the project's folder.
package.path = "./lua/?.lua;./?.lua;" .. package.path
jit.off() -- signal handlers only run between interpreted instructions
local child = require "spec.support.child"
local gateway = require "spec.support.gateway"
local servers = require "spec.support.servers"
local signal = require "posix.signal"
local socket = require "socket"
local unistd = require "posix.unistd"

local USERS = { ["erin@example.org"] = "moonlight", ["frank@example.org"] = "starlight" }
local PREFERRED = { imap = 1143, pop3 = 1110, submission = 1587 }
local CONTROL = ("/run/moongate/start-%d.sock"):format(unistd.getpid())
local SUBJECT = "A mail through the gateway"

local interrupted = false

local function say(text, ...)
  if interrupted then error("interrupted", 0) end
  io.write(text:format(...), "\n")
  io.flush()
end

local function read_file(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

--- The well-known port of the demonstration, or any other where that one is taken.
local function address_for(name)
  local probe = socket.bind("127.0.0.1", PREFERRED[name])
  if not probe then return "127.0.0.1:0" end
  probe:close()
  return "127.0.0.1:" .. PREFERRED[name]
end

local function addresses(private)
  return ([[
return {
  listen = { imap = %q, pop3 = %q, submission = %q },
  control = { socket = %q },
  imap = "127.0.0.1:%d",
  pop3 = "127.0.0.1:%d",
  submission = "127.0.0.1:%d",
}
]]):format(address_for "imap", address_for "pop3", address_for "submission", CONTROL,
    private.imap, private.pop3, private.submission)
end

local function start_gateway(private)
  return gateway.start { files = {
    ["moongate.lua"] = read_file "conf/examples/quickstart.lua",
    ["quickstart_servers.lua"] = addresses(private),
    ["scripts/quickstart_users.lua"] = read_file "conf/examples/scripts/quickstart_users.lua",
  } }
end

--- Runs a client; what it printed, or an error that says what it ran.
local function client(...)
  local code, output = child.run { ... }
  if code ~= 0 then error(table.concat({ ... }, " ") .. ":\n" .. output, 0) end
  return output
end

local function check(name, text)
  if not text:find(SUBJECT, 1, true) then error(name .. " did not show the mail:\n" .. text, 0) end
end

local function demonstrate(private, ports)
  client("swaks", "--server", "127.0.0.1:" .. ports.submission, "--auth", "PLAIN",
    "--auth-user", "erin@example.org", "--auth-password", USERS["erin@example.org"],
    "--from", "erin@example.org", "--to", "frank@example.org",
    "--header", "Subject: " .. SUBJECT, "--silent")
  say "  sent one as erin@example.org by SMTP, through the gateway, to Postfix"
  private.dovecot:expect("saved mail to INBOX", 30)
  say "  Postfix has delivered it to Dovecot by LMTP"
  local login = "frank@example.org:" .. USERS["frank@example.org"]
  check("IMAP", client("curl", "-sS", "-u", login,
    ("imap://127.0.0.1:%d/INBOX;UID=1"):format(ports.imap)))
  say "  read it as frank@example.org by IMAP, through the gateway"
  check("POP3", client("curl", "-sS", "-u", login, ("pop3://127.0.0.1:%d/1"):format(ports.pop3)))
  say "  read it as frank@example.org by POP3, through the gateway"
  local code = child.run { "curl", "-sS", "-u", "frank@example.org:wrong",
    ("imap://127.0.0.1:%d/"):format(ports.imap) }
  if code ~= 67 then error("a wrong password was not refused: curl said " .. code, 0) end
  say "  was refused with a wrong password"
end

local GUIDE = [[

The gateway accepts IMAP on port $imap, POP3 on $pop3 and SMTP submission on $submission
of 127.0.0.1. Behind it, without it: Dovecot $dimap and $dpop3, Postfix $dsmtp and $dsubmission.
Who may log in: conf/examples/scripts/quickstart_users.lua (edit it, and reload).
Try, in another terminal:

  curl -u frank@example.org:starlight 'imap://127.0.0.1:$imap/INBOX;UID=1'
  swaks --server 127.0.0.1:$submission --auth --auth-user erin@example.org \
    --auth-password moonlight --from erin@example.org --to frank@example.org
  printf 'a LOGIN erin@example.org moonlight\r\nb LOGOUT\r\n' | nc -N 127.0.0.1 $imap
  export MOONGATE_SOCKET=$control
  build/release/moongate status     (also: who, kick, reload, rollback, diff)
]]

local function guide(private, ports)
  local values = { control = CONTROL, imap = ports.imap, pop3 = ports.pop3,
    submission = ports.submission, dimap = private.imap, dpop3 = private.pop3, dsmtp = private.smtp,
    dsubmission = private.submission }
  say("%s", (GUIDE:gsub("%$(%l[%l%d]*)", values)))
end

local function main()
  say "start: a private Dovecot and Postfix"
  local private = servers.start { users = USERS }
  local gate
  local fine, message = pcall(function()
    say "start: the gateway, with conf/examples/quickstart.lua"
    gate = start_gateway(private)
    say "start: a mail"
    demonstrate(private, gate.ports)
    guide(private, gate.ports)
    if arg[1] == "--once" then return end
    say "Ctrl-C ends it all."
    while not interrupted and gate.process:is_running() do gate.process:wait(3600) end
    if not interrupted then error("the gateway ended", 0) end
  end)
  io.write "start: stopping\n"
  local log = gate and gate:log() or ""
  if gate then gate:remove() end
  private:stop()
  if fine or interrupted then return end
  io.stderr:write("start: ", tostring(message), "\n", log)
  os.exit(1)
end

for _, number in ipairs { signal.SIGINT, signal.SIGTERM, signal.SIGHUP } do
  signal.signal(number, function() interrupted = true end)
end
main()
