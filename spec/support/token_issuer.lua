--- Signs JSON Web Tokens, with keys that openssl commands make in a temporary folder.
--
--     local issuer = token_issuer.new()
--     local key = issuer:key("ES256", "k1")
--     issuer.jwks { key }                          -- the text of a JWKS
--     issuer:token(key, { iss = "i", aud = "a", exp = 99999999999 }, { kid = "k1" })
--     issuer:remove()
local child = require "spec.support.child"
local ffi = require "ffi"
local json = require "cjson"
local mime = require "mime"
local stdlib = require "posix.stdlib"

ffi.cdef [[
typedef struct token_issuer_bio TOKEN_BIO;
TOKEN_BIO *BIO_new_mem_buf(const void *bytes, int size);
int BIO_free(TOKEN_BIO *bio);
void *PEM_read_bio_PrivateKey(TOKEN_BIO *bio, void *, void *, void *);
void EVP_PKEY_free(void *key);
void *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(void *context);
const void *EVP_sha256(void);
int EVP_DigestSignInit(void *context, void *, const void *digest, void *engine, void *key);
int EVP_DigestSign(void *context, unsigned char *out, size_t *size, const char *text, size_t len);
]]

local crypto = ffi.load "libcrypto.so.3"

local Issuer = {}
Issuer.__index = Issuer

local token_issuer = {}

local MAKE = {
  RS256 = { "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048" },
  ES256 = { "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256" },
  EdDSA = { "-algorithm", "ED25519" },
  -- What nobody should sign with.
  short = { "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024" },
  huge = { "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt",
    "rsa_keygen_pubexp:4294967297" },
  curve = { "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1" },
}

local function openssl(...)
  local code, output = child.run { "openssl", ... }
  if code ~= 0 then error(("openssl %s: %s"):format(table.concat({ ... }, " "), output), 0) end
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- base64url without padding.
function token_issuer.encode(bytes)
  return ((mime.b64(bytes) or ""):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

local encode = token_issuer.encode

--- One value of DER: its contents, and what stands behind it.
local function der(bytes)
  local length, at = bytes:byte(2), 3
  if length >= 128 then
    local n = length - 128
    length = 0
    for i = 1, n do length = length * 256 + bytes:byte(2 + i) end
    at = 3 + n
  end
  return bytes:sub(at, at + length - 1), bytes:sub(at + length)
end

local function number(bytes) return (bytes:gsub("^%z+", "")) end

--- The members of a JWK.
local function members_of(kind, spki)
  if kind == "EdDSA" then return { kty = "OKP", crv = "Ed25519", x = encode(spki:sub(-32)) } end
  if kind == "ES256" or kind == "curve" then
    return { kty = "EC", crv = "P-256", x = encode(spki:sub(-64, -33)), y = encode(spki:sub(-32)) }
  end
  local _, bits = der((der(spki)))
  local n, rest = der((der((der(bits)):sub(2))))
  return { kty = "RSA", n = encode(number(n)), e = encode(number((der(rest)))) }
end

--- A new key: `private` and `public` are paths of PEM files, `members` those of its JWK.
function Issuer:key(kind, kid)
  self.count = self.count + 1
  local path = ("%s/%d"):format(self.folder, self.count)
  local made = { "genpkey", "-out", path .. ".key" }
  for _, word in ipairs(MAKE[kind]) do table.insert(made, word) end
  openssl(unpack(made))
  openssl("pkey", "-in", path .. ".key", "-pubout", "-out", path .. ".pem")
  openssl("pkey", "-in", path .. ".key", "-pubout", "-outform", "DER", "-out", path .. ".der")
  local key = { kind = kind, private = path .. ".key", public = path .. ".pem",
    members = members_of(kind, read(path .. ".der")) }
  key.algorithm = (kind == "ES256" or kind == "EdDSA") and kind or kind == "curve" and "ES256"
    or "RS256"
  key.members.kid = kid
  return key
end

--- The text of a JWKS with these keys.
function token_issuer.jwks(keys)
  local list = {}
  for i, key in ipairs(keys) do list[i] = key.members or key end
  return json.encode { keys = list }
end

--- The signature of a text, as OpenSSL has it.
local function signature_of(key, text)
  local pem = read(key.private)
  local bio = crypto.BIO_new_mem_buf(pem, #pem)
  local private = ffi.gc(crypto.PEM_read_bio_PrivateKey(bio, nil, nil, nil),
    crypto.EVP_PKEY_free)
  crypto.BIO_free(bio)
  local context = ffi.gc(crypto.EVP_MD_CTX_new(), crypto.EVP_MD_CTX_free)
  local digest = key.kind ~= "EdDSA" and crypto.EVP_sha256() or nil
  assert(crypto.EVP_DigestSignInit(context, nil, digest, nil, private) == 1)
  local out, size = ffi.new "unsigned char[1024]", ffi.new("size_t[1]", 1024)
  assert(crypto.EVP_DigestSign(context, out, size, text, #text) == 1)
  return ffi.string(out, size[0])
end

--- The signature of a text, as JOSE has it.
function token_issuer.sign(key, text)
  local signature = signature_of(key, text)
  if key.algorithm ~= "ES256" then return signature end
  local r, rest = der((der(signature)))
  local function fill(n) return ("\0"):rep(32 - #number(n)) .. number(n) end
  return fill(r) .. fill((der(rest)))
end

--- A token. `claims` and `header` are tables or texts of JSON.
function Issuer.token(_, key, claims, header)
  local h = header or {}
  if type(h) == "table" and h.alg == nil then h.alg = key.algorithm end
  local function text(value) return type(value) == "table" and json.encode(value) or value end
  local signed = encode(text(h)) .. "." .. encode(text(claims))
  return signed .. "." .. encode(token_issuer.sign(key, signed))
end

function Issuer:remove() child.run { "rm", "-rf", self.folder } end

function token_issuer.new()
  local self = setmetatable({ count = 0 }, Issuer)
  self.folder = stdlib.mkdtemp "/tmp/moongate-issuer-XXXXXX"
  self.jwks = token_issuer.jwks
  return self
end

return token_issuer
