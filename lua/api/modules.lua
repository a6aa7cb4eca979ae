--- The files in this folder that describe a module, in the order of the manual.
return {
  "moongate", "auth_http", "http", "dns", "socket", "sql", "ldap", "crypt", "file", "json",
  "shared", "timer", "log", "secret", "spec", "constructors",
}
