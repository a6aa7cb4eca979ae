--- `moongate.limit`. The format is explained in README.md.
local DICT = { "dict", "string", doc = "the name of a table in the configuration's `shared`" }
local IN_REDIS = "if the table is in Redis"
local FAILS = { "overload", "protocol", "timeout", "connect", "tls", "dns", "closed", "server" }
local KEY = { "key", "string|number", doc = "up to 8000 bytes" }

local function name(otherwise)
  return { "name", "string", optional = true,
    doc = "limits of the same name and table count together; " .. otherwise .. " by default" }
end

return {
  name = "moongate.limit",
  doc = "Limits that hold for all workers together, or, with a table in Redis, for all gateways. "
    .. "They are on a table of `moongate.shared`; when that can't be used they give `nil, err`, "
    .. "and the policy says what that means. In a table of this machine that is too small buckets "
    .. "are forgotten, those that are nearly full first; places are not.",
  functions = {
    {
      "bucket", doc = "So many in a time: a bucket of tokens for each key, which is full at first.",
      arguments = {
        { "options", "table", fields = {
          DICT,
          { "rate", "string", doc = "how fast tokens come back: `\"10/m\"`, or /s, /h, /d" },
          { "burst", "integer", default = 1, min = 1, max = 1000000,
            doc = "how many a bucket holds: so many can be taken at once" },
          name "the rate",
        } },
      },
      returns = { { "Bucket" } },
      errors = "raises when an option is wrong, or the configuration has no such table",
    },
    {
      "concurrent", doc = "So many at once: places for each key, which sessions hold.",
      arguments = {
        { "options", "table", fields = {
          DICT,
          { "limit", "integer", min = 0, max = 1000000, doc = "places of a key" },
          name "`\"held\"`",
        } },
      },
      returns = { { "Concurrent" } },
      errors = "raises when an option is wrong, or the configuration has no such table",
    },
  },
  classes = {
    {
      "Bucket", variable = "bucket", doc = "So many in a time.",
      methods = {
        { "take", awaits = IN_REDIS, doc = "Takes a token of the key.", arguments = { KEY },
          returns = { { "boolean", doc = "whether there was one" },
            { "number", doc = "if not, seconds until there is" } },
          fails = FAILS },
      },
    },
    {
      "Concurrent", variable = "concurrent", doc = "So many at once.",
      methods = {
        { "take", awaits = IN_REDIS, doc = "Takes a place of the key for a session, which "
            .. "holds it until it ends, or its worker does. A session holds a key once.",
          arguments = { KEY, { "session", "Session" } },
          returns = { { "boolean", doc = "whether it holds one" } },
          fails = FAILS,
          errors = "raises in `spliced` and `closed`" },
        { "give_back", doc = "Gives the place back before the session ends.",
          arguments = { KEY, { "session", "Session" } },
          returns = { { "boolean", doc = "whether it held one" } },
          errors = "raises in `spliced` and `closed`" },
        { "held", awaits = IN_REDIS, doc = "How many places of the key are held.",
          arguments = { KEY },
          returns = { { "integer" } },
          fails = FAILS },
      },
    },
  },
}
