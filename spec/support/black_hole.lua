--- An address that never answers a connection attempt: its backlog is full and nobody accepts.
local tcp = require "spec.support.tcp"

local black_hole = {}
black_hole.__index = black_hole

local FILLERS = 4

function black_hole.open(ip, port)
  local self = setmetatable({ tcp.listen(ip, port, 0) }, black_hole)
  for _ = 1, FILLERS do table.insert(self, tcp.connect(ip, port)) end
  return self
end

function black_hole:close()
  for _, fd in ipairs(self) do tcp.close(fd) end
end

return black_hole
