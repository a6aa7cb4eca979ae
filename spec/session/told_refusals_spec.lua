--- What clients hear of a refusal is what the reference says, in every protocol and at every hook.
local api = require "moongate.describe"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local pages = require "moongate.describe.pages"

--- A listener is called KIND-HOOK-DECISION; its policy decides so at that hook.
local POLICY = [[
local moongate = require "moongate"

local policy = {}
for _, hook in ipairs { %s } do
  policy[hook] = function(session)
    local at, decision = session.listener:match "^%%w+-([%%w_]+)-(%%w+)$"
    if at == hook then return moongate[decision]() end
    if hook == "auth" or hook == "rcpt" then
      return moongate.accept { upstream = "127.0.0.1:1" } -- nobody listens there
    end
  end
end
return policy
]]

local function smtp_hello(c)
  c:expect "^220 "
  c:send_line "EHLO x.test"
end

--- The way to the hook for each kind of listener; "none" is SMTP without AUTH.
local KINDS = {
  imap = { protocol = "imap", label = "IMAP", keys = "", go = function(c)
    c:expect "^%* OK"
    c:send_line "a LOGIN alice secret"
  end },
  pop3 = { protocol = "pop3", label = "POP3", keys = "", go = function(c)
    c:expect "^%+OK"
    c:send_line("USER alice"):expect "^%+OK"
    c:send_line "PASS secret"
  end },
  smtp = { protocol = "smtp", label = "SMTP", keys = "", go = function(c)
    smtp_hello(c)
    c:expect_until "^250 "
    c:send_line("AUTH PLAIN " .. client.plain("alice", "secret"))
  end },
  none = { protocol = "smtp", label = "SMTP, at RCPT", keys = 'auth = "none",', go = function(c)
    smtp_hello(c)
    c:expect_until "^250 "
    c:send_line("MAIL FROM:<a@x.test>"):expect "^250 "
    c:send_line "RCPT TO:<b@x.test>"
  end },
}

--- Hooks that stand before the login.
local EARLY = {
  connect = function() end,
  helo = smtp_hello,
  mail = function(c)
    smtp_hello(c)
    c:expect_until "^250 "
    c:send_line "MAIL FROM:<a@x.test>"
  end,
}

--- What the reference says, and where it can be heard: { kind, hook, decision, line }.
local function cases()
  local found = {}
  for _, name in ipairs { "connect", "helo", "mail", "rcpt", "auth", "route", "connect_failed" } do
    local hook = api.named(api.hooks, name)
    for _, decision in ipairs { "reject", "tempfail" } do
      for _, line in ipairs(pages.wire(hook, decision)) do
        for kind, way in pairs(KINDS) do
          local here = way.label == line[1] and not (name == "mail" and kind == "smtp")
          if here or name == "mail" and kind == "none" then
            found[#found + 1] = { kind, name, decision, line[2] }
          end
        end
      end
    end
  end
  return found
end

local function listener(case)
  local way = KINDS[case[1]]
  return ('  c.listen "%s-%s-%s" { address = "127.0.0.1:0", protocol = "%s", %s policy = "p" },\n')
    :format(case[1], case[2], case[3], way.protocol, way.keys)
end

describe("a refusal", function()
  local gw
  local all = cases()

  setup(function()
    local listeners = {}
    for i, case in ipairs(all) do listeners[i] = listener(case) end
    gw = gateway.start { files = {
      ["moongate.lua"] = 'local c = require "moongate.config"\nreturn c.gateway { workers = 1,\n'
        .. table.concat(listeners) .. "}\n",
      ["scripts/p.lua"] = POLICY:format('"connect", "helo", "mail", "rcpt", "auth", "route", '
        .. '"connect_failed"'),
    } }
  end)
  after_each(client.discard_all)
  teardown(function() gw:stop() end)

  for _, case in ipairs(all) do
    local kind, hook, decision, line = unpack(case)
    it(("%s of %s (%s) is told as described"):format(decision, hook, kind), function()
      local c = client.connect(gw.ports[("%s-%s-%s"):format(kind, hook, decision)]);
      (EARLY[hook] or KINDS[kind].go)(c)
      assert.equal(line, c:read_line())
    end)
  end

  it("is described for every protocol", function() assert.is_true(#all > 30) end)
end)
