--- The reader of nginx.conf: words, quotes, blocks, includes; and values in nginx's units.
local command = require "spec.support.command"
local reader = require "moongate.nginx.reader"
local units = require "moongate.nginx.units"

describe("the reader of nginx.conf", function()
  local folder
  after_each(function()
    if folder then command.remove(folder) end
    folder = nil
  end)

  local function read(text, files)
    files = files or {}
    files["nginx.conf"] = text
    folder = command.folder(files)
    return reader.read(folder .. "/nginx.conf")
  end

  --- "name word word { ... }" of each directive.
  local function show(list)
    local words = {}
    for i, d in ipairs(list) do
      words[i] = table.concat({ d.name, unpack(d.arguments) }, "|")
        .. (d.block and "{" .. show(d.block) .. "}" or "")
    end
    return table.concat(words, ";")
  end

  local function mistake(text, files)
    local fine, found = pcall(read, text, files)
    assert.is_false(fine)
    return ("%s:%d: %s"):format(found.path:match "[^/]*$", found.line, found.text)
  end

  it("reads directives, blocks and comments", function()
    assert.equal("a|b|c;mail{server{listen|143;x};z}",
      show(read "a b\n  c;# all; of { this\nmail{server { listen 143 ; x; } z;} # end"))
  end)

  it("takes a # within a word as part of it", function()
    assert.equal("a|b#c", show(read "a b#c;"))
  end)

  it("reads quoted words with spaces, marks and line ends", function()
    assert.equal("a|b; {c}# d|e\nf|", show(read "a \"b; {c}# d\" 'e\nf' '';"))
  end)

  it("unescapes as nginx does, in quotes and outside", function()
    assert.equal("a|x\"y|x'y|\\|\t\r\n|\\d|c\\ d\\;",
      show(read [[a "x\"y" 'x\'y' "\\" "\t\r\n" "\d" c\ d\;;]]))
  end)

  it("counts the lines, also within quotes", function()
    local list = read "a 'x\ny'\n b;\n\nc;"
    assert.equal(1, list[1].line)
    assert.equal(5, list[2].line)
  end)

  it("takes a variable's braces as part of the word", function()
    assert.equal("a|x${b}c", show(read "a x${b}c;"))
  end)

  it("includes files by name and by pattern, relative to its own folder", function()
    local list = read("include one.inc; mail { include servers/*.conf; }", {
      ["one.inc"] = "a;", ["servers/2.conf"] = "server { listen 2; }",
      ["servers/1.conf"] = "server { listen 1; }" })
    assert.equal("a;mail{server{listen|1};server{listen|2}}", show(list))
    assert.matches("servers/1%.conf$", list[2].block[1].path)
  end)

  it("includes nothing where a pattern matches nothing", function()
    assert.equal("a", show(read "include none/*.conf; a;"))
  end)

  it("does not open what a foreign block includes", function()
    assert.equal("http{include|none;server{include|x}}",
      show(read "http { include none; server { include x; } }"))
  end)

  it("says where a file is missing", function()
    assert.matches("^nginx.conf:2: .*missing.inc: No such file", mistake "a;\ninclude missing.inc;")
  end)

  it("does not include itself for ever", function()
    assert.matches("nested too deep", mistake "include nginx.conf;")
  end)

  it("says where something is wrong", function()
    assert.equal("nginx.conf:1: the directive \"a\" is not ended by \";\"", mistake "a b\n}")
    assert.equal("nginx.conf:2: unexpected \"}\"", mistake "a;\n}")
    assert.equal("nginx.conf:3: the file ends where a \"}\" is missing", mistake "a {\nb;\n")
    assert.equal("nginx.conf:2: the text that begins here has no end (\" is missing)",
      mistake "a;\nb \"c;\n")
    assert.equal("nginx.conf:1: unexpected \";\"", mistake ";")
    assert.matches("a space, .* is missing behind the closing '", mistake "a 'b'c;")
  end)

  it("reads nginx's times", function()
    for text, expected in pairs { ["90"] = 90, ["1m30s"] = 90, ["1h 30m"] = 5400, ["500ms"] = 0.5,
      ["1d"] = 86400, ["1w"] = 604800, ["1M"] = 2592000, ["1m 5"] = 65, ["0"] = 0 } do
      assert.equal(expected, units.seconds(text), text)
    end
    for _, text in ipairs { "", "x", "1x", "30s1m", "1m1m", "-1", "1.5s" } do
      assert.is_nil(units.seconds(text), text)
    end
  end)

  it("reads nginx's sizes", function()
    for text, expected in pairs { ["0"] = 0, ["4096"] = 4096, ["8k"] = 8192, ["1M"] = 1048576 } do
      assert.equal(expected, units.bytes(text), text)
    end
    for _, text in ipairs { "", "k", "1kb", "1.5k", "-1", "1t" } do
      assert.is_nil(units.bytes(text), text)
    end
  end)

  it("writes times and sizes as people do", function()
    assert.equal("\"1m\"", units.duration_text(60))
    assert.equal("\"90s\"", units.duration_text(90))
    assert.equal("\"500ms\"", units.duration_text(0.5))
    assert.equal("\"8k\"", units.size_text(8192))
    assert.equal("4095", units.size_text(4095))
  end)
end)
