--- A crowd that logs in as one user at the same time costs the backend one question, and a password
-- that was changed is of no use from the purge on.
local client = require "spec.support.client"
local control = require "spec.support.control"
local epoll = require "spec.support.epoll"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local site = require "spec.support.site"

local LOGINS = 1000

local POLICY = [[
local http = require "moongate.http"
local check = moongate.memoize(function(user, password)
  local response, err = http.post(%q, { form = { user = user, password = password },
    timeout = 60 })
  if not response then return nil, err end
  return response.body == "yes"
end, { name = "passwords", ttl = 1000 })

return { auth = function(_, credentials)
  local fine, err = check(credentials.user, credentials.password)
  if fine == nil then return moongate.tempfail { log = err } end
  return moongate.reject { text = fine and "right" or "wrong" }
end }
]]

describe("a memoized question", function()
  local path, gw, service, password, held

  setup(function()
    epoll.allow_descriptors(LOGINS + 500)
    service = http_server.start { answer = function(request)
      if held then loop.wait("the crowd", function() return not held end, 60) end
      local right = request.body:find("password=" .. password, 1, true)
      return { body = right and "yes" or "no" }
    end }
    local section
    path, section = control.place()
    gw = site.start { policy = POLICY:format(service.url), more = section, listen = { imap = {
      protocol = "imap", more = "limits = { hook_timeout = 60, login_timeout = 120 }," } } }
  end)
  after_each(client.discard_all)
  teardown(function()
    gw:stop()
    service:stop()
    control.remove(path)
  end)

  local function begin(word)
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    return c:send_line("a LOGIN ann " .. word)
  end

  local function ask(word) return (begin(word):expect("^a NO %S+ (.*)$", 20)) end

  it("is asked once for a thousand parallel logins of one user", function()
    password, held = "old", true
    local all = {}
    for i = 1, LOGINS do all[i] = begin "old" end
    loop.wait("the question", function() return #service.requests > 0 end, 20)
    -- Every login has reached the policy once the one behind them all has.
    local other = begin "another"
    loop.wait("the last question", function() return #service.requests > 1 end, 60)
    held = false
    for _, c in ipairs(all) do assert.equal("right", (c:expect("^a NO %S+ (.*)$", 60))) end
    assert.equal("wrong", (other:expect("^a NO %S+ (.*)$", 20)))
    assert.equal(2, #service.requests)
  end)

  it("is asked anew once it was purged: the old password is refused at once", function()
    password = "old"
    assert.equal("right", ask "old")
    password = "new"
    assert.equal("right", ask "old") -- what is remembered
    assert.equal(0, (control.command(path, "purge", "passwords", "ann")))
    assert.equal("wrong", ask "old")
    assert.equal("right", ask "new")
  end)
end)
