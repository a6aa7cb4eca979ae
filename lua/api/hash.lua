--- `moongate.hash`. The format is explained in README.md.
return {
  name = "moongate.hash",
  doc = "Where a key belongs, in a way that any program can work out: the hash of a text is the "
    .. "first 8 bytes of its SHA-256, as a number whose first byte is the most significant.",
  functions = {
    {
      "ring", doc = "Nodes on a ring. A node has the points `hash(\"NODE#0\")`, "
        .. "`hash(\"NODE#1\")`, ..., and the keys before each of them. When a node is added or "
        .. "removed, only the keys that come to it or were its own move.",
      arguments = {
        { "nodes", "string[]", doc = "1 to 1000 names of up to 512 bytes, no two the same" },
        { "options", "table", optional = true, fields = {
          { "replicas", "integer", default = 160, min = 1, max = 1000,
            doc = "points of each node: more of them divide keys more evenly" },
        } },
      },
      returns = { { "HashRing" } },
      errors = "raises when there are more than 200000 points",
    },
    {
      "percent", doc = "A number that is always the same for a key: `hash(key) % 100`, or "
        .. "`hash(seed .. \"#\" .. key) % 100`. `percent(user, \"trial\") < 5` is true for 5 % of "
        .. "all users, for others with another seed.",
      arguments = { { "key", "string" }, { "seed", "string", optional = true } },
      returns = { { "integer", doc = "0 to 99" } },
    },
  },
  classes = {
    {
      "HashRing", variable = "ring", doc = "Nodes among which keys are divided.",
      methods = {
        {
          "pick", doc = "The node that a key belongs to: that of the first point at or after "
            .. "`hash(key)`, or of the next ones while `healthy` refuses.",
          arguments = {
            { "key", "string" },
            { "healthy", "fun(node: string): boolean", optional = true,
              doc = "asked once about a node; can't wait" },
          },
          returns = { { "string|nil", doc = "nil when no node is healthy" } },
        },
      },
    },
  },
}
