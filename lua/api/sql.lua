--- `moongate.sql`. The format is explained in README.md.
local fails = { "timeout", "connect", "tls", "dns", "protocol", "closed", "overload" }

local arguments = {
  { "query", "string", max_length = 65536,
    doc = "one statement, with $1, $2, ... where values go" },
  { "...", "string|number|boolean|Secret|nil", doc = "the values, at most 32; nil is NULL" },
}

return {
  name = "moongate.sql",
  doc = "PostgreSQL, and SQLite for a table of users in a file. Connections are shared by all "
    .. "hooks of a worker, and by a reload's next generation; each carries one statement at a "
    .. "time, so a transaction has no place here: one that is left open is given up with its "
    .. "connection.\n\nA file of SQLite is opened by the worker when it is first asked, as the "
    .. "worker's user, who must be able to read it and to enter its folder; and again when another "
    .. "file has taken its path, so a program that makes it anew writes another and renames it. In "
    .. "mode WAL that user must be able to write in the folder, too, or another program must keep "
    .. "the database open. It is read in threads that also check passwords; what waits for a lock "
    .. "holds none. What is in the file can't reach out: no ATTACH, no extensions, no temporary "
    .. "files.",
  functions = {
    {
      "pool", doc = "A database.",
      arguments = {
        { "options", "table", fields = {
          { "url", "string", max_length = 4096,
            doc = "postgres://user@host[:port]/database; a host that begins with %2F is the folder "
              .. "of a unix socket. Or sqlite:/path/of/a/file" },
          { "password", "string|Secret", optional = true, max_length = 1024 },
          { "write", "boolean", default = false,
            doc = "SQLite: whether statements may change the file, which must be there" },
          { "timeout", "number", default = 5, unit = "seconds", min = 0.001, max = 600,
            doc = "of one statement, with connecting and waiting for locks" },
          { "size", "integer", default = 8, min = 1, max = 1000,
            doc = "connections of each worker; what finds none free waits, 1,000 at most" },
          { "tls", "boolean", default = true, doc = "not for unix sockets and files" },
          { "profile", "string", default = "default",
            doc = "of tls_profiles: who is trusted. Its own certificate is not shown" },
          { "server_name", "string", optional = true, doc = "in its certificate; by default the "
            .. "host" },
          { "verify", "boolean", default = true,
            doc = "false: any server will do; with a pin, any that has the key" },
          { "pin", "string|string[]", optional = true,
            doc = "\"sha256/<base64>\" of its public key" },
        } },
      },
      returns = { { "Database" } },
      errors = "raises when an option is wrong",
    },
  },
  classes = {
    {
      "Database", variable = "db",
      doc = "What `pool` gives. Booleans, integers up to 2^53 and floating-point numbers become "
        .. "Lua's own, NULL is nil, all else is text. SQLite's booleans are the integers of "
        .. "columns declared BOOLEAN. An answer has at most 1,000 rows and 1 MiB.",
      methods = {
        {
          "row", awaits = true, doc = "The first row, as a table by the names of columns; nil if "
            .. "there is none.",
          arguments = arguments, returns = { { "table<string, string|number|boolean>?" } },
          fails = fails, errors = "raises for a value that is none",
        },
        {
          "rows", awaits = true, doc = "All rows, a list.",
          arguments = arguments, returns = { { "table<string, string|number|boolean>[]" } },
          fails = fails, errors = "raises for a value that is none",
        },
        {
          "execute", awaits = true, doc = "How many rows a statement has changed.",
          arguments = arguments, returns = { { "integer" } },
          fails = fails, errors = "raises for a value that is none",
        },
      },
    },
  },
}
