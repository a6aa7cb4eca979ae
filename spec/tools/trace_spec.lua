--- `moongate trace` of a gateway that serves, its recordings, and `moongate replay` of those.
local client = require "spec.support.client"
local command = require "spec.support.command"
local control = require "spec.support.control"
local gateway = require "spec.support.gateway"
local http_server = require "spec.support.http_server"
local json = require "cjson"
local mime = require "mime"
local stat = require "posix.sys.stat"
local upstream = require "spec.support.upstream"

local PASSWORD, WRONG = "opensesame-7", "wrong-guess-8"

local TOKEN = "a-token-that-nobody-sees-" .. ("9"):rep(8000)
local BEARER = mime.b64("n,a=fails,\1auth=Bearer " .. TOKEN .. "\1\1")

-- Base64 of what holds the passwords: PLAIN's response, and LOGIN's of both.
local ENCODED = { "AG9sYQBvcGVuc2VzYW1lLTc=", "d3JvbmctZ3Vlc3MtOA==", "b3BlbnNlc2FtZS03" }

local CONFIG = [[
local c = require "moongate.config"
return c.gateway {
  workers = 2, CONTROL
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "asks" },
    mechanisms = { "PLAIN", "LOGIN", "OAUTHBEARER" }, tokens_in_clear = true },
  c.listen "smtp" { address = "127.0.0.1:0", protocol = "smtp", policy = { "asks" } },
  c.listen "pop3" { address = "127.0.0.1:0", protocol = "pop3", policy = { "asks" } },
}
]]

local POLICY = [[
local moongate = require "moongate"
local crypt = require "moongate.crypt"
local http = require "moongate.http"

return {
  auth = function(session, credentials)
    local secret = credentials.token or credentials.password
    if credentials.user == "fails" then error("with " .. secret:reveal()) end
    local known = http.post("URL", { body = credentials.user })
    if not known or known.status ~= 200 then return moongate.tempfail { log = "nobody answers" } end
    local right = crypt.verify(credentials.password, known.body)
    if not right then
      local no = moongate.reject { reason = "bad-credentials" }
      return no
    end
    session.vars.known = true
    return moongate.accept { upstream = "UPSTREAM" }
  end,
  route = function(session)
    if not session.vars.known then return moongate.tempfail { log = "who is it?" } end
  end,
}
]]

-- crypt(3) of PASSWORD.
local HASH = "$6$abcdefgh$N6ijXeTL89BDXn5JRJnfjhYTW7F3t8YO6KcY6g"
  .. "iGIV3XNosT95uONmFA0KAXnPvBQxsuQU55sfjSfSMK.iELI1"

