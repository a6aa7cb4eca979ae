--- The line that every session leaves, as text and as JSON, and what no line ever holds.
local client = require "spec.support.client"
local digest = require "spec.support.digest"
local json = require "cjson"
local loop = require "spec.support.loop"
local mime = require "mime"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local POLICY = [[
local function ready(session, credentials)
  session:log("debug", "asked", { user = credentials.user, kind = credentials.mechanism })
  pcall(session.log, session, "debug", credentials.password)
  pcall(session.log, session, "debug", "x", { password = credentials.password })
  session:log("debug", tostring(credentials.password))
end

return {
  auth = function(session, credentials)
    ready(session, credentials)
    if credentials.user == "breaks" then error(credentials.password) end
    if credentials.user == "mistaken" then return "x" .. credentials.password end
    if credentials.user == "thrown" then error { password = credentials.password } end
    if credentials.user == "elsewhere" then
      return moongate.accept { upstream = "127.0.0.1:1" }
    end
    if credentials.response then
      local login = moongate.login { password = "hunter2" }
      if not credentials:verify_cram "hunter2" then return moongate.reject {} end
      return moongate.accept { upstream = %q, upstream_auth = login }
    end
    if credentials.password:equals "hunter2" then
      moongate.sleep(0.02)
      return moongate.accept { upstream = ({ imap = %q, pop3 = %q, smtp = %q })[session.protocol] }
    end
    return moongate.reject { reason = "bad-credentials" }
  end,
}
]]

local ORDER = { "session", "generation", "client", "listener", "protocol", "mechanism", "user",
  "policy", "upstream", "attempts", "phase", "end", "in", "out", "seconds" }

local SECRETS = { "hunter2", "hunter3" }

--- The ways in which these may be written.
local function spellings()
  local all = {}
  for _, secret in ipairs(SECRETS) do
    table.insert(all, secret)
    table.insert(all, (mime.b64(secret):gsub("=+$", "")))
    for _, user in ipairs { "ann", "breaks", "mistaken", "thrown", "elsewhere" } do
      table.insert(all, client.plain(user, secret))
    end
  end
  return all
end

