--- A real Dovecot behind the gateway, with its auth_policy: both tell the same server the same.
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local json = require "cjson"
local loop = require "spec.support.loop"
local servers = require "spec.support.servers"
local shipped = require "spec.support.shipped"

local USER, NONCE = "erin@example.org", "of the cluster"

local DOVECOT = [[
auth_policy_server_url = %s
auth_policy_hash_nonce = %s
]]

describe("a Dovecot that asks the same policy server", function()
  local real, gw, service

  setup(function()
    -- The service serves from the spec's loop, so nothing here may block while a login goes on.
    service = http_server.start { answer = function(request)
      return { headers = { ["Content-Type"] = "application/json" },
        body = request.target:find "allow" and '{"status":0,"msg":""}' or '{"status":"ok"}' }
    end }
    real = servers.start { users = { [USER] = "moonlight" },
      dovecot = DOVECOT:format(service.url, NONCE) }
    gw = shipped.start { policy = { "wforce", "static" }, listen = { imap = "" },
      settings = ('wforce = { url = %q, nonce = %q }, static = { upstream = "127.0.0.1:%d" },')
        :format(service.url, NONCE, real.imap) }
  end)
  teardown(function()
    gw:stop()
    real:stop()
    service:stop()
  end)
  after_each(function()
    client.discard_all()
    service.requests = {}
  end)

  --- What was said by one command: by the gateway, by Dovecot.
  local function told(command)
    local ours, theirs
    for _, request in ipairs(service.requests) do
      if request.target:find("command=" .. command, 1, true) then
        local said = json.decode(request.body)
        if request.headers["user-agent"]:find "moongate" then ours = said else theirs = said end
      end
    end
    return ours, theirs
  end

  for password, success in pairs { moonlight = true, sunshine = false } do
    it("hears the same password under the same hash: " .. password, function()
      local c = client.connect(gw.ports.imap)
      c:expect "^%* OK"
      c:send_line(("a LOGIN %s %s"):format(USER, password))
      c:expect_until(success and "^a OK" or "^a NO", 20)
      loop.wait("both to have reported", function()
        local ours, theirs = told "report"
        return ours and theirs
      end, 20)
      for _, command in ipairs { "allow", "report" } do
        local ours, theirs = told(command)
        for _, name in ipairs { "login", "pwhash", "protocol", "remote", "success",
          "policy_reject", "tls" } do
          assert.same({ name, theirs[name] }, { name, ours[name] })
        end
      end
      assert.equal(success, (told "report").success)
    end)
  end
end)
