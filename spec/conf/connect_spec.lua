--- `moongate check --connect`: what sessions would meet at every server that is named.
local black_hole = require "spec.support.black_hole"
local ca = require "spec.support.ca"
local check = require "spec.support.check"
local dns_server = require "spec.support.dns_server"
local ports = require "spec.support.ports"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local WORDS = {
  imap = { greeting = "* OK hello", ask = "^(%S+) CAPABILITY", offer = function(tag)
    return "* CAPABILITY IMAP4rev1\r\n" .. tag .. " OK done"
  end, go = "%s OK go", no = "%s BAD no" },
  pop3 = { greeting = "+OK hello", ask = "^(CAPA)", offer = function()
    return "+OK\r\nUSER\r\n."
  end, go = "+OK go" },
  smtp = { greeting = "220 hello", ask = "^(EHLO)", offer = function()
    return "250-hello\r\n250 STARTTLS"
  end, go = "220 go" },
}

--- A server that goes on in TLS when it is asked to, or refuses to, and tells what it can do.
local function starttls(protocol, leaf, refuses)
  local words = WORDS[protocol]
  return function(peer)
    peer:send_line(words.greeting)
    for line in function() return peer:read_line(false) end do
      local tag = line:match "^%S+"
      if line:match(words.ask) then
        peer:send_line(words.offer(tag))
      elseif not (line:find "STARTTLS" or line:find "STLS") then
        return peer:close() -- it takes leave
      elseif refuses then
        peer:send_line(words.no:format(tag))
      else
        peer:send_line(words.go:format(tag))
        tls.start(peer, tls.server(leaf))
        if not peer:attempt() then return end
      end
    end
  end
end

