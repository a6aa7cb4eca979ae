--- Options of a command: `--name value`, `--name=value`, `-n value`, `--flag`.
--
--     local options = require "moongate.command.options"
--     local given, rest = options.read({ ... }, {
--       command = "try", help = HELP,
--       { "config", "c", value = true }, { "json" }, { "set", value = true, many = true },
--     })
--     if not given then return rest end -- the exit status: --help, or wrong usage
--
-- What stands behind `--`, and every word that is no option, is in `rest`.
local options = {}

local EXIT_USAGE = 2

local function by_name(fields)
  local names = {}
  for _, field in ipairs(fields) do
    names["--" .. field[1]] = field
    if field[2] then names["-" .. field[2]] = field end
  end
  return names
end

--- What is wrong, and how to hear more; the exit status.
function options.wrong(command, message)
  io.stderr:write(("moongate: %s\nmoongate: `moongate %s --help` tells how\n")
    :format(message, command))
  return EXIT_USAGE
end

local function keep(given, field, value)
  if not field.many then
    given[field[1]] = value
    return
  end
  given[field[1]] = given[field[1]] or {}
  table.insert(given[field[1]], value)
end

--- The options by their long names and the other words; or nil and the exit status.
function options.read(words, fields)
  local names, given, rest = by_name(fields), {}, {}
  local i = 1
  while i <= #words do
    local word = words[i]
    local name, value = word:match "^(%-%-[%w-]+)=(.*)$"
    local field = names[name or word]
    if word == "--help" or word == "-h" then
      io.stdout:write(fields.help)
      return nil, 0
    elseif word == "--" then
      for j = i + 1, #words do table.insert(rest, words[j]) end
      break
    elseif field and field.value then
      if not value then
        i = i + 1
        value = words[i]
      end
      if not value then
        return nil, options.wrong(fields.command, word .. ": a value is missing")
      end
      keep(given, field, value)
    elseif field and not value then
      keep(given, field, true)
    elseif word:match "^%-." then
      return nil, options.wrong(fields.command, ("there is no option %q"):format(word))
    else
      table.insert(rest, word)
    end
    i = i + 1
  end
  return given, rest
end

return options
