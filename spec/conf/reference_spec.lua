--- What is written from lua/api is as it would be written now: scripts/dev/reference.
local api = require "moongate.describe"
local markdown = require "moongate.describe.markdown"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

describe("the manual", function()
  it("is lua/REFERENCE.md, fresh", function()
    assert.is_true(markdown.reference() == read "lua/REFERENCE.md",
      "lua/REFERENCE.md is stale: run scripts/dev/reference")
  end)

  it("has the tables of conf/README.md, fresh and all of them", function()
    local manual = read "conf/README.md"
    local written, missing = markdown.configuration(manual)
    assert.same({}, missing)
    assert.is_true(written == manual, "conf/README.md is stale: run scripts/dev/reference")
  end)

  it("would be written anew where it is not", function()
    local manual = read "conf/README.md"
    local stale = manual:gsub("| `workers` |[^\n]*\n", "", 1):gsub("| `\"1d\"` |", "| `5` |")
    assert.is_false(stale == manual)
    assert.equal(manual, (markdown.configuration(stale)))
    local _, missing = markdown.configuration((manual:gsub("## tls\n", "## TLS\n")))
    assert.same({ "tls" }, missing)
  end)

  it("tells of everything that has a name", function()
    local manual, count = read "lua/REFERENCE.md" .. read "conf/README.md", 0
    for _, entry in ipairs(api.entries()) do
      local name = entry.name:match "[^.]*$"
      assert.is_truthy(manual:find(name, 1, true), entry.name)
      count = count + 1
    end
    assert.is_true(count > 400)
  end)
end)
