--- Why a client is refused, as a policy's `reject` says it, and how that is told.
--
-- `labels` are the words that mean the same. `imap` and `pop3` are response codes, in brackets or
-- none; the others are SMTP's: answering AUTH, instead of the greeting or in the middle of a
-- session, answering HELO and MAIL, answering RCPT.
return {
  {
    "bad-credentials", labels = { "invalid-token" }, doc = "wrong user or password",
    text = "Authentication failed", imap = "[AUTHENTICATIONFAILED]", pop3 = "[AUTH]",
    login = "535 5.7.8", connect = "554 5.7.1", command = "530 5.7.0", rcpt = "550 5.7.1",
  },
  {
    "not-allowed", labels = {}, doc = "known, but may not in: no mailbox, another tenant. Any "
      .. "word that is not in this table means the same",
    text = "Access denied", imap = "[AUTHORIZATIONFAILED]", pop3 = "[AUTH]",
    login = "535 5.7.0", connect = "554 5.7.1", command = "550 5.7.1", rcpt = "550 5.7.1",
  },
  {
    "limit", labels = { "rate-limited", "too-many-sessions" }, doc = "too many, too fast",
    text = "Too many connections or attempts, try again later", imap = "[LIMIT]",
    pop3 = "[IN-USE]",
    login = "454 4.7.0", connect = "421 4.7.0", command = "451 4.7.1", rcpt = "451 4.7.1",
  },
  {
    "expired", labels = {}, doc = "the password must be changed",
    text = "Password has expired", imap = "[EXPIRED]", pop3 = "[AUTH]",
    login = "535 5.7.8", connect = "554 5.7.1", command = "550 5.7.1", rcpt = "550 5.7.1",
  },
  {
    "tls-required", labels = {}, doc = "not without TLS",
    text = "TLS is required to log in", imap = "[PRIVACYREQUIRED]", pop3 = "",
    login = "538 5.7.11", connect = "554 5.7.0", command = "530 5.7.0", rcpt = "530 5.7.0",
  },
  {
    "unavailable", labels = {}, doc = "a temporary failure; what `tempfail` always is",
    text = "Temporary failure, try again later", imap = "[UNAVAILABLE]", pop3 = "[SYS/TEMP]",
    login = "454 4.7.0", connect = "421 4.3.0", command = "451 4.3.0", rcpt = "451 4.3.0",
  },
  {
    "server-bug", labels = {}, doc = "misconfigured here; will not mend itself",
    text = "Internal error, please tell the administrator", imap = "[SERVERBUG]",
    pop3 = "[SYS/PERM]",
    login = "454 4.7.0", connect = "421 4.3.5", command = "451 4.3.5", rcpt = "451 4.3.5",
  },
  {
    "too-many", labels = {}, doc = "attempts or errors are used up",
    text = "Too many errors", imap = "", pop3 = "",
    login = "421 4.7.0", connect = "421 4.7.0", command = "421 4.7.0", rcpt = "421 4.7.0",
  },
  {
    "timeout", labels = {}, doc = "it took too long",
    text = "Timed out waiting for a login", imap = "", pop3 = "",
    login = "421 4.4.2", connect = "421 4.4.2", command = "421 4.4.2", rcpt = "421 4.4.2",
  },
  {
    "shutdown", labels = {}, doc = "the gateway stops",
    text = "Server is shutting down, try again later", imap = "[UNAVAILABLE]",
    pop3 = "[SYS/TEMP]",
    login = "421 4.3.2", connect = "421 4.3.2", command = "421 4.3.2", rcpt = "421 4.3.2",
  },
}
