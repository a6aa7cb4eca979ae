--- `moongate.log`. The format is explained in README.md.
local function level(name, doc)
  return {
    name, doc = doc,
    arguments = {
      { "message", "string|number|boolean|Failure", max_length = 2000 },
      { "fields", "table<string, string|number|boolean|Failure>", optional = true,
        doc = "logged as name=\"value\"" },
    },
    errors = "raises for a Secret and for what has no text",
  }
end

return {
  name = "moongate.log",
  doc = "Log lines of a policy. `session:log` also names the session.",
  functions = {
    level("error", "What somebody must look at."),
    level("warn", "What is not as it should be."),
    level("info", "What is good to know."),
    level("debug", "What only helps to find a mistake."),
  },
}
