--- What memoized functions have remembered, and what Dovecot has said, in recordings and in
-- `moongate replay`.
local client = require "spec.support.client"
local command = require "spec.support.command"
local control = require "spec.support.control"
local gateway = require "spec.support.gateway"
local http_server = require "spec.support.http_server"
local json = require "cjson"
local loop = require "spec.support.loop"
local stat = require "posix.sys.stat"
local upstream = require "spec.support.upstream"

local CONFIG = [[
local c = require "moongate.config"
return c.gateway { workers = 1, CONTROL
  settings = { dovecot = { socket = "AUTH" } },
  c.listen "asks" { address = "127.0.0.1:0", protocol = "imap", policy = { "dovecot" } },
  c.listen "imap" { address = "127.0.0.1:0", protocol = "imap", policy = { "remembers" } },
}
]]

local POLICY = [[
local moongate = require "moongate"
local http = require "moongate.http"

local look_up = moongate.memoize(function(user)
  local res, err = http.get("URL" .. user)
  if not res then return nil, err end
  return { word = res.body }
end, { name = "words", ttl = 600 })

return {
  auth = function(_, credentials)
    local found, err = look_up(credentials.user)
    if not found then return moongate.tempfail { log = err } end
    return moongate.reject { reason = "limit", text = found.word .. "END" }
  end,
}
]]

describe("a recording", function()
  local auth, gw, server, socket, section, folder, holds

  setup(function()
    socket, section = control.place()
    server = http_server.start { answer = function(request)
      loop.wait("the end of the hold", function() return not holds end)
      return { body = "of " .. request.target:match "[^/]*$" }
    end }
    local policy = POLICY:gsub("URL", server.url .. "/"):gsub("END", "")
    local place = os.tmpname()
    os.remove(place)
    auth = upstream.start { path = place, name = "auth", script = function(peer)
      peer:send "VERSION\t1\t2\nMECH\tPLAIN\nDONE\n"
      loop.wait("the question", function() return peer.input:find "resp=[^\n]*\n" end)
      peer:send "OK\t1\tuser=ann\tproxy\thost=127.0.0.1\tport=1\tpass=sesame-9\n"
    end }
    local files = { ["moongate.lua"] = CONFIG:gsub("CONTROL", section):gsub("AUTH", place),
      ["scripts/remembers.lua"] = policy }
    gw = gateway.start { files = files }
    files["next/moongate.lua"] = files["moongate.lua"]
    folder = command.folder(files)
    stat.mkdir(folder .. "/next/scripts", 493)
  end)
  after_each(client.discard_all)
  teardown(function()
    gw:stop()
    server:stop()
    auth:stop()
    control.remove(socket)
    command.remove(folder)
  end)

  local function begin(user, listener)
    local c = client.connect(gw.ports[listener or "imap"])
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s secret"):format(user))
  end

  local function follow(arguments)
    local process = command.start("trace " .. arguments, { folder = folder,
      environment = { MOONGATE_SOCKET = socket } })
    process:expect "(following 1 workers?)"
    return process
  end

  --- Asks the policy again, with `more` in its answers.
  local function replay(more)
    local file = io.open(folder .. "/next/scripts/remembers.lua", "w")
    file:write((POLICY:gsub("URL", server.url .. "/"):gsub("END", more)))
    file:close()
    return command.run("replay -c next/moongate.lua logins.jsonl", { folder = folder })
  end

  it("has what was asked, remembered and shared; a replay decides by it", function()
    local process = follow "--record logins.jsonl --json"
    local watch = follow "--json"
    holds = true
    local first = begin "ann"
    loop.wait("the question", function() return #server.requests == 1 end)
    local second = begin "ann"
    watch:expect '("user":"ann","phase":"policy".-"user":"ann","phase":"policy")'
    holds = false
    first:expect "^a NO .*of ann"
    second:expect "^a NO .*of ann"
    begin "ann":expect "^a NO .*of ann"
    local last = begin "bob"
    last:expect "^a NO .*of bob"
    last:close()
    process:expect('("session":"' .. gw:session_of(last).session .. '","event":"end")')
    watch:stop()
    process:stop()

    local seen = {}
    for line in io.lines(folder .. "/logins.jsonl") do
      local words = {}
      for i, wait in ipairs(json.decode(line).awaits) do
        words[i] = wait.what:match "^%S+" .. ":" .. (wait.outcome or "")
      end
      table.insert(seen, table.concat(words, " "))
    end
    table.sort(seen)
    assert.same({ "memoize:asks http:200", "memoize:asks http:200", "memoize:remembered",
      "wait: memoize:shared" }, seen)

    local output, status = replay ""
    assert.same({ "4 sessions, 4 decisions are the same, 0 changed\n", 0 }, { output, status })
    assert.equal(2, #server.requests)
  end)

  it("is asked in another policy's way, too", function()
    local output, status = replay "!"
    assert.equal(1, status)
    assert.truthy(output:find("4 sessions, 0 decisions are the same, 4 changed", 1, true), output)
  end)

  it("has what Dovecot has said, but no password of it", function()
    local process = follow "--record dovecot.jsonl --json"
    local c = begin("ann", "asks")
    c:expect "^a NO "
    c:close()
    process:expect('("session":"' .. gw:session_of(c).session .. '","event":"end")')
    process:stop()
    local file = io.open(folder .. "/dovecot.jsonl")
    local text = file:read "*a"
    file:close()
    assert.truthy(text:find('"what":"dovecot auth","outcome":"OK"', 1, true), text)
    assert.falsy(text:find("sesame", 1, true))
    auth:stop()
    local output, status = command.run("replay -c next/moongate.lua dovecot.jsonl",
      { folder = folder })
    assert.same({ 0, "0 changed" }, { status, output:match "0 changed" })
  end)
end)
