--- What scripts/dev/bench measures: rows of load, the most that Moongate may cost as a share of
--- nginx's figure (`target`; of that of the gateway `versus`) or by itself (`limit`), and the
--- gateways (`of`) that are compared.
local function set(text)
  local kinds = {}
  for kind in text:gmatch "%S+" do kinds[kind] = true end
  return kinds
end

local PAIR = "moongate nginx"
local LOGIN = "-c 64 -t 60"

local scenarios = {
  { name = "imap-login", title = "IMAP login, plain, auth_http", unit = "us/login", target = 0.70,
    of = PAIR .. " haproxy", mode = "login", port = "imap", load = "-P imap " .. LOGIN, n = 6000 },
  { name = "imap-local", title = "IMAP login, plain, a table in Lua", unit = "us/login",
    target = 0.60, of = "local nginx", mode = "login", port = "imap", load = "-P imap " .. LOGIN,
    n = 6000 },
  { name = "pop3-login", title = "POP3 login, plain", unit = "us/login", target = 0.75, of = PAIR,
    mode = "login", port = "pop3", load = "-P pop3 " .. LOGIN, n = 6000 },
  { name = "smtp-login", title = "SMTP login, plain", unit = "us/login", target = 0.75, of = PAIR,
    mode = "login", port = "smtp", load = "-P smtp " .. LOGIN, n = 6000 },
  { name = "tls-full", title = "IMAP login, TLS 1.3, full", unit = "us/login", target = 0.80,
    of = PAIR .. " haproxy", mode = "login", port = "imaps", load = "-P imap -T1 " .. LOGIN,
    n = 1500 },
  { name = "tls-resumed", title = "IMAP login, TLS 1.3, resumed", unit = "us/login", target = 0.80,
    of = PAIR .. " haproxy", mode = "login", port = "imaps", load = "-P imap -T1 -R " .. LOGIN,
    n = 1500 },
  { name = "tls-latency", title = "IMAP login, TLS, one at a time: median", unit = "us",
    target = 0.10, of = PAIR .. " haproxy", mode = "login", figure = "p50_us", port = "imaps",
    load = "-P imap -T1 -R -c 1 -t 60", n = 60 },
  { name = "syscalls", title = "system calls of an IMAP login, plain", unit = "calls/login",
    limit = 24, of = PAIR, mode = "strace", port = "imap", load = "-P imap " .. LOGIN, n = 2000,
    once = true },
  { name = "idle", title = "idle session, plain", unit = "KiB PSS", limit = 1.0,
    of = PAIR .. " haproxy", mode = "idle", port = "imap", load = "-P imap -c 32 -t 90", n = 4000 },
  { name = "idle-tls", title = "idle session, TLS", unit = "KiB PSS", limit = 14.5,
    of = PAIR .. " nginx-16k haproxy", mode = "idle", port = "imaps",
    load = "-P imap -T1 -c 32 -t 90", n = 2000 },
  { name = "bulk-1", title = "relaying, plain, 1 session", unit = "us/MiB", target = 0.35,
    of = PAIR .. " nginx-16k haproxy", mode = "bulk", port = "imap", load = "-P imap -t 60",
    n = 1, mib = 1024 },
  { name = "bulk-50", title = "relaying, plain, 50 sessions", unit = "us/MiB", target = 0.35,
    of = PAIR .. " nginx-16k haproxy", mode = "bulk", port = "imap", load = "-P imap -t 60",
    n = 50, mib = 24 },
  { name = "bulk-tls-1", title = "relaying, TLS, 1 session", unit = "us/MiB", target = 0.60,
    of = PAIR .. " nginx-16k haproxy", mode = "bulk", port = "imaps", load = "-P imap -T1 -t 60",
    n = 1, mib = 256 },
  { name = "bulk-tls-50", title = "relaying, TLS, 50 sessions", unit = "us/MiB", target = 0.60,
    of = PAIR .. " nginx-16k haproxy", mode = "bulk", port = "imaps", load = "-P imap -T1 -t 60",
    n = 50, mib = 6 },
  { name = "noop", title = "NOOP through 1,000 idle sessions", unit = "us/NOOP", target = 1.0,
    of = PAIR .. " haproxy", mode = "ping", port = "imap",
    load = "-P imap -c 32 -r 4000 -d 2 -t 60", n = 1000, all = true },
  { name = "noop-p99", title = "NOOP through 1,000 idle sessions: p99", unit = "us", target = 1.0,
    of = PAIR, mode = "ping", figure = "noop_p99_us", port = "imap",
    load = "-P imap -c 32 -r 4000 -d 2 -t 60", n = 1000, all = true },
  { name = "connect", title = "connect, greeting, close", unit = "us", target = 1.05,
    of = PAIR .. " haproxy", mode = "connect", port = "imap", load = "-P imap -c 64 -t 60",
    n = 10000 },
  -- What two workers get done in a second of which each has all its CPU can use: the busier one's
  -- time is what counts, so neither the load generator nor the number of CPUs does.
  { name = "two-workers", title = "IMAP login, 2 workers: the busier one", unit = "us/login",
    target = 0.59, versus = "moongate", of = "pair moongate", mode = "busiest", port = "imap",
    load = "-P imap " .. LOGIN, n = 6000 },
  { name = "reload", title = "reload beside 5,000 sessions: longest stall", unit = "us",
    limit = 5000, of = "moongate", mode = "stall", port = "imap", load = "-P imap -c 32 -t 90",
    n = 5000, all = true, once = true },
  { name = "crowd-10", title = "IMAP login beside 10 sessions", unit = "us/login", of = PAIR,
    mode = "login", port = "imap", load = "-P imap " .. LOGIN, n = 4000, crowd = 10 },
  { name = "crowd-1000", title = "IMAP login beside 1,000 sessions", unit = "us/login", of = PAIR,
    mode = "login", port = "imap", load = "-P imap " .. LOGIN, n = 4000, crowd = 1000 },
  { name = "crowd-9000", title = "IMAP login beside 9,000 sessions", unit = "us/login", of = PAIR,
    mode = "login", port = "imap", load = "-P imap " .. LOGIN, n = 4000, crowd = 9000 },
}

scenarios.by_name = {}
for _, scenario in ipairs(scenarios) do
  scenario.of = set(scenario.of)
  scenarios.by_name[scenario.name] = scenario
end

return scenarios
