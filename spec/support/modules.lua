--- Runs Lua code as a policy's hook in a real gateway, for the specs of modules.
--
--     local modules = require "spec.support.modules"
--     local run = modules.start { bodies = { works = 'return json.encode { 1 }' } }
--     assert.equal("[1]", run "works")
--     run.stop()
--
-- A body is the text of a function of (session, credentials); every module is a local in it. What
-- it returns comes back as text: first result, and the second behind " | " if there is one. An
-- error comes back as "ERROR: ...".
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"

local modules = {}

local HEAD = [[
local moongate = require "moongate"
local crypt, dns, file = require "moongate.crypt", require "moongate.dns", require "moongate.file"
local http, json = require "moongate.http", require "moongate.json"
local socket, timer = require "moongate.socket", require "moongate.timer"
local unused = { crypt, dns, file, http, json, socket, timer }
%s
local bodies = { %s }

local function show(first, second)
  local text = tostring(first)
  if second ~= nil then text = text .. " | " .. tostring(second) end
  return (text:gsub("%%c", "?"):sub(1, 390))
end

return {
  auth = function(session, credentials)
    local text
    local name = credentials.user
    local ok, err = pcall(function()
      text = show(bodies[name](session, credentials))
    end)
    if not ok then text = "ERROR: " .. show(err) end
    return moongate.reject { text = text, reason = unused and "bad-credentials" }
  end,
}
]]

local CONFIG = [[
local c = require "moongate.config"

return c.gateway {
  workers = %d,
  %s
  c.listen "imap" {
    address = "127.0.0.1:0", protocol = "imap", policy = { "policy" },
    limits = { attempts = 100, hook_timeout = %s },
  },
}
]]

--- The text of the policy that has these bodies; `top` stands before them.
function modules.policy(bodies, top)
  local texts = {}
  for name, body in pairs(bodies) do
    table.insert(texts, ("[%q] = function(session, credentials) %s end,\n"):format(name, body))
  end
  return HEAD:format(top or "", table.concat(texts))
end

--- Options: `bodies`, `top`, `files`, `configuration` (of the gateway), `workers`, `hook_timeout`.
function modules.start(options)
  local files = options.files or {}
  files["moongate.lua"] = CONFIG:format(options.workers or 1,
    options.configuration or "", options.hook_timeout or 10)
  files["scripts/policy.lua"] = modules.policy(options.bodies, options.top)
  local self = { gateway = gateway.start { files = files } }

  --- Begins a body; the connection that will have its answer.
  function self.begin(name)
    local c = client.connect(self.gateway.ports.imap)
    c:expect "^%* OK"
    return c:send_line(("a LOGIN %s secret"):format(name))
  end

  function self.finish(c, seconds)
    local text = c:expect("^a NO %S+ (.*)$", seconds)
    c:discard()
    return text
  end

  function self.stop() self.gateway:stop() end

  return setmetatable(self, {
    __call = function(_, name, seconds) return self.finish(self.begin(name), seconds) end,
  })
end

return modules
