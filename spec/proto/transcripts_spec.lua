local transcript = require "spec.support.transcript"

local ROOT = "spec/proto/transcripts"

local function lines_of(command)
  local out, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  table.sort(out)
  return out
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

--- Whether `text` as a transcript is found to be wrong.
local function fails(text)
  local cases = transcript.parse(text, "here", "pop3")
  return not pcall(transcript.check, cases[1])
end

describe("the transcript runner", function()
  local GOOD = "== x\nG: +OK POP3 ready\nC: NOOP\nG: +OK\n"

  it("is content with what is so", function() assert.is_false(fails(GOOD)) end)

  for name, text in pairs {
    ["an answer that is not given"] = GOOD .. "G: +OK\n",
    ["an answer that is not expected"] = GOOD .. "C: NOOP\n",
    ["another answer"] = GOOD:gsub("G: %+OK\n$", "G: -ERR\n"),
    ["an answer before its command"] = "== x\nG: +OK POP3 ready\nG: +OK\nC: NOOP\n",
    ["an ask that does not come"] = GOOD .. "! ASK_AUTH\n",
    ["an ask that is not expected"] = GOOD .. "C: QUIT\nG: +OK\n",
    ["a fact that is otherwise"] = GOOD .. "C: QUIT\nG: +OK\n! ASK_CLOSE fault=ABUSE\n",
    ["a fact that there is not"] = GOOD .. "C: QUIT\nG: +OK\n! ASK_CLOSE nonsense=1\n",
    ["bytes for the upstream that are not sent"] = GOOD .. ">U: QUIT\n",
  } do
    it("finds " .. name, function() assert.is_true(fails(text)) end)
  end

  for name, text in pairs {
    ["an unknown header"] = "# mechanism: plain\n== x\nG: +OK POP3 ready\n",
    ["a line that is nothing"] = "== x\nS: +OK POP3 ready\n",
    ["a case that expects nothing"] = "== x\nC: NOOP\n",
    ["an unknown escape"] = "== x\nC: \\q\nG: +OK\n",
  } do
    it("does not take " .. name, function()
      assert.has_error(function() transcript.parse(text, "here", "pop3") end)
    end)
  end
end)

local folders = lines_of("find " .. ROOT .. " -mindepth 1 -type d")

describe("transcripts", function()
  it("are there", function() assert.is_true(#folders > 0) end)

  for _, folder in ipairs(folders) do
    local protocol = folder:match "([^/]+)$"
    local files = lines_of("find " .. folder .. " -name '*.txt'")
    it("of " .. protocol .. " are there", function() assert.is_true(#files > 0) end)

    for _, path in ipairs(files) do
      local cases = transcript.parse(read(path), path, protocol)
      it(path .. " has cases", function() assert.is_true(#cases > 0) end)
      for _, case in ipairs(cases) do
        it(("%s %s: %s"):format(protocol, path:match "([^/]+)%.txt$", case.name), function()
          local fine, problem = pcall(transcript.check, case)
          assert(fine, path .. ": " .. tostring(problem))
        end)
      end
    end
  end
end)
