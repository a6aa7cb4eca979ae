--- The policies sql, ldap and directory, and conf/examples/directory.lua, with a real PostgreSQL
-- and a real OpenLDAP server.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local mime = require "mime"
local postgres = require "spec.support.postgres"
local processes = require "spec.support.processes"
local shipped = require "spec.support.shipped"
local slapd = require "spec.support.slapd"
local upstream = require "spec.support.upstream"

--- "secret".
local HASH = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

local TABLES = [[
create table users (login text primary key, password text, upstream text);
insert into users values ('ann', '%s', null), ('bob', '%s', '%s'), ('nul', null, null),
  ('gil', '%s', 'pool:others'), ('odd', 'nonsense', null);
create table mailbox (login text, protocol text, host text, port integer);
insert into mailbox values ('ann', 'imap', '127.0.0.1', %d), ('ann', 'pop3', '127.0.0.1', %d),
  ('ann', 'smtp', '127.0.0.1', %d);
]]

local PERSON = "dn: uid=%s,ou=people,dc=spec,dc=test\nobjectClass: inetOrgPerson\ncn: %s\nsn: %s\n"
  .. "mail: %s@spec.test\n%suserPassword: secret\n"

local function person(name, more) return PERSON:format(name, name, name, name, more or "") end

local HOSTILE = { "*", "*)(uid=*", "ann)(|(uid=*", "ann' or '1'='1", "'; drop table users; --",
  "$1", "ann,ou=people", "uid=ann", "\\61nn", ("x"):rep(500), "ann\\00" }

