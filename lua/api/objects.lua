--- What hooks are called with, and what several modules share. The format is explained in
-- README.md.
return {
  aliases = {
    { "Protocol", values = { "imap", "pop3", "smtp" }, doc = "What a listener speaks." },
    {
      "Mechanism", doc = "How a client logs in.",
      values = { "PLAIN", "LOGIN", "CRAM-MD5", "APOP", "EXTERNAL", "OAUTHBEARER", "XOAUTH2",
        "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" },
    },
    {
      "End", doc = "Why a session is over.",
      values = {
        { "client_quit", doc = "the client said goodbye before it logged in" },
        { "client_closed", doc = "the client closed the connection" },
        { "client_gone", doc = "the client's connection was lost" },
        { "upstream_closed", doc = "the upstream closed the connection" },
        { "upstream_lost", doc = "the upstream's connection was lost" },
        { "refused", doc = "a policy refused the client or the login" },
        { "too_many_attempts", doc = "too many failed logins" },
        { "too_many_errors", doc = "too many protocol errors" },
        { "malformed", doc = "a command was too long or had no end" },
        { "abuse", doc = "the client speaks another protocol" },
        { "early_talker", doc = "the client spoke before the greeting" },
        { "proxy_header", doc = "no good PROXY header, or from a stranger" },
        { "identity", doc = "a trusted peer told nonsense about the client" },
        { "loop", doc = "gateways send logins to each other" },
        { "tls_failed", doc = "the TLS handshake failed" },
        { "tls_certificate", doc = "the client has no good certificate" },
        { "starttls_injection", doc = "plaintext followed STARTTLS" },
        { "timeout", doc = "the client took too long to log in" },
        { "idle", doc = "no byte for the idle timeout" },
        { "policy_failed", doc = "a policy failed before the greeting" },
        { "upstream_garbage", doc = "the upstream does not speak the protocol" },
        { "upstream_greeting", doc = "the upstream greeted with a refusal" },
        { "upstream_preauth", doc = "the upstream was logged in before we asked" },
        { "upstream_no_login", doc = "the upstream offers no way to log in" },
        { "upstream_tls", doc = "TLS with the upstream failed" },
        { "upstream_untrusted", doc = "the upstream can't prove who it is" },
        { "upstream_no_starttls", doc = "the upstream does not offer STARTTLS" },
        { "upstream_injection", doc = "plaintext came before the upstream's TLS" },
        { "upstream_refused", doc = "the upstream refused the login" },
        { "upstream_unreachable", doc = "no upstream could be reached" },
        { "upstream_timeout", doc = "the upstream took too long" },
        { "resources", doc = "a memory limit of the session was reached" },
        { "overload", doc = "the worker holds as many sessions as it may" },
        { "kicked", doc = "an operator ended it" },
        { "shutdown", doc = "the gateway is stopping" },
      },
    },
    {
      "Phase", doc = "Where a session is.",
      values = {
        { "handshake", doc = "a PROXY header and TLS" },
        { "greet", doc = "the greeting goes out" },
        { "command", doc = "the client's commands" },
        { "policy", doc = "a hook runs" },
        { "connect", doc = "the upstream is connected to" },
        { "login", doc = "the gateway logs in there" },
        { "splice", doc = "the client is relayed" },
        { "close", doc = "the last bytes go out" },
      },
    },
    {
      "FailureKind", doc = "What went wrong outside of the policy.",
      values = { "timeout", "connect", "tls", "dns", "protocol", "closed", "overload",
        "server", "cancelled" },
    },
  },
  classes = {
    {
      "Session", variable = "session",
      doc = "The connection of one client. Read-only, and of no use after its hook.",
      fields = {
        { "id", "string", doc = "26 letters and digits; also in every log line of the session" },
        { "origin", "string?", doc = "the id that the gateway in front has for it" },
        { "protocol", "Protocol" },
        { "listener", "string", doc = "the listener's name" },
        {
          "client", "table", fields = {
            { "ip", "string?" },
            { "port", "integer?", doc = "nil on a unix socket" },
            { "host", "string?", doc = "the verified reverse name" },
            { "helo", "string?", doc = "SMTP: what it calls itself" },
          },
        },
        {
          "server", "table", doc = "what the client connected to",
          fields = {
            { "ip", "string?" },
            { "port", "integer?", doc = "nil on a unix socket" },
          },
        },
        {
          "proxy", "table?", doc = "who told in a PROXY header that the client is another",
          fields = {
            { "ip", "string" },
            { "port", "integer?", doc = "nil on a unix socket" },
            { "alpn", "string?", doc = "of its header, as all that follows" },
            { "authority", "string?", doc = "the host name that the client asked for" },
            { "unique_id", "string?" },
            {
              "tls", "table?", doc = "the client speaks TLS with it",
              fields = {
                { "version", "string?" },
                { "cipher", "string?" },
                { "common_name", "string?", doc = "in the client's certificate" },
                { "verified", "boolean", doc = "whether it found that certificate good" },
              },
            },
          },
        },
        {
          "tls", "table?", doc = "nil: the client does not speak TLS. In `certificate` there is "
            .. "only `sni`",
          fields = {
            { "sni", "string?", doc = "the name that the client asked for" },
            { "version", "string?", doc = "\"TLSv1.3\"" },
            { "cipher", "string?" },
            { "alpn", "string?" },
            { "resumed", "boolean?" },
            { "kernel", "boolean?", doc = "the kernel encrypts and decrypts" },
            {
              "client_cert", "table?", doc = "the client was asked for a certificate",
              fields = {
                { "verify", "string", doc = "\"SUCCESS\", \"NONE\" or \"FAILED:reason\"" },
                { "subject", "string?" },
                { "issuer", "string?" },
                { "serial", "string?" },
                { "fingerprint", "string?", doc = "SHA-1, as nginx has it" },
                { "fingerprint_sha256", "string?" },
              },
            },
          },
        },
        { "attempt", "integer", doc = "logins so far: 1, 2, ..." },
        { "user", "string?", doc = "who logs in, as far as that is known" },
        { "upstream", "string?", doc = "where the session goes: \"host:port\"" },
        { "pool", "string?", doc = "the pool that `upstream` is a member of" },
        { "upstream_attempt", "integer", doc = "upstreams tried for this login: 1, 2, ..." },
        { "mail_from", "string?", doc = "SMTP without AUTH: the sender's address" },
        { "generation", "integer", doc = "of the policies that decided last" },
        { "vars", "Vars", doc = "what the hooks of a session keep for each other" },
      },
      methods = {
        {
          "log", doc = "Writes a line to the log that names the session.",
          arguments = {
            { "level", "string", values = { "error", "warn", "info", "debug" } },
            { "message", "string|number|boolean|Failure", max_length = 2000 },
            { "fields", "table<string, string|number|boolean|Failure>", optional = true,
              doc = "logged as name=\"value\"" },
          },
          errors = "raises for a Secret and for what has no text",
        },
        { "deadline", doc = "How long this hook may still take.",
          returns = { { "number", doc = "seconds" } } },
        {
          "count", doc = "As `moongate.count`.",
          arguments = {
            { "name", "string" },
            { "labels", "table<string, string|number|boolean>", optional = true },
          },
          returns = { { "boolean" } },
          errors = "raises for a Secret",
        },
        {
          "set_user", doc = "The next policies of the chain, and the upstream, see this name.",
          arguments = { { "name", "string", max_length = 512 } },
          errors = "raises when it is empty, has control characters or the login is over",
        },
      },
    },
    {
      "Vars", variable = "session.vars", open = "string|number|boolean|table?",
      doc = "Plain data: text, numbers, booleans and flat tables, 8 KiB in all. It outlives hooks "
        .. "and reloads.",
      call = { returns = { { "table<string|number, string|number|boolean|table>",
        doc = "a copy of everything" } } },
    },
    {
      "Credentials", variable = "credentials",
      doc = "What the client logs in with. Wiped when the decision is taken.",
      fields = {
        { "mechanism", "Mechanism", doc = "\"PLAIN\" also for the LOGIN command of IMAP and for "
          .. "USER and PASS; with \"EXTERNAL\" there is only a `user`, and a certificate in "
          .. "`session.tls`; with \"SCRAM-SHA-1\" and the like a `user` that has proved to know "
          .. "the password of the `verifier`" },
        { "user", "string" },
        { "authzid", "string?", doc = "whose mailbox it is, if not the user's own" },
        { "password", "Secret?", doc = "of PLAIN and LOGIN" },
        { "token", "Secret?", doc = "of OAUTHBEARER and XOAUTH2" },
        { "challenge", "string?", doc = "of CRAM-MD5 and APOP: what was sent to the client" },
        { "response", "string?", doc = "of CRAM-MD5 and APOP: its answer" },
      },
      methods = {
        {
          "verify_cram", doc = "Whether the client knew this password: CRAM-MD5 and APOP.",
          arguments = { { "secret", "Secret|string" } },
          returns = { { "boolean" } },
          errors = "raises with another mechanism",
        },
        {
          "retain", doc = "Keeps the password or token for a while after the decision, for work "
            .. "that goes on behind it: to hash a password anew, say.",
          arguments = { { "seconds", "number", unit = "seconds", doc = "60 at most" } },
          returns = { { "Secret?", doc = "which is wiped then; nil: there is neither" } },
        },
      },
    },
    {
      "VerifierRequest", variable = "request", doc = "Whose verifier SCRAM wants.",
      fields = {
        { "mechanism", "string", values = { "SCRAM-SHA-1", "SCRAM-SHA-256" },
          doc = "of which the verifier is to be; those of -PLUS are the same" },
        { "user", "string" },
        { "authzid", "string?", doc = "whose mailbox it is, if not the user's own" },
        { "salt", "string", doc = "in base64: what is shown for a user without a verifier, always "
          .. "the same. A verifier that is made of a password while the client waits has it too" },
        { "iterations", "integer", doc = "and how many are shown then: the configuration's "
          .. "`scram.iterations`" },
      },
    },
    {
      "Secret", variable = "secret",
      doc = "A text that can be passed on to any module that takes a text, but not printed, "
        .. "joined, logged or put into JSON. Its bytes live in C memory and are wiped.",
      methods = {
        {
          "equals", doc = "Compares in constant time.",
          arguments = { { "other", "Secret|string" } },
          returns = { { "boolean" } },
        },
        {
          "hmac", doc = "A name for it that can be logged and looked up: HMAC-SHA-256 under a key.",
          arguments = { { "key", "Secret|string" } },
          returns = { { "string", doc = "64 hexadecimal digits" } },
        },
        {
          "sha256", doc = "SHA-256 of texts with the secret behind them, where another program "
            .. "wants it so; by itself `hmac` is the better name.",
          arguments = { { "...", "Secret|string", doc = "what comes before the secret" } },
          returns = { { "string", doc = "64 hexadecimal digits" } },
        },
        { "len", doc = "Its length.", returns = { { "integer", doc = "bytes" } } },
        { "reveal", doc = "The one way to a Lua string.", returns = { { "string" } } },
      },
    },
    {
      "Address", variable = "rcpt", also = { "sender" },
      doc = "The address of a sender or a recipient.",
      fields = {
        { "address", "string", doc = "without < and >; \"\" is the sender of a bounce" },
        { "local_part", "string" },
        { "domain", "string?" },
        { "params", "table<string, string>", doc = "of ESMTP, as written: SIZE, BODY, ..." },
      },
    },
    {
      "Upstream", variable = "upstream", doc = "Where the session goes.",
      fields = {
        { "address", "string", doc = "\"host:port\" or \"unix:/path\"" },
        { "host", "string" },
        { "port", "integer" },
        { "tls", "string", values = { "off", "starttls", "implicit" } },
        { "pool", "string?", doc = "of which it is a member" },
      },
    },
    {
      "Reply", variable = "reply", doc = "How an upstream refused a login.",
      fields = {
        { "reason", "Reason", doc = "what its code means" },
        { "text", "string", doc = "its own words" },
      },
    },
    {
      "Refusal", variable = "refusal", doc = "How a login was refused.",
      fields = {
        { "temporary", "boolean", doc = "it is not the client's fault" },
        { "reason", "Reason", doc = "what the client is told by" },
        { "policy", "string", doc = "which decided; after an upstream's refusal, which let in" },
        { "log", "string", doc = "why, as it is logged" },
      },
    },
    {
      "Summary", variable = "summary", doc = "How a session was.",
      fields = {
        { "reason", "End", doc = "why it ended" },
        { "phase", "Phase", doc = "where it was when it ended" },
        { "user", "string" },
        { "policy", "string", doc = "which decided last" },
        { "upstream", "string" },
        { "pool", "string" },
        { "mechanism", "string" },
        { "log", "string", doc = "the `log` of the last refusal" },
        { "attempts", "integer" },
        { "bytes_up", "integer", doc = "from the client" },
        { "bytes_down", "integer", doc = "to the client" },
        { "seconds", "number", doc = "how long it took" },
      },
    },
    {
      "Failure", variable = "err",
      doc = "What went wrong outside of the policy; the second result of a function whose first is "
        .. "nil. It reads as text: `..`, `tostring` and `log` take it.",
      fields = {
        { "kind", "FailureKind" },
        { "message", "string" },
      },
    },
    {
      "Decision", variable = "decision",
      doc = "An answer, made by a function of `moongate`. It has no fields: it is for the gateway.",
    },
  },
}
