--- A real Dovecot and Postfix log the real client, IPv6 too, behind one gateway and behind two:
-- by ID, XCLIENT and PROXY headers. And logins by other users and mechanisms, at the real servers.
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local interop = require "spec.support.interop"
local servers = require "spec.support.servers"

local used = 0

--- An address that no log knows yet.
local function fresh(family)
  used = used + 1
  return (family == "IPv6" and "2001:db8::%d" or "192.0.2.%d"):format(used + 9)
end

local DOVECOT = [[
login_trusted_networks = 127.0.0.0/8
haproxy_trusted_networks = 127.0.0.0/8
auth_mechanisms = plain login cram-md5
passdb {
  driver = passwd-file
  args = $folder/masters
  master = yes
}
protocols = imap pop3 lmtp submission
submission_relay_host = 127.0.0.1
submission_relay_port = $smtp
service submission-login {
  inet_listener submission {
    port = $dovesubmission
  }
}
service imap-login {
  inet_listener imap_proxied {
    port = $imaproxied
    haproxy = yes
  }
}
service pop3-login {
  inet_listener pop3_proxied {
    port = $popproxied
    haproxy = yes
  }
}
]]

local MASTER = [[
127.0.0.1:$smtpall inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=no
  -o inet_protocols=all
127.0.0.1:$smtproxied inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=no
  -o smtpd_upstream_proxy_protocol=haproxy
  -o inet_protocols=all
]]

-- The gateway that clients reach through a proxy, and the one that stands behind it.
local LISTENER = [[
  c.listen "%s" { address = "127.0.0.1:0", protocol = "%s", policy = { "users" },
    upstream = "127.0.0.1:%d", %s },
]]

local FRONT = 'proxy_protocol = { from = "127.0.0.1" },'
local RECIPIENTS = 'auth = "none",'

local POLICY = [[
local moongate = require "moongate"
local users = { ["erin@example.org"] = "moonlight" }
local logins = {
  master = moongate.login { user = "root", password = "masterkey", authzid = "erin@example.org" },
  cram = moongate.login { mechanism = "CRAM-MD5", user = "erin@example.org",
    password = "moonlight" },
  plain = moongate.login { mechanism = "PLAIN", user = "erin@example.org", password = "moonlight" },
  login = moongate.login { mechanism = "LOGIN", user = "erin@example.org", password = "moonlight" },
}
return {
  auth = function(_, credentials)
    local password = users[credentials.user]
    if logins[credentials.user] then
      return moongate.accept { upstream_auth = logins[credentials.user] }
    end
    if password and credentials.password:equals(password) then return moongate.accept {} end
    return moongate.reject { reason = "bad-credentials" }
  end,
  rcpt = function() return moongate.accept {} end,
}
]]

local function start_gateway(listeners)
  local parts = {}
  for _, l in ipairs(listeners) do table.insert(parts, LISTENER:format(l[1], l[2], l[3], l[4])) end
  return gateway.start { files = {
    ["moongate.lua"] = 'local c = require "moongate.config"\nreturn c.gateway { workers = 1,\n' ..
      table.concat(parts) .. "}\n",
    ["scripts/users.lua"] = POLICY,
  } }
end

local function escape(text) return (text:gsub("%W", "%%%0")) end

