--- `moongate.compat.ngx`. The format is explained in README.md.
--
-- What each name does is told in OpenResty's manual; here is what is different.
local function all(names, doc, awaits)
  local functions = {}
  for name in names:gmatch "%S+" do
    functions[#functions + 1] = { name, doc = doc, awaits = awaits,
      arguments = { { "...", "any" } }, returns = { { "any" } } }
  end
  return functions
end

local function joined(...)
  local functions = {}
  for _, list in ipairs { ... } do
    for _, fn in ipairs(list) do functions[#functions + 1] = fn end
  end
  return functions
end

local function levels()
  local values = {}
  for name in ("STDERR EMERG ALERT CRIT ERR WARN NOTICE INFO DEBUG"):gmatch "%a+" do
    values[#values + 1] = { name, "integer", doc = "a level of `log`" }
  end
  return values
end

local values = levels()
for _, value in ipairs {
  { "null", "lightuserdata", doc = "what drivers give for nothing; it is true in a condition, so "
    .. "compare with it" },
  { "config", "table", fields = {
    { "ngx_lua_version", "integer" }, { "subsystem", "string" }, { "debug", "boolean" } } },
  { "shared", "table", doc = "the tables of `moongate.shared` by name; nil where the "
    .. "configuration has none. Methods: get, get_stale, set, safe_set, add, safe_add, replace, "
    .. "delete, incr, ttl, expire; no flags, no lists" },
  { "var", "table", doc = "empty, and stays so: there is no request" },
  { "req", "table", doc = "the same" },
  { "ctx", "table", doc = "the same" },
} do values[#values + 1] = value end

return {
  name = "moongate.compat.ngx",
  doc = "What OpenResty's drivers expect to find. A file that requires it, in a line of its own, "
    .. "has `ngx` as a global from then on, and so has every file that it requires after that: "
    .. "`require \"resty.redis\"` finds scripts/resty/redis.lua beside moongate.lua, unmodified. "
    .. "No other policy sees it. In the place of drivers that need LuaJIT's FFI or C there are "
    .. "`resty.lock`, `resty.lrucache`, `ngx.semaphore`, `cjson`, `cjson.safe`, `table.new`, "
    .. "`table.clear` and the like; `resty.core` and what is built on it is not there. Names that "
    .. "are about a web request are nil.",
  functions = joined(
    all("socket.tcp socket.stream", "A cosocket, with connect, sslhandshake, send, receive, "
      .. "receiveany, receiveuntil, settimeout, settimeouts, setkeepalive, getreusedtimes, "
      .. "setclientcert and close. Times are milliseconds. Unlike there, `sslhandshake` demands "
      .. "a right certificate unless `ssl_verify` is false, and client certificates are those "
      .. "of `tls_profiles`."),
    all("socket.udp", "Datagrams: setpeername, send, receive, settimeout, close."),
    all("socket.connect", "A cosocket that is connected.", true),
    all("re.match re.find re.gmatch re.sub re.gsub", "By `moongate.re`; the letters j and o "
      .. "change nothing, d is refused."),
    all("thread.spawn thread.kill", "Light threads are children of their hook: see "
      .. "`moongate.spawn`."),
    all("thread.wait", "The results of the first that is over.", true),
    all("timer.at timer.every", "By `moongate.timer`: timers run while their generation serves, "
      .. "and are not called when it ends (`premature` is false)."),
    all("sleep", "Lets time pass.", true),
    all("now time update_time", "The time of day."),
    all("log", "Writes a line of up to 2000 bytes to the log."),
    all("get_phase", "\"timer\", wherever it is asked."),
    all("worker.pid worker.id worker.count worker.exiting", "Of this worker."),
    all("md5 md5_bin sha1_bin hmac_sha1 crc32_short crc32_long", "A digest of a text or Secret."),
    all("encode_base64 decode_base64 escape_uri unescape_uri encode_args decode_args http_time",
      "A text in another form.")),
  values = values,
}
