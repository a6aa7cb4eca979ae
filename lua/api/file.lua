--- `moongate.file`. The format is explained in auth_http.lua.
return {
  module = "moongate.file",
  doc = "files that are read with the configuration and are part of it",
  functions = {
    {
      "map", doc = "a file of one record a line, by its first field; empty lines and those that "
        .. "begin with # mean nothing. A bad file is an error of the configuration",
      arguments = { { "path", "string", doc = "absolute, or beside moongate.lua" } },
      options = {
        { "separator", "string", default = ":", doc = "one byte" },
        { "fields", "string[]", doc = "names; the last one takes the rest of the line" },
        { "required", "integer", default = 2, doc = "fields that may not be missing or empty" },
      },
      returns = { { "map", "moongate.FileMap" } },
    },
    {
      "read", doc = "a whole file",
      arguments = { { "path", "string", doc = "absolute, or beside moongate.lua" } },
      returns = { { "bytes", "string" } },
    },
  },
  objects = {
    {
      "moongate.FileMap", doc = "#map is the number of records",
      methods = {
        { "get", arguments = { { "key", "string" } },
          returns = { { "row", "table?", doc = "by the names of the fields" } } },
        { "first", returns = { { "row", "table?", doc = "any record" } } },
      },
    },
  },
}
