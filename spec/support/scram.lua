--- A client of SCRAM (RFC 5802) that is written apart from the gateway's library, and says what a
--- spec wants it to say.
--
--     local c = scram.client { mechanism = "SCRAM-SHA-256", user = "alice", password = "x" }
--     c:first()                          -- "n,,n=alice,r=..."
--     c:final(server_first)              -- "c=biws,r=...,p=..."
--     c:believes(server_final)           -- whether the server has the verifier
--
-- Options: `flag` ("n", "y" or "p=tls-exporter"), `binding` (the bytes of that), `authzid`,
-- `nonce`.
local ffi = require "ffi"
local mime = require "mime"

ffi.cdef [[
const void *EVP_sha1(void);
const void *EVP_sha256(void);
int EVP_Digest(const void *data, size_t count, unsigned char *out, unsigned *size, const void *type,
  void *engine);
unsigned char *HMAC(const void *type, const void *key, int key_len, const char *data, size_t n,
  unsigned char *out, unsigned *size);
int PKCS5_PBKDF2_HMAC(const char *password, int len, const char *salt, int salt_len, int iterations,
  const void *digest, int key_len, unsigned char *out);
]]
local crypto = ffi.load "libcrypto.so.3"

local HASHES = {
  ["SCRAM-SHA-1"] = { type = crypto.EVP_sha1(), len = 20 },
  ["SCRAM-SHA-256"] = { type = crypto.EVP_sha256(), len = 32 },
}

local function hash_of(mechanism) return HASHES[(mechanism:gsub("%-PLUS$", ""))] end

local out = ffi.new "unsigned char[64]"

local function hmac(hash, key, text)
  crypto.HMAC(hash.type, key, #key, text, #text, out, nil)
  return ffi.string(out, hash.len)
end

local function digest(hash, text)
  crypto.EVP_Digest(text, #text, out, nil, hash.type, nil)
  return ffi.string(out, hash.len)
end

local function salted(hash, password, salt, iterations)
  crypto.PKCS5_PBKDF2_HMAC(password, #password, salt, #salt, iterations, hash.type, hash.len, out)
  return ffi.string(out, hash.len)
end

local function xor(a, b)
  local bytes = {}
  for i = 1, #a do bytes[i] = string.char(bit.bxor(a:byte(i), b:byte(i))) end
  return table.concat(bytes)
end

local scram = {}

--- What a database has: { iterations =, salt =, stored_key =, server_key = }, all in base64, and as
-- text { dovecot =, postgresql = }.
function scram.verifier(mechanism, password, salt, iterations)
  local hash = hash_of(mechanism)
  iterations, salt = iterations or 4096, salt or "sixteen bytes..."
  local key = salted(hash, password, salt, iterations)
  local made = { iterations = iterations, salt = mime.b64(salt),
    stored_key = mime.b64(digest(hash, hmac(hash, key, "Client Key"))),
    server_key = mime.b64(hmac(hash, key, "Server Key")) }
  made.dovecot = ("{%s}%d,%s,%s,%s"):format(mechanism, iterations, made.salt, made.stored_key,
    made.server_key)
  made.postgresql = ("%s$%d:%s$%s:%s"):format(mechanism, iterations, made.salt, made.stored_key,
    made.server_key)
  return made
end

local Client = {}
Client.__index = Client

local function escaped(name) return (name:gsub("[=,]", { ["="] = "=3D", [","] = "=2C" })) end

function Client:first()
  self.header = ("%s,%s,"):format(self.flag or "n",
    self.authzid and "a=" .. escaped(self.authzid) or "")
  self.bare = ("n=%s,r=%s"):format(escaped(self.user), self.nonce or "fyko+d2lbbFgONRv9qkxdawL")
  return self.header .. self.bare
end

--- What the server's first message says: the nonce, the salt in base64, the iterations.
function scram.read_first(message)
  return message:match "^r=([^,]+),s=([^,]+),i=(%d+)$"
end

function Client:final(server_first)
  local hash = hash_of(self.mechanism)
  local nonce, salt, iterations = scram.read_first(server_first)
  local without_proof = ("c=%s,r=%s"):format(mime.b64(self.header .. (self.binding or "")), nonce)
  local key = salted(hash, self.password, mime.unb64(salt), tonumber(iterations))
  local client_key = hmac(hash, key, "Client Key")
  self.message = table.concat({ self.bare, server_first, without_proof }, ",")
  self.server_key = hmac(hash, key, "Server Key")
  local proof = xor(client_key, hmac(hash, digest(hash, client_key), self.message))
  return without_proof .. ",p=" .. mime.b64(proof)
end

function Client:believes(server_final)
  local signature = hmac(hash_of(self.mechanism), self.server_key, self.message)
  return server_final == "v=" .. mime.b64(signature)
end

function scram.client(options)
  return setmetatable(options, Client)
end

return scram
