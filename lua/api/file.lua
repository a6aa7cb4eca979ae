--- `moongate.file`. The format is explained in README.md.
return {
  name = "moongate.file",
  doc = "Files that are read with the configuration and are part of it.",
  functions = {
    {
      "map", doc = "A file of one record a line, by its first field. Empty lines and those that "
        .. "begin with # mean nothing. A bad file is an error of the configuration.",
      arguments = {
        { "path", "string", doc = "absolute, or beside moongate.lua" },
        { "options", "table", fields = {
          { "separator", "string", default = ":", doc = "one byte" },
          { "fields", "string[]",
            doc = "1 to 32 names; the last one takes the rest of the line" },
          { "required", "integer", default = 2, min = 1, max = 32,
            doc = "so many fields may not be missing or empty" },
        } },
      },
      returns = { { "FileMap" } },
      errors = "raises when the file is bad",
    },
    {
      "read", doc = "A whole file.",
      arguments = { { "path", "string", doc = "absolute, or beside moongate.lua" } },
      returns = { { "string" } },
      errors = "raises when it can't be read",
    },
  },
  classes = {
    {
      "FileMap", variable = "map", doc = "The records of a file; `#map` is how many there are.",
      methods = {
        { "get", doc = "A record by the names of its fields, or nil.",
          arguments = { { "key", "string" } },
          returns = { { "table<string, string>?" } } },
        { "first", doc = "Any record, or nil.", returns = { { "table<string, string>?" } } },
      },
    },
  },
}
