--- Editing one line of a policy changes who gets in.
local child = require "spec.support.child"
local interop = require "spec.support.interop"

describe("a policy", function()
  local pair
  setup(function() pair = interop.start() end)
  teardown(function() if pair then pair:stop() end end)

  --- curl's exit status for a login: 0 is in, 67 is refused.
  local function login(protocol, user, password)
    return (child.run { "curl", "-sS", "-m", "20", "-u", user .. ":" .. password,
      ("%s://127.0.0.1:%d/"):format(protocol, pair.gateway.ports[protocol]) })
  end

  it("lets in whom its lines name, and after an edit and a restart only those", function()
    for _, protocol in ipairs { "imap", "pop3" } do
      assert.equal(0, login(protocol, "erin@example.org", "moonlight"))
      assert.equal(67, login(protocol, "erin@example.org", "sunlight"))
    end

    local edited, lines = interop.POLICY:gsub('%["erin@example.org"%] = "moonlight",\n', "")
    assert.equal(1, lines)
    pair.gateway:halt()
    pair.gateway:write("scripts/users.lua", edited)
    pair.gateway:run()

    for _, protocol in ipairs { "imap", "pop3" } do
      assert.equal(67, login(protocol, "erin@example.org", "moonlight"))
      assert.equal(0, login(protocol, "frank@example.org", interop.USERS["frank@example.org"]))
    end
  end)

  it("that does not compile keeps the gateway from starting, and is named", function()
    pair.gateway:halt()
    pair.gateway:write("scripts/users.lua", "return {\n  auth = = 1,\n}\n")
    local fine, message = pcall(pair.gateway.run, pair.gateway)
    assert.is_false(fine)
    assert.matches("users%.lua:2:", message)
    assert.equal(1, pair.gateway.process.code)
    pair.gateway:write("scripts/users.lua", interop.POLICY)
    pair.gateway:run()
  end)
end)
