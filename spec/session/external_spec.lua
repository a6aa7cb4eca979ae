--- SASL EXTERNAL of clients: a verified certificate, or nothing; and what upstreams and auth
--- servers hear of it.
local ca = require "spec.support.ca"
local client = require "spec.support.client"
local http_server = require "spec.support.http_server"
local mime = require "mime"
local shipped = require "spec.support.shipped"
local tls = require "spec.support.tls"
local upstream = require "spec.support.upstream"

local ANN = mime.b64 "ann"

-- What a client of each protocol says: in one step, in two, with a password; and what it hears.
local WORDS = {
  imap = { greeting = "^%* OK", one = "a AUTHENTICATE EXTERNAL " .. ANN,
    two = "a AUTHENTICATE EXTERNAL", prompt = "^%+ ", password = "p LOGIN ann wrong",
    no = "^p NO ", bad = "^a BAD ", yes = "^a OK ", offer = "c CAPABILITY", offer_end = "^c OK",
    offered = "AUTH=EXTERNAL" },
  pop3 = { greeting = "^%+OK", one = "AUTH EXTERNAL " .. ANN, two = "AUTH EXTERNAL",
    prompt = "^%+ ", password = "AUTH PLAIN " .. client.plain("ann", "wrong"), no = "^%-ERR ",
    bad = "^%-ERR invalid", yes = "^%+OK", offer = "CAPA", offer_end = "^%.$",
    offered = "SASL[^\r\n]* EXTERNAL" },
  smtp = { greeting = "^220 ", one = "AUTH EXTERNAL " .. ANN, two = "AUTH EXTERNAL",
    prompt = "^334 ", password = "AUTH PLAIN " .. client.plain("ann", "wrong"), no = "^535 ",
    bad = "^500 ", yes = "^235 ", offer = "EHLO c.test", offer_end = "^250 ",
    offered = "AUTH[^\r\n]* EXTERNAL" },
}

describe("EXTERNAL", function()
  local gw, auth, authority, servers, certificates

  setup(function()
    authority = ca.new()
    local stranger = ca.new()
    certificates = {
      good = authority:leaf { subject = "/CN=ann" },
      bad = stranger:leaf { subject = "/CN=ann" },
      stranger = stranger,
    }
    local leaf = authority:leaf { subject = "/CN=mail.spec.test" }
    servers = { imap = upstream.start { script = upstream.imap() },
      pop3 = upstream.start { script = upstream.pop3() },
      smtp = upstream.start { script = upstream.smtp() } }
    auth = http_server.start { answer = function(request)
      local headers = request.headers
      if headers["auth-method"] ~= "external" then
        return { headers = { ["Auth-Status"] = "Invalid login or password", ["Auth-Wait"] = "1" } }
      end
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(servers[headers["auth-protocol"]].port), ["Auth-User"] = "ann",
        ["Auth-Pass"] = "from the server" } }
    end }
    local listen = {}
    for name in pairs(WORDS) do
      listen[name] = ([[mechanisms = { "PLAIN", "EXTERNAL" },
        tls = { mode = "implicit", certificate = %q, key = %q, ca = %q,
          client_certificate = "optional_no_ca" },]]):format(leaf.certificate, leaf.key,
        authority.certificate)
    end
    gw = shipped.start { policy = { "auth_http" }, listen = listen,
      settings = ("auth_http = { url = %q },"):format(auth.url) }
  end)
  teardown(function()
    if gw then gw:stop() end
    if auth then auth:stop() end
    for _, server in pairs(servers or {}) do server:stop() end
    if certificates then certificates.stranger:remove() end
    if authority then authority:remove() end
  end)
  after_each(function()
    client.discard_all()
    for _, server in pairs(servers) do server:clear() end
    auth.requests = {}
  end)

  for protocol, words in pairs(WORDS) do
    local function connect(leaf)
      local c = tls.connect(gw.ports[protocol], { leaf = leaf })
      c:expect(words.greeting)
      return c
    end

    describe("in " .. protocol, function()
      it("is offered to whom has a good certificate, and to nobody else", function()
        for name, expected in pairs { good = true, bad = false, none = false } do
          local c = connect(certificates[name])
          c:send_line(words.offer):expect_until(words.offer_end)
          assert.equal(expected, c:all():find(words.offered) ~= nil, name)
        end
      end)

      it("without one is no command, in one step or in two; nobody is asked", function()
        for _, name in ipairs { "bad", "none" } do
          for _, line in ipairs { words.one, words.two } do
            local c = connect(certificates[name])
            c:send_line(line):expect(words.bad)
          end
        end
        assert.equal(0, #auth.requests)
      end)

      it("tells the auth server no password, nor one of an attempt before", function()
        local c = connect(certificates.good)
        c:send_line(words.password):expect(words.no)
        assert.equal("wrong", auth.requests[1].headers["auth-pass"])
        c:send_line(words.two):expect(words.prompt)
        c:send_line(ANN):expect_until(words.yes)
        local headers = auth.requests[2].headers
        assert.same({ "external", "ann", "", "SUCCESS" }, { headers["auth-method"],
          headers["auth-user"], headers["auth-pass"] or "", headers["auth-ssl-verify"] })
      end)

      it("becomes the password login that the auth server has for it", function()
        local c = connect(certificates.good)
        c:send_line(words.one):expect_until(words.yes)
        local peer = servers[protocol]:peer(1)
        assert.same({ "ann", "from the server" }, { peer.user, peer.password })
      end)
    end)
  end
end)
