--- The policy dovecot with an auth service that the spec speaks.
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local mime = require "mime"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"
local upstream = require "spec.support.upstream"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 1,
  settings = { dovecot = { socket = %q, timeout = 2 } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "dovecot" },
    upstream = %q },
}
]]

local GREETING = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t7\nCUID\t1\n"
  .. "COOKIE\t0123\nDONE\n"

describe("the policy dovecot", function()
  local folder, path, auth, gw, imap
  local greeting, questions

  --- The next line, which ends with a newline alone; nil at the end.
  local function line_of(peer)
    local function at() return peer.input:find("\n", 1, true) end
    loop.wait(peer.name .. ": a line", function() return at() or peer.ended end, false)
    return at() and peer:read(at()):sub(1, -2)
  end

  --- Greets, and remembers each question: { id =, user =, line =, peer = }.
  local function serve(peer)
    assert.matches("^VERSION\t1\t%d+$", line_of(peer))
    assert.matches("^CPID\t%d+$", line_of(peer))
    peer:send(greeting)
    for line in line_of, peer do
      local id, response = line:match "^AUTH\t(%d+)\tPLAIN\t.*\tresp=(.*)$"
      local authzid, user, password = mime.unb64(response):match "^(%Z*)%z(%Z*)%z(%Z*)$"
      table.insert(questions, { id = id, line = line, peer = peer, user = user,
        authzid = authzid, password = password })
    end
  end

  local function start_auth()
    auth = upstream.start { script = serve, path = path, name = "auth" }
  end

  setup(function()
    folder = assert(stdlib.mkdtemp "/tmp/moongate-dovecot-XXXXXX")
    stat.chmod(folder, 493)
    path = folder .. "/auth"
    greeting, questions = GREETING, {}
    start_auth()
    imap = upstream.start { script = upstream.imap() }
    gw = gateway.start { files = { ["moongate.lua"] = CONFIG:format(path, imap.address) } }
  end)
  before_each(function() greeting, questions = GREETING, {} end)
  after_each(function()
    client.discard_all()
    imap:clear()
  end)
  teardown(function()
    gw:stop()
    auth:stop()
    imap:stop()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  local function begin(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s %s"):format(user, password or "secret"))
  end

  --- The `n`-th question, once it has come.
  local function question(n)
    loop.wait("question " .. n, function() return questions[n] end)
    return questions[n]
  end

  local function reply(q, text)
    q.peer:send((text:gsub("ID", q.id)) .. "\n")
  end

  it("asks with what it knows of the client, and lets in", function()
    local c = begin "ann"
    local q = question(1)
    assert.matches("\tsession=%w+\t", q.line)
    for _, field in ipairs { "service=imap", "lip=127.0.0.1", "rip=127.0.0.1",
      "lport=" .. gw.ports.imap } do
      assert.truthy(q.line:find("\t" .. field .. "\t", 1, true), q.line)
    end
    assert.falsy(q.line:find "secured")
    assert.same({ "", "ann", "secret" }, { q.authzid, q.user, q.password })
    reply(q, "OK\tID\tuser=ann@x.test")
    c:expect_until "^a OK"
    assert.equal("ann@x.test", imap:peer(1).user)
  end)

  it("asks over one connection, and takes answers in any order", function()
    local first = begin("bob", "wrong")
    question(1)
    local second = begin "ann"
    assert.equal(question(1).peer, question(2).peer)
    reply(question(2), "OK\tID\tuser=ann")
    second:expect_until "^a OK"
    reply(question(1), "FAIL\tID\tuser=bob")
    first:expect_until "^a NO %[AUTHENTICATIONFAILED%]"
  end)

  for name, case in pairs {
    ["a wrong password"] = { "FAIL\tID\tuser=ann", "^a NO %[AUTHENTICATIONFAILED%]" },
    ["a temporary failure"] = { "FAIL\tID\tuser=ann\tcode=temp_fail", "^a NO %[UNAVAILABLE%]" },
    ["an old Dovecot's"] = { "FAIL\tID\tuser=ann\ttemp", "^a NO %[UNAVAILABLE%]" },
    ["a code that nobody knows"] = { "FAIL\tID\tcode=strange", "^a NO %[UNAVAILABLE%]" },
    ["a user who is disabled"] = { "FAIL\tID\tuser_disabled\treason=Ask\1tus",
      "^a NO %[AUTHORIZATIONFAILED%] Ask.us" },
    ["a password that has expired"] = { "FAIL\tID\tcode=pass_expired", "^a NO %[EXPIRED%]" },
    ["nologin"] = { "OK\tID\tuser=ann\tnologin\treason=Not now",
      "^a NO %[AUTHORIZATIONFAILED%] Not now" },
    ["a field that nobody knows"] = { "OK\tID\tuser=ann\tquota=1", "^a NO %[UNAVAILABLE%]" },
    ["a challenge"] = { "CONT\tID\t", "^a NO %[UNAVAILABLE%]" },
  } do
    it("hears " .. name, function()
      local c = begin "ann"
      reply(question(1), case[1])
      c:expect_until(case[2])
    end)
  end

  it("takes another number's answer for none, and does not wait for ever", function()
    local c = begin "ann"
    local q = question(1)
    reply(q, "OK\t1000000\tuser=ann")
    c:expect_until "^a NO %[UNAVAILABLE%]"
    reply(q, "OK\tID\tuser=ann") -- too late
    c = begin "ann"
    reply(question(2), "FAIL\tID")
    c:expect_until "^a NO %[AUTHENTICATIONFAILED%]"
  end)

  it("lets others go on when a client leaves", function()
    local gone, stays = begin "bob", begin "ann"
    question(2)
    gone:reset()
    gw:session_of(gone)
    for n = 1, 2 do reply(question(n), "OK\tID\tuser=ann") end
    stays:expect_until "^a OK"
  end)

  it("asks again when the connection was lost while it was idle", function()
    local c = begin "ann"
    reply(question(1), "OK\tID\tuser=ann")
    c:expect_until "^a OK"
    question(1).peer:close()
    c = begin "ann"
    reply(question(2), "OK\tID\tuser=ann")
    c:expect_until "^a OK"
  end)

  it("fails for now when the connection is lost, or what comes makes no sense", function()
    for _, nonsense in ipairs { "", "\1", ("x"):rep(70000) } do
      local before = #questions
      local first, second = begin "ann", begin "bob"
      local peer = question(before + 2).peer
      if #nonsense > 0 then peer:send(nonsense) end
      if #nonsense < 2 then peer:close() end
      first:expect_until "^a NO %[UNAVAILABLE%]"
      second:expect_until "^a NO %[UNAVAILABLE%]"
    end
  end)

  it("fails for now when the handshake makes no sense, or nobody is there", function()
    for _, other in ipairs { "VERSION\t2\t0\nDONE\n", "MECH\tCRAM-MD5\nDONE\n",
      ("MECH\tX\n"):rep(1001) } do
      auth:clear() -- the next login begins with a handshake
      greeting = other
      begin "ann":expect_until "^a NO %[UNAVAILABLE%]"
    end
    auth:stop()
    begin "ann":expect_until "^a NO %[UNAVAILABLE%]"
    os.remove(path)
    begin "ann":expect_until "^a NO %[UNAVAILABLE%]"
    start_auth()
    greeting = GREETING
    local c = begin "ann"
    reply(question(1), "OK\tID\tuser=ann")
    c:expect_until "^a OK"
  end)
end)
