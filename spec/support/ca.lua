--- A small certificate authority in a temporary folder, made by openssl commands.
--
--     local authority = ca.new()
--     authority.certificate                                    -- path of its own certificate
--     local mail = authority:leaf { names = { "DNS:mail.spec.test", "IP:127.0.0.1" } }
--     mail.certificate, mail.key                               -- paths of PEM files
--     authority:remove()
local child = require "spec.support.child"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"

local CONFIG = [[
[ca]
default_ca = here
[here]
database = $folder/index
new_certs_dir = $folder/issued
serial = $folder/serial
certificate = $folder/ca.pem
private_key = $folder/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
organizationName = optional
[req]
distinguished_name = names
[names]
]]

local ca = {}
ca.__index = ca

local function openssl(...)
  local code, output = child.run { "openssl", ... }
  if code ~= 0 then error(("openssl %s: %s"):format(table.concat({ ... }, " "), output), 0) end
  return output
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

function ca.read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

--- Joins files into a new one and returns its path.
function ca:join(name, ...)
  local parts = {}
  for i, path in ipairs { ... } do parts[i] = ca.read(path) end
  return self:write(name, table.concat(parts))
end

--- Writes a file beside the certificates and returns its path.
function ca:write(name, text) return write(self.folder .. "/" .. name, text) end

local function key_options(kind)
  if kind == "rsa" then return "-newkey", "rsa:2048" end
  return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"
end

--- A new authority; `name` is its CN.
function ca.new(name)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-ca-XXXXXX")
  stat.chmod(folder, 493)
  local self = setmetatable({ folder = folder, count = 0 }, ca)
  stat.mkdir(folder .. "/issued", 493)
  self:write("index", "")
  self:write("serial", "1000\n")
  self.config = self:write("ca.cnf", (CONFIG:gsub("$folder", folder)))
  self.certificate, self.key = folder .. "/ca.pem", folder .. "/ca.key"
  openssl("req", "-x509", "-noenc", "-config", self.config, "-subj", "/CN=" .. (name or "Spec CA"),
    "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
    "keyUsage=critical,keyCertSign,cRLSign", "-days", "30", "-out", self.certificate, "-keyout",
    self.key, key_options())
  return self
end

--- An authority below this one. What it signs comes with its certificate, as a chain.
function ca:below(name)
  local lower = ca.new(name)
  local leaf = self:leaf { subject = "/CN=" .. name, authority = true }
  write(lower.certificate, ca.read(leaf.certificate))
  write(lower.key, ca.read(leaf.key))
  lower.chain = ca.read(leaf.certificate) .. (self.chain or "")
  return lower
end

--- A certificate and its key. Options: `subject` ("/CN=..."), `names` ("DNS:a", "IP:127.0.0.1"),
-- `kind` ("rsa" or "ec"), `passphrase` of the key, `days` or `seconds` that it is valid, `expired`,
-- `self_signed`, `authority` (it may sign others), `extensions` (lines of an extension file).
function ca:leaf(options)
  self.count = self.count + 1
  local base = ("%s/leaf%d"):format(self.folder, self.count)
  local made = { certificate = base .. ".pem", key = base .. ".key", request = base .. ".csr" }
  local extensions = {
    "basicConstraints=" .. (options.authority and "CA:TRUE" or "CA:FALSE"), options.extensions }
  if options.names then
    table.insert(extensions, "subjectAltName=" .. table.concat(options.names, ","))
  end
  local file = write(base .. ".ext", table.concat(extensions, "\n") .. "\n")
  local subject = options.subject or "/CN=leaf" .. self.count
  local seal = options.passphrase and { "-passout", "pass:" .. options.passphrase } or { "-noenc" }
  openssl("req", "-new", "-config", self.config, "-subj", subject, "-out", made.request, "-keyout",
    made.key, seal[1], seal[2] or "-utf8", key_options(options.kind))
  if options.self_signed then
    openssl("x509", "-req", "-in", made.request, "-signkey", made.key, "-days", "30", "-extfile",
      file, "-out", made.certificate)
    return made
  end
  local life = { "-days", tostring(options.days or 30) }
  if options.expired then
    life = { "-startdate", "20200101000000Z", "-enddate", "20200201000000Z" }
  elseif options.seconds then
    life = { "-enddate", os.date("!%Y%m%d%H%M%SZ", os.time() + options.seconds) }
  end
  openssl("ca", "-batch", "-config", self.config, "-notext", "-in", made.request, "-out",
    made.certificate, "-extfile", file, unpack(life))
  if self.chain then write(made.certificate, ca.read(made.certificate) .. self.chain) end
  return made
end

--- The revocation list, with these leaves on it; a path.
function ca:revoke(...)
  for _, leaf in ipairs { ... } do
    openssl("ca", "-config", self.config, "-revoke", leaf.certificate)
  end
  local path = self.folder .. "/crl.pem"
  openssl("ca", "-config", self.config, "-gencrl", "-out", path)
  return path
end

--- One line of `openssl x509`, such as ca.fact(leaf, "-fingerprint", "-sha1").
function ca.fact(leaf, ...)
  return (openssl("x509", "-noout", "-in", leaf.certificate, ...):gsub("\n$", ""))
end

--- The pin of its public key, as moongate.to takes it.
function ca.pin(leaf)
  local code, output = child.run { "sh", "-c", ([[openssl x509 -noout -pubkey -in '%s' |
    openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64]]):format(
    leaf.certificate) }
  assert(code == 0, output)
  return "sha256/" .. output:match "%S+"
end

function ca:remove() os.execute("rm -rf '" .. self.folder .. "'") end

return ca
