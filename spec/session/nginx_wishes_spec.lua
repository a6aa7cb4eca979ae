--- What an imported configuration allows that nginx could not, with a line that import names.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local gateway = require "spec.support.gateway"
local http_server = require "spec.support.http_server"
local nginx = require "spec.support.nginx"
local nginx_servers = require "spec.support.nginx_servers"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local MAIL = [[
  auth_http 127.0.0.1:@auth/auth;
  server { listen 127.0.0.1:@imap; protocol imap; }
]]

describe("an imported configuration with a line more", function()
  local servers, made, gw
  setup(function() servers = nginx_servers.start() end)
  before_each(function()
    made = nginx.convert { mail = MAIL, ports = { auth = servers.auth.port } }
  end)
  after_each(function()
    servers:clear()
    if gw then gw:stop() end
    gw = nil
    os.execute("rm -rf '" .. made.folder .. "'")
  end)
  teardown(function() servers:stop() end)

  --- The line in what `import` tells of this.
  local function is_told(words)
    assert.truthy(made.output:find(words, 1, true), made.output)
  end

  --- Starts what was written, with lines more: of the gateway, its settings, the listener.
  local function start(lines)
    local text = nginx.written(made)
    local function add(anchor, more)
      local _, stop = text:find(anchor, 1, true)
      text = text:sub(1, stop) .. "\n" .. (more or "") .. text:sub(stop + 1)
    end
    for _, pattern in ipairs(lines.without) do text = text:gsub(pattern, "", 1) end
    add("return c.gateway {", lines.gateway)
    add("settings = {", lines.settings)
    add("auth_http = {", lines.auth_http)
    add("c.listen \"imap\" {", lines.listener)
    gw = gateway.start { files = { ["moongate.lua"] = text } }
  end

  local function log_in()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line "a LOGIN u p"
    return c
  end

  it("speaks TLS with upstreams", function()
    is_told "upstream_tls = \"starttls\""
    local authority = ca.new()
    local leaf = authority:leaf { names = { "IP:127.0.0.1" } }
    servers.imap.script = function(peer)
      peer:send_line "* OK [CAPABILITY IMAP4rev1 STARTTLS] up"
      repeat
        local tag, word = peer:read_line():match "^(%S+) (%S+)"
        peer:send_line(tag .. " OK go on")
      until word == "STARTTLS"
      tls.start(peer, tls.server(leaf)):handshake()
      peer.secured = true
      upstream.imap { greeting = "* OK unused" }(setmetatable({ send_line = function(_, line)
        if not line:match "unused$" then peer:send_line(line) end
      end }, { __index = function(_, name)
        local value = peer[name]
        return type(value) == "function" and function(_, ...) return value(peer, ...) end or value
      end }))
    end
    start { without = {},
      gateway = ("tls_profiles = { default = { ca = %q } },"):format(authority.certificate),
      listener = "upstream_tls = \"starttls\"," }
    log_in():expect "^a OK"
    assert.is_true(servers.imap:peer(1).secured)
    authority:remove()
  end)

  it("keeps connections to the auth server", function()
    is_told "keepalive = 32"
    local auth = http_server.start { answer = function(request)
      return { headers = servers:ok(request) }
    end }
    start { without = { "%s*keepalive = 0,[^\n]*", "%s*url = [^\n]*" },
      auth_http = ("keepalive = 32, url = %q,"):format(auth.url) }
    for _ = 1, 3 do log_in():expect "^a OK" end
    assert.equal(3, #auth.requests)
    assert.equal("HTTP/1.1", auth.requests[1].head:match "HTTP/%d.%d")
    auth:stop()
  end)

  it("asks a second auth server", function()
    is_told "urls = { \"...\", \"...\" }"
    start { without = { "%s*url = [^\n]*" },
      auth_http = ("urls = { \"http://127.0.0.1:1/\", \"http://127.0.0.1:%d/auth\" },")
        :format(servers.auth.port) }
    log_in():expect "^a OK"
  end)

  it("goes to a second upstream", function()
    is_told "policy = { \"auth_http\", \"second\" }"
    servers.answer = function(request) return servers:ok(request, { ["Auth-Port"] = "1" }) end
    start { without = { "%s*policy = [^\n]*" },
      listener = "policy = { \"auth_http\", \"second\" },",
      settings = ("second = { upstream = \"127.0.0.1:%d\" },"):format(servers.imap.port) }
    log_in():expect "^a OK"
  end)

  it("tells the client's address by ID", function()
    is_told "forward = \"offered\""
    servers.imap.script = upstream.imap { greeting = "* OK [CAPABILITY IMAP4rev1 ID] up" }
    start { without = { "%s*forward = [^\n]*" }, listener = "forward = \"offered\"," }
    log_in():expect "^a OK"
    assert.matches("ID %(\"x%-originating%-ip\" \"127.0.0.1\"", servers.imap:peer(1):all())
  end)

  it("bounds what one address may try", function()
    is_told "policy = { \"limits\", \"auth_http\" }"
    start { without = { "%s*policy = [^\n]*" }, gateway = "shared = { limits = \"1m\" },",
      listener = "policy = { \"limits\", \"auth_http\" }," }
    for _ = 1, 20 do log_in():expect "^a OK" end
    log_in():expect "^a NO"
    assert.equal(20, #servers.auth.requests)
  end)
end)
