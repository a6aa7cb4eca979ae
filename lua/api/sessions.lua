--- `moongate.sessions`. The format is explained in README.md.
local function filters(more)
  local fields = {
    { "user", "string", optional = true, max_length = 512,
      doc = "who logged in, or last tried" },
    { "session", "string", optional = true, max_length = 31, doc = "its id" },
    { "ip", "string", optional = true, doc = "the client's address, or a network" },
    { "protocol", "string", optional = true, values = { "imap", "pop3", "smtp" } },
    { "listener", "string", optional = true, max_length = 127, doc = "its name" },
    { "phase", "string", optional = true,
      doc = "where it is: \"splice\" are those that are relayed" },
    { "except", "string", optional = true, max_length = 31,
      doc = "the id of a session that is not meant" },
  }
  for _, field in ipairs(more or {}) do table.insert(fields, field) end
  return { "options", "table", optional = true, fields = fields,
    doc = "those that all of it fits" }
end

return {
  name = "moongate.sessions",
  doc = "The sessions of all workers at this moment. To let no more than so many in, use "
    .. "`moongate.limit`: two that count at the same time both see room. In `moongate try` there "
    .. "are none.",
  functions = {
    { "count", awaits = true, doc = "How many there are.", arguments = { filters() },
      returns = { { "integer" } }, fails = { "timeout" },
      errors = "raises when a filter makes no sense" },
    { "kick", awaits = true, doc = "Ends them, relayed ones too, as `moongate kick` does. Without "
        .. "`except` that may be the session that asks.",
      arguments = { filters { { "reason", "string", optional = true, max_length = 200,
        doc = "for the log" } } },
      returns = { { "integer", doc = "how many were ended" } }, fails = { "timeout" },
      errors = "raises when none of user, session and ip is given" },
  },
}
