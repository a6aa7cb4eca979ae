--- Reads lines: at a terminal with a history and completion, by libedit or readline if one of them
-- is there; plainly otherwise.
local ffi = require "ffi"

ffi.cdef [[
int isatty(int fd);
char *strdup(const char *text);
void free(void *memory);
void *dlopen(const char *name, int flags);
typedef char *(*moongate_generator)(const char *text, int state);
char *readline(const char *prompt);
int add_history(const char *line);
char **rl_completion_matches(const char *text, moongate_generator generator);
extern char **(*rl_attempted_completion_function)(const char *text, int start, int end);
extern int rl_attempted_completion_over;
extern int rl_completion_append_character;
]]

local RTLD_LAZY, RTLD_NODELETE = 1, 0x1000
local LIBRARIES = { "libedit.so.2", "libreadline.so.8" }

local line_editor = {}
line_editor.__index = line_editor

local function library()
  for _, name in ipairs(LIBRARIES) do
    local found, loaded = pcall(ffi.load, name)
    if found then
      ffi.C.dlopen(name, RTLD_LAZY + RTLD_NODELETE) -- it frees nothing when it is unloaded
      return loaded
    end
  end
end

--- Has the Tab key ask `complete(word)` for all that may stand for it.
local function set_completion(edit, complete)
  local names
  local generator = ffi.cast("moongate_generator", function(text, state)
    if state == 0 then names = complete(ffi.string(text)) end
    local name = table.remove(names, 1)
    return name and ffi.C.strdup(name) or nil
  end)
  edit.rl_attempted_completion_function = function(text)
    edit.rl_attempted_completion_over = 1 -- no names of files
    edit.rl_completion_append_character = 0
    return edit.rl_completion_matches(text, generator)
  end
end

function line_editor.new(complete)
  local interactive = ffi.C.isatty(0) == 1
  local edit = interactive and library() or nil
  if edit then set_completion(edit, complete) end
  return setmetatable({ interactive = interactive, edit = edit }, line_editor)
end

--- The next line, or nil at the end.
function line_editor:read(prompt)
  if not self.edit then
    if self.interactive then
      io.stdout:write(prompt)
      io.stdout:flush()
    end
    return io.read "*l"
  end
  local line = self.edit.readline(prompt)
  if line == nil then return nil end
  local text = ffi.string(line)
  ffi.C.free(line)
  if text:match "%S" then self.edit.add_history(text) end
  return text
end

return line_editor
