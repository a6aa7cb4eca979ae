--- A private OpenLDAP server in a temporary folder, on loopback ports.
--
--     local dir = require("spec.support.slapd").start {
--       entries = { "dn: uid=ann,...\n..." }, certificate = path, key = path, ca = path }
--     dir.port, dir.tls_port       -- ldap:// with StartTLS, ldaps://
--     dir:stop()
--
-- The tree is dc=spec,dc=test with ou=people; the account "cn=gateway,dc=spec,dc=test", whose
-- password is "dir secret", may read it, and others may only bind.
local child = require "spec.support.child"
local ports = require "spec.support.ports"
local processes = require "spec.support.processes"
local signal = require "posix.signal"
local socket = require "socket"
local stat = require "posix.sys.stat"
local stdlib = require "posix.stdlib"

local CONFIG = [[
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $folder/pid
$tls
database mdb
maxsize 16777216
suffix "dc=spec,dc=test"
directory $folder/data
access to attrs=userPassword
  by anonymous auth
  by * none
access to *
  by dn.exact="cn=gateway,dc=spec,dc=test" read
  by * none
]]

local TREE = [[
dn: dc=spec,dc=test
objectClass: domain
dc: spec

dn: ou=people,dc=spec,dc=test
objectClass: organizationalUnit
ou: people

dn: cn=gateway,dc=spec,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gateway
userPassword: dir secret

]]

local slapd = { ACCOUNT = "cn=gateway,dc=spec,dc=test", PASSWORD = "dir secret" }
slapd.__index = slapd

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

--- Starts the server on what is there already.
function slapd:run()
  self.runs = self.runs + 1
  local places = ("ldap://127.0.0.1:%d/"):format(self.port)
  if self.tls_port then places = places .. (" ldaps://127.0.0.1:%d/"):format(self.tls_port) end
  self.process = child.start { "/usr/sbin/slapd", "-d", "256", "-h", places, "-f",
    self.folder .. "/slapd.conf", log = ("%s/log%d"):format(self.folder, self.runs) }
  self.process:expect("(slapd starting)", 20)
  processes.eventually(function() -- it listens a little later
    local connection = socket.connect("127.0.0.1", self.port)
    return connection and connection:close()
  end, 20)
end

function slapd.start(options)
  local folder = assert(stdlib.mkdtemp "/tmp/moongate-slapd-XXXXXX")
  local self = setmetatable({ folder = folder, port = ports.free(), runs = 0 }, slapd)
  local tls = ""
  if options.certificate then
    self.tls_port = ports.free()
    tls = ("TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n")
      :format(options.ca, options.certificate, options.key)
  end
  stat.mkdir(folder .. "/data", 448)
  write(folder .. "/slapd.conf", (CONFIG:gsub("%$(%l+)", { folder = folder, tls = tls })))
  local ldif = write(folder .. "/tree.ldif", TREE .. table.concat(options.entries or {}, "\n"))
  local code, output = child.run { "/usr/sbin/slapadd", "-q", "-f", folder .. "/slapd.conf", "-l",
    ldif }
  assert(code == 0, output)
  local fine, message = pcall(self.run, self)
  if fine then return self end
  self:stop()
  error(message, 2)
end

--- What it has logged of the operations.
function slapd:log() return self.process:output() end

function slapd:crash()
  self.process:stop(signal.SIGKILL)
  self.process = nil
end

--- It holds its connections, and answers nothing; until `wake`.
function slapd:freeze() processes.freeze(self.process.pid) end
function slapd:wake() signal.kill(self.process.pid, signal.SIGCONT) end

function slapd:stop()
  if self.process then self:crash() end
  os.execute("rm -rf '" .. self.folder .. "'")
end

return slapd
