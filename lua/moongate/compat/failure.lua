--- A failure of ours in OpenResty's words, which drivers compare with.
local WORDS = { timeout = "timeout", closed = "closed",
  overload = "too many waiting connect operations" }

return function(err)
  if err.kind == "connect" and tostring(err):find("refused", 1, true) then
    return "connection refused"
  end
  return WORDS[err.kind] or tostring(err)
end
