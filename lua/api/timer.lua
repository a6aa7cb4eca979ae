--- `moongate.timer`. The format is explained in auth_http.lua.
local function timer(name, doc)
  return {
    name, doc = doc,
    arguments = {
      { "seconds", "number", unit = "seconds" },
      { "name", "string", doc = "for the log" },
      { "body", "function", doc = "may wait; a turn is left out while the last one still runs" },
    },
    options = { { "budget", "number", default = 10, unit = "seconds", doc = "of one turn" } },
    returns = { { "timer", "moongate.Timer" } },
  }
end

return {
  module = "moongate.timer",
  doc = "work that no session asks for; each worker does it, until the configuration is replaced",
  functions = {
    timer("every", "again and again"),
    timer("after", "once"),
  },
  objects = {
    { "moongate.Timer", methods = { { "cancel", doc = "no further turn begins" } } },
  },
}
