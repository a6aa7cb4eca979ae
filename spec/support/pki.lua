--- A small certificate authority for specs.
--
--     local ca = pki.authority(folder)          -- folder/ca.pem
--     ca:issue("a", { names = "DNS:a.example" }) -- folder/a.pem (with the chain) and folder/a.key
local child = require "spec.support.child"

local pki = {}
pki.__index = pki

local NEW_KEY = { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes" }

local function openssl(words)
  local command = { "openssl", unpack(words) }
  local code, text = child.run(command)
  if code ~= 0 then error("openssl: " .. text, 3) end
  return text
end

function pki.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- Writes a file as careful tools do: whole, under its name at once.
function pki.write(path, text)
  local file = assert(io.open(path .. ".new", "wb"))
  file:write(text)
  file:close()
  assert(os.rename(path .. ".new", path))
end

local function request(path, subject, more)
  local words = { "req", "-x509", "-subj", subject, "-keyout", path .. ".key",
    "-out", path .. ".pem" }
  for _, list in ipairs { NEW_KEY, more } do
    for _, word in ipairs(list) do words[#words + 1] = word end
  end
  openssl(words)
end

function pki.authority(folder, name)
  local self = setmetatable({ folder = folder, path = folder .. "/" .. (name or "ca"), serial = 0,
    index = {} }, pki)
  request(self.path, "/CN=Spec authority " .. (name or "ca"), { "-days", "30" })
  return self
end

--- Issues a certificate into `name`.pem and `name`.key; returns its path and its serial number.
-- Options: `names` (subjectAltName), `days`, `extensions` (a list), `dates` ({ from, to }).
function pki:issue(name, options)
  options = options or {}
  self.serial = self.serial + 1
  local path = self.folder .. "/" .. name
  local more = { "-CA", self.path .. ".pem", "-CAkey", self.path .. ".key", "-days",
    tostring(options.days or 30), "-set_serial", tostring(self.serial) }
  local extensions = { "subjectAltName=" .. (options.names or ("DNS:" .. name .. ".example")),
    "basicConstraints=CA:FALSE" }
  for _, extension in ipairs(options.extensions or {}) do table.insert(extensions, extension) end
  for _, extension in ipairs(extensions) do
    table.insert(more, "-addext")
    table.insert(more, extension)
  end
  request(path, "/CN=" .. name, more)
  pki.write(path .. ".pem", pki.read(path .. ".pem") .. pki.read(self.path .. ".pem"))
  self.index[name] = { serial = self.serial, status = "V" }
  return path .. ".pem", self.serial
end

return pki
