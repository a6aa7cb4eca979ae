--- `moongate.redis`. The format is explained in README.md.
local fails = { "timeout", "connect", "tls", "dns", "protocol", "closed", "overload", "server" }

local KEY = { "key", "string|Secret" }
local VALUE = { "value", "string|number|Secret", doc = "any bytes" }

local credentials = {
  { "user", "string|Secret", optional = true, max_length = 4096, doc = "of Redis 6 and newer" },
  { "password", "string|Secret", optional = true, max_length = 4096 },
}

--- The methods that a pool and a pipeline have in common; one of a pipeline is only written down.
local function commands(awaits)
  local function method(name, doc, arguments, returns, more)
    local made = { name, doc = doc, awaits = awaits, arguments = arguments, errors = more }
    if awaits then made.returns, made.fails = { returns }, fails end
    return made
  end
  return {
    method("get", "GET.", { KEY }, { "string|nil", doc = "nil: there is none" }),
    method("set", "SET.", { KEY, VALUE, { "options", "table", optional = true, fields = {
      { "ttl", "number", optional = true, unit = "seconds", min = 0.001, max = 10000000000,
        doc = "for how long; by default for ever" },
      { "only", "string", optional = true, values = { "absent", "present" },
        doc = "where there is none yet, or where there is one" },
    } } }, { "boolean", doc = "false: `only` was in the way" }),
    method("del", "DEL, of any number of keys.", { KEY },
      { "integer", doc = "how many there were" }),
    method("incr", "INCRBY.", { KEY, { "by", "integer", default = 1 } },
      { "integer|string", doc = "the new number; a text where it is beyond 2^53" }),
    method("expire", "PEXPIRE.", { KEY, { "seconds", "number", unit = "seconds", min = 0.001,
      max = 10000000000 } }, { "boolean", doc = "false: there is no such key" }),
    method("ttl", "PTTL.", { KEY },
      { "number|nil", doc = "seconds; -1: it never expires; nil: there is none" }),
    method("exists", "EXISTS.", { KEY }, { "boolean" }),
    method("eval", awaits and "Runs a script: EVALSHA first, EVAL when the server does not know it."
      or "Runs a script by EVAL.", { { "script", "string" },
      { "keys", "table", optional = true, doc = "a list of keys" },
      { "args", "table", optional = true, doc = "a list of strings, numbers and Secrets" } },
      { "any", doc = "as `command`" }),
    method("command", "Any command whose effect ends with it.", {
      { "name", "string", doc = "its words follow as further arguments" } },
      { "any", doc = "a text, a number (a text beyond 2^53), or a list, in which false is what is "
        .. "missing and a Failure an error; nil: there is none" },
      "raises for those that change the connection: SELECT, AUTH, SUBSCRIBE and others"),
  }
end

local pool = commands(true)
table.insert(pool, {
  "pipeline", doc = "Sends commands together, at most 1000.", awaits = true,
  arguments = { { "commands", "fun(pipeline: RedisPipeline)|table",
    doc = "a function that is called at once and can't wait, or a list of commands, each a list of "
      .. "words" } },
  returns = { { "table", doc = "what each gives; false for what is missing, a Failure where one "
    .. "failed" } },
  fails = fails,
})
table.insert(pool, {
  "subscribe", doc = "Has a function called for each message of a channel, one after the other, "
    .. "while this generation serves: a reload ends it. It has a connection of its own, which is "
    .. "made again when it is lost; what is published meanwhile is missed. May be called while the "
    .. "policy loads.",
  arguments = {
    { "channels", "string|string[]", doc = "at most 100" },
    { "fn", "fun(channel: string, message: string)",
      doc = "may wait; when 1000 messages wait for it, more are dropped" },
    { "options", "table", optional = true, fields = {
      { "patterns", "boolean", default = false, doc = "channels are patterns: PSUBSCRIBE" },
      { "budget", "number", default = 10, unit = "seconds", min = 0.01, max = 3600,
        doc = "of one call" },
    } },
  },
  returns = { { "RedisSubscription" } },
})

return {
  name = "moongate.redis",
  doc = "Asks Redis. Connections belong to the worker and outlive a reload that names the same "
    .. "server; one that is lost before anything was sent is replaced. Redis Cluster is not "
    .. "supported. An answer has at most 1 MiB, 10,000 elements and lists 7 deep.",
  functions = {
    {
      "pool",
      doc = "Connections to one server, shared by all policies of a worker that name it so.",
      arguments = {
        {
          "options", "table", fields = {
            { "url", "string|Secret", optional = true,
              doc = "redis://[user[:password]@]host[:port][/database], rediss:// for TLS, or "
                .. "unix:/path; with `sentinel` the host is left out" },
            credentials[1], credentials[2],
            { "database", "integer", optional = true, min = 0, max = 1000000 },
            { "timeout", "number", default = 1, unit = "seconds", min = 0.001, max = 600,
              doc = "for everything: the wait for a connection, making it, the answer" },
            { "size", "integer", default = 16, min = 1, max = 1000,
              doc = "connections of a worker" },
            { "queue", "integer", default = 256, min = 0, max = 10000,
              doc = "how many may wait for one; more are `overload`" },
            { "profile", "string", default = "default", max_length = 255,
              doc = "rediss: the one of the configuration's tls_profiles that is used" },
            { "server_name", "string", optional = true, max_length = 255,
              doc = "rediss: the name in the server's certificate; by default the host" },
            { "sentinel", "table", optional = true, doc = "asks Sentinels who is the master",
              fields = {
                { "addresses", "string[]", doc = "\"host:port\" of at most 16" },
                { "name", "string", max_length = 255, doc = "what they call the master" },
                credentials[1], credentials[2],
              } },
          },
        },
      },
      returns = { { "RedisPool" } },
      errors = "raises when an option is wrong",
    },
  },
  classes = {
    { "RedisPool", variable = "redis", doc = "A Redis server.", methods = pool },
    { "RedisPipeline", variable = "pipeline",
      doc = "What `pipeline` gives to its function: its methods write a command down.",
      methods = commands(false) },
    {
      "RedisSubscription", variable = "subscription", doc = "Channels that are listened to.",
      methods = { { "cancel", doc = "No further message is given out." } },
    },
  },
}
