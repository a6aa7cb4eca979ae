--- `moongate.dovecot`. The format is explained in README.md.
local flag = "true|string"

return {
  name = "moongate.dovecot",
  doc = "The fields that Dovecot's passdbs give, as decisions, and Dovecot's auth service.",
  functions = {
    {
      "decision", awaits = true, doc = "What the fields of a passdb mean for a login that has "
        .. "succeeded. A flag is true, \"\", \"y\", \"yes\" or \"1\". Without `proxy` an accept, "
        .. "or a reject with `nologin`; with it an accept that goes to `host`. `forward_*` is put "
        .. "into `session.vars`; `nodelay`, `event_*`, `user_*`, `original_user`, `auth_user`, "
        .. "`master_user`, `proxy_nopipelining`, `proxy_refresh`, `proxy_redirect_reauth`, "
        .. "`proxy_host_immediate_failure_after` and `proxy_no_multiplex` change nothing here.",
      arguments = {
        {
          "fields", "table", fields = {
            { "user", "string", optional = true, doc = "the name that the user has now" },
            { "proxy", flag, optional = true },
            { "proxy_maybe", flag, optional = true,
              doc = "not where the client is connected to; needs the session, and an address" },
            { "host", "string", optional = true, doc = "needed by proxy" },
            { "hostip", "string", optional = true,
              doc = "its address; `host` is in the certificate" },
            { "port", "integer|string", optional = true },
            { "ssl", flag, optional = true, doc = "or \"any-cert\": whoever it is" },
            { "starttls", flag, optional = true, doc = "the same" },
            { "source_ip", "string", optional = true },
            { "destuser", "string", optional = true, doc = "the name there" },
            { "master", "string", optional = true,
              doc = "who logs in there, with `pass`, as a master user" },
            { "pass", "string|Secret", optional = true, doc = "there, instead of the client's" },
            { "proxy_mech", "string", optional = true, doc = "a mechanism of `login`" },
            { "proxy_timeout", "integer|string", optional = true,
              doc = "for the connection: seconds, or \"30 secs\"" },
            { "proxy_noauth", flag, optional = true, doc = "nobody is logged in there" },
            { "proxy_not_trusted", flag, optional = true,
              doc = "it is not told who the client is" },
            { "nologin", flag, optional = true },
            { "reason", "string", optional = true, doc = "what the client is told then" },
            { "code", "string", optional = true, doc = "\"temp_fail\", \"authz_fail\", "
              .. "\"user_disabled\" or \"pass_expired\"; another is a temporary failure" },
            { "temp", flag, optional = true, doc = "as these codes, as are the next three" },
            { "authz", flag, optional = true },
            { "user_disabled", flag, optional = true },
            { "pass_expired", flag, optional = true },
            { "delay_until", "integer|string", optional = true,
              doc = "the time, in seconds since 1970, at which it goes on; with \"+N\" up to so "
                .. "many later. At most 300 s away, and the hook's time goes on" },
          },
        },
        { "session", "Session", optional = true },
      },
      returns = { { "Decision" } },
      errors = "raises for an unknown field, which it names, and for a value that makes no sense",
    },
    {
      "auth", doc = "The auth service of a running Dovecot, by its auth-client protocol. All hooks "
        .. "of a worker ask over one connection. It is told service, session, addresses, ports and "
        .. "TLS of the client.",
      arguments = {
        {
          "options", "table", fields = {
            { "socket", "string", max_length = 248,
              doc = "the path of a unix_listener of `service auth`" },
            { "service", "string", optional = true, doc = "by default the session's protocol" },
            { "timeout", "number", default = 5, unit = "seconds", max = 600,
              doc = "to connect, and for an answer" },
          },
        },
      },
      returns = { { "DovecotCheck" } },
      errors = "raises when an option is wrong",
    },
  },
  classes = {
    {
      "DovecotCheck", variable = "check",
      doc = "Call it in `auth`. Only PLAIN is spoken: a login without a password is a temporary "
        .. "failure.",
      call = {
        awaits = true,
        arguments = { { "session", "Session" }, { "credentials", "Credentials" } },
        returns = { { "Decision", doc = "what `decision` makes of the answer; reject for a wrong "
          .. "password; tempfail when there is no proper answer" } },
      },
    },
  },
}
