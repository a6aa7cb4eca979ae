--- `moongate run --nginx` and `moongate check --nginx`: an nginx.conf without anything in between.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local command = require "spec.support.command"
local nginx = require "spec.support.nginx"
local nginx_servers = require "spec.support.nginx_servers"
local ports = require "spec.support.ports"

local MAIN = [[
worker_processes 1;
pid run/moongate.pid;
error_log stderr info;
]]

local MAIL = [[
auth_http 127.0.0.1:@auth/auth;
auth_http_header X-Auth-Key s3cret;
include servers/*.conf;
]]

local SERVER = "server { listen 127.0.0.1:%d; protocol imap; imap_capabilities %s; }\n"

describe("moongate run --nginx", function()
  local servers, gw, port
  setup(function()
    servers = nginx_servers.start()
    port = ports.free()
    gw = nginx.run { main = MAIN, mail = MAIL, ports = { auth = servers.auth.port },
      files = { ["servers/imap.conf"] = SERVER:format(port, "IMAP4rev1 X-ONE"),
        ["prefix/run/empty"] = "" }, words = { "-p", "@folder/prefix" } }
  end)
  teardown(function()
    nginx.discard(gw)
    servers:stop()
  end)
  after_each(function() servers:clear() end)

  local function list()
    local p = assert(io.popen(("cd '%s' && find . -type f | sort"):format(gw.above)))
    local text = p:read "*a"
    p:close()
    return text
  end

  local function capability()
    local c = client.connect(port)
    return c:send_line("a CAPABILITY"):expect_until "^%* CAPABILITY (%S+ %S+)"
  end

  it("serves it, and writes nothing but what nginx writes", function()
    local c = client.connect(port)
    c:send_line("a LOGIN u p"):expect_until "^a OK"
    assert.equal("s3cret", servers.auth.requests[1].headers["x-auth-key"])
    assert.equal("./log.0\n./nginx.conf\n./prefix/run/empty\n./prefix/run/moongate.pid\n"
      .. "./servers/imap.conf\n", list())
  end)

  it("reads it anew on SIGHUP, with what it includes", function()
    assert.equal("IMAP4rev1 X-ONE", capability())
    gw:write("servers/imap.conf", SERVER:format(port, "IMAP4rev1 X-TWO"))
    assert.truthy(gw:reload())
    assert.equal("IMAP4rev1 X-TWO", capability())
  end)

  it("refuses a reload with file and line, and goes on", function()
    gw:write("servers/more.conf", "\nserver {\n  lisen 143;\n}\n")
    local number, said = gw:reload()
    os.remove(gw.above .. "/servers/more.conf")
    assert.is_nil(number)
    assert.truthy(said:find(gw.above .. "/servers/more.conf:3: unknown directive \"lisen\" "
      .. "(did you mean \"listen\"?)", 1, true), said)
    assert.matches("IMAP4rev1 X%-", capability())
  end)
end)

describe("moongate check --nginx", function()
  local folder
  after_each(function() command.remove(folder) end)

  local function check(mail, words, main)
    folder = command.folder { ["nginx.conf"] = (main or "") .. "mail {\n" .. mail .. "\n}\n" }
    return command.run("check --nginx nginx.conf " .. (words or ""), { folder = folder })
  end

  local function finds(expected, ...)
    local output, status = check(...)
    assert.equal(1, status, output)
    assert.truthy(output:find((expected:gsub("@", function() return folder end)), 1, true), output)
    command.remove(folder)
  end

  it("finds nothing wrong with what is right", function()
    local output, status = check "auth_http x;\nserver { listen 127.0.0.1:143; }"
    assert.equal("nginx.conf: nothing is wrong\n", output)
    assert.equal(0, status)
  end)

  it("tells mistakes at the lines of nginx.conf", function()
    finds("@/nginx.conf:3: error: no \"listen\" is defined for server",
      "auth_http x;\nserver { protocol imap; }")
  end)

  it("tells what Moongate does not take at the lines of nginx.conf", function()
    finds("@/nginx.conf:4: error: listen \"imap\": address[1]: an address",
      "auth_http x;\nserver {\nlisten 300.0.0.1:143;\n}")
    finds("@/nginx.conf:1: error: max_sessions: at most",
      "auth_http x;\nserver {\nlisten 143;\n}", nil, "events { worker_connections 90000000000; }\n")
  end)

  it("tells of files at the line that names them", function()
    local authority = ca.new()
    finds("@/nginx.conf:5: error: listen \"imap\": tls: @/none.pem: No such file", ([[
auth_http x;
ssl_certificate_key %s; starttls on;
server { listen 143;
  ssl_certificate none.pem; }]]):format(authority.key))
    authority:remove()
  end)

  it("prints what results, with the lines of nginx.conf", function()
    local output, status = check("auth_http x/y;\nserver {\n listen 127.0.0.1:143;\n"
      .. "max_errors 7; }", "--print")
    assert.equal(0, status, output)
    for _, line in ipairs { 'settings.auth_http.url = "http://x/y" -- nginx.conf:2',
      'listen.imap.address = { "127.0.0.1:143" } -- nginx.conf:4',
      "listen.imap.limits.errors = 7 -- nginx.conf:5" } do
      assert.truthy(output:find(line, 1, true), output)
    end
  end)
end)
