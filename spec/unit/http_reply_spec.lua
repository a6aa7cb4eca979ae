local ffi = require "ffi"
local core = require("spec.support.core").load("base/types.h", "proto/http_reply.h")

local OK = "HTTP/1.1 200 OK\r\n"

--- Shows the parser the bytes up to each offset in `cuts`, at a new place each time.
local function parse(bytes, cuts)
  local head, reply = ffi.new "struct http_head", ffi.new "struct http_reply"
  for _, upto in ipairs(cuts or { #bytes }) do
    local copy = ffi.new("char[?]", upto + 1, bytes:sub(1, upto))
    local result = core.http_reply_parse(head, ffi.new("struct slice", copy, upto), reply)
    if result == core.PARSE_BAD then return nil, "bad" end
    if result == core.PARSE_DONE then return reply, copy end
  end
  return nil, "more"
end

local function text(slice) return ffi.string(slice.ptr, slice.len) end

local function fields(bytes, cuts)
  local reply, keep = parse(bytes, cuts)
  if not reply then return keep end
  local all = { status = reply.status, head_len = tonumber(reply.head_len) }
  for i = 0, tonumber(reply.field_count) - 1 do
    all[i + 1] = text(reply.fields[i].name) .. "=" .. text(reply.fields[i].value)
  end
  return all, keep
end

local function up_to(n)
  local cuts = {}
  for i = 1, n do cuts[i] = i end
  return cuts
end

--- Skips `body` in pieces that end at `cuts`; what came of it, and how many bytes were used.
local function skip(head, body, cuts)
  local reply, keep = parse(head)
  assert(reply, keep)
  local state, used, total = ffi.new "struct http_body", ffi.new "size_t[1]", 0
  core.http_body_begin(state, reply)
  for _, upto in ipairs(cuts or { #body }) do
    local piece = body:sub(total + 1, upto)
    local result = core.http_body_skip(state, ffi.new("struct slice", piece, #piece), used)
    total = total + tonumber(used[0])
    if result == core.PARSE_BAD then return "bad", total end
    if result == core.PARSE_DONE then return "done", total end
  end
  return "more", total
end

describe("http_reply", function()
  local example = OK .. "Auth-Status: OK\r\nAuth-Server:\t10.0.0.1 \r\nX:\r\n\r\n"

  it("lists status and fields without the blanks around values", function()
    local expected = { "Auth-Status=OK", "Auth-Server=10.0.0.1", "X=",
      status = 200, head_len = #example }
    assert.same(expected, (fields(example .. "body")))
  end)

  it("means the same however the bytes arrive", function()
    local whole = fields(example)
    assert.same(whole, (fields(example, up_to(#example))))
    for cut = 1, #example - 1 do
      assert.same(whole, (fields(example, { cut, #example })), "cut at " .. cut)
    end
  end)

  it("never ends a head early", function()
    for cut = 0, #example - 1 do
      assert.equal("more", (fields(example:sub(1, cut))), "cut at " .. cut)
    end
  end)

  it("takes bare line feeds, as small scripts write them", function()
    local bytes = "HTTP/1.0 204 No Content\nA: b\n\n"
    assert.same({ "A=b", status = 204, head_len = 30 }, (fields(bytes)))
  end)

  it("keeps duplicates apart and counts them", function()
    local reply, keep = parse(OK .. "a: 1\r\nA: 2\r\n\r\n")
    local count = ffi.new "size_t[1]"
    local name = "a"
    local value = core.http_reply_field(reply, ffi.new("struct slice", name, 1), count)
    assert.equal("2", text(value))
    assert.equal(2, tonumber(count[0]))
    assert.truthy(keep)
  end)

  for title, bytes in pairs {
    ["no status line"] = "Auth-Status: OK\r\n\r\n",
    ["another protocol"] = "* OK hello\r\n",
    ["another major version"] = "HTTP/2 200\r\n\r\n",
    ["a status of two digits"] = "HTTP/1.1 20 OK\r\n\r\n",
    ["a status of four digits"] = "HTTP/1.1 2000 OK\r\n\r\n",
    ["a status past 599"] = "HTTP/1.1 600 X\r\n\r\n",
    ["a folded field"] = OK .. "A: b\r\n c\r\n\r\n",
    ["a field without a colon"] = OK .. "A\r\n\r\n",
    ["a field without a name"] = OK .. ": b\r\n\r\n",
    ["a blank before the colon"] = OK .. "A : b\r\n\r\n",
    ["a NUL in a value"] = OK .. "A: b\0c\r\n\r\n",
    ["a bare carriage return in a value"] = OK .. "A: b\rc\r\n\r\n",
    ["two lengths"] = OK .. "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ["a length and chunks"] = OK .. "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ["a negative length"] = OK .. "Content-Length: -1\r\n\r\n",
    ["a length too long to count"] = OK .. "Content-Length: " .. ("9"):rep(30) .. "\r\n\r\n",
    ["an unknown coding"] = OK .. "Transfer-Encoding: gzip, chunked\r\n\r\n",
    ["chunks from HTTP/1.0"] = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ["129 fields"] = OK .. ("A: b\r\n"):rep(129) .. "\r\n",
    ["16 KiB without an end"] = OK .. "A: " .. ("x"):rep(16384),
  } do
    it("refuses " .. title, function() assert.equal("bad", (fields(bytes))) end)
  end

  it("takes a head of 16 KiB and not a byte more", function()
    local function head(size)
      return OK .. "A: " .. ("x"):rep(size - #OK - 7) .. "\r\n\r\n"
    end
    assert.equal(16384, fields(head(16384)).head_len)
    assert.equal("bad", (fields(head(16385))))
  end)

  for title, case in pairs {
    ["HTTP/1.1 with a length"] = { OK .. "Content-Length: 3\r\n\r\n", true },
    ["HTTP/1.1 that says close"] =
      { OK .. "Content-Length: 3\r\nConnection: x, Close\r\n\r\n", false },
    ["HTTP/1.0"] = { "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false },
    ["HTTP/1.0 that says keep-alive"] =
      { "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", true },
    ["a body without a length"] = { OK .. "\r\n", false },
  } do
    it("knows whether the connection can be used again: " .. title, function()
      local reply, keep = parse(case[1])
      assert.equal(case[2], reply.keep_alive)
      assert.truthy(keep)
    end)
  end
end)

describe("http_body", function()
  local chunked = OK .. "Transfer-Encoding: chunked\r\n\r\n"
  local chunks = "5;x=\"y\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: v\r\n\r\n"

  it("skips a body of known length and leaves what follows", function()
    local head = OK .. "Content-Length: 4\r\n\r\n"
    assert.same({ "done", 4 }, { skip(head, "bodyHTTP/1.1") })
    assert.same({ "more", 3 }, { skip(head, "bod") })
    assert.same({ "done", 0 }, { skip(OK .. "Content-Length: 0\r\n\r\n", "") })
  end)

  it("skips chunks and their trailer, cut anywhere", function()
    assert.same({ "done", #chunks }, { skip(chunked, chunks .. "HTTP") })
    assert.same({ "done", #chunks }, { skip(chunked, chunks, up_to(#chunks)) })
    for cut = 1, #chunks - 1 do
      local came = { skip(chunked, chunks, { cut, #chunks }) }
      assert.same({ "done", #chunks }, came, "cut at " .. cut)
    end
  end)

  for title, body in pairs {
    ["without a size"] = "\r\n",
    ["whose size is no number"] = "x\r\n",
    ["with a size of nine digits"] = "123456789\r\n",
    ["longer than announced"] = "1\r\nab\r\n",
    ["with an endless extension"] = "1;" .. ("x"):rep(300),
    ["with an endless trailer line"] = "0\r\n" .. ("x"):rep(300),
  } do
    it("refuses a chunk " .. title, function() assert.equal("bad", (skip(chunked, body))) end)
  end

  it("never finds the end of a body that only closing ends", function()
    assert.same({ "more", 6 }, { skip(OK .. "\r\n", "what\r\n") })
  end)

  it("finds no body behind 204", function()
    local head = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
    assert.same({ "done", 0 }, { skip(head, "hello") })
  end)
end)