describe("moongate trace", function()
  local gw, up, server, socket, folder, section
  local outputs = {}

  setup(function()
    socket, section = control.place()
    up = upstream.start { script = upstream.imap() }
    server = http_server.start { answer = function()
      return { body = HASH }
    end }
    local policy = POLICY:gsub("URL", server.url):gsub("UPSTREAM", up.address)
    local files = { ["moongate.lua"] = CONFIG:gsub("CONTROL", section),
      ["scripts/asks.lua"] = policy }
    gw = gateway.start { files = files }
    files["next/moongate.lua"] = files["moongate.lua"]
    folder = command.folder(files)
    stat.mkdir(folder .. "/next/scripts", 493)
  end)
  after_each(client.discard_all)
  teardown(function()
    gw:stop()
    up:stop()
    server:stop()
    control.remove(socket)
    local file = io.open(folder .. "/logins.jsonl")
    outputs[#outputs + 1] = file:read "*a"
    file:close()
    command.remove(folder)
    local all = table.concat(outputs)
    assert.truthy(#all > 1000)
    for _, secret in ipairs { PASSWORD, WRONG, TOKEN:sub(1, 16), BEARER:sub(41, 60),
      unpack(ENCODED) } do
      assert.falsy(all:find(secret, 1, true), secret)
    end
  end)

  local function follow(arguments)
    local process = command.start("trace " .. arguments, { folder = folder,
      environment = { MOONGATE_SOCKET = socket } })
    process:expect "(following 2 workers)"
    return process
  end

  --- Ends it, and returns what it wrote.
  local function finish(process)
    process:stop()
    local output = process:output()
    os.remove(process.log)
    outputs[#outputs + 1] = output
    return output
  end

  local function login(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s %s"):format(user, password or PASSWORD)):expect_until "^a "
    c:close()
    return gw:session_of(c).session
  end

  it("shows what is said, asked and decided, of the sessions that are meant", function()
    local process = follow "--user ola"
    login "other"
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line "a AUTHENTICATE PLAIN":expect "^%+"
    c:send_line(ENCODED[1]):expect_until "^a OK"
    c:close()
    local session = gw:session_of(c).session
    process:expect(session .. " (end client_closed in splice)")
    local output = finish(process)
    local at = 0
    for _, wanted in ipairs {
      " phase policy\n", " auth +asks%.lua:6 +%-> accept{upstream=127%.0%.0%.1:%d+} +%d+%.%d ms +"
        .. "http POST http://127%.0%.0%.1:%d+/auth 200 %d+%.%d, crypt verify match %d+%.%d\n",
      " route +asks%.lua:%d+ +%-> nil %(no opinion%)", " phase connect\n", " phase login\n",
      " upstream < %* OK", " upstream > C CAPABILITY\n", " upstream < C OK",
      " upstream > a LOGIN %*%*%*\n", " upstream < a OK", " phase splice\n",
      " client   > a OK", " end client_closed in splice\n",
    } do
      local from, to = output:find(wanted, at)
      assert.truthy(from, wanted .. "\n" .. output)
      at = to
    end
    assert.falsy(output:find("other", 1, true))
  end)

  it("shows the commands of clients without their secrets", function()
    local process = follow "--ip 127.0.0.1"
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN nobody %s"):format(WRONG)):expect_until "^a NO"
    c:send_line "b AUTHENTICATE LOGIN":expect "^%+"
    c:send_line "bm9ib2R5":expect "^%+"
    c:send_line(ENCODED[2]):expect_until "^b NO"
    c:send_line(ENCODED[2]):expect "^%* BAD"
    c:send_line((ENCODED[2]:gsub("=", "")) .. " again"):expect_until "BAD"
    c:close()
    gw:session_of(c)
    c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("d AUTHENTICATE OAUTHBEARER " .. BEARER):expect "^d NO %[UNAVAILABLE%]"
    c:send_line "e AUTHENTICATE OAUTHBEARER":expect "^%+"
    c:send_line(BEARER):expect "^e NO %[UNAVAILABLE%]"
    c:close()
    gw:session_of(c)
    c = client.connect(gw.ports.smtp)
    c:expect "^220"
    c:send_line "EHLO there.example":expect_until "^250 "
    c:send_line("AUTH PLAIN " .. ENCODED[1]):expect_until "^%d%d%d "
    c:close()
    gw:session_of(c)
    c = client.connect(gw.ports.pop3)
    c:expect "^%+OK"
    c:send_line "USER fails":expect "^%+OK"
    c:send_line("PASS " .. PASSWORD):expect "^%-ERR"
    c:close()
    local session = gw:session_of(c).session
    process:expect(session .. " (end client_closed)")
    local output = finish(process)
    for _, wanted in ipairs {
      "client   < a LOGIN ***\n", "client   > a NO [AUTHENTICATIONFAILED]",
      "client   < b AUTHENTICATE LOGIN\n", "client   < ***\n", "client   > *** BAD",
      "client   < d AUTHENTICATE OAUTHBEARER ***\n", "client   < e AUTHENTICATE OAUTHBEARER\n",
      "client   < EHLO there.example\n", "client   < AUTH PLAIN ***\n",
      "client   < USER fails\n", "client   < PASS ***\n", "-> error: ", "asks.lua:8: with ***",
    } do assert.truthy(output:find(wanted, 1, true), wanted .. "\n" .. output) end
  end)

  it("leaves no core file, as all commands", function()
    local process = follow "--user nobody"
    local limits = io.open(("/proc/%d/limits"):format(process.pid)):read "*a"
    assert.matches("Max core file size%s+0%s+0", limits)
    finish(process)
  end)

  it("begins in the middle of a session", function()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN ola %s"):format(PASSWORD)):expect_until "^a OK"
    local process = follow "--user ola --json"
    c:close()
    local session = gw:session_of(c).session
    process:expect('("event":"end")')
    local line = finish(process):match "({[^\n]*\"event\"[^\n]*})\n"
    local event = json.decode(line)
    assert.equal(session, event.session)
    assert.equal("client_closed", event["end"])
  end)

  it("records what a login was decided by", function()
    local process = follow "--record logins.jsonl --json"
    login "ola"
    login("ola", WRONG)
    login("eve", WRONG)
    local last = login "fails"
    process:expect('("session":"' .. last .. '","event":"end")')
    finish(process)
    assert.equal(384, stat.stat(folder .. "/logins.jsonl").st_mode % 512) -- 0600

    local by_user, tokens = {}, {}
    for line in io.lines(folder .. "/logins.jsonl") do
      local event = json.decode(line)
      assert.equal("hook", event.event)
      if event.credentials then
        table.insert(by_user, event.user .. " " .. (event.decision ~= json.null and event.decision
          and event.decision.kind or "error"))
        table.insert(tokens, event.credentials.password)
      end
      if event.user == "ola" and event.hook == "auth" then
        assert.same({ "http POST " .. server.url, "crypt verify" },
          { event.awaits[1].what, event.awaits[2].what })
        assert.equal(200, event.awaits[1].answer[1].http.status)
      end
    end
    assert.same({ "ola accept", "ola reject", "eve reject", "fails error" }, by_user)
    assert.equal(tokens[2], tokens[3])
    assert.equal(tokens[1], tokens[4])
    assert.not_equal(tokens[1], tokens[2])
  end)

  describe("and moongate replay", function()
    --- Asks other policies; what is told, and the exit status.
    local function replay(policy, more)
      local file = io.open(folder .. "/next/scripts/asks.lua", "w")
      file:write(policy)
      file:close()
      local output, status = command.run("replay -c next/moongate.lua logins.jsonl "
        .. (more or ""), { folder = folder })
      outputs[#outputs + 1] = output
      return output, status
    end

    local function policy() return (POLICY:gsub("URL", server.url):gsub("UPSTREAM", up.address)) end

    it("find that the same policies decide the same, without any I/O", function()
      local asked = #server.requests
      local output, status = replay(policy())
      assert.equal("4 sessions, 5 decisions are the same, 0 changed\n", output)
      assert.equal(0, status)
      assert.equal(asked, #server.requests)
    end)

    it("tell which decisions change, from what to what, and where", function()
      local output, status = replay((policy():gsub('"bad%-credentials"', '"limit"')
        :gsub(up.address:gsub("%p", "%%%0"), "192.0.2.7:143")))
      assert.equal(1, status)
      assert.truthy(output:find("changed %w+ auth ola: accept{upstream=127%.0%.0%.1:%d+} %-> "
        .. "accept{upstream=192%.0%.2%.7:143} +asks%.lua:6\n"), output)
      assert.truthy(output:find("changed %w+ auth eve: reject{reason=bad%-credentials} %-> "
        .. "reject{reason=limit} +asks%.lua:13\n"), output)
      assert.truthy(output:find("4 sessions, 2 decisions are the same, 3 changed\n", 1, true),
        output)
    end)

    it("count a hook that is new", function()
      local output, status = replay((policy():gsub("  route = function", [[
  connect = function() return moongate.reject { reason = "limit" } end,
  route = function]])))
      assert.equal(1, status)
      assert.truthy(output:find("changed %w+ connect ola: nil %(no opinion%) %-> "
        .. "reject{reason=limit} +asks%.lua:%d+\n"), output)
    end)

    it("say what the recording can't answer", function()
      local output, status = replay((policy():gsub(server.url, server.url .. "/other")), "--json")
      assert.equal(1, status)
      local told = json.decode(output)
      assert.equal(4, told.sessions)
      assert.truthy(told.changed[1].new:find("the recording has no answer to: http POST "
        .. server.url .. "/other", 1, true))
    end)

    it("refuse what is no recording", function()
      local output, status = command.run("replay -c next/moongate.lua moongate.lua",
        { folder = folder })
      assert.equal(1, status)
      assert.truthy(output:find("moongate.lua: line 1 is no event", 1, true), output)
      output, status = command.run("replay -c nowhere.lua logins.jsonl", { folder = folder })
      assert.equal(1, status)
      assert.truthy(output:find("nowhere.lua", 1, true), output)
      output, status = command.run("replay", { folder = folder })
      assert.equal(2, status)
      assert.truthy(output:find("which recording?", 1, true))
    end)
  end)

  it("says that nobody is there", function()
    local output, status = command.run("trace --socket /tmp/nowhere.sock", { folder = folder })
    assert.equal(1, status)
    assert.truthy(output:find("No such file or directory", 1, true), output)
  end)
end)
