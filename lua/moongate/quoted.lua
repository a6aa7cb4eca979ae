--- A text as Lua would write it, to be shown: without the password that an URL in it may have.
return function(text)
  return ("%q"):format((text:gsub("(://[^/?#%s@:]*:)[^/?#%s]*@", "%1***@")))
end
