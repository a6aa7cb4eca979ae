--- `moongate import`: a configuration of nginx's mail proxy becomes one of Moongate.
local convert = require "moongate.nginx.convert"
local files = require "moongate.nginx.files"
local options = require "moongate.command.options"

local HELP = [[
Usage: moongate import FILE [-p PREFIX] -o FOLDER [--force]

Makes FOLDER/moongate.lua of a whole nginx.conf with a mail{} block, and says
of every directive what became of it: kept, kept with a difference, or not
applicable.  What is secret goes to files of its own in FOLDER/secrets/.

  -o, --output FOLDER   where it is written
  -p, --prefix PREFIX   what paths of logs are relative to, as nginx's own -p;
                        the folder of FILE if it is not given
      --force           write over what is there
      --help            this text

Exit status: 0 done, 1 FILE has a mistake or cannot be imported, 2 wrong usage.
]]

local FIELDS = { command = "import", help = HELP,
  { "output", "o", value = true }, { "prefix", "p", value = true }, { "force" } }

--- One line that can be changed, for each thing that nginx cannot do.
local ALLOWS = [[

What the new configuration allows, each with a line or two:
  TLS with upstreams           tls_profiles = { default = {} }, and in a listener
                               upstream_tls = "starttls"
  a kept connection to the     settings.auth_http: keepalive = 32
  auth server, and https       settings.auth_http: url = "https://..."
  a second auth server         settings.auth_http: urls = { "...", "..." }
  a second upstream            policy = { "auth_http", "second" } in a listener, and
                               settings.second: upstream = "10.0.0.6:143"
  the client's address told    forward = "offered" in an IMAP or POP3 listener
  by IMAP ID and XCLIENT
  the upstream's own           take out capabilities and pass_capabilities
  capabilities
  fewer guesses of passwords   limits = { attempts = 3 }
  limits for each address      policy = { "limits", "auth_http" } in a listener, and
                               shared = { limits = "8m" }
]]

local function failed(message)
  io.stderr:write("moongate: ", message, "\n")
  return 1
end

local function tell_mistakes(mistakes)
  for _, mistake in ipairs(mistakes) do
    io.stderr:write(("%s:%d: %s\n"):format(mistake.path, mistake.line, mistake.text))
  end
  return 1
end

--- The names of all files that are written, the configuration last.
local function names_of(made)
  local names = {}
  for name in pairs(made.secrets) do table.insert(names, name) end
  table.sort(names)
  table.insert(names, "moongate.lua")
  return names
end

local function write(made, folder, force)
  local names = names_of(made)
  for _, name in ipairs(names) do
    if not force and files.exists(folder .. "/" .. name) then
      return nil, ("%s/%s is there already: --force writes over it"):format(folder, name)
    end
  end
  files.make_folder(folder)
  if #names > 1 then files.make_folder(folder .. "/secrets") end
  for _, name in ipairs(names) do
    local secret = made.secrets[name]
    local done, message = files.write(folder .. "/" .. name, secret or made.text, secret ~= nil)
    if not done then return nil, message end
  end
  return names
end

local given, rest = options.read({ ... }, FIELDS)
if not given then return rest end
if not rest[1] then return options.wrong("import", "which nginx.conf?") end
if rest[2] then return options.wrong("import", ("%q is one argument too many"):format(rest[2])) end
if not given.output then return options.wrong("import", "-o: a folder is missing") end

local made, mistakes = convert.file(rest[1], given.prefix)
if not made then return tell_mistakes(mistakes) end
local folder = given.output:gsub("(.)/+$", "%1")
local names, message = write(made, folder, given.force)
if not names then return failed(message) end
io.stdout:write(made.report:text(), ALLOWS, "\n")
for _, name in ipairs(names) do io.stdout:write("written: ", folder, "/", name, "\n") end
io.stdout:write(("%d kept, %d kept with a difference, %d not applicable, %d skipped\n"):format(
  made.report:count "kept", made.report:count "kept with a difference",
  made.report:count "not applicable", made.report:count "skipped"))
return 0
