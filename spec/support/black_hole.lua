--- An address that never answers a connection attempt: its backlog is full and nobody accepts.
local tcp = require "spec.support.tcp"

local black_hole = {}
black_hole.__index = black_hole

local FILLERS = 4

--- Only for 127.0.0.2, as the kernel's table spells it.
function black_hole.open(ip, port)
  assert(ip == "127.0.0.2")
  local self = setmetatable({ tcp.listen(ip, port, 0), port = port, fillers = {} }, black_hole)
  for _ = 1, FILLERS do
    local fd = tcp.connect(ip, port)
    table.insert(self, fd)
    self.fillers[tcp.port(fd)] = true
  end
  return self
end

--- How many others are trying to connect at this moment.
function black_hole:knocking()
  local count = 0
  local remote = (" 0200007F:%04X 02 "):format(self.port) -- 02: SYN_SENT
  for line in io.lines "/proc/net/tcp" do
    if line:find(remote, 1, true) then
      local from = tonumber(line:match "^ *%d+: %x+:(%x+)", 16)
      if not self.fillers[from] then count = count + 1 end
    end
  end
  return count
end

function black_hole:close()
  for _, fd in ipairs(self) do tcp.close(fd) end
end

return black_hole
