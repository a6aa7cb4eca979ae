--- The commands that ask and order the running gateway.
local child = require "spec.support.child"
local client = require "spec.support.client"
local control = require "spec.support.control"
local gateway = require "spec.support.gateway"
local json = require "cjson"
local site = require "spec.support.site"
local upstream = require "spec.support.upstream"

local path, up, g

local function command(...) return control.command(path, ...) end

--- A client that has logged in as `user`.
local function log_in(user)
  local c = client.connect(g.ports.imap)
  c:expect "^%* OK"
  c:send_line(("a LOGIN %s secret"):format(user)):expect_until "^a OK"
  return c
end

setup(function()
  local section
  path, section = control.place()
  up = upstream.start { script = upstream.imap() }
  g = site.start { workers = 2, more = section, users = { ["*"] = up.address }, listen = {
    imap = { protocol = "imap" }, pop3 = { protocol = "pop3" }, smtp = { protocol = "smtp" } } }
end)

teardown(function()
  client.discard_all()
  up:stop()
  g:stop()
  control.remove(path)
end)

describe("moongate status", function()
  it("tells of workers, listeners and generations", function()
    local code, text = command "status"
    assert.equal(0, code, text)
    assert.matches("^moongate %d+%.%d+%.%d+, running for %w+, pid " .. g.process.pid, text)
    assert.matches("\n1 +%d+ +ready +%w+ +0 +%d+ +1\n2 +%d+ +ready", text)
    assert.matches("\nimap +127%.0%.0%.1:" .. g.ports.imap .. "\n", text)
    assert.matches("\n1 +serves +%d+%-%d+%-%d+ %S+ +start +%x+\n", text)
  end)

  it("gives all of it as JSON", function()
    local code, text = command("status", "--json")
    assert.equal(0, code)
    local status = json.decode(text)
    assert.equal(2, #status.workers)
    assert.equal(3, #status.listeners)
    assert.equal(true, status.generations[1].live)
  end)
end)

describe("moongate who", function()
  it("lists the sessions of all workers, whatever phase they are in", function()
    local ann, bob = log_in "ann", log_in "bob"
    ann:send_line("b NOOP"):expect_until "^b OK"
    local waiting = client.connect(g.ports.smtp)
    waiting:expect "^220"
    local code, text = command "who"
    assert.equal(0, code, text)
    assert.matches(("\nann +127%%.0%%.0%%.1:%d +imap +imap +splice +%s +no "):format(ann.port,
      (up.address:gsub("%p", "%%%0"))), text)
    assert.matches(("\nbob +127%%.0%%.0%%.1:%d +imap"):format(bob.port), text)
    assert.matches(("\n%%- +127%%.0%%.0%%.1:%d +smtp +smtp +command"):format(waiting.port), text)
    assert.matches("\n3 sessions\n$", text)
    assert.matches("\n3 sessions\n$", select(2, command "sessions"))

    local function count(...)
      local status, out = command("who", "--json", ...)
      assert.equal(0, status, out)
      return json.decode(out).count
    end
    assert.equal(1, count("--user", "ann"))
    assert.equal(0, count("--user", "an"))
    assert.equal(1, count("--protocol", "smtp"))
    assert.equal(2, count("--listener=imap"))
    assert.equal(2, count("--phase", "splice"))
    assert.equal(3, count("--ip", "127.0.0.0/8"))
    assert.equal(0, count("--ip", "10.0.0.1"))
    assert.equal(0, count("--protocol", "smtp", "--user", "ann"))
    local _, out = command("who", "--json", "--user", "ann")
    local session = json.decode(out).sessions[1]
    assert.equal(up.address, session.upstream)
    assert.equal(1, session.generation)
    assert.is_true(session.out > 0)
    for _, c in ipairs { ann, bob, waiting } do c:close() end
    g:await_ended(3)
  end)

  it("says when there are none", function()
    local code, text = command "who"
    assert.equal(0, code)
    assert.equal("0 sessions\n", text)
  end)
end)

describe("moongate kick", function()
  it("says goodbye as the protocol wants to those who have not logged in", function()
    for protocol, words in pairs {
      imap = "^%* BYE Disconnected by the administrator$",
      pop3 = "^%-ERR %[SYS/TEMP%] Disconnected by the administrator$",
      smtp = "^421 4%.3%.2 .*Disconnected by the administrator$",
    } do
      local c = client.connect(g.ports[protocol])
      c:expect_until(protocol == "pop3" and "^%+OK" or "[O2][K2]")
      local code, text = command("kick", "--ip", "127.0.0.1", "--reason", "they said so")
      assert.equal(0, code, text)
      assert.equal("1 sessions ended\n", text)
      c:expect(words)
      c:expect_end "eof"
      c:close()
      local session = g:session_of(c)
      assert.equal("kicked", session["end"])
      assert.equal("they said so", session.log)
    end
  end)

  it("closes both connections of those who have", function()
    up:clear()
    local ann, bob = log_in "ann", log_in "bob"
    local code, text = command("kick", "--user", "ann", "--json")
    assert.equal(0, code, text)
    assert.equal(1, json.decode(text).kicked)
    ann:expect_end()
    assert.equal("kicked", g:session_of(ann)["end"])
    require("spec.support.loop").wait("the upstream's end", function()
      return up:open_count() == 1
    end)
    bob:send_line("b NOOP"):expect_until "^b OK"

    local _, out = command("who", "--json")
    local id = json.decode(out).sessions[1].id
    assert.equal(0, (command("kick", "--session", id)))
    bob:expect_end()
    ann:close()
    bob:close()
  end)

  it("ends those whose hook or upstream is still waited for", function()
    local c = client.connect(g.ports.imap)
    c:expect "^%* OK"
    up.script = upstream.mute()
    c:send_line "a LOGIN ann secret"
    control.eventually(path, function()
      return control.get(path, "/v1/sessions?phase=login").count == 1
    end)
    assert.equal(0, (command("kick", "--user", "ann")))
    c:expect "^%* BYE"
    c:expect_end "eof"
    up.script = upstream.imap()
    c:close()
  end)

  it("tells when nobody is meant", function()
    local code, text = command("kick", "--user", "nobody")
    assert.equal(1, code)
    assert.equal("0 sessions ended\n", text)
  end)
end)

describe("moongate reload, rollback and diff", function()
  it("take the gateway to another generation and back", function()
    local policy = 'local moongate = require "moongate"\nreturn { auth = function() '
      .. "return moongate.reject { text = %q } end }\n"
    g:write("scripts/policy.lua", policy:format "not today")
    local code, text = command "reload"
    assert.equal(0, code, text)
    assert.matches("^generation 2 serves", text)
    local c = client.connect(g.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN ann secret"):expect_until "^a NO .*not today"
    c:close()

    g:write("scripts/policy.lua", "return {")
    code, text = command "reload"
    assert.equal(1, code)
    assert.matches("moongate: .*/scripts/policy%.lua:%d+: ", text)
    assert.equal(2, control.get(path, "/v1/status").generation)

    code, text = command("diff", "1", "2")
    assert.equal(0, code, text)
    assert.matches("\n%+[^\n]*not today", text)

    code, text = command "rollback"
    assert.equal(0, code, text)
    assert.matches("^generation 3 serves", text)
    local ann = log_in "ann"
    ann:close()
    code, text = command("rollback", "2")
    assert.equal(0, code, text)
    assert.matches("\n4 +serves .* rollback to 2 ", select(2, command "status"))
    code, text = command("rollback", "77")
    assert.equal(1, code)
    assert.matches("not kept", text)
    code, text = command("diff", "4", "77")
    assert.equal(1, code)
    assert.matches("generation 77 is not kept", text)
  end)
end)

describe("the commands", function()
  local ALL = { "status", "who", "sessions", "kick", "reload", "rollback", "diff",
    "metrics" }
  local WORDS = { kick = { "--user", "ann" }, diff = { "1", "2" } }

  it("have a help", function()
    for _, name in ipairs(ALL) do
      local code, text = command(name, "--help")
      assert.equal(0, code)
      assert.matches("^Usage: moongate " .. (name == "sessions" and "who" or name), text)
      assert.matches("%-s, %-%-socket PATH", text)
    end
  end)

  it("say what to do when there is no gateway", function()
    local nowhere = path:match "^(.*)/" .. "/nothing"
    for _, name in ipairs(ALL) do
      local code, text = control.command(nowhere, name, unpack(WORDS[name] or {}))
      assert.equal(1, code)
      assert.matches("^moongate: " .. nowhere:gsub("%p", "%%%0") .. ": No such file", text)
      assert.matches("Is the gateway running%?", text)
    end
    local code, text = command("status", "--socket", g.folder .. "/moongate.lua")
    assert.equal(1, code)
    assert.matches("Nobody listens there", text)
    code, text = command("status", "-s", "relative")
    assert.equal(1, code)
    assert.matches("absolute path", text)
  end)

  it("say who may use the socket to those who may not", function()
    -- The project may lie where only root can enter.
    local copy = path:match "^(.*)/" .. "/copy"
    local code, text = child.run { "sh", "-ec", [[
      mkdir -p "$1/bin" "$1/share/moongate" && cp "$2" "$1/bin/moongate"
      cp -r lua scripts "$1/share/moongate" && chmod -R a+rX "$1"
      exec setpriv --reuid=65534 --regid=65534 --clear-groups "$1/bin/moongate" status -s "$3"]],
      "sh", copy, gateway.binary(), path }
    assert.equal(1, code, text)
    assert.matches("Permission denied\n  Try as root", text)
  end)

  it("take no word that means nothing", function()
    for _, words in ipairs {
      { "status", "now" }, { "who", "ann" }, { "who", "--nobody" }, { "kick" },
      { "kick", "--user", "ann", "bob" }, { "reload", "all" }, { "rollback", "x" },
      { "rollback", "1", "2" }, { "diff", "1" }, { "diff", "1", "x" }, { "diff", "1", "2", "3" },
      { "status", "--socket" },
    } do
      local code, text = command(unpack(words))
      assert.equal(2, code, table.concat(words, " "))
      assert.matches("%-%-help` tells how", text)
    end
  end)

  it("pass on what the gateway says is wrong", function()
    local code, text = command("who", "--ip", "1.2.3")
    assert.equal(1, code)
    assert.equal('moongate: ip: "1.2.3" is no address or network\n', text)
  end)
end)
