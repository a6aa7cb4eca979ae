--- What a policy may be asked, in the order of a session. The format is explained in README.md.
return {
  {
    "init", doc = "Prepares the policy.",
    arguments = {}, decides = {}, awaits = true, budget = 30,
    asked = "once a worker, before a configuration serves",
    otherwise = "nothing to prepare",
    failing = "an error or a time-out stops the start, or the reload",
    example = [[
local moongate = require "moongate"

local started

return {
  init = function() started = moongate.now() end,
  auth = function() return moongate.tempfail { log = "up since " .. started } end,
}
]],
  },
  {
    "certificate", doc = "Chooses the certificate that a client is shown.",
    arguments = { { "session", "Session" } },
    decides = { "certificate", "reject", "tempfail" }, awaits = true,
    asked = "in a full TLS handshake with a client; `session.tls.sni` is the name it asks for. A "
      .. "client that resumes a TLS session is not asked about. That a client left is noticed "
      .. "when the hook has answered",
    otherwise = "the listener's own",
    answers = {
      certificate = "The handshake goes on with it.",
      reject = "The handshake fails with an alert, without words for the client.",
      tempfail = "The handshake fails with an alert, without words for the client.",
    },
    example = [[
local moongate = require "moongate"

return {
  certificate = function(session)
    if not session.tls.sni then return moongate.reject { reason = "not-allowed" } end
  end,
}
]],
  },
  {
    "connect", doc = "Lets a connection in or not.",
    arguments = { { "session", "Session" } },
    decides = { "reject", "tempfail" }, awaits = true,
    asked = "before the greeting; after a PROXY header and the handshake of implicit TLS. Again, "
      .. "when a trusted gateway in front says who the client is",
    otherwise = "the client is greeted",
    stages = { "connect" }, reason = "not-allowed",
    answers = {
      reject = "The client is told instead of greeted, and the session ends.",
      tempfail = "The client is told instead of greeted, and the session ends.",
    },
    example = [[
local moongate = require "moongate"

local refused = { ["203.0.113.66"] = true }

return {
  connect = function(session)
    if refused[session.client.ip] then return moongate.reject { text = "Not from there" } end
  end,
}
]],
  },
  {
    "secured", doc = "Lets a connection go on or not, now that it is encrypted.",
    arguments = { { "session", "Session" } },
    decides = { "reject", "tempfail" }, awaits = true,
    asked = "after STARTTLS or STLS; `session.tls` is set",
    otherwise = "the session goes on",
    stages = { "connect" }, reason = "not-allowed",
    answers = {
      reject = "The client is told, and the session ends.",
      tempfail = "The client is told, and the session ends.",
    },
    example = [[
local moongate = require "moongate"

return {
  secured = function(session)
    if session.tls and session.tls.version == "TLSv1" then
      return moongate.reject { text = "Please use a newer program" }
    end
  end,
}
]],
  },
  {
    "mechanisms", doc = "How a client may log in. What several policies return is united.",
    arguments = { { "session", "Session" } },
    decides = {}, returns = "Mechanism[]", awaits = false,
    asked = "for the greeting and the capabilities; again after STARTTLS",
    otherwise = "what the listener enables", failing = "a policy that fails offers nothing",
    answers = {},
    example = [[
return {
  mechanisms = function(session)
    return session.tls and { "PLAIN", "LOGIN" } or {}
  end,
}
]],
  },
  {
    "helo", doc = "Takes what a client calls itself, or not.",
    arguments = { { "session", "Session" } },
    decides = { "accept", "reject", "tempfail" }, awaits = true,
    protocol = "smtp", asked = "after HELO or EHLO; `session.client.helo` is set",
    otherwise = "it is let pass",
    stages = { "command" }, reason = "not-allowed",
    answers = {
      accept = "The command is answered; the other policies are not asked.",
      reject = "The command is refused; the session goes on.",
      tempfail = "The command is refused for the moment; the session goes on.",
    },
    example = [[
local moongate = require "moongate"

return {
  helo = function(session)
    if session.client.helo == "localhost" then return moongate.reject { text = "You are not" } end
  end,
}
]],
  },
  {
    "mail", doc = "Takes a sender, or not.",
    arguments = { { "session", "Session" }, { "sender", "Address" } },
    decides = { "accept", "reject", "tempfail" }, awaits = true,
    protocol = "smtp", asked = "on a listener without AUTH, after MAIL",
    otherwise = "it is let pass",
    stages = { "command" }, reason = "not-allowed",
    answers = {
      accept = "The command is answered; the other policies are not asked.",
      reject = "The command is refused; the session goes on.",
      tempfail = "The command is refused for the moment; the session goes on.",
    },
    example = [[
local moongate = require "moongate"

return {
  mail = function(_, sender)
    if sender.domain == "example.com" then
      return moongate.reject { code = "550", enhanced = "5.1.8", text = "No such domain" }
    end
  end,
}
]],
  },
  {
    "rcpt", doc = "Lets a message in, and says where it goes.",
    arguments = { { "session", "Session" }, { "rcpt", "Address" } },
    decides = { "accept", "reject", "tempfail", "wait" }, awaits = true,
    protocol = "smtp", asked = "on a listener without AUTH, at the first recipient",
    otherwise = "temporary failure",
    stages = { "rcpt" }, reason = "not-allowed",
    answers = {
      accept = "`route` is asked next, and the session goes to the upstream.",
      reject = "The recipient is refused; an attempt is used up.",
      tempfail = "The recipient is refused for the moment; an attempt is used up.",
      wait = "The client waits, and the hook is asked again.",
    },
    example = [[
local moongate = require "moongate"

return {
  rcpt = function(_, rcpt)
    if rcpt.domain ~= "example.org" then
      return moongate.reject { code = "550", enhanced = "5.7.1", text = "Relaying denied" }
    end
    return moongate.accept { upstream = "10.0.0.25:25" }
  end,
}
]],
  },
  {
    "verifier", doc = "Tells what is stored of a user's password, for SCRAM: with it the gateway "
      .. "finds out whether the client knows the password, which nobody is told.",
    arguments = { { "session", "Session" }, { "request", "VerifierRequest" } },
    decides = { "verifier", "reject", "tempfail" }, awaits = true,
    asked = "when a client has begun SCRAM-SHA-1 or SCRAM-SHA-256, with -PLUS or without. "
      .. "Listeners offer these only with a policy that has the hook",
    otherwise = "temporary failure",
    stages = { "login" }, reason = "bad-credentials",
    answers = {
      verifier = "The dialogue goes on. Once the client has proved that it knows the password, "
        .. "`auth` is asked; if it does not, the login is refused as bad-credentials.",
      reject = "The user has none. The dialogue goes on all the same, with a salt that is always "
        .. "the user's own, and ends as with a wrong password: nothing else of the decision is "
        .. "told, so that nobody can tell the two apart. Only a reason that is not about the user, "
        .. "such as a limit, is told at once.",
      tempfail = "The login is refused for the moment; an attempt is used up.",
    },
    example = [[
local moongate = require "moongate"
local secret = require "moongate.secret"

local stored = {
  ["erin@example.org"] = "{SCRAM-SHA-256}4096,c2l4dGVlbiBieXRlcy4uLg==,"
    .. "DN2NEclH9HWvvi9Ze4oFNv2u/igw0htIgi9Vo2Lig+8=,"
    .. "K5ANbq97diF1DZURtm7rZxdnAyw1y5RwUmk2G1jpnyI=",
}
local master = secret.of "of the master user"

return {
  verifier = function(_, request)
    local verifier = stored[request.user]
    if not verifier then return moongate.reject { reason = "unknown user" } end
    return moongate.verifier { stored = verifier }
  end,
  auth = function(_, credentials)
    if not credentials.mechanism:find "^SCRAM" then return moongate.reject {} end
    return moongate.accept { upstream_auth = moongate.login { user = "master", password = master,
      authzid = credentials.user } }
  end,
}
]],
  },
  {
    "auth", doc = "Lets a user in, or not.",
    arguments = { { "session", "Session" }, { "credentials", "Credentials" } },
    decides = { "accept", "reject", "tempfail", "wait" }, awaits = true,
    asked = "when a login is complete",
    otherwise = "temporary failure",
    stages = { "login" }, reason = "bad-credentials",
    answers = {
      accept = "`route` is asked next; the client hears of it when the upstream has said yes.",
      reject = "The login is refused; an attempt is used up.",
      tempfail = "The login is refused for the moment; an attempt is used up.",
      wait = "The client waits, and the hook is asked again.",
    },
    example = [[
local moongate = require "moongate"

local hosts = { ["example.org"] = "10.0.0.5:143", ["example.net"] = "10.0.0.6:143" }

return {
  auth = function(_, credentials)
    local host = hosts[credentials.user:match "@(.+)$" or ""]
    if not host then return moongate.reject { reason = "not-allowed" } end
    return moongate.accept { upstream = host } -- which checks the password itself
  end,
}
]],
  },
  {
    "route", doc = "Says where the session goes.",
    arguments = { { "session", "Session" } },
    decides = { "to", "reject", "tempfail" }, awaits = true,
    asked = "after `auth` or `rcpt` has accepted",
    otherwise = "the accept's upstream, or the listener's",
    stages = { "login", "rcpt" }, reason = "not-allowed",
    answers = {
      to = "The upstream is connected to.",
      reject = "The login is refused; an attempt is used up.",
      tempfail = "The login is refused for the moment; an attempt is used up.",
    },
    example = [[
local moongate = require "moongate"

return {
  route = function(session)
    local first = session.user < "n"
    return moongate.to { address = first and "10.0.0.5:143" or "10.0.0.6:143",
      fallback = "10.0.0.9:143" }
  end,
}
]],
  },
  {
    "connect_failed", doc = "What to do about an upstream that fails.",
    arguments = {
      { "session", "Session" }, { "upstream", "Upstream" },
      { "err", "string", doc = "what happened" },
    },
    decides = { "retry", "reject", "tempfail" }, awaits = true,
    asked = "when an upstream can't be reached or fails",
    otherwise = "another member of the pool, the `fallback`, or temporary failure",
    stages = { "login", "rcpt" }, reason = "not-allowed",
    answers = {
      retry = "The upstream is connected to, unless `limits.upstream_attempts` are used up.",
      reject = "The login is refused, and the session ends.",
      tempfail = "The login is refused for the moment, and the session ends.",
    },
    example = [[
local moongate = require "moongate"

return {
  connect_failed = function(session, upstream)
    session:log("warn", "upstream failed", { upstream = upstream.address })
    if session.upstream_attempt < 2 then return moongate.retry { upstream = "10.0.0.9:143" } end
  end,
}
]],
  },
  {
    "upstream_auth", doc = "How the gateway logs in at the upstream.",
    arguments = { { "session", "Session" }, { "upstream", "Upstream" } },
    decides = { "login", "reject", "tempfail" }, awaits = true,
    asked = "before the login there",
    otherwise = "the client's own credentials, or the accept's `upstream_auth`",
    stages = { "login", "rcpt" }, reason = "not-allowed",
    answers = {
      login = "The gateway logs in so.",
      reject = "The login is refused; an attempt is used up.",
      tempfail = "The login is refused for the moment; an attempt is used up.",
    },
    example = [[
local moongate = require "moongate"
local secret = require "moongate.secret"

local master = secret.of "of the master user"

return {
  upstream_auth = function(session)
    return moongate.login { user = "master", password = master, authzid = session.user }
  end,
}
]],
  },
  {
    "upstream_refused", doc = "How the client is told that the upstream refused.",
    arguments = { { "session", "Session" }, { "reply", "Reply" } },
    decides = { "retry", "reject", "tempfail" }, awaits = true,
    asked = "when the upstream has refused the login",
    otherwise = "its refusal, by what its code means",
    stages = { "login", "rcpt" }, reason = "bad-credentials",
    answers = {
      retry = "The upstream is connected to, unless `limits.upstream_attempts` are used up.",
      reject = "The login is refused; an attempt is used up.",
      tempfail = "The login is refused for the moment; an attempt is used up.",
    },
    example = [[
local moongate = require "moongate"

return {
  upstream_refused = function(_, reply)
    if reply.reason == "unavailable" then
      return moongate.tempfail { text = "The mailbox is moving, try again in an hour" }
    end
  end,
}
]],
  },
  {
    "refused", doc = "Tells that a login was refused. Every policy of the chain is told.",
    arguments = { { "session", "Session" }, { "refusal", "Refusal" } },
    decides = {}, awaits = true,
    asked = "when a policy or the upstream has refused a login, before the client hears of it; not "
      .. "of one that ended without an answer",
    otherwise = "nobody is told",
    answers = {},
    example = [[
return {
  refused = function(session, refusal)
    if not refusal.temporary then session:count("refused", { protocol = session.protocol }) end
  end,
}
]],
  },
  {
    "spliced", doc = "Tells that the client is relayed. Every policy of the chain is told.",
    arguments = { { "session", "Session" } },
    decides = {}, awaits = true,
    asked = "when the client is logged in and its bytes are relayed",
    otherwise = "nobody is told",
    answers = {},
    example = [[
return {
  spliced = function(session)
    session:count("logins", { protocol = session.protocol })
  end,
}
]],
  },
  {
    "closed", doc = "Tells that a session is over. Every policy of the chain is told.",
    arguments = { { "session", "Session" }, { "summary", "Summary" } },
    decides = {}, awaits = true, budget = 5,
    asked = "at the end of every session",
    otherwise = "nobody is told",
    answers = {},
    example = [[
return {
  closed = function(session, summary)
    session:log("info", "accounting", { user = summary.user, bytes = summary.bytes_down })
  end,
}
]],
  },
}
