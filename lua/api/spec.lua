--- `moongate.spec`, for specs of policies. The format is explained in README.md.
local describe_hook = "What the hook decides, as a table: `kind` (\"accept\", ..., \"nil\"), "
  .. "and the decision's fields. Options as of `gateway:session`."

local function hook(name)
  return {
    name, doc = describe_hook,
    arguments = { { "options", "table", optional = true } },
    returns = { { "table" } },
  }
end

return {
  name = "moongate.spec",
  doc = "Tests policies without sockets: real hooks, decisions and sessions, in one process. Only "
    .. "under `moongate test` and `moongate lua`.",
  functions = {
    {
      "policy", doc = "A gateway with a chain of policies.",
      arguments = {
        { "options", "table", doc = "besides these, the names of the policies",
          fields = {
            { "settings", "table", optional = true, doc = "of the configuration" },
            { "files", "table<string, string>", optional = true,
              doc = "texts that lie beside moongate.lua: [\"scripts/x.lua\"] = \"...\"" },
            { "listener", "string", optional = true, doc = "text of more keys of the listener" },
            { "listen", "table", optional = true, fields = {
              { "protocol", "Protocol", default = "imap" } } },
            { "config", "string", optional = true,
              doc = "text of a whole moongate.lua instead" },
          } },
      },
      returns = { { "Gateway" } },
      errors = "raises all mistakes of the configuration",
    },
    {
      "open", doc = "The same, but mistakes are the second result.",
      arguments = { { "options", "table" } },
      returns = { { "Gateway?" }, { "string?", doc = "all mistakes, one a line" } },
    },
    {
      "run", doc = "Runs a function as a hook runs: it may wait. Returns what it returns.",
      arguments = {
        { "fn", "fun(): any" }, { "seconds", "number", default = 10, unit = "seconds" },
      },
      returns = { { "any" } },
      errors = "raises what it raises, and \"timeout\"",
    },
    { "logged", doc = "What was logged since the last call.", returns = { { "string" } } },
    {
      "decision", doc = "Assertions about a decision, each with fields that it must have; busted "
        .. "has them as `assert.decision`: is_accept, is_reject, is_tempfail, is_wait, is_to, "
        .. "is_retry, is_login, is_none.",
      arguments = { { "decision", "table" } },
      returns = { { "table<string, fun(fields?: table)>" } },
    },
  },
  classes = {
    {
      "Gateway", variable = "gateway", doc = "A gateway in a spec.",
      methods = {
        {
          "session", doc = "A session that has no sockets.",
          arguments = {
            { "options", "table", optional = true, fields = {
              { "listener", "string", optional = true },
              { "protocol", "Protocol", optional = true },
              { "user", "string", optional = true },
              { "password", "string", optional = true },
              { "mechanism", "Mechanism", default = "PLAIN" },
              { "authzid", "string", optional = true },
              { "challenge", "string", optional = true },
              { "response", "string", optional = true },
              { "client", "string", default = "203.0.113.9:40000" },
              { "server", "string", default = "192.0.2.1:143" },
              { "host", "string", optional = true, doc = "the client's verified name" },
              { "helo", "string", optional = true },
              { "mail", "string", optional = true, doc = "the whole command" },
              { "rcpt", "string", optional = true, doc = "the whole command" },
              { "attempt", "integer", default = 1 },
              { "upstream", "string", optional = true, doc = "where the session goes" },
              { "failure", "string", optional = true, doc = "of that upstream" },
              { "reply", "string", optional = true, doc = "of that upstream" },
            } },
          },
          returns = { { "SpecSession" } },
        },
        {
          "init", doc = "Runs `init` of all policies.",
          returns = { { "true?" }, { "string?", doc = "what went wrong" } },
        },
        {
          "counter", doc = "How often a counter was counted.",
          arguments = { { "name", "string", doc = "with its labels: name{a=\"b\"}" } },
          returns = { { "number" } },
        },
      },
    },
    {
      "SpecSession", variable = "spec_session", doc = "A session in a spec.",
      methods = {
        {
          "ask", doc = describe_hook,
          arguments = { { "hook", "string" }, { "options", "table", optional = true } },
          returns = { { "table" } },
        },
        {
          "login", doc = "What `auth` decides about a PLAIN login.",
          arguments = { { "user", "string" }, { "password", "string" } },
          returns = { { "table" } },
        },
        hook "connect", hook "helo", hook "mail", hook "rcpt", hook "auth", hook "route",
        hook "connect_failed", hook "upstream_auth", hook "upstream_refused", hook "spliced",
        hook "closed",
        { "mechanisms", doc = "The set of mechanisms that are offered.",
          returns = { { "table<Mechanism, true>" } } },
        { "user", doc = "The user as the policies have left it.", returns = { { "string" } } },
        {
          "cancel", doc = "Begins a hook and gives it up, as when the client goes; whether it was "
            .. "waiting.",
          arguments = { { "hook", "string" } },
          returns = { { "boolean" } },
        },
      },
    },
  },
}
