--- OCSP: the status of certificates is fetched by a helper, checked twice, and shown to clients.
local ca = require "spec.support.ca"
local child = require "spec.support.child"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local openssl = require "spec.support.openssl"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local site = require "spec.support.site"
local tls = require "spec.support.tls"

local GOOD, NONE = "Cert Status: good", "OCSP response: no response sent"

describe("stapling", function()
  local authority, responder, gw, said

  --- An environment for programs in which it is two hours ago.
  local function two_hours_ago()
    local source = authority:write("past.c", [[
      #include <time.h>
      time_t time(time_t *t) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        now.tv_sec -= 7200;
        if (t) *t = now.tv_sec;
        return now.tv_sec;
      }]])
    local library = authority.folder .. "/past.so"
    local code, output = child.run { "cc", "-shared", "-fPIC", "-o", library, source }
    assert(code == 0, output)
    return { LD_PRELOAD = library }
  end

  --- Has the authority sign an answer, good for an hour, to the request of a file.
  local function sign(request, environment)
    local path = authority.folder .. "/answer.der"
    local code, output = child.run { "openssl", "ocsp", "-index", authority.folder .. "/index",
      "-CA", authority.certificate, "-rsigner", authority.certificate, "-rkey", authority.key,
      "-reqin", request, "-respout", path, "-nmin", "60", environment = environment }
    assert(code == 0, output)
    return path
  end

  local function answer(request)
    assert.equal("application/ocsp-request", request.headers["content-type"])
    local asked = authority:write("request.der", request.body)
    return { headers = { ["Content-Type"] = "application/ocsp-response" },
      body = ca.read(sign(asked)) }
  end

  before_each(function()
    authority = ca.new()
    responder = http_server.start { answer = answer }
    said = ("authorityInfoAccess=OCSP;URI:http://%s/status\n"):format(responder.address)
  end)
  after_each(function()
    client.discard_all()
    if gw then gw:stop() end
    gw = nil
    responder:stop()
    authority:remove()
  end)

  --- A leaf that names the responder, whose file holds its issuer too.
  local function leaf(more)
    local made = authority:leaf { extensions = said .. (more or "") }
    made.alone = made.certificate
    made.certificate = authority:join(("chain%d.pem"):format(authority.count), made.certificate,
      authority.certificate)
    return made
  end

  --- Without a leaf that is told otherwise the certificate is live.pem.
  local function start(certificate, key, section)
    gw = site.start {
      users = {},
      more = "workers = 2,",
      listen = { imaps = { protocol = "imap", more = ("tls = { mode = 'implicit', "
        .. "certificate = %q, key = %q, %s },"):format(certificate, key, section) } },
    }
  end

  local function status(more)
    local text = openssl.client(gw.ports.imaps, { "-status", "-no_ign_eof", more }, "a LOGOUT\r\n")
    return text:find(GOOD, 1, true) and "good" or text:find(NONE, 1, true) and "none" or text
  end

  local function serves()
    local c = tls.connect(gw.ports.imaps)
    c:expect "^%* OK"
    c:discard()
  end

  it("shows what the responder of the certificate says, with every worker", function()
    local made = leaf()
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log "(certificate [^\n]*: stapled)"
    for _ = 1, 6 do assert.equal("good", status()) end
    assert.equal("good", status "-tls1_2")
    assert.equal(1, #responder.requests)
    assert.equal("POST", responder.requests[1].method)
    assert.equal("/status", responder.requests[1].target)

    for _, pid in ipairs(processes.children(gw.process.pid)) do
      signal.kill(pid, signal.SIGKILL)
    end
    gw:expect_log "(worker %d is back.*worker %d is back)"
    for _ = 1, 6 do assert.equal("good", status()) end
    assert.equal(1, #responder.requests)
  end)

  it("is fetched by a process without privileges", function()
    local made = leaf()
    local helper
    responder.answer = function(request)
      for _, pid in ipairs(processes.children(gw.process.pid)) do
        local file = assert(io.open(("/proc/%d/cmdline"):format(pid)))
        if file:read("*a"):find("@ocsp", 1, true) then helper = processes.status(pid) end
        file:close()
      end
      return answer(request)
    end
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log "(certificate [^\n]*: stapled)"
    for id in helper.Uid:gmatch "%d+" do assert.not_equal("0", id) end
    assert.matches("^0+$", helper.CapEff)
    assert.equal("1", helper.NoNewPrivs)
  end)

  it("is not for those who did not ask", function()
    local made = leaf()
    start(made.certificate, made.key, "")
    assert.equal("none", status())
    assert.equal(0, #responder.requests)
  end)

  it("follows a certificate that is replaced", function()
    local first, second = leaf(), leaf()
    local live = authority:join("live.pem", first.certificate)
    local key = authority:join("live.key", first.key)
    start(live, key, "stapling = true")
    gw:expect_log "(certificate [^\n]*: stapled)"
    authority:write("live.key", ca.read(second.key))
    authority:write("live.pem", ca.read(second.certificate))
    gw:expect_log "(stapled.*stapled)"
    for _ = 1, 6 do assert.equal("good", status()) end
    assert.equal(2, #responder.requests)
  end)

  it("also works for other names", function()
    local own, named = leaf(), leaf()
    start(own.certificate, own.key, ("stapling = true, names = { ['b.test'] = { certificate = %q, "
      .. "key = %q } }"):format(named.certificate, named.key))
    gw:expect_log "(stapled.*stapled)"
    assert.equal("good", status "-servername=b.test")
  end)

  it("never shows that a certificate is revoked, but logs it", function()
    local made = leaf()
    authority:revoke { certificate = made.alone }
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log '(no OCSP status: [^\n]*status is "revoked")'
    assert.equal("none", status())
    serves()
  end)

  it("goes without while the responder is down, and tries again", function()
    local made = leaf()
    responder.answer = function() return { status = "503 Sorry" } end
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log "(no OCSP status: [^\n]*503)"
    assert.equal("none", status())
    serves()
    responder.answer = answer
    gw:expect_log("(certificate [^\n]*: stapled)", 30)
    assert.equal("good", status())
  end)

  for name, case in pairs {
    ["no OCSP"] = { function() return "<html>" end, "this is no OCSP response" },
    ["too much"] = { function() return ("x"):rep(100000) end, "rit" },
    ["about another certificate"] = { function()
      local other = authority:leaf {}
      local path = authority.folder .. "/other.der"
      local code = child.run { "openssl", "ocsp", "-issuer", authority.certificate, "-cert",
        other.certificate, "-no_nonce", "-reqout", path }
      assert(code == 0)
      return ca.read(sign(path))
    end, "about another certificate" },
    ["signed by somebody else"] = { function()
      local other = ca.new "Other"
      local request = authority.folder .. "/request.der"
      local path = authority.folder .. "/answer.der"
      local code, output = child.run { "openssl", "ocsp", "-index", authority.folder .. "/index",
        "-CA", authority.certificate, "-rsigner", other.certificate, "-rkey", other.key,
        "-reqin", request, "-respout", path, "-nmin", "60" }
      assert(code == 0, output)
      other:remove()
      return ca.read(path)
    end, "signature" },
    ["out of date"] = { function()
      return ca.read(sign(authority.folder .. "/request.der", two_hours_ago()))
    end, "out of date" },
  } do
    it("shows nothing that is " .. name, function()
      local made = leaf()
      responder.answer = function(request)
        authority:write("request.der", request.body)
        return { body = case[1]() }
      end
      start(made.certificate, made.key, "stapling = true")
      gw:expect_log("(no OCSP status: [^\n]*" .. case[2] .. ")")
      assert.equal("none", status())
    end)
  end

  it("warns of a certificate that must be stapled and is not", function()
    local made = leaf "tlsfeature=status_request\n"
    start(made.certificate, made.key, "")
    gw:expect_log " error [^\n]*(must be stapled and is not)"
    gw:stop()

    responder.answer = function() return { status = "503 Sorry" } end
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log " error [^\n]*(must be stapled and is not[^\n]*503)"
    gw:stop()

    responder.answer = answer
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log "(certificate [^\n]*: stapled)"
    assert.not_matches("must be stapled", gw:log())
  end)

  it("warns of what can't be asked about", function()
    local made = authority:leaf {}
    start(made.certificate, made.key, "stapling = true")
    gw:expect_log "(certificate [^\n]*names no OCSP responder)"
    gw:stop()
    start(made.certificate, made.key, ("stapling = true, stapling_responder = %q")
      :format(responder.url))
    gw:expect_log "(no OCSP status: [^\n]*issuer's certificate is not in the chain)"
    assert.equal(0, #responder.requests)
  end)

  it("asks the responder that the configuration names", function()
    local made = authority:leaf {}
    local chain = authority:join("named.pem", made.certificate, authority.certificate)
    start(chain, made.key, ("stapling = true, stapling_responder = %q"):format(responder.url))
    gw:expect_log "(certificate [^\n]*: stapled)"
    assert.equal("good", status())
  end)

  it("shows the content of a file, and of its successor", function()
    local made = leaf()
    local request = authority.folder .. "/request.der"
    local code = child.run { "openssl", "ocsp", "-issuer", authority.certificate, "-cert",
      made.alone, "-no_nonce", "-reqout", request }
    assert.equal(0, code)
    local file = authority:write("staple.der", "this is none")
    start(made.certificate, made.key, ("stapling_file = %q"):format(file))
    gw:expect_log "(certificate [^\n]*stapling_file: this is no OCSP response)"
    assert.equal("none", status())
    authority:write("staple.der", ca.read(sign(request)))
    gw:expect_log "(listeners have new ones)"
    assert.equal("good", status())
    assert.equal(0, #responder.requests)
  end)
end)
