--- `moongate.re`. The format is explained in README.md.
local SUBJECT = { "text", "string", max_length = 1048576 }
local PATTERN = { "pattern", "string", max_length = 8192, doc = "as PCRE2 has it, with up to 100 "
  .. "groups" }
local OPTIONS = { "options", "string", optional = true, doc = "letters: i, m, s, x as in Perl, "
  .. "a: only where it begins to look, u: texts are UTF-8, D: names may stand twice" }
local FROM = { "from", "integer", default = 1, min = 1, doc = "the byte to begin at" }
local CAPTURES = { "table", doc = "the whole as `[0]`, groups by number and name; `false` is a "
  .. "group that took no part" }
local FIRST = { "integer", doc = "its first byte" }
local LAST = { "integer", doc = "its last byte; before the first if it is empty" }
local RAISES = "raises for a pattern that makes no sense"

local function replacing(name, doc)
  return {
    name, doc = doc,
    arguments = { SUBJECT, PATTERN,
      { "replacement", "string|fun(captures: table): string|number", doc = "in a text `$1`, "
        .. "`${1}` and `${name}` are groups, `$0` and `$&` the whole, `$$` a dollar; a function "
        .. "may wait" },
      OPTIONS },
    returns = { { "string" }, { "integer", doc = "how many were replaced" } },
    fails = { "overload" },
    errors = RAISES .. ", and for a `$` that stands for nothing",
  }
end

return {
  name = "moongate.re",
  doc = "Regular expressions in the syntax of Perl (PCRE2). Whatever the pattern, one call takes "
    .. "no longer than a moment: from each start it is tried in 100,000 steps with 2 MiB, and all "
    .. "starts together have 0.05 s of CPU time; more is a failure, not \"no match\". The hundred "
    .. "patterns that were used last are kept compiled.",
  functions = {
    { "match", doc = "What the first match has captured.",
      arguments = { SUBJECT, PATTERN, OPTIONS, FROM },
      returns = { { "table|nil", doc = CAPTURES.doc .. "; nil: there is no match" }, FIRST, LAST },
      fails = { "overload" }, errors = RAISES },
    { "find", doc = "Where the first match is.",
      arguments = { SUBJECT, PATTERN, OPTIONS, FROM,
        { "group", "integer", default = 0, min = 0, doc = "of which the place is told" } },
      returns = { { "integer|nil", doc = "its first byte; nil: there is no match, or the group "
        .. "took no part" }, LAST },
      fails = { "overload" }, errors = RAISES },
    { "gmatch", doc = "A function that gives one match after the other.",
      arguments = { SUBJECT, PATTERN, OPTIONS },
      returns = { { "fun(): table?, integer|Failure?, integer?", doc = "captures, first and last "
        .. "byte; nil at the end, and the failure that made it end" } },
      errors = RAISES },
    replacing("sub", "The text with its first match replaced."),
    replacing("gsub", "The text with all matches replaced."),
  },
}
