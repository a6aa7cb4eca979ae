--- `moongate.sql` with files of SQLite, and the policy sql with one.
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local shipped = require "spec.support.shipped"
local sql = require "spec.support.sql"
local sqlite = require "spec.support.sqlite"
local upstream = require "spec.support.upstream"

--- "secret".
local HASH = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

--- More than there are threads.
local MANY = 17

describe("moongate.sql with SQLite", function()
  local db, others, read_only, run

  setup(function()
    db = sqlite.start { sql = sql.TABLES }
    others = sqlite.start { sql = sql.TABLES }
    read_only = sqlite.start { foreign = true, sql = sql.TABLES .. "pragma journal_mode = wal;" }
    run = modules.start {
      hook_timeout = 20,
      top = ([[
        local sql = require "moongate.sql"
        local ENDLESS = "with recursive c(n) as (select 1 union all select n + 1 from c) "
          .. "select count(*) as n from c"
        local function pool(path, more)
          local options = more or {}
          options.url = "sqlite:" .. path
          return sql.pool(options)
        end
        local db = pool(%q)
        local writer = pool(%q, { write = true, size = 1 })
        local impatient = pool(%q, { timeout = 0.05, size = 1 })
        local missing = pool(%q)
        local others = pool(%q, { size = 20, timeout = 15 })
        local waits = pool(%q, { timeout = 0.3 })
        local read_only = pool(%q)
      ]]):format(db.path, db.path, db.path, db.path .. ".none", others.path, others.path,
        read_only.path),
      bodies = sql.bodies {
        types = [[ local r = assert(db:row(
            "select typeof($1) as i, typeof($2) as b, $3 as n, $4 as s, typeof(?5) as f, $1 as j",
            41, true, nil, credentials.password, 0.5))
          return table.concat({ r.i, r.b, tostring(r.n), r.s, r.f, r.j }, " ") ]],
        blob = [[ return #db:row("select x'00ff41' as b").b ]],
        wrong_sql = [[ return tostring(select(2, db:row "select nonsense")):match "no such.*" ]],
        secret = [[ local _, err = writer:row("insert into users(name) select json($1)",
            credentials.password)
          return tostring(tostring(err):find("secret", 1, true)) .. err.kind ]],
        two = [[ return tostring(select(2, writer:execute "select 1; delete from users")) ]],
        values = [[ local all = {}
          for i, query in ipairs { "select $1, $3", "select 1", "select :name" } do
            all[i] = tostring(select(2, db:row(query, 1, 2)))
          end
          return table.concat(all, " ") ]],
        execute = [[ local n = assert(writer:execute("update users set ratio = $1 where name = $2",
            2.5, "bob"))
          return n .. " " .. writer:execute "delete from users where name = 'nobody'" .. " "
            .. writer:execute "select 1 union select 2" ]],
        transaction = [[ assert(writer:execute "begin immediate")
          local before = writer:row "select 1 as n".n
          return before .. tostring(select(2, writer:execute "commit")):match "no transaction" ]],
        read_only = [[ local _, err = db:execute "delete from users"
          return tostring(err):match ": (a.*)$" ]],
        attach = [[ return tostring(select(2, writer:execute "attach '/tmp/x.db' as x"))
          :match "too many attached" ]],
        many = [[ return db:rows("with recursive c(n) as (select 1 union all select n + 1 from c "
          .. "limit 1001) select n from c") ]],
        wide = [[ return db:rows("select hex(zeroblob(300000)) union all "
          .. "select hex(zeroblob(300000))") ]],
        huge = [[ return tostring(select(2, db:row "select hex(zeroblob(600000))"))
          :match "too big" ]],
        endless = ([[ for i = 1, %d do
            local _, err = impatient:row(ENDLESS)
            if err.kind ~= "timeout" then return err end
          end
          return crypt.verify("x", crypt.DUMMY) == false and impatient:row("select 1 as n").n ]])
          :format(MANY),
        forever = [[ return db:row(ENDLESS) ]],
        hash = [[ return crypt.verify("x", crypt.DUMMY) ]],
        missing = [[ local _, err = missing:row "select 1"; return err.kind, err ]],
        quota = [[ return others:row("select quota from users where name = 'ann'").quota ]],
        problem = [[ local _, err = others:row "select quota from users"; return err.kind, err ]],
        locked = [[ local _, err = waits:row "select quota from users"; return err.kind, err ]],
        unlocked = [[ return others:row("select count(*) as n from users").n ]],
        read = [[ local row, err = read_only:row "select count(*) as n from users"
          return row and row.n or err.kind ]],
        bad_url = [[ local all = {}
          for i, o in ipairs { { url = "sqlite:users.db" }, { url = "sqlite:" },
            { url = "sqlite:/a", password = "b" }, { url = "sqlite:/a\0b" },
            { url = "postgres://a@b/c", write = true, tls = false },
            { url = "sqlite:/" .. ("x"):rep(5000) } } do
            all[i] = tostring(pcall(sql.pool, o))
          end
          return table.concat(all, " ") ]],
      },
    }
  end)
  after_each(client.discard_all)
  teardown(function()
    run.stop()
    for _, file in ipairs { db, others, read_only } do file:stop() end
  end)

  for name, expected in pairs(sql.expected {
    types = "integer integer nil secret real 41",
    blob = "3",
    wrong_sql = "no such column: nonsense",
    secret = "nilprotocol",
    two = "sql: not a single statement",
    values = "sql: too few values sql: too many values sql: values are $1, $2, ...",
    execute = "1 0 2",
    transaction = "1no transaction",
    read_only = "attempt to write a readonly database",
    attach = "too many attached",
    huge = "too big",
    endless = "1",
    bad_url = "false false false false false false",
  }) do
    it("answers: " .. name, function() assert.equal(expected, run(name)) end)
  end

  it("stops what nobody waits for any more", function()
    for _ = 1, MANY do
      run.begin("forever"):reset()
    end
    assert.equal("false", run "hash")
  end)

  it("says that a file is missing", function()
    assert.matches("^connect | sql: .*unable to open database file: No such file", run "missing")
  end)

  it("reads the file that has taken the path", function()
    assert.equal("7", run "quota")
    others:replace(sql.TABLES .. "update users set quota = 70;")
    assert.equal("70", run "quota")
    os.remove(others.path)
    assert.matches("^connect | ", run "problem")
    others:write(("no database "):rep(100))
    assert.matches("^protocol | .*file is not a database", run "problem")
    others:write ""
    assert.matches("^protocol | .*no such table: users", run "problem")
    others:replace(sql.TABLES)
    assert.equal("7", run "quota")
  end)

  it("waits for a lock without holding a thread, and no longer than its timeout", function()
    local release = others:begin("begin exclusive; delete from users where name = 'bob';",
      "commit;")
    local logins = {}
    for i = 1, MANY do logins[i] = run.begin "unlocked" end
    assert.matches("^timeout | sql: .*database is locked", run("locked", 20))
    assert.equal("false", run "hash")
    release()
    for _, login in ipairs(logins) do assert.equal("2", run.finish(login, 20)) end
  end)

  it("reads the log of a database that others write, though it may not write itself", function()
    local close = read_only:begin "insert into users(name) values ('new');"
    assert.equal("4", run "read")
    close()
  end)

  it("keeps its files open over a reload, and closes them at the end", function()
    run.gateway:reload()
    assert.equal("ann,bob", run "rows")
  end)
end)

--- The policy with a database of one journal mode.
local function describe_policy(mode)
  local db, gw, imap

  setup(function()
    imap = upstream.start { script = upstream.imap() }
    db = sqlite.start { sql = ([[
      pragma journal_mode = %s;
      create table users (login text primary key, password text, upstream text);
      insert into users values ('ann', '%s', null), ('bob', '%s', '%s');
      create table seen (n integer);
      insert into seen values (0);]]):format(mode, HASH, HASH, imap.address) }
    gw = shipped.start {
      policy = { "sql" },
      settings = ('sql = { url = "sqlite:%s", upstream = %q, timeout = 5 }')
        :format(db.path, imap.address),
      listen = { imap = "" },
    }
  end)
  after_each(function()
    client.discard_all()
    imap:clear()
  end)
  teardown(function()
    gw:stop()
    db:stop()
    imap:stop()
  end)

  local function begin(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s %s"):format(user, password))
  end

  it("lets in whose password fits, and nobody else", function()
    begin("ann", "secret"):expect_until "^a OK"
    begin("bob", "secret"):expect_until "^a OK"
    assert.same({ "ann", "bob" }, { imap:peer(1).user, imap:peer(2).user })
    begin("ann", "wrong"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
    begin("eve", "secret"):expect_until "^a NO %[AUTHENTICATIONFAILED%]"
  end)

  it("serves parallel logins while another process writes", function()
    local writer = db:start_writing(("begin immediate; update seen set n = n + 1; "
      .. "update users set upstream = upstream; commit;\n"):rep(1000))
    local rounds = 0
    repeat
      local logins = {}
      for i = 1, 10 do logins[i] = begin("ann", "secret") end
      for _, login in ipairs(logins) do login:expect_until "^a OK" end
      client.discard_all()
      rounds = rounds + 1
    until not writer:is_running() or rounds == 20
    assert.equal(0, writer:wait(60))
    assert.equal("1000", db:ask "select n from seen")
  end)

  it("fails for now while the file is missing or no database", function()
    assert(os.rename(db.path, db.path .. ".away"))
    begin("ann", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
    db:write "nonsense"
    begin("ann", "secret"):expect_until "^a NO %[UNAVAILABLE%]"
    assert(os.rename(db.path .. ".away", db.path))
    begin("ann", "secret"):expect_until "^a OK"
  end)

  if mode == "delete" then -- with a log nobody can keep others from reading
    it("fails for now while the file is locked", function()
      local release = db:begin "begin exclusive;"
      local right, wrong = begin("ann", "secret"), begin("ann", "wrong")
      right:expect_until "^a NO %[UNAVAILABLE%]"
      wrong:expect_until "^a NO %[UNAVAILABLE%]"
      release()
      begin("ann", "secret"):expect_until "^a OK"
    end)
  end
end

for _, mode in ipairs { "wal", "delete" } do
  describe("The policy sql with SQLite in mode " .. mode, function() describe_policy(mode) end)
end
