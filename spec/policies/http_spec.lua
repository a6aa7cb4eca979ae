--- moongate.http: requests as they are on the wire, answers, and everything that can go wrong.
local client = require "spec.support.client"
local dns_server = require "spec.support.dns_server"
local http_server = require "spec.support.http_server"
local loop = require "spec.support.loop"
local modules = require "spec.support.modules"
local upstream = require "spec.support.upstream"

describe("http", function()
  local run, server, folder, near, garbage, dns, answer

  local BODIES = {
    get = [[
      local res, err = http.get(BASE .. "/a?b=c", { headers = { ["X-One"] = "1" } })
      if not res then return nil, err end
      return res.status .. " " .. res.body .. " " .. tostring(res.headers["x-reply"])]],
    post = [[
      local res = assert(http.post(BASE .. "/p", { body = "a=b&c" }))
      return res.status]],
    form = [[
      local res = assert(http.post(BASE .. "/f", { form = { ["a b"] = credentials.password } }))
      return res.status]],
    json = [[
      local res = assert(http.post(BASE .. "/j", { json = { list = { 1, 2 } } }))
      local value = assert(res:json())
      return value.answer, value.missing]],
    ["not-json"] = [[ return assert(http.get(BASE .. "/")):json() ]],
    basic = [[
      local res = assert(http.get(BASE .. "/", { basic_auth = "me:pa:ss" }))
      return res.status]],
    secret = [[
      local res = assert(http.get(BASE .. "/",
        { headers = { Authorization = credentials.password } }))
      return res.status]],
    put = [[ return assert(http.request(BASE .. "/", { method = "PUT", body = "x" })).status ]],
    redirect = [[ return assert(http.get(BASE .. "/")).status ]],
    small = [[ return http.get(BASE .. "/", { max_body = 10 }) ]],
    quick = [[ return http.get(BASE .. "/", { timeout = 0.2 }) ]],
    name = [[ return assert(http.get("http://auth.test:" .. PORT .. "/n")).status ]],
    nowhere = [[ return http.get "http://nowhere.test/" ]],
    silent = [[ return http.get("http://silent.test/", { timeout = 0.3 }) ]],
    refused = [[ local res, err = http.get "http://127.0.0.1:1/" return res, err.kind ]],
    tls = [[ local res, err = http.get("https://127.0.0.1:" .. TLS_PORT .. "/", { timeout = 1 })
      return res, err.kind ]],
    scheme = [[ return http.get "file:///etc/passwd" ]],
    user = [[ return http.get "http://a:b@127.0.0.1/" ]],
    injected = [[ return http.get(BASE .. "/ HTTP/1.1\r\nX: y") ]],
    header = [[ return http.get(BASE, { headers = { ["X"] = "a\r\nb" } }) ]],
    option = [[ return http.get(BASE, { timeot = 1 }) ]],
    unix = [[ return assert(http.get("http://any.test/u", { unix_socket = SOCKET })).body ]],
    ["unix-none"] = [[ return http.get("http://any.test/", { unix_socket = "/nonexistent" }) ]],
    ["unix-path"] = [[ return http.get("http://any.test/", { unix_socket = "relative" }) ]],
    ["unix-long"] = [[
      return http.get("http://any.test/", { unix_socket = "/" .. ("x"):rep(107) }) ]],
    escape = [[ return http.escape "a b/c\195\169~" ]],
    twice = [[
      local a = assert(http.get(BASE .. "/1")).status
      return a + assert(http.get(BASE .. "/2")).status]],
  }

  setup(function()
    server = http_server.start { answer = function(...) return answer(...) end }
    folder = assert(require "posix.stdlib".mkdtemp "/tmp/moongate-http-XXXXXX")
    require("posix.sys.stat").chmod(folder, 493)
    near = http_server.start { path = folder .. "/socket",
      answer = function() return { body = "near" } end }
    dns = dns_server.start {
      ["auth.test"] = { A = { "127.0.0.1" } },
      ["silent.test"] = { A = false, AAAA = false },
    }
    garbage = upstream.start { script = function(peer) peer:send_line "220 no TLS here" end }
    local top = ("local BASE, PORT, TLS_PORT, SOCKET = %q, %d, %d, %q")
      :format(server.url:match "^(http://[^/]+)", server.port, garbage.port, folder .. "/socket")
    run = modules.start { bodies = BODIES, top = top,
      configuration = ("resolver = { %q },"):format(dns.address) }
  end)
  before_each(function() answer = function() return { body = "hello" } end end)
  after_each(function()
    client.discard_all()
    server:clear()
    server.requests = {}
  end)
  teardown(function()
    server:stop()
    near:stop()
    os.execute("rm -rf " .. folder)
    garbage:stop()
    dns:stop()
    run.stop()
  end)

  it("gets", function()
    answer = function() return { headers = { ["X-Reply"] = "yes" }, body = "hello" } end
    assert.equal("200 hello yes", run "get")
    local request = server.requests[1]
    assert.same({ "GET", "/a?b=c", "1" },
      { request.method, request.target, request.headers["x-one"] })
  end)

  it("posts bodies, forms and JSON", function()
    assert.equal("200", run "post")
    assert.equal("a=b&c", server.requests[1].body)
    assert.equal("200", run "form")
    assert.equal("a%20b=secret", server.requests[2].body)
    assert.equal("application/x-www-form-urlencoded", server.requests[2].headers["content-type"])
    answer = function() return { body = '{"answer":42,"missing":null}' } end
    assert.equal("42", run "json")
    assert.equal('{"list":[1,2]}', server.requests[3].body)
    assert.equal("application/json", server.requests[3].headers["content-type"])
  end)

  it("gives an error for a body that is no JSON", function()
    assert.truthy(run "not-json":find "^nil | json: ")
  end)

  it("sends Secrets where text is sent", function()
    assert.equal("200", run "secret")
    assert.equal("secret", server.requests[1].headers.authorization)
    assert.equal("200", run "basic")
    assert.equal("Basic bWU6cGE6c3M=", server.requests[2].headers.authorization)
  end)

  it("knows other methods", function()
    assert.equal("200", run "put")
    assert.equal("PUT", server.requests[1].method)
  end)

  it("uses a connection again", function()
    assert.equal("400", run "twice")
    assert.equal(1, #server.peers)
  end)

  it("resolves names with the gateway's own resolver", function()
    assert.equal("200", run "name")
    assert.equal("auth.test:" .. server.port, server.requests[1].headers.host)
  end)

  it("shows redirects and follows none", function()
    answer = function() return { status = "302 Found", headers = { Location = "/other" } } end
    assert.equal("302", run "redirect")
    assert.equal(1, #server.requests)
  end)

  it("takes no more of a body than it may", function()
    answer = function() return { body = ("x"):rep(11) } end
    assert.equal("nil | http: the answer is too long", run "small")
  end)

  it("gives up after its timeout, whether the server or the name server hangs", function()
    answer = function() end
    assert.truthy(run("quick", 8):find "^nil | http: ") -- sooner than the hook's ten seconds
    assert.truthy(run("silent", 8):find "^nil | http: the name server did not answer")
  end)

  it("says what kind of failure it was", function()
    assert.equal("nil | connect", run "refused")
    assert.equal("nil | http: the host has no address", run "nowhere")
    assert.equal("nil | tls", run "tls")
  end)

  it("raises for what no request may hold", function()
    assert.truthy(run "scheme":find "^ERROR: .*an http:// or https:// URL expected")
    assert.truthy(run "user":find "^ERROR: .*use basic_auth")
    assert.truthy(run "injected":find "^ERROR: ")
    assert.truthy(run "header":find "^ERROR: .*one line of text")
    assert.truthy(run "option":find "did you mean \"timeout\"")
    assert.equal(0, #server.requests)
  end)

  it("hangs up when the client is gone", function()
    answer = function() end
    local c = run.begin "get"
    loop.wait("the request", function() return server.requests[1] end)
    c:reset()
    loop.wait("the end of it", function() return server.peers[1].ended end, 4) -- its own timeout: 5
  end)

  it("asks at a unix socket, whatever host the URL names", function()
    assert.equal("near", run "unix")
    assert.equal("any.test", near.requests[1].headers.host)
    assert.equal("/u", near.requests[1].target)
    assert.equal("nil | http: /nonexistent: No such file or directory", run "unix-none")
    assert.truthy(run "unix-path":find "^ERROR: .*unix_socket: an absolute path")
    assert.truthy(run "unix-long":find "^ERROR: .*unix_socket: an absolute path")
  end)

  it("escapes", function() assert.equal("a%20b%2Fc%C3%A9~", run "escape") end)
end)
