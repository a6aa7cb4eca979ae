--- `moongate.spec`, for specs of policies. The format is explained in README.md.
local describe_hook = "What the hook alone decides. Options as of `gateway:session`."

local function hook(name)
  return {
    name, doc = describe_hook,
    arguments = { { "options", "table", optional = true } },
    returns = { { "SpecDecision" } },
  }
end

local ANSWERS = "what is answered: a table, or a function of the request that returns one"

--- One kind of I/O that a spec answers.
local function stand(name, variable, doc, of)
  return {
    name, variable = variable, doc = doc,
    methods = {
      {
        "reply", doc = "Says what is answered from now on.",
        arguments = { { "name", "string", doc = of }, { "answer", "any", doc = ANSWERS } },
        returns = { { name, doc = "itself" } },
      },
      {
        "fail", doc = "Says that it fails from now on.",
        arguments = { { "name", "string", doc = of },
          { "kind", "string", doc = "\"connect\", \"timeout\", \"dns\", \"tls\", \"closed\", "
            .. "\"protocol\", where there is such a failure" } },
        returns = { { name, doc = "itself" } },
        errors = "raises when it can't fail so",
      },
      {
        "delay", doc = "Says how long answers take from now on.",
        arguments = { { "seconds", "number", unit = "seconds" },
          { "name", "string", optional = true, doc = of .. "; without it of all" } },
        returns = { { name, doc = "itself" } },
      },
    },
  }
end

--- A client of a running gateway.
local function client(protocol)
  return {
    protocol, doc = "A client.",
    arguments = {
      { "options", "table", optional = true, fields = {
        { "listener", "string", optional = true,
          doc = "its name; by default that of the protocol, or with `tls` and an s behind it" },
        { "tls", "boolean", default = false, doc = "from the first byte" },
        { "starttls", "boolean", default = false, doc = "the greeting is read, TLS is up" },
        { "sni", "string", optional = true },
      } },
    },
    returns = { { "MailClient" } },
  }
end

