--- Addresses for quickstart.lua: where the gateway listens, and the mail servers behind it.
return {
  listen = { imap = "127.0.0.1:1143", pop3 = "127.0.0.1:1110", submission = "127.0.0.1:1587" },
  control = { socket = "/run/moongate/control.sock" },
  imap = "127.0.0.1:143",
  pop3 = "127.0.0.1:110",
  submission = "127.0.0.1:587",
}
