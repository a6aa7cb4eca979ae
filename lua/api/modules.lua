--- The files in this folder that describe a module, in the order of the manual.
return {
  "moongate", "auth_http", "http", "dns", "socket", "crypt", "file", "json", "jwt", "hash",
  "shared", "limit", "timer", "log", "secret", "spec", "constructors",
}