describe("moongate check --connect", function()
  local authority, leaf, servers

  setup(function()
    authority = ca.new()
    leaf = authority:leaf { names = { "DNS:mx.spec.test", "IP:127.0.0.1" } }
  end)
  teardown(function() authority:remove() end)

  before_each(function() servers = {} end)
  after_each(function()
    for _, server in ipairs(servers) do server:stop() end
  end)

  local function start(script)
    local server = upstream.start { script = script }
    table.insert(servers, server)
    return server
  end

  --- With one listener for each { protocol, keys }; `more` are keys of the gateway.
  local function run(listeners, more, ...)
    local blocks = {}
    for i, listener in ipairs(listeners) do
      blocks[i] = ("c.listen \"l%d\" { address = \"127.0.0.1:0\", policy = %q, "
        .. "protocol = %q,\n%s },"):format(i, listener.policy or "policy", listener[1], listener[2])
    end
    local profile = ("tls_profiles = { default = { ca = %q } },"):format(authority.certificate)
    return check.run { "--connect", "--timeout", "8", files = { ["moongate.lua"] =
      "local c = require \"moongate.config\"\nreturn c.gateway {\n" .. table.concat(blocks, "\n")
      .. "\n" .. profile .. (more or "") .. "\n}\n" }, ... }
  end

  it("tells of each upstream that it answers, in its protocol", function()
    local listeners = {}
    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      local server = start(upstream[protocol]())
      table.insert(listeners, { protocol, ("upstream = %q,"):format(server.address), server })
    end
    local code, text = run(listeners)
    assert.equal(0, code, text)
    for i, listener in ipairs(listeners) do
      assert.matches(("moongate.lua:%d: note: upstream \"%s\" (%s): %s answers [reached]\n")
        :format(2 + 2 * i, listener[3].address, listener[1], listener[3].address), text, 1, true)
    end
  end)

  it("says what is wrong with one that does not", function()
    local closed = ports.free()
    local nonsense = start(function(peer) peer:send_line "HTTP/1.1 400 Bad Request" end)
    local busy = start(function(peer) peer:send_line "* BYE too busy" end)
    local gone = start(function(peer) peer:close() end)
    local code, text = run {
      { "imap", ("upstream = \"127.0.0.1:%d\","):format(closed) },
      { "imap", ("upstream = %q,"):format(nonsense.address) },
      { "imap", ("upstream = %q,"):format(busy.address) },
      { "imap", ("upstream = %q,"):format(gone.address) },
    }
    assert.equal(1, code)
    assert.matches("moongate.lua:4: error: upstream .*: connect .*: Connection refused %[unreach",
      text)
    assert.matches("moongate.lua:6: error: .*: it answers with what is not its protocol", text)
    assert.matches("moongate.lua:8: error: .*: it greets with a refusal", text)
    assert.matches("moongate.lua:10: error: .*: it closes the connection", text)
  end)

  it("tries the members of pools, in the pool's way, whoever names them", function()
    local first = start(function(peer)
      tls.start(peer, tls.server(leaf))
      if peer:attempt() then upstream.imap()(peer) end
    end)
    local second = start(upstream.imap())
    local third = start(upstream.pop3())
    local code, text = run({ { "imap", "upstream = \"pool:secure\"," }, { "pop3", "" } }, ([[
      pools = {
        secure = { %q,
          %q,
          tls = "implicit", server_name = "mx.spec.test" },
        decided = { %q },
      },]]):format(first.address, second.address, third.address))
    assert.equal(1, code)
    assert.matches(("moongate.lua:%%d: note: pool \"secure\": \"%s\" %%(imap%%): %s answers, "
      .. "verified, by TLSv1.3"):format(first.address, first.address), text)
    assert.matches(("moongate.lua:%%d: error: pool \"secure\": \"%s\" %%(imap%%): ")
      :format(second.address), text)
    assert.matches(("note: pool \"decided\": \"%s\": %s answers"):format(third.address,
      third.address), text)
  end)

  it("waits for none longer than --timeout says", function()
    local mute = start(upstream.mute())
    local hole = black_hole.open("127.0.0.2", mute.port)
    finally(function() hole:close() end)
    local code, text = run({ { "imap", ("upstream = %q,"):format(mute.address) },
      { "imap", ("upstream = \"127.0.0.2:%d\","):format(hole.port) } }, "", "--timeout", "0.3")
    assert.equal(1, code)
    assert.matches("moongate.lua:4: error: .*: no answer within 0.3 s %[unreachable%]", text)
    assert.matches("moongate.lua:6: error: upstream \"127.0.0.2:%d+\" %(imap%): [^\n]*", text)
  end)

  it("looks names up, with the configuration's resolver", function()
    local server = start(upstream.imap())
    local dns = dns_server.start { ["mx.spec.test"] = { A = { "127.0.0.1" } } }
    finally(function() dns:stop() end)
    local code, text = run({
      { "imap", ("upstream = \"mx.spec.test:%d\","):format(server.port) },
      { "imap", "upstream = \"nowhere.spec.test:143\"," },
    }, ("resolver = { %q },"):format(dns.address))
    assert.equal(1, code)
    assert.matches(("upstream \"mx.spec.test:%d\" (imap): 127.0.0.1:%d answers"):format(server.port,
      server.port), text, 1, true)
    assert.matches("moongate.lua:6: error: upstream \"nowhere.spec.test:143\"", text, 1, true)
  end)

  it("speaks TLS, and verifies who answers", function()
    local good = start(function(peer)
      tls.start(peer, tls.server(leaf))
      if peer:attempt() then upstream.imap()(peer) end
    end)
    local other = start(function(peer)
      tls.start(peer, tls.server(authority:leaf { names = { "DNS:other.test" } }))
      peer:attempt()
    end)
    local listeners = {
      { "imap", ("upstream = %q, upstream_tls = \"implicit\","):format(good.address) },
      { "imap", ("upstream = %q, upstream_tls = \"implicit\","):format(other.address) },
    }
    for _, protocol in ipairs { "imap", "pop3", "smtp" } do
      table.insert(listeners, { protocol, ("upstream = %q, upstream_tls = \"starttls\",")
        :format(start(starttls(protocol, leaf)).address) })
    end
    table.insert(listeners, { "imap", ("upstream = %q, upstream_tls = \"starttls\",")
      :format(start(starttls("imap", leaf, true)).address) })
    local code, text = run(listeners)
    assert.equal(1, code)
    assert.matches("moongate.lua:4: note: .* answers, verified, by TLSv1.3 TLS_", text)
    assert.matches("moongate.lua:6: error: [^\n]*name mismatch", text)
    for line = 8, 12, 2 do
      assert.matches(("moongate.lua:%d: note: [^\n]* answers, verified, by TLSv1.3 ")
        :format(line), text)
    end
    assert.matches("moongate.lua:14: error: [^\n]*: it does not offer STARTTLS", text)
  end)

  it("tries auth servers, and the upstreams that settings name", function()
    local quiet = start(upstream.mute())
    local secured = start(function(peer)
      tls.start(peer, tls.server(leaf))
      peer:attempt()
    end)
    local stranger = start(function(peer)
      tls.start(peer, tls.server(ca.new("Stranger"):leaf { names = { "IP:127.0.0.1" } }))
      peer:attempt()
    end)
    local imap = start(upstream.imap())
    local code, text = run({ { "imap", "", policy = "auth_http" }, { "imap", "", policy =
      "by_domain" } }, ([[

settings = {
  auth_http = {
    urls = { "http://%s/auth", "https://%s/auth", "https://%s/" } },
  by_domain = {
    ["example.org"] = %q,
    ["example.net"] = "127.0.0.1:1" },
},]]):format(quiet.address, secured.address, stranger.address, imap.address))
    assert.equal(1, code)
    assert.matches(("moongate.lua:10: note: auth server \"http://%s/auth\": %s answers [reached]")
      :format(quiet.address, quiet.address), text, 1, true)
    assert.matches(("note: auth server \"https://%s/auth\": %s answers, verified, by TLSv1.3")
      :format(secured.address, secured.address), text, 1, true)
    assert.matches(("error: auth server \"https://%s/\": "):format(stranger.address), text, 1, true)
    assert.matches(("moongate.lua:12: note: upstream \"%s\" (imap): %s answers")
      :format(imap.address, imap.address), text, 1, true)
    assert.matches("moongate.lua:13: error: upstream \"127.0.0.1:1\" (imap): ", text, 1, true)
    assert.is_nil(quiet:peer(1).input:match ".") -- nothing was asked of it
  end)
end)
