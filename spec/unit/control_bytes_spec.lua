--- Control bytes never go upstream: they are seen wherever they stand, beside whatever.
local support = require "spec.support.core"
local core = support.load "proto/dialog.h"

local LENGTHS = { 1, 7, 8, 9, 16, 21 }

local function is_control(byte) return byte < 0x20 or byte == 0x7f end

describe("a text", function()
  for _, around in ipairs { " ", "~", "\128", "\159", "\255" } do
    it(("of %q has a control byte where one is put, and no other"):format(around), function()
      for _, len in ipairs(LENGTHS) do
        for at = 0, len - 1 do
          for byte = 0, 255 do
            local text = around:rep(at) .. string.char(byte) .. around:rep(len - at - 1)
            if core.has_control(support.slice(text)) ~= is_control(byte) then
              error(("byte %d at %d of %d"):format(byte, at, len))
            end
          end
        end
      end
    end)
  end

  it("of nothing has none", function() assert.is_false(core.has_control(support.slice "")) end)
end)