return {
  name = "moongate.spec",
  doc = "Tests policies without sockets: real hooks, decisions and sessions, in one process, on a "
    .. "clock that takes no time and a network that is what the spec says. Only under `moongate "
    .. "test`. There `assert.decision(d)` is followed by is_accept, is_reject, is_tempfail, "
    .. "is_wait, is_to, is_retry, is_login, is_certificate, is_verifier or is_none, or "
    .. "is_not_..., with the fields that the decision must have: "
    .. "`assert.decision(d).is_to { address = \"a:143\" }`.",
  functions = {
    {
      "policy", doc = "A gateway with a chain of policies.",
      arguments = {
        { "options", "table",
          doc = "besides these, the policies: names, or paths of files of the project",
          fields = {
            { "settings", "table", optional = true, doc = "of the configuration" },
            { "files", "table<string, string>", optional = true,
              doc = "texts that lie beside moongate.lua: [\"scripts/x.lua\"] = \"...\"" },
            { "listener", "string", optional = true, doc = "text of more keys of the listener" },
            { "listen", "table", optional = true, fields = {
              { "protocol", "Protocol", default = "imap" } } },
            { "config", "string", optional = true,
              doc = "a whole moongate.lua instead, its path or its text; policies that are "
                .. "named too stand in for those of its listeners" },
            { "environment", "string", optional = true, doc = "that is laid over it" },
            { "live", "boolean", default = false,
              doc = "time and network are those of the machine" },
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
    {
      "gateway", doc = "Starts the real program with the same options, on ports that the kernel "
        .. "chooses, with mail servers and an auth server behind it whose addresses are in "
        .. "upstreams.lua, which the configuration may require.",
      arguments = { { "options", "table" } },
      returns = { { "RunningGateway" } },
      errors = "raises when it does not start",
    },
    { "logged", doc = "What was logged since the last call.", returns = { { "string" } } },
  },
  classes = {
    {
      "Gateway", variable = "gateway", doc = "A gateway in a spec. I/O that no mock answers "
        .. "raises, and names the call.",
      fields = {
        { "clock", "SpecClock" },
        { "http", "HttpMock" },
        { "dns", "DnsMock" },
        { "socket", "SocketMock" },
        { "auth_http", "AuthHttpMock" },
        { "sql", "SqlMock" },
        { "ldap", "LdapMock" },
        { "redis", "RedisMock" },
        { "sessions", "SessionsMock" },
      },
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
              { "tls", "table", optional = true, doc = "the connection has TLS", fields = {
                { "sni", "string", optional = true },
                { "version", "string", default = "TLSv1.3" },
                { "cipher", "string", default = "TLS_AES_256_GCM_SHA384" },
                { "alpn", "string", optional = true },
                { "resumed", "boolean", default = false },
                { "starttls", "boolean", default = false,
                  doc = "it begins after the greeting" },
                { "client_cert", "table", optional = true,
                  doc = "verify, subject, issuer, serial, fingerprint, fingerprint_sha256" },
              } },
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
          "reload", doc = "Builds the next generation, from files that have changed: timers and "
            .. "upvalues of the old one end, `session.vars` stay. When it has mistakes, the old "
            .. "one goes on.",
          arguments = { { "files", "table<string, string>", optional = true,
            doc = "texts by their names" } },
          returns = { { "true?" }, { "string?", doc = "all mistakes, one a line" } },
        },
        {
          "calls", doc = "What has happened, in order: hooks and I/O. `tostring` makes a line of "
            .. "each: \"0.000 hook auth -> accept\".",
          returns = { { "table[]", doc = "{ at, kind, name, decision }; `at` in seconds, `kind` is "
            .. "\"hook\", \"http\", \"dns\", \"socket\", "
            .. "\"auth_http\", \"redis\", \"sql\", \"ldap\" or \"sessions\"" } },
        },
        {
          "counter", doc = "How often a counter was counted.",
          arguments = { { "name", "string", doc = "with its labels: name{a=\"b\"}" } },
          returns = { { "number" } },
        },
        {
          "totals", doc = "How many hooks have run, and how many failed by a policy's mistake.",
          returns = { { "integer" }, { "integer" } },
        },
        {
          "exhausted", doc = "Whether the policies' memory was full twice within a minute.",
          returns = { { "boolean" } },
        },
      },
    },
    {
      "SpecSession", variable = "spec_session", doc = "A session in a spec.",
      methods = {
        {
          "ask", doc = describe_hook,
          arguments = { { "hook", "string" }, { "options", "table", optional = true } },
          returns = { { "SpecDecision" } },
        },
        {
          "login", doc = "A whole login, as a session takes it: `connect` and `secured` before the "
            .. "first, then `auth`, as often as it says wait, and `route`; in SCRAM `verifier` "
            .. "before these, whose verifier a client with the password is shown. An accept tells "
            .. "in `address`, `tls` and `fallback` where it goes.",
          arguments = { { "user", "string" }, { "password", "string", optional = true },
            { "options", "table", optional = true,
              doc = "mechanism, authzid, challenge, response" } },
          returns = { { "SpecDecision" } },
          errors = "raises when the session has ended",
        },
        { "ended", doc = "Why the session is over: \"refused\", \"too_many_attempts\", ...; nil "
          .. "while it is not.", returns = { { "string?" } } },
        hook "certificate", hook "connect", hook "secured", hook "helo", hook "mail", hook "rcpt",
        hook "verifier", hook "auth", hook "route", hook "connect_failed", hook "upstream_auth",
        hook "upstream_refused", hook "refused", hook "spliced", hook "closed",
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
    {
      "SpecDecision", variable = "decision", doc = "What was decided. Besides these it has the "
        .. "fields of the decision; passwords in it are secrets.",
      fields = {
        { "kind", "string", doc = "\"accept\", \"reject\", ...; \"nil\": nobody decided" },
        { "policy", "string?", doc = "who decided" },
        { "bug", "boolean", doc = "a policy is broken" },
      },
      methods = {
        {
          "wire", doc = "What a client is told of a refusal, to the byte, without tag and end of "
            .. "line.",
          arguments = { { "protocol", "Protocol", optional = true,
            doc = "by default the session's own" } },
          returns = { { "string" } },
          errors = "raises when it is no refusal",
        },
      },
    },
    {
      "SpecClock", variable = "gateway.clock",
      doc = "The time of one gateway: it goes on only while everything waits for it.",
      fields = { { "now", "number", doc = "seconds since the gateway was made" } },
      methods = {
        {
          "advance", doc = "Lets time pass; timers run.",
          arguments = { { "seconds", "number", unit = "seconds" } },
        },
      },
    },
    stand("HttpMock", "gateway.http",
      "Answers `moongate.http`: { status =, headers =, body = }. A function is given "
        .. "{ method, url, headers, body }.", "a url, or \"METHOD url\""),
    stand("DnsMock", "gateway.dns", "Answers `moongate.dns`: a list of records.",
      "a name, or \"name TYPE\""),
    stand("SocketMock", "gateway.socket",
      "Answers `moongate.socket`: a table of replies to lines, with a `greeting`; or a function of "
        .. "what has arrived, at first \"\", that returns a reply and whether the connection is "
        .. "closed.", "\"host:port\""),
    stand("SqlMock", "gateway.sql",
      "Answers `moongate.sql`: a list of rows; of `execute`, a number. A function is given "
        .. "{ query, parameters }, all of them texts.", "the query"),
    stand("LdapMock", "gateway.ldap",
      "Answers `moongate.ldap`: true or false for a bind, a list of entries for a search. A "
        .. "function is given { what, dn, password } or { what, base, filter, attributes }.",
      "\"bind DN\", \"search BASE\", \"bind\" or \"search\""),
    stand("SessionsMock", "gateway.sessions",
      "Answers `moongate.sessions`: how many there are, or were ended. A function is given "
        .. "{ what, user, session, ip, protocol, listener, phase, except, reason }.",
      "\"count NAME\" or \"kick NAME\" with the user, session or ip; \"count\", \"kick\""),
    stand("AuthHttpMock", "gateway.auth_http", "Answers `moongate.auth_http`, as HttpMock does.",
      "the url of a server"),
    stand("RedisMock", "gateway.redis", "Answers `moongate.redis`: a text, a number, a list, true "
      .. "for OK, false for nothing, { error = text }. A function is given the words of the "
      .. "command. AUTH, SELECT and SUBSCRIBE are answered by itself, and EVAL comes in the place "
      .. "of EVALSHA.", "\"GET key\", \"EVAL\", any command, or to `fail` the url without user "
      .. "and password, as in \"redis://10.0.0.2:6379/0\""),
    {
      "RunningGateway", variable = "running", doc = "The real program in a spec.",
      fields = {
        { "upstream", "table", doc = "the mail servers: imap, pop3, smtp" },
        { "auth", "table", doc = "the auth server: `requests`, and `answer(request)`, which may be "
          .. "replaced" },
      },
      methods = {
        client "imap", client "pop3", client "smtp",
        {
          "write", doc = "Writes a file beside moongate.lua; the project stays as it is.",
          arguments = { { "name", "string" }, { "text", "string" } },
        },
        {
          "reload", doc = "Has the gateway read its files anew.",
          returns = { { "integer?", doc = "the number of the generation" },
            { "string?", doc = "why it was refused" } },
        },
        { "log", doc = "All that it has logged.", returns = { { "string" } } },
        {
          "expect_log", doc = "Waits until the log has a pattern.",
          arguments = { { "pattern", "string" } },
          returns = { { "string", doc = "its captures" } },
        },
        {
          "stop", doc = "Ends it.",
          arguments = { { "errors_expected", "boolean", optional = true } },
          errors = "raises when it does not end in order, or has logged an error",
        },
      },
    },
    {
      "MailClient", variable = "mail_client", doc = "A mail client, spoken by hand.",
      methods = {
        {
          "send", doc = "Sends a line.", arguments = { { "line", "string" } },
          returns = { { "MailClient", doc = "itself" } },
        },
        {
          "expect", doc = "The next line, which begins with `text`. What only leads to it is "
            .. "skipped: lines without a tag of IMAP, all but the last of a reply of SMTP.",
          arguments = { { "text", "string" } },
          returns = { { "string" } },
          errors = "raises when another comes, or none in ten seconds",
        },
        { "noop", doc = "A command that does nothing, and its answer.",
          returns = { { "string" } } },
        { "expect_end", doc = "Waits for the gateway to close." },
        { "close", doc = "Closes the connection." },
      },
    },
  },
}
