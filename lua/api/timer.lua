--- `moongate.timer`. The format is explained in README.md.
local function timer(name, doc, least)
  return {
    name, doc = doc,
    arguments = {
      { "seconds", "number", unit = "seconds", min = least, max = 100000000 },
      { "name", "string", doc = "for the log" },
      { "body", "fun()",
        doc = "may wait; a turn is left out while the last one still runs" },
      { "options", "table", optional = true, fields = {
        { "budget", "number", default = 10, unit = "seconds", min = 0.01, max = 3600,
          doc = "of one turn" },
        { "once_per", "string", default = "worker", values = { "worker", "gateway" },
          doc = "\"gateway\": one worker does it for all" },
      } },
    },
    returns = { { "Timer" } },
    errors = "raises when `seconds` is out of range",
  }
end

return {
  name = "moongate.timer",
  doc = "Work that no session asks for. It is done while its generation serves: a reload ends it.",
  functions = {
    timer("every", "Calls `body` again and again.", 0.01),
    timer("after", "Calls `body` once.", 0),
  },
  classes = {
    {
      "Timer", variable = "timer", doc = "A timer that runs.",
      methods = { { "cancel", doc = "No further turn begins." } },
    },
  },
}
