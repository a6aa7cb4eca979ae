--- Connections to auth and HTTP servers outlive a reload, unless it changes what they rest on.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local shipped = require "spec.support.shipped"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

describe("a reload", function()
  local imap, gw, server, authority, leaf

  local function answer()
    return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
      ["Auth-Port"] = tostring(imap.port) } }
  end

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { names = { "IP:127.0.0.1" } }
    imap = upstream.start { script = upstream.imap() }
  end)
  teardown(function()
    imap:stop()
    authority:remove()
  end)
  after_each(function()
    client.discard_all()
    imap:clear()
    gw:stop()
    server:stop()
  end)

  local function login()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN ann secret"
    c:expect_until "^a OK"
    c:discard()
  end

  --- The configuration's text with `old` in place of `new`, plain text both.
  local function change(old, new)
    local file = assert(io.open(gw.folder .. "/moongate.lua"))
    local text = file:read "*a"
    file:close()
    local from, to = assert(text:find(old, 1, true))
    gw:write("moongate.lua", text:sub(1, from - 1) .. new .. text:sub(to + 1))
  end

  local function start(options)
    gw = shipped.start {
      policy = { options.policy or "auth_http" },
      files = options.files,
      settings = options.settings,
      more = options.more,
      listen = { imap = "limits = { attempts = 3 }," },
    }
    login()
    login()
    assert.equal(1, #server.peers)
  end

  it("keeps the connections of auth_http, and drains those of another URL", function()
    server = http_server.start { answer = answer }
    start { settings = ("auth_http = { url = %q, timeout = 5 }"):format(server.url) }
    change("attempts = 3", "attempts = 4")
    change("timeout = 5", "timeout = 6")
    assert.equal(2, gw:reload())
    login()
    assert.equal(1, #server.peers)
    assert.equal(1, server:open_count())

    change(server.url, server.url .. "/other")
    assert.equal(3, gw:reload())
    login()
    assert.equal(2, #server.peers)
    loop.wait("the old connection to be closed", function() return server.peers[1].ended end, 20)
    assert.equal(1, server:open_count())
  end)

  it("keeps those of https, and drains those of other TLS settings", function()
    server = http_server.start { answer = answer, tls = tls.server(leaf) }
    start { settings = ("auth_http = { url = %q, timeout = 5, }"):format(server.url),
      more = ("tls_profiles = { default = { ca = %q, } },"):format(authority.certificate) }
    change("attempts = 3", "attempts = 4")
    assert.equal(2, gw:reload())
    login()
    assert.equal(1, server.shaken)

    for i, what in ipairs {
      { "certificate of the authority", authority.certificate .. '", }',
        authority.certificate .. '", max_version = "1.2", }' },
      { "pin", "timeout = 5, ", "timeout = 5, server_name = \"127.0.0.1\", " },
    } do
      change(what[2], what[3])
      assert.equal(2 + i, gw:reload())
      login()
      assert.equal(1 + i, server.shaken, what[1])
      loop.wait("the old connection to be closed", function() return server.peers[i].ended end, 20)
    end
  end)

  it("keeps those of moongate.http", function()
    server = http_server.start { answer = function() return { body = "yes" } end }
    start { policy = "asks", files = { ["scripts/asks.lua"] = ([[
local moongate = require "moongate"
local http = require "moongate.http"
return { auth = function()
  assert(http.get(%q).body == "yes")
  return moongate.accept { upstream = %q }
end }
]]):format(server.url, imap.address) } }
    change("attempts = 3", "attempts = 4")
    assert.equal(2, gw:reload())
    login()
    assert.equal(3, #server.requests)
    assert.equal(1, #server.peers)
  end)
end)
