--- Loaded by busted before each spec file: what the programs that a spec starts inherit.
--
-- With the sanitized build the spec's own LuaJIT runs with ASan preloaded; nothing else should.
-- Programs that have it built in write their reports where scripts/dev/spec-file looks.
local ffi = require "ffi"

ffi.cdef [[
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
]]

ffi.C.unsetenv "LD_PRELOAD"
local reports = os.getenv "SANITIZER_REPORTS"
if reports then
  ffi.C.setenv("ASAN_OPTIONS", "detect_leaks=1:log_path=" .. reports, 1)
  ffi.C.setenv("UBSAN_OPTIONS", "print_stacktrace=1:log_path=" .. reports, 1)
end
