--- `moongate.ldap` with a real OpenLDAP server.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local slapd = require "spec.support.slapd"

local function person(name, more)
  return ("dn: uid=$,ou=people,dc=spec,dc=test\nobjectClass: inetOrgPerson\ncn: $\nsn: $\n"
    .. "mail: $@spec.test\nmail: $@second.test\nuserPassword: secret\n"):gsub("%$", name)
    .. (more or "")
end

local LONG = "description: " .. ("x"):rep(400000) .. "\n"

describe("moongate.ldap", function()
  local authority, dir, run

  setup(function()
    authority = ca.new()
    local leaf = authority:leaf { names = { "DNS:ldap.spec.test", "IP:127.0.0.1" } }
    dir = slapd.start {
      certificate = leaf.certificate, key = leaf.key, ca = authority.certificate,
      entries = { person "ann", person "bob",
        "dn: uid=o\\2Cd\\22x,ou=people,dc=spec,dc=test\nobjectClass: inetOrgPerson\ncn: odd\n"
          .. "sn: o\nuserPassword: secret\n", person("long1", LONG), person("long2", LONG),
        person("long3", LONG) },
    }
    run = modules.start {
      configuration = ("tls_profiles = { default = { ca = %q }, strange = { ca = 'system' } },")
        :format(authority.certificate),
      hook_timeout = 20,
      top = ([[
        local ldap = require "moongate.ldap"
        local function pool(more)
          more.url = more.url or "ldaps://127.0.0.1:%d"
          if more.anonymous then more.anonymous = nil
          else
            more.bind_dn = more.bind_dn or "cn=gateway,dc=spec,dc=test"
            more.password = more.password or "dir secret"
          end
          return ldap.pool(more)
        end
        local PLAIN = "ldap://127.0.0.1:%d"
        local dir = pool { size = 1 }
        local plain = pool { url = PLAIN }
        local starttls = pool { url = PLAIN, starttls = true }
        local nobody = pool { url = PLAIN, anonymous = true }
        local other_name = pool { server_name = "other.spec.test" }
        local strange = pool { url = PLAIN, starttls = true, profile = "strange" }
        local wrong = pool { password = "wrong" }
        local closed = pool { url = "ldap://127.0.0.1:1" }
        local impatient = pool { timeout = 0.3 }
        local PEOPLE = ",ou=people,dc=spec,dc=test"
        local ANN = "uid=ann" .. PEOPLE
        local function find(d, filter, more)
          local options = more or {}
          options.base, options.filter = options.base or "dc=spec,dc=test", filter
          return d:search(options)
        end
        local function names(found)
          local all = {}
          for i, entry in ipairs(found) do all[i] = entry.dn:match "^%%w+=([^,]*)" end
          table.sort(all)
          return table.concat(all, ",")
        end
      ]]):format(dir.tls_port, dir.port),
      bodies = {
        bind = [[ return tostring(dir:bind(ANN, credentials.password))
          .. tostring(dir:bind(ANN, "wrong")) .. tostring(dir:bind("uid=eve" .. PEOPLE, "x"))
          .. tostring(dir:bind(ANN, "")) ]],
        again = [[ local before = #assert(find(dir, "(uid=bob)"))
          assert(dir:bind(ANN, "secret"))
          return before + #assert(find(dir, "(uid=bob)")) ]],
        search = [[ local e = assert(find(dir, "(uid=ann)", { attributes = { "mail", "SN" } }))[1]
          return e.dn .. " " .. table.concat(e.attributes.mail, ",") .. " " .. e.attributes.sn[1]
            .. tostring(e.attributes.cn) ]],
        scopes = [[ return #find(dir, nil, { scope = "base" }) .. #find(dir, nil, { scope = "one" })
          .. names(find(dir, "(|(uid=ann)(uid=bob))")) ]],
        none = [[ local nowhere = { base = "dc=none,dc=spec,dc=test" }
          return #find(dir, "(uid=eve)") .. #find(dir, nil, nowhere) ]],
        limit = [[ return #find(dir, "(uid=*)", { limit = 2, attributes = { "uid" } }) ]],
        escapes = [[ local name = 'o,d"x'
          return names(find(dir, "(uid=" .. ldap.escape_filter "*)(uid=*" .. ")"))
            .. tostring(dir:bind("uid=" .. ldap.escape_dn(name) .. PEOPLE, "secret"))
            .. #find(dir, "(uid=" .. ldap.escape_filter(name) .. ")")
            .. ldap.escape_dn " #a;\0 " .. ldap.escape_filter "(\\\0" ]],
        nul = [[ return pcall(dir.bind, dir, "uid=a\0" .. PEOPLE, "x") ]],
        bad_filter = [[ return find(dir, "((") ]],
        long = [[ return find(dir, "(uid=long*)") ]],
        after_long = [[ return names(find(dir, "(uid=bob)")) ]],
        others = [[ return names(find(plain, "(uid=ann)")) .. names(find(starttls, "(uid=ann)"))
          .. #find(nobody, "(uid=ann)") .. tostring(nobody:bind(ANN, "secret"))
          .. #find(nobody, "(uid=ann)") ]],
        other_name = [[ local _, err = other_name:bind(ANN, "secret"); return err.kind, err ]],
        strange = [[ local _, err = strange:bind(ANN, "secret"); return err.kind, err ]],
        wrong = [[ return find(wrong, "(uid=ann)") ]],
        closed = [[ local _, err = closed:bind(ANN, "secret"); return err.kind ]],
        impatient = [[ local _, err = impatient:bind(ANN, "secret"); return err.kind ]],
        bad_options = [[ local all = {}
          for i, o in ipairs { { url = "http://x" }, { url = "ldap://" }, { url = "ldap://x/dc=a" },
            { url = "ldaps://x", starttls = true }, { url = "ldap://x", bind_dn = "cn=a" },
            { url = "ldap://x", password = "a" }, { url = "ldap://x", sise = 1 } } do
            all[i] = tostring(pcall(ldap.pool, o))
          end
          return table.concat(all, " ") ]],
      },
    }
  end)
  after_each(client.discard_all)
  teardown(function()
    run.stop()
    dir:stop()
    authority:remove()
  end)

  for name, expected in pairs {
    bind = "truefalsefalsefalse",
    again = "2",
    search = "uid=ann,ou=people,dc=spec,dc=test ann@spec.test,ann@second.test annnil",
    scopes = "12ann,bob",
    none = "00",
    limit = "2",
    escapes = "true1\\20#a\\3b\\00\\20\\28\\5c\\00",
    bad_filter = "nil | ldap: search: the filter makes no sense",
    long = "nil | ldap: more than 1 MiB in an answer",
    after_long = "bob",
    others = "annann0true0",
    wrong = "nil | ldap: bind of the service's account: 49 Invalid credentials",
    closed = "connect",
    bad_options = "false false false false false false false",
  } do
    it("answers: " .. name, function() assert.equal(expected, run(name)) end)
  end

  it("takes no name with a NUL in it", function()
    assert.matches("^false | .*a name, with values escaped by escape_dn", run "nul")
  end)

  it("trusts no other name and no other authority, with ldaps and StartTLS", function()
    assert.matches("^tls | ldap: TLS: name mismatch: wanted other.spec.test", run "other_name")
    assert.matches("^tls | ldap: TLS: self.signed certificate", run "strange")
  end)

  it("never sends an empty password", function()
    local function binds() return select(2, dir:log():gsub(' BIND dn="uid=[^"]*" method', "")) end
    local before = binds()
    run "bind"
    assert.equal(3, binds() - before)
  end)

  it("waits no longer than its timeout for a server that is silent", function()
    dir:freeze()
    local text = run "impatient"
    dir:wake()
    assert.equal("timeout", text)
  end)

  it("is told when the server dies, and finds it when it is back", function()
    dir:freeze()
    local c = run.begin "again"
    dir:crash()
    assert.matches("ERROR: ldap: ", run.finish(c))
    dir:run()
    assert.equal("2", run "again")
  end)

  it("logs no password", function() assert.not_matches("dir secret", run.gateway:log()) end)
end)
