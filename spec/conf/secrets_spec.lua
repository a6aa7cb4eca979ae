--- Secrets from files, variables and programs: read once, by who evaluates, and never shown.
local check = require "spec.support.check"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local processes = require "spec.support.processes"

local READER = [[
local moongate = require "moongate"
moongate.settings("p", { key = "secret" })
return {}
]]

--- Exit status and output with `settings.p.key` set to a source.
local function run(source, options)
  options = options or {}
  options.files = { ["moongate.lua"] = check.configuration(
    ("settings = { p = {\n  key = %s } },"):format(source)), ["scripts/policy.lua"] = READER }
  table.insert(options, "--print")
  return check.run(options)
end

describe("a secret", function()
  it("comes from a variable", function()
    local code, text = run([[c.secret.env "SPEC_KEY"]],
      { environment = { SPEC_KEY = "open sesame" } })
    assert.equal(0, code, text)
    assert.matches("settings.p.key = secret(redacted) -- moongate.lua:6\n", text, 1, true)
    assert.not_matches("sesame", text)
  end)

  it("comes from a program, which is run without a shell and with no input", function()
    local code, text = run [[c.secret.command { "sh", "-c", "cat; printf '%s\n$1' \"$1\"", "sh",
      "open $HOME" }]]
    assert.equal(0, code, text)
    assert.not_matches("open", text)
  end)

  it("is nothing to start with when it can't be had", function()
    for _, case in ipairs {
      { [[c.secret.env "SPEC_NO_SUCH"]], "the environment variable SPEC_NO_SUCH is not set" },
      { [[c.secret.env "SPEC_EMPTY"]], "the environment variable SPEC_EMPTY is empty" },
      { [[c.secret.env "A=B"]], "the name of an environment variable expected" },
      { [[c.secret.env(5)]], "secret.env: a string expected" },
      { [[c.secret.file "none"]], "secret.file: none: No such file" },
      { [[c.secret.command "pass"]], "secret.command: a table expected" },
      { [[c.secret.command {}]], "a program and its arguments expected" },
      { [[c.secret.command { "sh", 5 }]], "texts expected: a program, its arguments" },
      { [[c.secret.command { "true", timeot = 1 }]],
        "unknown field \"timeot\" (did you mean \"timeout\"?)" },
      { [[c.secret.command { "false" }]], "false: it failed with exit status 1" },
      { [[c.secret.command { "/no/such/program" }]], "/no/such/program: it can't be run" },
      { [[c.secret.command { "true" }]], "its first line is empty" },
      { [[c.secret.command { "sh", "-c", "kill -9 $$" }]], "sh: it died of signal 9" },
      { [[c.secret.command { "yes", "hush" }]], "yes: it wrote more than 65536 bytes" },
    } do
      local code, text = run(case[1], { environment = { SPEC_EMPTY = "" } })
      assert.equal(1, code, text)
      assert.matches("moongate.lua:6:%d+: error: secret%.%l+: ", text)
      assert.matches(case[2], text, 1, true)
      assert.not_matches("hush", (text:gsub("yes hush", "")))
    end
  end)

  it("of a program that does not end in time is given up, with all that it has started", function()
    local pids = os.tmpname()
    finally(function() os.remove(pids) end)
    local code, text = run([[c.secret.command { timeout = 0.5,
      "sh", "-c", "sleep 1000 & echo $! >\"$SPEC_PIDS\"; wait" }]],
      { environment = { SPEC_PIDS = pids } })
    assert.equal(1, code)
    assert.matches("sh: it did not end in time", text, 1, true)
    local file = assert(io.open(pids))
    local pid = tonumber(file:read "*l")
    file:close()
    assert.is_true(processes.wait_gone(pid, 10))
    code, text = run [[c.secret.command { "true", timeout = 31 }]]
    assert.equal(1, code)
    assert.matches("timeout: seconds expected", text, 1, true)
  end)

  it("is not told where it is of the wrong kind", function()
    local code, text = run "8712345"
    assert.equal(1, code)
    assert.matches("moongate.lua:6:3: error: settings.p.key: a text or a c.secret expected, not a "
      .. "number", text, 1, true)
    assert.not_matches("8712345", text)
  end)

  it("opens an encrypted key", function()
    local ca = require "spec.support.ca"
    local authority = ca.new()
    finally(function() authority:remove() end)
    local sealed = authority:leaf { passphrase = "open sesame" }
    local listener = ([[ tls = { certificate = %q, key = %q,
      passphrases = { c.secret.env "SPEC_PASSPHRASE" } }]]):format(sealed.certificate, sealed.key)
    local code, text = check.run { "--print",
      files = { ["moongate.lua"] = check.configuration("", listener) },
      environment = { SPEC_PASSPHRASE = "open sesame" } }
    assert.equal(0, code, text)
    assert.matches("listen.one.tls.passphrases = { secret(redacted) } -- moongate.lua:", text, 1,
      true)
    assert.not_matches("sesame", text)
  end)

  it("is not shown either where it only sounds like one", function()
    local code, text = check.run { "--print", files = {
      ["moongate.lua"] = check.configuration [[
        settings = { passwd_file = { file = "shown" },
          q = { headers = { ["X-Auth-Key"] = "open", X = "shown" }, api_key = "open",
          pairs = { { "Authorization", "open" }, { "X", "shown" } }, secrets = { a = "open" },
          list = { password = { "open" } }, more = { { token = "open" } } } },]],
      ["scripts/policy.lua"] = "require \"moongate\".settings \"q\"\nreturn {}\n" } }
    assert.equal(0, code)
    assert.not_matches("open", text)
    assert.equal(3, select(2, text:gsub("\"shown\"", "")))
    assert.equal(6, select(2, text:gsub("secret%(redacted%)", "")))
  end)

  it("is not shown in an URL, right or wrong", function()
    local code, text = run [["no secret" }, q = { redis = "redis://gw:open@sesame@10.0.0.9:1/0"]]
    assert.equal(0, code, text)
    assert.matches('settings.q.redis = "redis://gw:***@10.0.0.9:1/0"', text, 1, true)
    code, text = check.run { files = { ["moongate.lua"] =
      check.configuration 'log = { level = "https://gw:open@10.0.0.9/" },' } }
    assert.equal(1, code)
    assert.matches("https://gw:***@10.0.0.9/", text, 1, true)
  end)

  it("is not shown either where a policy alone takes it for one", function()
    local code, text = run [["open sesame"]]
    assert.equal(0, code, text)
    assert.matches("settings.p.key = secret(redacted) -- moongate.lua:6\n", text, 1, true)
    assert.not_matches("sesame", text)
  end)
end)

