--- An upstream that is only asked what it offers.
local dialog = require "spec.support.dialog"

local driver
before_each(function()
  driver = dialog.new { protocol = "imap", ["pass-capabilities"] = "yes" }
  driver.d.probing = true
end)
after_each(function() driver:free() end)

--- What an upstream says, line by line; the last ask and all that was sent to it.
local function hear(...)
  local ask
  for _, line in ipairs { ... } do
    local outcome
    outcome, _, ask = driver:show("upstream", line .. "\r\n")
    assert.equal("done", outcome)
  end
  return ask, select(2, driver:written())
end

describe("a probe of an IMAP server", function()
  it("takes the list in the greeting and takes leave", function()
    local ask, sent = hear "* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN] hello"
    assert.same({ "ASK_CLOSE", "L LOGOUT\r\n" }, { ask, sent })
    assert.equal("QUIT", driver:facts().fault)
    assert.equal("IDLE", driver:facts().learnt)
  end)

  it("asks for a list that was not given", function()
    local ask, sent = hear("* OK hello", "* CAPABILITY IMAP4rev1 MOVE", "C OK")
    assert.same({ "ASK_CLOSE", "C CAPABILITY\r\nL LOGOUT\r\n" }, { ask, sent })
    assert.equal("MOVE", driver:facts().learnt)
  end)

  it("learns nothing of a server that tells nothing", function()
    assert.equal("ASK_CLOSE", (hear("* OK hello", "C BAD what")))
    assert.equal("QUIT", driver:facts().fault)
    assert.equal("unknown", driver:facts().learnt)
  end)
end)
