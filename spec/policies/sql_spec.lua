--- `moongate.sql` with a real PostgreSQL.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local postgres = require "spec.support.postgres"
local sql = require "spec.support.sql"

describe("moongate.sql", function()
  local authority, db, run

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf { names = { "DNS:db.spec.test", "IP:127.0.0.1" } }
    db = postgres.start { sql = sql.TABLES, certificate = leaf.certificate, key = leaf.key }
    run = modules.start {
      configuration = ("tls_profiles = { default = { ca = %q }, strange = { ca = 'system' } },")
        :format(authority.certificate),
      hook_timeout = 20,
      top = ([[
        local sql = require "moongate.sql"
        local function pool(more, place)
          more.url = "postgres://gateway@" .. (place or "127.0.0.1:%d") .. "/mail"
          more.password = more.password or "db secret"
          return sql.pool(more)
        end
        local db = pool {}
        local one = pool { size = 1, timeout = 3 }
        local other_name = pool { server_name = "other.spec.test" }
        local by_name = pool { server_name = "db.spec.test" }
        local strange = pool { profile = "strange" }
        local wrong = pool { password = "wrong" }
        local clear = pool { tls = false }
        local closed = pool({}, "127.0.0.1:1")
        local nowhere = pool({}, "nowhere.invalid")
        local by_socket = pool({}, (%q):gsub("/", "%%%%2F") .. ":%d")
      ]]):format(db.port, db.folder, db.port),
      bodies = sql.bodies {
        execute = [[ return assert(db:execute("update users set ratio = $1 where name = $2", 2.5,
          "bob")) .. " " .. db:row("select ratio from users where name = 'bob'").ratio ]],
        types = [[ local r = assert(db:row(
            "select $1::int + 1 as n, $2::bool as b, $3::text as t, $4::text as s, $5::text as z",
            41, true, nil, credentials.password, "end"))
          return table.concat({ r.n, tostring(r.b), tostring(r.t), r.s, r.z }, " ") ]],
        wrong_sql = [[ return db:row "select nonsense" ]],
        after_error = [[ db:row "select nonsense"; return db:row("select 1 as n").n ]],
        secret = [[ local _, err = db:row("select $1::int", credentials.password)
          return tostring(err) ]],
        unprepared = [[ local sum = 0
          for i = 1, 120 do sum = sum + db:row("select " .. i .. " as n").n end
          return sum ]],
        many = [[ return db:rows "select generate_series(1, 1001)" ]],
        wide = [[ return db:rows "select repeat('x', 600000) from generate_series(1, 2)" ]],
        transaction = [[ assert(one:execute "begin"); local before = one:row "select 1 as n"
          return one:execute("commit") .. before.n ]],
        slow = [[ local _, err = one:row "select pg_sleep(30)"
          return err.kind .. " " .. one:row("select 1 as n").n ]],
        kept = [[ local first = db:row("select pg_backend_pid() as pid").pid
          return first == db:row("select pg_backend_pid() as pid").pid ]],
        tls = [[ local q = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
          return tostring(by_name:row(q).ssl) .. tostring(clear:row(q).ssl)
            .. tostring(by_socket:row(q).ssl) ]],
        other_name = [[ local _, err = other_name:row "select 1"; return err.kind, err ]],
        strange = [[ local _, err = strange:row "select 1"; return err.kind, err ]],
        wrong = [[ local _, err = wrong:row "select 1"; return err.kind, err ]],
        closed = [[ local _, err = closed:row "select 1"; return err.kind ]],
        nowhere = [[ local _, err = nowhere:row "select 1"; return err.kind ]],
        waits = [[ return db:row "select pg_sleep(31)" ]],
        bad_url = [[ local all = {}
          for i, url in ipairs { "mysql://a@b/c", "postgres://a:b@c/d", "postgres:///x",
            "postgres://a@b/c?sslmode=disable", "postgres://a@b,c/d" } do
            all[i] = tostring(pcall(sql.pool, { url = url }))
          end
          return table.concat(all, " ") ]],
      },
    }
  end)
  after_each(client.discard_all)
  teardown(function()
    run.stop()
    db:stop()
    authority:remove()
  end)

  for name, expected in pairs(sql.expected {
    execute = "1 2.5",
    types = "42 true nil secret end",
    wrong_sql = 'nil | sql: 42703 column "nonsense" does not exist',
    after_error = "1",
    secret = "sql: 22P02",
    unprepared = "7260",
    transaction = "01",
    slow = "timeout 1",
    kept = "true",
    tls = "truefalsefalse",
    closed = "connect",
    nowhere = "dns",
    bad_url = "false false false false false",
  }) do
    it("answers: " .. name, function() assert.equal(expected, run(name)) end)
  end

  it("trusts no other name, no other authority, and tells a wrong password", function()
    assert.matches("^tls | sql: TLS: name mismatch: wanted other.spec.test", run "other_name")
    assert.matches("^tls | sql: TLS: unable to get local issuer certificate", run "strange")
    assert.matches("^connect | sql: .*password authentication failed", run "wrong")
  end)

  it("keeps its connections over a reload", function()
    local function connections()
      return db:ask "select min(pid) from pg_stat_activity where application_name = 'moongate'"
    end
    local before = connections()
    run.gateway:reload()
    assert.equal("true", run "kept")
    assert.equal(before, connections())
  end)

  it("is told when the server dies, and finds it when it is back", function()
    local c = run.begin "waits"
    db:await "select count(*) = 1 from pg_stat_activity where query = 'select pg_sleep(31)'"
    db:crash()
    assert.matches("^nil | sql: ", run.finish(c))
    assert.equal("connect", run "closed")
    db:run()
    assert.equal("ann,bob", run "rows")
  end)

  it("logs no password", function()
    assert.not_matches("db secret", run.gateway:log())
  end)
end)
