--- `moongate.socket`: what is sent while another function receives.
local client = require "spec.support.client"
local modules = require "spec.support.modules"
local upstream = require "spec.support.upstream"

describe("a connection on which somebody receives", function()
  local echo, deaf, run

  setup(function()
    echo = upstream.start { script = function(peer)
      peer:expect "^one$"
      peer:send_line "two"
    end }
    deaf = upstream.start { script = function(peer) peer:pause() end }
    run = modules.start {
      top = ([[
        local echo, deaf = %d, %d
        --- A connection, and a child that receives a line: what it has got, once it has.
        local function receiving(port)
          local s = require("moongate.socket").tcp()
          assert(s:connect("127.0.0.1", port))
          return s, require("moongate").spawn(function()
            local line, err = s:receive "*l"
            return tostring(line or err.kind)
          end)
        end
      ]]):format(echo.port, deaf.port),
      bodies = {
        both = [[ local s, child = receiving(echo)
          return s:send("one\r\n") .. " " .. child:wait() ]],
        overflow = [[ local s, child = receiving(deaf)
          local sent, err
          repeat sent, err = s:send(("x"):rep(1000000)) until not sent
          return err.kind .. " " .. child:wait() ]],
        second = [[ local s, child = receiving(echo)
          local fine, err = pcall(s.receive, s, "*l")
          s:send "one\r\n"
          return tostring(fine) .. tostring(err):match "another operation" .. child:wait() ]],
      },
    }
  end)
  after_each(client.discard_all)
  teardown(function()
    run.stop()
    echo:stop()
    deaf:stop()
  end)

  it("can be sent on", function() assert.equal("5 two", run "both") end)

  it("ends when the peer does not read", function()
    assert.equal("overload closed", run "overflow")
  end)

  it("takes no second receive", function()
    assert.equal("falseanother operationtwo", run "second")
  end)
end)