describe("a directory", function()
  local authority, db, dir, example, gw, imap, other, pop3, smtp

  setup(function()
    imap = upstream.start { script = upstream.imap() }
    other = upstream.start { script = upstream.imap() }
    pop3 = upstream.start { script = upstream.pop3() }
    smtp = upstream.start { script = upstream.smtp() }
    authority = ca.new()
    local leaf = authority:leaf { names = { "IP:127.0.0.1" } }
    db = postgres.start { certificate = leaf.certificate, key = leaf.key,
      sql = TABLES:format(HASH, HASH, other.address, HASH, imap.port, pop3.port, smtp.port) }
    dir = slapd.start { certificate = leaf.certificate, key = leaf.key, ca = authority.certificate,
      entries = { person "ann", person("bob", "labeledURI: " .. other.address .. "\n"),
        person("eve", "description: one\n"), person("fay", "description: one\n") } }
    local database = ("postgres://gateway@127.0.0.1:%d/mail"):format(db.port)
    gw = shipped.start {
      policy = { "sql" },
      more = ("pools = { others = { %q } }, tls_profiles = { default = { ca = %q } },")
        :format(other.address, authority.certificate),
      settings = ([[
        sql = { url = %q, password = "db secret", upstream = %q },
        ldap = { url = "ldap://127.0.0.1:%d", starttls = true, bind_dn = %q,
          password = "dir secret", base = "ou=people,dc=spec,dc=test",
          filter = "(|(mail={user})(uid={user})(description={user}))",
          user = "mail", attribute = "labeledURI", upstream = %q } ]])
        :format(database, imap.address, dir.port, slapd.ACCOUNT, imap.address),
      listen = {
        imap = 'mechanisms = { "PLAIN", "CRAM-MD5" }, limits = { attempts = 100 },',
        by_ldap = 'protocol = "imap", limits = { attempts = 100 },',
      },
    }
    gw:write("moongate.lua", (ca.read(gw.folder .. "/moongate.lua") -- one chain is another
      :gsub('(c.listen "by_ldap" {[^\n]*policy = { )"sql"', '%1"ldap"')))
    gw:reload()
    example = gateway.start { files = {
      ["moongate.lua"] = ca.read "conf/examples/directory.lua",
      ["directory_servers.lua"] = ([[return { ca = %q, ldap = "ldaps://127.0.0.1:%d",
        dn = "uid={user},ou=people,dc=spec,dc=test", database = %q, password = "db secret",
        listen = { imap = "127.0.0.1:0", pop3 = "127.0.0.1:0", submission = "127.0.0.1:0" } }]])
        :format(authority.certificate, dir.tls_port, database),
    } }
  end)
  after_each(function()
    client.discard_all()
    for _, up in ipairs { imap, other, pop3, smtp } do up:clear() end
  end)
  teardown(function()
    gw:stop()
    example:stop()
    db:stop()
    dir:stop()
    for _, up in ipairs { imap, other, pop3, smtp } do up:stop() end
    authority:remove()
  end)

  local function begin(port, user, password)
    local c = client.connect(port)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN {%d+}\r\n%s %s"):format(#user, user, password))
  end

  describe("of sql", function()
    local function login(user, password) return begin(gw.ports.imap, user, password) end

    it("lets in whose password fits, to where its row says, or the settings", function()
      login("ann", "secret"):expect_until "^a OK"
      login("bob", "secret"):expect_until "^a OK"
      login("gil", "secret"):expect_until "^a OK"
      assert.same({ "ann", "secret" }, { imap:peer(1).user, imap:peer(1).password })
      assert.same({ "bob", "gil" }, { other:peer(1).user, other:peer(2).user })
    end)

    it("refuses a wrong password, none, an unknown user, a user without one", function()
      for user, password in pairs { ann = "wrong", bob = '""', eve = "secret", nul = "secret" } do
        login(user, password):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
      end
    end)

    it("fails for now when the hash is none", function()
      login("odd", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
    end)

    it("takes no hostile name for another", function()
      for _, user in ipairs(HOSTILE) do
        login(user, "secret"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
      end
      assert.equal("5", db:ask "select count(*) from users")
    end)
  end)

  describe("of ldap", function()
    local function login(user, password) return begin(gw.ports.by_ldap, user, password) end

    it("lets in who can bind, under the name and to the upstream of the entry", function()
      login("ann", "secret"):expect_until "^a OK"
      login("bob@spec.test", "secret"):expect_until "^a OK"
      assert.equal("ann@spec.test", imap:peer(1).user)
      assert.equal("bob@spec.test", other:peer(1).user)
    end)

    it("refuses a wrong password, none, and an unknown user", function()
      for user, password in pairs { ann = "wrong", bob = '""', nobody = "secret" } do
        login(user, password):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
      end
    end)

    it("lets nobody in where the filter finds two", function()
      login("one", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
    end)

    it("takes no hostile name for another", function()
      for _, user in ipairs(HOSTILE) do
        login(user, "secret"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
      end
    end)
  end)

  describe("of both, as in conf/examples", function()
    local function plain(user, password)
      return (mime.b64(("\0%s\0%s"):format(user, password)))
    end

    it("opens no file for it once the worker is ready", function()
      local traces = {}
      for i, worker in ipairs(processes.children(example.process.pid)) do
        traces[i] = child.start { "strace", "-f", "-e", "trace=open,openat,openat2,creat,execve",
          "-p", tostring(worker), log = ("%s/trace%d"):format(example.folder, i) }
        traces[i]:expect "(attached)"
      end
      begin(example.ports.imap, "ann", "secret"):expect_until "^a OK"
      for _, trace in ipairs(traces) do
        trace:stop()
        assert.not_matches("%(", (trace:output():gsub("%(%d+[^\n]*%)", "")))
      end
    end)

    it("serves all protocols", function()
      begin(example.ports.imap, "ann", "secret"):expect_until "^a OK"
      local c = client.connect(example.ports.pop3)
      c:expect "^%+OK"
      c:send_line("AUTH PLAIN " .. plain("ann", "secret")):expect "^%+OK"
      c = client.connect(example.ports.submission)
      c:expect "^220 "
      c:send_line "EHLO spec.test":expect_until "^250 "
      c:send_line("AUTH PLAIN " .. plain("ann", "secret")):expect "^235 "
      assert.same({ "ann", "ann", "ann" },
        { imap:peer(1).user, pop3:peer(1).user, smtp:peer(1).user })
    end)

    it("refuses who can't bind, and who has no mailbox", function()
      begin(example.ports.imap, "ann", "wrong"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
      begin(example.ports.imap, "eve", "secret"):expect_until "^a NO "
      for _, user in ipairs(HOSTILE) do
        begin(example.ports.imap, user, "secret"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
      end
    end)

    --- One login of each protocol is under way when `crash` happens.
    local function hear_temporary_failure(crash)
      local i = begin(example.ports.imap, "ann", "secret")
      local p = client.connect(example.ports.pop3)
      p:expect "^%+OK"
      p:send_line("AUTH PLAIN " .. plain("ann", "secret"))
      local s = client.connect(example.ports.submission)
      s:expect "^220 "
      s:send_line "EHLO spec.test":expect_until "^250 "
      s:send_line("AUTH PLAIN " .. plain("ann", "secret"))
      crash()
      i:expect_until "^a NO %[UNAVAILABLE%]"
      p:expect "^%-ERR %[SYS/TEMP%]"
      s:expect "^454 4%.7%.0"
    end

    it("fails for now when the directory dies during a login", function()
      dir:freeze()
      hear_temporary_failure(function() dir:crash() end)
      hear_temporary_failure(function() end)
      dir:run()
      begin(example.ports.imap, "ann", "secret"):expect_until "^a OK"
    end)

    it("fails for now when the database dies during a login", function()
      db:freeze()
      hear_temporary_failure(function() db:crash() end)
      hear_temporary_failure(function() end)
      begin(gw.ports.imap, "ann", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
      db:run()
      begin(example.ports.imap, "ann", "secret"):expect_until "^a OK"
    end)
  end)
end)
