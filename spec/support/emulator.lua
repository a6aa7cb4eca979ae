--- A machine with a kernel of Debian's, emulated by qemu: for what this machine's kernel can't do.
--
--     local code, output = emulator.run("busted spec/tls/relay_spec.lua", { modules = { "tls" } })
--
-- It has no disk: what runs there (the build, the specs, LuaJIT, openssl) is packed into its
-- memory. scripts/dev/specs fetches the kernel to build/kernel.
local child = require "spec.support.child"
local stdlib = require "posix.stdlib"

local KERNEL, MEGABYTES, SECONDS = "build/kernel", 1536, 240

--- Packs $2, the folder of a build, and all it needs into the archive $1; $3 is what the machine
-- does, the rest are modules of its kernel.
local PACK = [=[
set -eu
archive=$1 build=$2 script=$3 root=$1.root && shift 3
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/usr/share" "$root/work/$build"
programs="/bin/sh /bin/cat /bin/sleep /bin/mount /bin/rm /bin/mkdir $(command -v ip) \
  /usr/bin/luajit /usr/bin/openssl"
lua=$(echo /usr/lib/*-linux-gnu/lua/5.1)
put() { for file; do mkdir -p "$root${file%/*}" && cp -L "$file" "$root$file"; done; }
put $programs /usr/bin/busted /etc/passwd /etc/group /etc/hosts /usr/lib/ssl/openssl.cnf
put $(find /usr/share/lua/5.1 "$lua/" -name '*.lua' -o -name '*.so')
cp -r lua scripts spec .busted "$root/work/"
cp "$build/moongate" "$build"/*.so "$root/work/$build/"
put $(ldd $programs "$root/work/$build"/* $(find "$root$lua" -name '*.so') 2>/dev/null |
  grep -o '/[^ ]*lib[^ ]* (' | tr -d '( ' | sort -u)
for name; do cp "$(find build/kernel/lib/modules -name "$name.ko")" "$root/"; done
printf '%s\n' "$script" >"$root/init" && chmod 755 "$root/init"
cd "$root" && find . | cpio --quiet -o -H newc >"$archive"
]=]

local INIT = [=[
#!/bin/sh
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
ip link set lo up
cat >/load.lua <<'LUA'
local ffi = require "ffi"
ffi.cdef "long syscall(long number, ...); int open(const char *path, int flags);"
local SYS_FINIT_MODULE = 313
for _, name in ipairs(arg) do
  local fd = ffi.C.open("/" .. name .. ".ko", 0)
  assert(ffi.C.syscall(SYS_FINIT_MODULE, ffi.cast("int", fd), "", ffi.cast("int", 0)) == 0, name)
end
LUA
luajit /load.lua %s
cd /work
%s
echo "emulator: status $?"
echo o >/proc/sysrq-trigger && sleep 60
]=]

local emulator = {}

--- Runs the shell command there, in a copy of the project. Options: `modules` of the kernel, in
-- the order in which they are loaded. Returns the exit status and all that the machine has said.
function emulator.run(command, options)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-emulator-XXXXXX")
  local archive = folder .. "/memory"
  local modules = options.modules or {}
  local code, output = child.run { seconds = SECONDS, "sh", "-c", PACK, "pack", archive,
    os.getenv "MOONGATE_BUILD" or "build/release",
    INIT:format(table.concat(modules, " "), command), unpack(modules) }
  if code == 0 then
    code, output = child.run { "sh", "-c", ([[exec qemu-system-x86_64 -accel tcg -cpu max \
      -smp 2 -m %d -nodefaults -display none -serial stdio -no-reboot -initrd "$1" \
      -kernel %s/boot/vmlinuz-* -append "console=ttyS0 quiet panic=-1"]]):format(MEGABYTES,
      KERNEL), "qemu", archive, seconds = SECONDS }
  end
  os.execute("rm -rf '" .. folder .. "'")
  return tonumber(output:match "emulator: status (%d+)") or code, output
end

return emulator
