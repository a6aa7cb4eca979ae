--- Where the servers of directory.lua are.
return {
  ca = "system",
  ldap = "ldaps://ldap.example.org",
  dn = "uid={user},ou=people,dc=example,dc=org",
  database = "postgres://gateway@db.example.org/mail",
  password = "the gateway's own, of the database",
  listen = { imap = "127.0.0.1:1143", pop3 = "127.0.0.1:1110", submission = "127.0.0.1:1587" },
}
