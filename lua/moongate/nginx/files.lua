--- What the reader of nginx.conf wants of the machine: files by pattern, addresses by name.
local ffi = require "ffi"

ffi.cdef [[
typedef struct {
  size_t count;
  char **paths;
  size_t reserved;
  int flags;
  void *functions[5];
} moongate_glob;
int glob(const char *pattern, int flags, void *on_error, moongate_glob *found);
void globfree(moongate_glob *found);

struct moongate_addrinfo {
  int flags, family, kind, protocol;
  unsigned length;
  const unsigned char *address;
  char *name;
  struct moongate_addrinfo *next;
};
int getaddrinfo(const char *host, const char *service, const void *hints,
                struct moongate_addrinfo **found);
void freeaddrinfo(struct moongate_addrinfo *found);
const char *inet_ntop(int family, const void *address, char *text, unsigned size);
unsigned umask(unsigned mask);
int mkdir(const char *path, unsigned mode);
char *realpath(const char *path, char *resolved);
void free(void *memory);
]]

local AF_INET, AF_INET6, TEXT_SIZE = 2, 10, 64
local NO_OTHERS = 63 -- umask 077

local files = {}

--- The folder that a file is in.
function files.folder(path) return path:match "^(.*)/[^/]*$" or "." end

--- `path` as it is if it is absolute, else below `folder`.
function files.below(folder, path)
  return path:sub(1, 1) == "/" and path or folder .. "/" .. path
end

--- The absolute path of what is there; nil if it is not.
function files.absolute(path)
  local found = ffi.C.realpath(path, nil)
  if found == nil then return nil end
  local text = ffi.string(found)
  ffi.C.free(found)
  return text
end

--- The text of a file of at most `max` bytes; or nil, message.
function files.read(path, max)
  local file, message = io.open(path, "r")
  if not file then return nil, message end
  local text, problem = file:read(max + 1)
  file:close()
  if problem then return nil, path .. ": " .. problem end
  if text and #text > max then return nil, path .. ": longer than " .. max .. " bytes" end
  return text or ""
end

function files.exists(path)
  local file = io.open(path, "r")
  if file then file:close() end
  return file ~= nil
end

--- The files that a pattern stands for, in the order of their names.
function files.glob(pattern)
  local found, paths = ffi.new "moongate_glob", {}
  if ffi.C.glob(pattern, 0, nil, found) == 0 then
    for i = 0, tonumber(found.count) - 1 do paths[i + 1] = ffi.string(found.paths[i]) end
  end
  ffi.C.globfree(found)
  return paths
end

--- The addresses of a name, as texts, IPv6 ones in brackets.
function files.addresses(name)
  local found, list, seen = ffi.new "struct moongate_addrinfo *[1]", {}, {}
  if ffi.C.getaddrinfo(name, nil, nil, found) ~= 0 then return list end
  local each, text = found[0], ffi.new("char[?]", TEXT_SIZE)
  while each ~= nil do
    local v6 = each.family == AF_INET6
    if v6 or each.family == AF_INET then
      ffi.C.inet_ntop(each.family, each.address + (v6 and 8 or 4), text, TEXT_SIZE)
      local address = v6 and "[" .. ffi.string(text) .. "]" or ffi.string(text)
      if not seen[address] then table.insert(list, address) end
      seen[address] = true
    end
    each = each.next
  end
  ffi.C.freeaddrinfo(found[0])
  return list
end

--- Makes a folder; the one above it must be there.
function files.make_folder(path) ffi.C.mkdir(path, 493) end

--- Writes a file whole; `is_secret`: only its owner may read it. True, or nil and message.
function files.write(path, text, is_secret)
  local before = is_secret and ffi.C.umask(NO_OTHERS)
  if is_secret then os.remove(path) end -- an old one may have other permissions
  local file, message = io.open(path, "w")
  if before then ffi.C.umask(before) end
  if not file then return nil, message end
  local done, problem = file:write(text)
  if not done then return nil, path .. ": " .. problem end
  file:close()
  return true
end

return files
