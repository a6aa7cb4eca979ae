--- The moongate.lua that a gateway under a spec reads, from the options of `spec.policy`.
local folder = require "moongate.spec.folder"

local configuration = {}

local function literal(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local words = {}
  for k, v in pairs(value) do
    words[#words + 1] = ("[%s] = %s"):format(literal(k), literal(v))
  end
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function names(policies)
  local words = {}
  for i, name in ipairs(policies) do words[i] = ("%q"):format(name) end
  return "{ " .. table.concat(words, ", ") .. " }"
end

local LISTEN = [[
  c.listen %q {
    protocol = %q, policy = %s, address = "127.0.0.1:0",
    %s
  },
]]

--- Listeners for all protocols; the first is the one that `options.listener` is about.
local function generated(options, policies)
  local first = (options.listen or {}).protocol or "imap"
  local blocks = { LISTEN:format("spec", first, policies, options.listener or "") }
  for _, protocol in ipairs { "imap", "pop3", "smtp" } do
    if protocol ~= first then
      table.insert(blocks, LISTEN:format("spec_" .. protocol, protocol, policies, ""))
    end
  end
  return ([[
local c = require "moongate.config"
return c.gateway {
  settings = %s,
%s}
]]):format(literal(options.settings or {}), table.concat(blocks))
end

--- The author's own text with other policies. It stays on the lines where it is.
local function rechained(text, policies)
  return ("local gateway = (function(...) %s\nend)(...)\n"
    .. "return require \"moongate.config\".with_policies(gateway, %s)\n"):format(text, policies)
end

--- Splits "scripts/a" into its folder and its name; a mere name has no folder.
local function split(policy)
  return policy:match "^(.*)/", (policy:gsub("^.*/", ""):gsub("%.lua$", ""))
end

--- What there is to lay out: { project, scripts, files }.
function configuration.plan(options)
  local plan = { scripts = {}, files = {} }
  local chain, seen = {}, {}
  for i, policy in ipairs(options) do
    local from, name = split(policy)
    chain[i] = name
    if from and not seen[from] then table.insert(plan.scripts, from) end
    seen[from or ""] = true
  end
  for name, text in pairs(options.files or {}) do plan.files[name] = text end

  local config = options.config
  local policies = names(chain)
  if config and config:find "^[^\n]*%.lua$" then
    plan.project = folder.dirname(config)
    config = assert(folder.read(config))
    if #chain > 0 then config = rechained(config, policies) end
  end
  plan.files["moongate.lua"] = plan.files["moongate.lua"] or config
    or generated(options, policies)
  return plan
end

return configuration
