--- A real Dovecot with its oauth2 passdb behind the gateway: both ask the same token service.
local child = require "spec.support.child"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local mime = require "mime"
local servers = require "spec.support.servers"
local shipped = require "spec.support.shipped"

local USER = "erin@example.org"

local DOVECOT = [[
auth_mechanisms = plain login oauthbearer xoauth2
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = $folder/oauth2.conf
}
passdb {
  driver = static
  master = yes
  mechanisms = plain
  args = password=master-word
}
]]

-- Dovecot takes 8192 digits of base64 from a client that logs in, whatever is configured
-- (LOGIN_MAX_AUTH_BUF_SIZE): tokens of a little less than 6144 bytes.
local LARGEST, TOO_LARGE = 6000, 12288

local OAUTH2 = [[
introspection_url = %s
introspection_mode = post
client_id = gate
client_secret = way
username_attribute = username
active_attribute = active
active_value = true
]]

local WORDS = {
  imap = { greeting = "^%* OK", auth = "a AUTHENTICATE ", yes = "^a OK ", no = "^a NO ",
    challenge = "^%+ (%S+)$", after = "b NOOP", fine = "^b OK", failure = "^a NO %[UNAVAILABLE%]" },
  pop3 = { greeting = "^%+OK", auth = "AUTH ", yes = "^%+OK", no = "^%-ERR %[AUTH%]",
    challenge = "^%+ (%S+)$", after = "STAT", fine = "^%+OK", failure = "^%-ERR %[SYS/TEMP%]" },
}

local MESSAGES = {
  OAUTHBEARER = function(token, user)
    return (mime.b64(("n,a=%s,\1host=x\1port=1\1auth=Bearer %s\1\1"):format(user or USER, token)))
  end,
  XOAUTH2 = function(token, user)
    return (mime.b64(("user=%s\1auth=Bearer %s\1\1"):format(user or USER, token)))
  end,
}

describe("a Dovecot that takes tokens", function()
  local real, gw, service, good

  setup(function()
    -- The service serves from the spec's loop, so nothing here may block while a login goes on.
    service = http_server.start { answer = function(request)
      local token = request.body:match "token=([^&]*)" or ""
      return { headers = { ["Content-Type"] = "application/json" },
        body = good[token] and ('{"active":true,"username":%q}'):format(USER)
          or '{"active":false}' }
    end }
    real = servers.start { users = { [USER] = "moonlight" }, dovecot = DOVECOT,
      files = { ["oauth2.conf"] = OAUTH2:format(service.url) } }
    local listen = {}
    for name in pairs(WORDS) do
      listen[name] = ([[ tokens_in_clear = true, mechanisms = { "OAUTHBEARER", "XOAUTH2" },
        upstream = "127.0.0.1:%d", limits = { attempts = 20 }, ]]):format(real[name])
    end
    gw = shipped.start { policy = { "blind" }, listen = listen, settings = "",
      files = { ["scripts/blind.lua"] = [[
        local moongate = require "moongate"
        local master = { ["master@example.org"] = true }
        return { auth = function(session, credentials)
          if not master[credentials.user] then
            return moongate.accept { upstream_auth = "passthrough" }
          end
          return moongate.accept { upstream_auth = moongate.login { mechanism = "PLAIN",
            user = "gate", authzid = "erin@example.org", password = "master-word" } }
        end }
      ]] } }
  end)
  teardown(function()
    if gw then gw:stop() end
    if real then real:stop() end
    if service then service:stop() end
  end)
  before_each(function() good = { ["the-token.1"] = true } end)
  after_each(function() client.discard_all() end)

  for protocol, words in pairs(WORDS) do
    for mechanism, message in pairs(MESSAGES) do
      it(("lets them in by %s in %s"):format(mechanism, protocol), function()
        local c = client.connect(gw.ports[protocol])
        c:expect(words.greeting)
        c:send_line(words.auth .. mechanism .. " " .. message "the-token.1")
        c:expect_until(words.yes)
        c:send_line(words.after):expect_until(words.fine)
      end)

      it(("refuses others by %s in %s, and says why"):format(mechanism, protocol), function()
        local c = client.connect(gw.ports[protocol])
        c:expect(words.greeting)
        c:send_line(words.auth .. mechanism .. " " .. message "revoked.2")
        assert.matches('"status":"', (mime.unb64(c:expect(words.challenge))))
        c:send_line(mechanism == "XOAUTH2" and "" or "AQ=="):expect(words.no)
        c:send_line(words.auth .. mechanism .. " " .. message "the-token.1")
        c:expect_until(words.yes)
      end)
    end

    it("takes tokens up to its limit in " .. protocol .. "; a larger one is a temporary failure, "
      .. "or logs in by a master user", function()
      for mechanism, message in pairs(MESSAGES) do
        local largest, larger = ("x"):rep(LARGEST), ("y"):rep(TOO_LARGE)
        good[largest], good[larger] = true, true
        local function login(token, user)
          local c = client.connect(gw.ports[protocol])
          c:expect(words.greeting)
          return c:send_line(words.auth .. mechanism .. " " .. message(token, user))
        end
        login(largest):expect_until(words.yes)
        login(larger):expect(words.failure)
        local c = login(larger, "master@example.org")
        c:expect_until(words.yes)
        c:send_line(words.after):expect_until(words.fine)
      end
    end)

    it("lets curl in, in " .. protocol, function()
      local log = os.tmpname()
      local program = child.start { "curl", "-s", "-v", "--max-time", "20", "--user", USER,
        "--oauth2-bearer", "the-token.1", ("%s://127.0.0.1:%d/"):format(protocol,
        gw.ports[protocol]), log = log }
      loop.watch(program.pidfd, { reading = true, on_readable = function() end })
      loop.wait("the end of curl", function() return not program:is_running() end, 30)
      loop.forget(program.pidfd)
      local text = program:output()
      assert.equal(0, program:stop(), text)
      os.remove(log)
    end)
  end

  it("is told nothing that is logged", function()
    assert.not_matches("the%-token", gw:log())
    assert.not_matches("revoked", gw:log())
  end)
end)