for _, format in ipairs { "text", "json" } do
  describe("the log as " .. format, function()
    local gw, ups

    setup(function()
      ups = {}
      for _, protocol in ipairs { "imap", "pop3", "smtp" } do
        ups[protocol] = upstream.start { script = upstream[protocol]() }
      end
      local all = 'mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5" }, limits = { attempts = 50 },'
      gw = site.start {
        listen = {
          ["the-imap"] = { protocol = "imap", more = all },
          ["the-pop3"] = { protocol = "pop3",
            more = 'mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5", "APOP" },' },
          ["the-smtp"] = { protocol = "smtp", more = all },
        },
        policy = POLICY:format(ups.imap.address, ups.imap.address, ups.pop3.address,
          ups.smtp.address),
        more = ('log = { level = "debug", format = %q },'):format(format),
      }
    end)
    after_each(function()
      client.discard_all()
      for _, up in pairs(ups) do up:clear() end
    end)
    teardown(function()
      for _, up in pairs(ups) do up:stop() end
      gw:stop()
    end)

    --- The fields of the line of `c`, once it is there, and the line.
    local function fields_of(c)
      local found
      local pattern = format == "json" and ('"client":"127.0.0.1:%d"'):format(c.port)
        or (" client=127.0.0.1:%d "):format(c.port)
      gw:expect_log(pattern:gsub("%p", "%%%0") .. '[^\n]*%f[%w]end%f[%W][^\n]*\n')
      for line in gw:log():gmatch "[^\n]+" do
        if line:find(pattern, 1, true) then found = line end
      end
      if format == "json" then return json.decode(found), found end
      local fields = {}
      for name, value in found:gmatch ' ([%w_]+)="?([^%s"]*)"?' do
        fields[name] = tonumber(value) or value
      end
      return fields, found
    end

    local function connect(protocol)
      local c = client.connect(gw.ports["the-" .. protocol])
      c.banner = c:read_line()
      return c
    end

    it("tells all of a relayed session", function()
      local c = connect "imap"
      c:send_line("a LOGIN ann hunter2"):expect_until "^a OK"
      c:send_line("b NOOP"):expect "^b OK"
      loop.pass(0.05)
      c:close()
      local fields, line = fields_of(c)
      assert.matches("^%w+$", fields.session)
      assert.equal(26, #fields.session)
      for name, value in pairs {
        generation = 1, client = "127.0.0.1:" .. c.port, listener = "the-imap", protocol = "imap",
        mechanism = "PLAIN", user = "ann", policy = "policy", upstream = ups.imap.address,
        attempts = 1, phase = "splice", ["end"] = "client_closed", ["in"] = #"b NOOP\r\n",
      } do
        assert.equal(value, fields[name], name)
      end
      assert.equal(#"b OK noop\r\n", fields.out) -- what was relayed
      -- Phases that took no time are left out.
      assert.is_nil(fields.handshake_seconds)
      assert.is_true(fields.policy_seconds >= 0.019 and fields.splice_seconds >= 0.04)
      assert.is_true(fields.policy_seconds + fields.splice_seconds <= fields.seconds + 0.002)
      local at = 0
      for _, name in ipairs(ORDER) do
        local here = line:find(format == "json" and ('"%s":'):format(name) or (" %s="):format(name),
          1, true)
        assert.is_true(here and here > at, name)
        at = here
      end
      assert.matches(format == "json" and '^{"time":"%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z","level":"info",'
        or "^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z info ", line)
    end)

    it("leaves out what there was not", function()
      local c = connect "pop3"
      c:send_line("QUIT"):expect "^%+OK"
      c:close()
      local fields = fields_of(c)
      for _, name in ipairs { "mechanism", "user", "policy", "upstream", "tls" } do
        assert.is_nil(fields[name], name)
      end
      assert.same({ "pop3", "client_quit", "command", 0, 0, 1 }, { fields.protocol, fields["end"],
        fields.phase, fields.attempts, fields["in"], fields.generation })
    end)

    it("tells where and why a login failed, and who tried", function()
      local c = connect "smtp"
      c:send_line("EHLO me.test"):expect_until "^250 "
      c:send_line("AUTH PLAIN " .. client.plain("elsewhere", "hunter2")):expect "^454 "
      c:close()
      local fields = fields_of(c)
      assert.same({ "elsewhere", "PLAIN", "127.0.0.1:1", "upstream_unreachable" },
        { fields.user, fields.mechanism, fields.upstream, fields["end"] })
    end)

    it("can't be forged by a user's name", function()
      local c = connect "imap"
      local name = 'x" end=client_quit user="root'
      c:send_line(("a LOGIN {%d+}\r\n%s wrong"):format(#name, name)):expect "^a NO"
      c:close()
      local _, line = fields_of(c)
      if format == "json" then
        assert.equal(name, json.decode(line).user)
      else
        assert.is_nil(line:find('user="root', 1, true))
        assert.is_nil(line:find('" end=client_quit', 1, true))
      end
    end)

    it("has every line in its form", function()
      for line in gw:log():gmatch "[^\n]+" do
        if format == "json" and not line:find "^moongate: ready" then
          local entry = json.decode(line)
          assert.is_string(entry.time)
          assert.is_string(entry.level)
        elseif format == "text" then
          assert.is_true(line:find "^moongate: ready" ~= nil
            or line:find "^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z %l+ " ~= nil, line)
        end
      end
    end)

    it("never holds a password, by any mechanism, whatever a policy does with it", function()
      for _, secret in ipairs(SECRETS) do
        for _, user in ipairs { "ann", "breaks", "mistaken", "thrown", "elsewhere" } do
          local c = connect "imap"
          c:send_line(("a LOGIN %s %s"):format(user, secret)):expect_until "^a %u+"
          c = connect "imap"
          c:send_line("a AUTHENTICATE PLAIN " .. client.plain(user, secret)):expect_until "^a %u+"
          c = connect "imap"
          c:send_line("a AUTHENTICATE LOGIN"):expect "^%+"
          c:send_line((mime.b64(user))):expect "^%+"
          c:send_line((mime.b64(secret))):expect_until "^a %u+"
          c = connect "pop3"
          c:send_line("USER " .. user):expect "^%+OK"
          c:send_line("PASS " .. secret):read_line()
          c = connect "pop3"
          c:send_line("AUTH PLAIN"):expect "^%+"
          c:send_line(client.plain(user, secret)):read_line()
          c = connect "smtp"
          c:send_line("AUTH PLAIN " .. client.plain(user, secret)):read_line()
          c = connect "smtp"
          c:send_line("AUTH LOGIN " .. mime.b64(user)):expect "^334 "
          c:send_line((mime.b64(secret))):read_line()
        end
        local c = connect "pop3"
        local answer = digest.hmac_md5(secret, "any")
        c:send_line(("APOP ann %s"):format(answer)):read_line()
        c = connect "imap"
        c:send_line "a AUTHENTICATE CRAM-MD5"
        local challenge = mime.unb64((c:expect "^%+ (%S+)"))
        c:send_line((mime.b64("ann " .. digest.hmac_md5(secret, challenge)))):expect_until "^a %u+"
        -- Damaged commands that hold it all the same.
        for protocol, text in pairs {
          imap = "a LOGIN ann %s extra\r\na LOGINN ann %s\r\nann LOGIN %s\r\n%s\r\n",
          pop3 = "PASS %s\r\nUSER ann\r\nPASSWORD %s\r\nUSERR %s\r\n%s\r\n",
          smtp = "AUTH PLAIN %s\r\nAUTH %s\r\nAUTHH %s\r\n%s\r\n",
        } do
          c = connect(protocol)
          c:send((text:gsub("%%s", secret)))
          c:send_line(protocol == "imap" and "z LOGOUT" or "QUIT")
          loop.wait("the end", function() return c.ended end)
        end
        client.discard_all()
      end
      local log = gw:log()
      assert.matches("secret%(redacted%)", log)
      for _, text in ipairs(spellings()) do
        local at = log:find(text, 1, true)
        assert.is_nil(at, at and log:sub(at - 200, at + 40))
      end
    end)
  end)
end
