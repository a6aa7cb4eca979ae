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

local SHARED = "the tables of `moongate.shared` by name; nil where the configuration has none. "
  .. "Methods: get, get_stale, set, safe_set, add, safe_add, replace, delete, incr, ttl, expire, "
  .. "lpush, rpush, lpop, rpop, llen, flush_all, flush_expired, get_keys, capacity, free_space. A "
  .. "key has up to 8192 bytes; a value as many as in `moongate.shared`, and in memory a list as a "
  .. "whole has no more, since it is one value there: what is longer is `no memory`. Secrets are "
  .. "neither keys nor values. In memory `get_stale` finds what is over for another minute, unless "
  .. "its room is needed, and `flush_all` leaves nothing for it; all keys of a large table, or "
  .. "all that is over in it, may take more than a hook's time. In Redis all of them wait; "
  .. "`get_stale` finds no more than `get`, and `flush_expired` nothing, since Redis removes what "
  .. "is over itself; it also makes room as it was told to, so `forcible` is false and "
  .. "`safe_set` is `set`; `get_keys` and `flush_all` take steps, between which others may write; "
  .. "`capacity` and `free_space` raise, since Redis has no size for one table"

local values = levels()
for _, value in ipairs {
  { "null", "lightuserdata", doc = "what drivers give for nothing; it is true in a condition, so "
    .. "compare with it" },
  { "config", "table", fields = {
    { "ngx_lua_version", "integer" }, { "subsystem", "string" }, { "debug", "boolean" } } },
  { "shared", "table", doc = SHARED },
  { "var", "table", doc = "empty, and stays so: there is no request" },
  { "req", "table", doc = "the same" },
  { "ctx", "table", doc = "the same" },
} do values[#values + 1] = value end

return {
  name = "moongate.compat.ngx",
  doc = "What OpenResty's drivers expect to find. A file that requires it, in a line of its own, "
    .. "has `ngx` as a global from then on, and so has every file that it requires after that: "
    .. "`require \"resty.redis\"` finds scripts/resty/redis.lua beside moongate.lua, unmodified. "
    .. "No other policy sees it. In the place of what needs LuaJIT's FFI or C there are, whole, "
    .. "`resty.lock`, `resty.lrucache` (also as `resty.lrucache.pureffi`) and `ngx.semaphore`; "
    .. "`cjson` and `cjson.safe` (encode, decode, null) and `bit`; `table.new`, `table.clear`, "
    .. "`table.clone`, `table.nkeys` and `table.isempty`; of `resty.core.base` "
    .. "new_tab and clear_tab; an empty `resty.core.shdict`; and of `ngx.ssl` "
    .. " parse_pem_cert and parse_pem_priv_key (a string or Secret of up to 64 KiB, not "
    .. "encrypted), which give what nothing can be read out of. `resty.core` and what is built on "
    .. "it is not there. Names that are about a web request are nil. What a hook has locked by "
    .. "`resty.lock` when it is cancelled stays so until `exptime`.",
  functions = joined(
    all("socket.tcp socket.stream", "A cosocket, with connect, sslhandshake, send, receive, "
      .. "receiveany, receiveuntil, settimeout, settimeouts, setkeepalive, getreusedtimes, "
      .. "setclientcert and close. Times are milliseconds. Unlike there, `sslhandshake` demands "
      .. "a right certificate unless `ssl_verify` is false; what it shows is by default the "
      .. "certificate of `tls_profiles.default`. `setclientcert` takes what `ngx.ssl` gives, and "
      .. "raises where it is given something else; call it before `connect`: a connection that "
      .. "has shown such a certificate is kept for sockets that had the same one before they "
      .. "connected, and for nobody else."),
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
    all("config.prefix", "The folder of moongate.lua, with a slash behind it."),
    all("worker.pid worker.id worker.count worker.exiting", "Of this worker."),
    all("md5 md5_bin sha1_bin hmac_sha1 crc32_short crc32_long", "A digest of a text or Secret."),
    all("encode_base64 decode_base64 escape_uri unescape_uri encode_args decode_args http_time",
      "A text in another form.")),
  values = values,
}
