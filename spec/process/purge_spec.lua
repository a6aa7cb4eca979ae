--- What memoized functions have found out is forgotten by all workers.
local client = require "spec.support.client"
local control = require "spec.support.control"
local processes = require "spec.support.processes"
local site = require "spec.support.site"

local WORKERS = 4

--- A password that was right is remembered; "new" is right after "change" has logged in. A user
-- "purge.NAME" has all workers forget NAME.
local POLICY = [[
local right = require "moongate.shared".get "passwords"
local check = moongate.memoize(function(user, password)
  return password:equals(right:get(user) or "old")
end, { name = "passwords", ttl = 1000, negative_ttl = 1000 })
local mark = ("%.0f"):format(math.random() * 1e12) -- of the worker

return {
  auth = function(session, credentials)
    local verb, name = credentials.user:match "^(%a+)%.(%a+)$"
    if verb == "change" then assert(right:set(name, "new")) end
    if verb == "purge" then assert(moongate.purge("passwords", name)) end
    if verb then return moongate.reject { text = mark } end
    local fine = check(credentials.user, credentials.password)
    return moongate.reject { text = tostring(fine) .. " " .. mark }
  end,
}
]]

describe("a purge", function()
  local path, gw

  setup(function()
    local section
    path, section = control.place()
    gw = site.start { listen = { imap = { protocol = "imap" } }, policy = POLICY,
      workers = WORKERS, more = section .. ' shared = { passwords = "1m" },' }
  end)
  after_each(client.discard_all)
  teardown(function()
    gw:stop()
    control.remove(path)
  end)

  local function ask(user, password)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line(("a LOGIN %s %s"):format(user, password))
    local text = c:expect "^a NO %S+ (.*)$"
    c:discard()
    return text
  end

  --- Asks until every worker has answered; all answers, each once.
  local function everywhere(user, password)
    local workers, count, answers, asked = {}, 0, {}, 0
    while count < WORKERS do
      asked = asked + 1
      assert(asked < 1000, "not all workers answer")
      local fine, worker = ask(user, password):match "^(%a+) (.*)$"
      if not workers[worker] then
        workers[worker] = true
        count = count + 1
      end
      answers[fine] = true
    end
    local words = {}
    for word in pairs(answers) do table.insert(words, word) end
    table.sort(words)
    return table.concat(words, " ")
  end

  it("by the command has the old password refused at once, and the new one taken", function()
    assert.equal("true", everywhere("ann", "old"))
    assert.equal("false", everywhere("ann", "new"))
    assert.equal("true", everywhere("bob", "old"))
    ask("change.ann", "x")
    ask("change.bob", "x")
    assert.equal("true", everywhere("ann", "old")) -- remembered
    local code, text = control.command(path, "purge", "passwords", "ann")
    assert.equal(0, code, text)
    assert.equal("false", everywhere("ann", "old"))
    assert.equal("true", everywhere("ann", "new"))
    assert.equal("true", everywhere("bob", "old")) -- was not meant
    assert.equal(0, (control.command(path, "purge", "passwords")))
    assert.equal("false", everywhere("bob", "old"))
  end)

  it("by a policy reaches the other workers", function()
    assert.equal("true", everywhere("cid", "old"))
    ask("change.cid", "x")
    ask("purge.cid", "x")
    processes.eventually(function() return everywhere("cid", "old") == "false" end, 10)
    assert.equal("true", everywhere("cid", "new"))
  end)

  it("that makes no sense is refused", function()
    for _, words in ipairs { {}, { "a", "b", "c" }, { "--all" } } do
      assert.equal(2, (control.command(path, "purge", unpack(words))))
    end
    for _, body in ipairs { "", "{}", '{"name":5}', '{"name":""}', '["name"]',
      '{"name":"' .. ("x"):rep(64) .. '"}', '{"name":"x","key":"' .. ("k"):rep(1025) .. '"}' } do
      local answer, status = control.ask(path, "POST", "/v1/purge", body)
      assert.equal(400, status)
      assert.matches("name", answer.error)
    end
  end)
end)
