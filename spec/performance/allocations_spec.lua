--- How often a login allocates memory, and what a relayed session keeps, counted by a library that
-- is preloaded. Of the release build alone: sanitizers allocate on their own account.
local client = require "spec.support.client"
local ffi = require "ffi"
local http_server = require "spec.support.http_server"
local gateway = require "spec.support.gateway"
local loop = require "spec.support.loop"
local preload = require "spec.support.preload"
local shipped = require "spec.support.shipped"
local stdlib = require "posix.stdlib"
local upstream = require "spec.support.upstream"

local LOGINS, SESSIONS, STEPS = 200, 300, 4

--- The most.
local EACH_LOGIN, EACH_SESSION = 15, 5

describe("one worker, with auth_http", function()
  local gw, auth, imap, folder, path

  setup(function()
    stdlib.setenv("MOONGATE_BUILD", "build/release")
    folder = assert(stdlib.mkdtemp "/tmp/moongate-allocations-XXXXXX")
    local prefix
    prefix, path = preload.build(folder, "allocations", 16)
    imap = upstream.start { script = upstream.imap() }
    auth = http_server.start { answer = function()
      return { headers = { ["Auth-Status"] = "OK", ["Auth-Server"] = "127.0.0.1",
        ["Auth-Port"] = tostring(imap.port) } }
    end }
    gw = gateway.start {
      prefix = prefix,
      files = { ["moongate.lua"] = shipped.configuration { policy = { "auth_http" },
        listen = { imap = "" }, settings = ("auth_http = { url = %q }"):format(auth.url) } },
    }
  end)
  after_each(client.discard_all)
  teardown(function()
    imap:stop()
    auth:stop()
    gw:stop()
    os.execute("rm -rf " .. folder)
  end)

  --- How many allocations there were, and how many are alive.
  local function counters()
    local file = assert(io.open(path))
    local numbers = ffi.new("int64_t[2]")
    ffi.copy(numbers, file:read(16), 16)
    file:close()
    return tonumber(numbers[0]), tonumber(numbers[1])
  end

  local function log_in()
    local c = client.connect(gw.ports.imap)
    c:expect "^%* OK"
    c:send_line("a LOGIN ann secret"):expect_until "^a OK"
    return c
  end

  local function log_in_and_out()
    local c = log_in()
    c:close()
    gw:session_of(c)
  end

  it("allocates no more often for a login than it needs to", function()
    for _ = 1, 20 do log_in_and_out() end
    local before = counters()
    for _ = 1, LOGINS do log_in_and_out() end
    local each = (counters() - before) / LOGINS
    assert.is_true(each > 5) -- it was counted
    assert.is_true(each <= EACH_LOGIN, ("%.1f a login"):format(each))
  end)

  --- What is alive when a new configuration has taken the place of the old one, whose garbage
  --- counts as alive until then.
  local function alive()
    assert(gw:reload())
    local last, _, now = nil, counters()
    while now ~= last do
      loop.pass(0.3)
      last, _, now = now, counters()
    end
    return now
  end

  it("keeps little for a relayed session", function()
    local all, least = {}, math.huge
    for _ = 1, STEPS do -- the first also fill what is kept for further logins
      local before = alive()
      for _ = 1, SESSIONS do table.insert(all, log_in()) end
      least = math.min(least, (alive() - before) / SESSIONS)
    end
    assert.is_true(least >= 1)
    assert.is_true(least <= EACH_SESSION, ("%.1f a session"):format(least))
  end)
end)
