--- The files in this folder that describe a module, in the order of the manual.
return {
  "moongate", "auth_http", "dovecot", "http", "redis", "sql", "ldap", "dns", "socket", "crypt",
  "file", "json", "re", "jwt", "hash", "shared", "limit", "sessions", "metrics", "timer", "log",
  "secret", "ngx", "spec", "constructors",
}