describe("a worker", function()
  it("has secrets from the bundle, without variable, file or program", function()
    local policy = [[
      local moongate = require "moongate"
      local secret = require "moongate.secret"
      local settings = moongate.settings("p", { program = "secret", variable = "secret",
        file = "secret" })
      local own = assert(secret.command { "sh", "-c", "echo run >> \"$SPEC_RUNS\"; echo d" })
      local named = assert(secret.env "SPEC_KEY")
      return { auth = function(session, credentials)
        local late, message = secret.command { "echo", credentials.user }
        local known = settings.program:equals "a" and settings.variable:equals "b"
          and settings.file:equals "c" and own:equals "d" and named:equals "b"
        return moongate.reject { text = ("%s %s"):format(tostring(known),
          tostring(late or message)) }
      end }]]
    local gw = gateway.start {
      files = {
        ["moongate.lua"] = check.configuration([[
          settings = { p = { program = c.secret.command { "sh", "-c",
              "echo run >> \"$SPEC_RUNS\"; echo a" },
            variable = c.secret.env "SPEC_KEY", file = c.secret.file "key" } },]]),
        ["scripts/policy.lua"] = policy, key = "c\n" },
      prefix = { "env", "SPEC_KEY=b", "SPEC_RUNS=/tmp/moongate-spec-runs-" .. gateway.binary()
        :gsub("%W", "-") },
    }
    local runs = gw.prefix[3]:match "=(.*)"
    finally(function()
      client.discard_all()
      gw:stop()
      os.remove(runs)
    end)
    local c = client.connect(gw.ports.one)
    c:expect "^%* OK"
    c:send_line "a LOGIN erin secret"
    c:expect "^a NO .*true .*must ask while it loads"
    local file = assert(io.open(runs))
    assert.equal("run\nrun\n", file:read "*a") -- each once, whoever asked
    file:close()
  end)
end)