describe("real servers behind gateways", function()
  local real, back, front

  setup(function()
    real = servers.start { users = interop.USERS, dovecot = DOVECOT, master = MASTER,
      ports = { "imaproxied", "popproxied", "smtpall", "smtproxied", "dovesubmission" },
      files = { masters = "root:{PLAIN}masterkey\n" } }
    local trusting = 'trusted = "127.0.0.1",'
    local function proxied(version)
      return ("upstream_proxy_protocol = %q,"):format(version)
    end
    back = start_gateway {
      { "imap", "imap", real.imap, trusting },
      { "pop3", "pop3", real.pop3, trusting },
      { "smtp", "smtp", real.smtpall, trusting .. RECIPIENTS },
      { "submit", "smtp", real.dovesubmission, trusting },
      { "imaphead", "imap", real.imaproxied, FRONT .. proxied "v2" },
      { "pophead", "pop3", real.popproxied, FRONT .. proxied "v1" },
      { "smtphead", "smtp", real.smtproxied, FRONT .. RECIPIENTS .. proxied "v2" },
    }
    local p = back.ports
    front = start_gateway {
      { "imap1", "imap", real.imap, FRONT },
      { "pop31", "pop3", real.pop3, FRONT },
      { "smtp1", "smtp", real.smtpall, FRONT .. RECIPIENTS },
      { "submit1", "smtp", real.dovesubmission, FRONT },
      { "submit2", "smtp", p.submit, FRONT },
      { "imaphead1", "imap", real.imaproxied, FRONT .. proxied "v1" },
      { "pophead1", "pop3", real.popproxied, FRONT .. proxied "v2" },
      { "smtphead1", "smtp", real.smtproxied, FRONT .. RECIPIENTS .. proxied "v1" },
      { "imap2", "imap", p.imap, FRONT },
      { "pop32", "pop3", p.pop3, FRONT },
      { "smtp2", "smtp", p.smtp, FRONT .. RECIPIENTS },
      { "imaphead2", "imap", p.imaphead, FRONT .. proxied "v2" },
      { "pophead2", "pop3", p.pophead, FRONT .. proxied "v1" },
      { "smtphead2", "smtp", p.smtphead, FRONT .. RECIPIENTS .. proxied "v2" },
      { "submission", "smtp", real.submission, FRONT },
    }
  end)
  teardown(function()
    if front then front:stop() end
    if back then back:stop() end
    if real then real:stop() end
  end)
  after_each(client.discard_all)

  --- A client with that address, through a proxy in front.
  local function connect(listener, ip)
    local c = client.connect(front.ports[listener])
    local family, other = "TCP4", "198.51.100.1"
    if ip:find ":" then family, other = "TCP6", "2001:db8::1" end
    return c:send(("PROXY %s %s %s 4711 143\r\n"):format(family, ip, other))
  end

  --- The id of the session that the front gateway had with `c`.
  local function id_of(c)
    c:close()
    return front:session_of(c).session
  end

  local function log_in_imap(c, user)
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s moonlight"):format(user or "erin@example.org")):expect_until "^a OK"
    c:send_line("b LOGOUT"):expect_until "^b OK"
    return id_of(c)
  end

  local function log_in_pop3(c, user)
    c:expect "^%+OK"
    c:send_line("USER " .. (user or "erin@example.org")):expect "^%+OK"
    c:send_line("PASS moonlight"):expect "^%+OK"
    c:send_line("QUIT"):expect "^%+OK"
    return id_of(c)
  end

  local function name_recipient(c)
    c:expect "^220 "
    c:send_line("EHLO helo.client.test"):expect_until "^250 "
    c:send_line("MAIL FROM:<a@client.test>"):expect "^250 "
    c:send_line("RCPT TO:<erin@example.org>"):expect "^250 "
    c:send_line("QUIT"):expect "^221 "
    c:close()
  end

  for _, family in ipairs { "IPv4", "IPv6" } do
    for hops = 1, 2 do
      local through = (" of a client on %s through %d"):format(family, hops)

      it("Dovecot hears by ID" .. through, function()
        local ip = fresh(family)
        local id = log_in_imap(connect("imap" .. hops, ip))
        real.dovecot:expect("imap%-login: Info: Login: user=<erin@example.org>[^\n]* rip=" ..
          escape(ip) .. ",[^\n]*session=<" .. id .. ">", 20)
        if hops == 2 then back:expect_log("(client=%S+ via=127%S+ origin=\"" .. id .. "\")") end
      end)

      it("Dovecot hears by XCLIENT" .. through, function()
        local ip = fresh(family)
        local id = log_in_pop3(connect("pop3" .. hops, ip))
        real.dovecot:expect("pop3%-login: Info: Login: user=<erin@example.org>[^\n]* rip=" ..
          escape(ip) .. ",[^\n]*session=<" .. id .. ">", 20)
      end)

      it("Dovecot's submission hears by XCLIENT" .. through, function()
        local ip = fresh(family)
        local c = connect("submit" .. hops, ip)
        c:expect "^220 "
        c:send_line("EHLO client.test"):expect_until "^250 "
        c:send_line("AUTH PLAIN " .. client.plain("erin@example.org", "moonlight")):expect "^235 "
        c:send_line("QUIT"):expect "^221 "
        real.dovecot:expect("submission%-login: Info: Login: user=<erin@example.org>[^\n]* rip=" ..
          escape(ip) .. ",[^\n]*session=<" .. id_of(c) .. ">", 20)
      end)

      it("Dovecot hears by a PROXY header" .. through, function()
        local ip = fresh(family)
        local server = family == "IPv6" and "2001:db8::1" or "198.51.100.1"
        log_in_imap(connect("imaphead" .. hops, ip))
        log_in_pop3(connect("pophead" .. hops, ip))
        for _, name in ipairs { "imap", "pop3" } do
          real.dovecot:expect(name .. "%-login: Info: Login: user=<erin@example.org>[^\n]* rip=" ..
            escape(ip) .. ", lip=" .. escape(server), 20)
        end
      end)

      it("Postfix hears by XCLIENT" .. through, function()
        local ip = fresh(family)
        name_recipient(connect("smtp" .. hops, ip))
        real.postfix:expect("client=unknown%[" .. escape(ip) .. "%]", 20)
      end)

      it("Postfix hears by a PROXY header" .. through, function()
        local ip = fresh(family)
        name_recipient(connect("smtphead" .. hops, ip))
        real.postfix:expect("client=unknown%[" .. escape(ip) .. "%]", 20)
      end)
    end
  end

  for _, way in ipairs { "master", "cram", "plain", "login" } do
    it("log the client in as a policy says: " .. way, function()
      local ip = fresh "IPv4"
      log_in_imap(connect("imap1", ip), way)
      log_in_pop3(connect("pop31", ip), way)
      local method = way == "cram" and "CRAM%-MD5" or "PLAIN"
      for _, name in ipairs { "imap", "pop3" } do
        real.dovecot:expect(name .. "%-login: Info: Login: user=<erin@example.org>, method=" ..
          method .. ", rip=" .. escape(ip), 20)
      end
    end)
  end

  it("take CRAM-MD5 for submission", function()
    local ip = fresh "IPv4"
    local c = connect("submission", ip)
    c:expect "^220 "
    c:send_line("EHLO client.test"):expect_until "^250 "
    c:send_line("AUTH PLAIN " .. client.plain("cram", "moonlight")):expect "^235 "
    c:send_line("MAIL FROM:<erin@example.org>"):expect "^250 "
    c:send_line("RCPT TO:<frank@example.org>"):expect "^250 "
    c:send_line("QUIT"):expect "^221 "
    real.postfix:expect("client=unknown%[" .. escape(ip) ..
      "%], sasl_method=CRAM%-MD5, sasl_username=erin@example.org", 20)
  end)
end)
