--- What scripts/dev/start does once all is installed and built.
local child = require "spec.support.child"
local socket = require "socket"

describe("the demonstration", function()
  it("moves a mail through all three protocols, ends with 0 and leaves nothing running", function()
    local code, output = child.run { "luajit", "scripts/dev/demonstrate.lua", "--once",
      seconds = 60 }
    assert.equal(0, code, output)
    for _, words in ipairs { "sent one as", "by SMTP", "delivered it", "by IMAP", "by POP3",
      "was refused with a wrong password", "curl -u", "swaks --server", "stopping" } do
      assert.matches(words, output, 1, true)
    end
    local ports = { output:match("IMAP on port (%d+), POP3 on (%d+) and SMTP submission on (%d+)"
      .. ".-Dovecot (%d+) and (%d+), Postfix (%d+) and (%d+)") }
    assert.equal(7, #ports)
    for _, port in ipairs(ports) do
      local connected, why = socket.connect("127.0.0.1", tonumber(port))
      assert.is_nil(connected)
      assert.equal("connection refused", why)
    end
  end)
end)
