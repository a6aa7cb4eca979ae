--- The globals of policies and of configurations: { name, fields = "names", doc = }. Everything
-- else that plain Lua has is not there: reading it is an error with file and line.
local basics = {
  { "_G" }, { "_VERSION" }, { "assert" }, { "error" }, { "getmetatable" }, { "ipairs" }, { "next" },
  { "pairs" }, { "pcall" }, { "rawequal" }, { "rawget" }, { "rawset" }, { "select" },
  { "setmetatable" }, { "tonumber" }, { "tostring" }, { "type" }, { "unpack" },
  { "xpcall", doc = "the handler runs after the stack is unwound" },
  { "bit", fields = "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex" },
  { "string", doc = "`find`, `match`, `gmatch` and `gsub` give up, with an error, where a pattern "
    .. "takes too long for a text",
    fields = "byte char find format gmatch gsub len lower match rep reverse sub upper" },
  { "table", doc = "`sort`, and `insert` and `remove` at a position, take up to 100,000 elements",
    fields = "concat foreach foreachi getn insert maxn move remove sort" },
}

local function with(...)
  local globals = {}
  for _, global in ipairs(basics) do globals[#globals + 1] = global end
  for _, global in ipairs { ... } do globals[#globals + 1] = global end
  return globals
end

local numbers = "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log "
  .. "log10 max min modf pi pow rad sin sinh sqrt tan tanh"

return {
  policy = with(
    { "collectgarbage", doc = "takes \"count\" only" },
    { "coroutine", doc = "what waits inside one suspends the hook",
      fields = "create resume running status wrap yield" },
    { "debug", fields = "traceback" },
    { "load", doc = "takes text only; what it loads runs in this environment" },
    { "math", fields = numbers .. " random randomseed" },
    { "os", fields = "clock date difftime getenv time" },
    { "print", doc = "writes to the log" },
    { "require", doc = "the modules here, and files beside the policy, beside moongate.lua or "
      .. "among the shipped policies; only while a file is loaded" }),
  configuration = with(
    { "math", doc = "without `random`: the same file is the same configuration",
      fields = numbers },
    { "require", doc = "\"moongate.config\" and files beside the configuration" }),
}
