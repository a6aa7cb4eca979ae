--- kTLS: where the kernel can, it seals what the gateway sends. Few machines that run specs have
-- such a kernel, so one is emulated; relay_spec.lua shows everywhere else what happens without.
local emulator = require "spec.support.emulator"

describe("relaying TLS in a machine whose kernel can seal it", function()
  -- Buffers of a size that these few bytes fill.
  local COMMAND = [=[
    for buffer in tcp_rmem tcp_wmem; do echo 4096 16384 32768 >/proc/sys/net/ipv4/$buffer; done
    MOONGATE_BUILD=%s RELAY_MIB=1 RELAY_IDLE=5 luajit /usr/bin/busted -o plainTerminal \
      --helper=spec/support/helper.lua --filter-out=cut.into.records spec/tls/relay_spec.lua
    status=$? && cat /proc/net/tls_stat && (exit $status)]=]

  local function relay(modules)
    local status, output = emulator.run(COMMAND:format(os.getenv "MOONGATE_BUILD"
      or "build/release"), { modules = modules })
    assert.equal(0, status, output)
    return tonumber(output:match "TlsTxSw%s+(%d+)")
  end

  it("is left to the kernel, and as good", function()
    assert.is_true(relay { "gf128mul", "ghash-generic", "ctr", "gcm", "tls" } > 10)
  end)
end)
