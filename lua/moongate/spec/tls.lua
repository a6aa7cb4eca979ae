--- TLS on a spec's connection, over memory: every record is made and taken by the spec.
--
--     local c = tls.connect(gw.ports.imaps)           -- a client; its handshake is done
--     local c = client.connect(port) ... tls.start(c, tls.client {}):handshake()
--     tls.start(peer, tls.server(leaf)):handshake()   -- in an upstream's script
--
-- Behind the handshake the connection is used as before; `send` makes one record a call.
-- `c.failure` says why TLS failed, `c.notified` that the other side said close_notify.
local client = require "moongate.spec.client"
local connection = require "moongate.spec.connection"
local ffi = require "ffi"
local loop = require "moongate.spec.loop"

ffi.cdef [[
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct bio_st BIO;
typedef struct ssl_session_st SSL_SESSION;
const void *TLS_client_method(void);
const void *TLS_server_method(void);
SSL_CTX *SSL_CTX_new(const void *method);
void SSL_CTX_free(SSL_CTX *ctx);
long SSL_CTX_ctrl(SSL_CTX *ctx, int command, long number, void *pointer);
int SSL_CTX_use_certificate_chain_file(SSL_CTX *ctx, const char *path);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *ctx, const char *path, int type);
int SSL_CTX_load_verify_locations(SSL_CTX *ctx, const char *file, const char *folder);
void SSL_CTX_set_verify(SSL_CTX *ctx, int mode, void *callback);
SSL *SSL_new(SSL_CTX *ctx);
void SSL_free(SSL *ssl);
long SSL_ctrl(SSL *ssl, int command, long number, void *pointer);
void SSL_set_bio(SSL *ssl, BIO *in, BIO *out);
void SSL_set_accept_state(SSL *ssl);
void SSL_set_connect_state(SSL *ssl);
int SSL_do_handshake(SSL *ssl);
int SSL_read(SSL *ssl, void *into, int size);
int SSL_write(SSL *ssl, const void *bytes, int size);
int SSL_shutdown(SSL *ssl);
int SSL_get_error(const SSL *ssl, int result);
const char *SSL_get_version(const SSL *ssl);
const char *SSL_get_servername(const SSL *ssl, int type);
int SSL_session_reused(const SSL *ssl);
size_t SSL_get_finished(const SSL *ssl, void *into, size_t size);
size_t SSL_get_peer_finished(const SSL *ssl, void *into, size_t size);
int SSL_export_keying_material(SSL *ssl, unsigned char *into, size_t size, const char *label,
  size_t label_len, const unsigned char *context, size_t context_len, int use_context);
SSL_SESSION *SSL_get1_session(SSL *ssl);
int SSL_set_session(SSL *ssl, SSL_SESSION *session);
void SSL_SESSION_free(SSL_SESSION *session);
unsigned long SSL_SESSION_get_ticket_lifetime_hint(const SSL_SESSION *session);
int SSL_CTX_set_cipher_list(SSL_CTX *ctx, const char *names);
int SSL_CTX_set_alpn_protos(SSL_CTX *ctx, const char *list, unsigned size);
const void *SSL_get_current_cipher(const SSL *ssl);
const char *SSL_CIPHER_get_name(const void *cipher);
const void *SSL_get0_peer_CA_list(const SSL *ssl);
int OPENSSL_sk_num(const void *list);
void *OPENSSL_sk_value(const void *list, int index);
int EVP_PKEY_get_bits(const void *key);
int EVP_PKEY_get_group_name(const void *key, char *into, size_t size, size_t *used);
void EVP_PKEY_free(void *key);
void *SSL_get1_peer_certificate(const SSL *ssl);
void X509_free(void *certificate);
void *X509_get_subject_name(const void *certificate);
char *X509_NAME_oneline(const void *name, char *into, int size);
long SSL_get_verify_result(const SSL *ssl);
const void *BIO_s_mem(void);
BIO *BIO_new(const void *method);
int BIO_read(BIO *bio, void *into, int size);
int BIO_write(BIO *bio, const void *bytes, int size);
unsigned long ERR_get_error(void);
void ERR_clear_error(void);
const char *ERR_reason_error_string(unsigned long code);
]]

local ssl = ffi.load "libssl.so.3"
local crypto = ffi.load "libcrypto.so.3"

local PEM, VERIFY_PEER, VERIFY_DEMAND = 1, 1, 2
local SET_SERVER_NAME, SET_GROUPS, SET_MIN_VERSION, SET_MAX_VERSION = 55, 92, 123, 124
local GET_PEER_KEY = 109
local ERROR_WANT_READ, ERROR_ZERO_RETURN = 2, 6
local VERSIONS = { ["1.0"] = 0x301, ["1.1"] = 0x302, ["1.2"] = 0x303, ["1.3"] = 0x304 }
local SIZE = 64 * 1024

local into = ffi.new("char[?]", SIZE)
local tls = {}

local function good(result, what)
  if result ~= 1 then
    error(what .. ": " .. ffi.string(crypto.ERR_reason_error_string(crypto.ERR_get_error())), 3)
  end
end

local function context(method, options)
  local ctx = ffi.gc(ssl.SSL_CTX_new(method), ssl.SSL_CTX_free)
  if options.leaf then
    good(ssl.SSL_CTX_use_certificate_chain_file(ctx, options.leaf.certificate), "certificate")
    good(ssl.SSL_CTX_use_PrivateKey_file(ctx, options.leaf.key, PEM), "key")
  end
  if options.min then ssl.SSL_CTX_ctrl(ctx, SET_MIN_VERSION, VERSIONS[options.min], nil) end
  if options.max then ssl.SSL_CTX_ctrl(ctx, SET_MAX_VERSION, VERSIONS[options.max], nil) end
  if options.ciphers then
    good(ssl.SSL_CTX_set_cipher_list(ctx, options.ciphers), "ciphers")
  end
  if options.groups then
    local names = ffi.cast("void *", ffi.cast("const char *", options.groups))
    good(ssl.SSL_CTX_ctrl(ctx, SET_GROUPS, 0, names), "groups")
  end
  if options.alpn then
    local list = string.char(#options.alpn) .. options.alpn
    ssl.SSL_CTX_set_alpn_protos(ctx, list, #list)
  end
  if options.ca then
    good(ssl.SSL_CTX_load_verify_locations(ctx, options.ca, nil), "ca")
    ssl.SSL_CTX_set_verify(ctx, VERIFY_PEER + (options.demand and VERIFY_DEMAND or 0), nil)
  end
  return { ctx = ctx, options = options }
end

--- How a client speaks TLS: `ca` (without it anything is believed), `leaf` (its certificate),
-- `name` (SNI), `min`, `max`, `session` (of `c:session()`), `first` (bytes sent with its Finished),
-- `ciphers` and `groups` as OpenSSL writes them, `alpn` (one protocol).
function tls.client(options)
  local made = context(ssl.TLS_client_method(), options or {})
  made.is_client = true
  return made
end

--- How a server does: its certificate, and options: `ca` with `demand` for clients' certificates.
function tls.server(leaf, options)
  options = options or {}
  options.leaf = leaf
  return context(ssl.TLS_server_method(), options)
end

local secured = {}

local function pump_out(self)
  while true do
    local n = crypto.BIO_read(self.tls_out, into, SIZE)
    if n <= 0 then return end
    connection.send(self, ffi.string(into, n))
  end
end

--- Judges the result of a call; true when it is a matter of more bytes.
local function may_go_on(self, result)
  local code = ssl.SSL_get_error(self.ssl, result)
  if code == ERROR_WANT_READ then return true end
  if code == ERROR_ZERO_RETURN then
    self.notified = true
    self:note "< close_notify"
    return false
  end
  local reason = crypto.ERR_reason_error_string(crypto.ERR_get_error())
  self.failure = self.failure or (reason ~= nil and ffi.string(reason) or "unknown")
  self:note("TLS: " .. self.failure)
  return false
end

local function take(self, bytes)
  self:note("<<", bytes)
  if self.plain_sink then return self.plain_sink(bytes) end
  table.insert(self.received, bytes)
  self.input = self.input .. bytes
end

local function pump_in(self)
  crypto.ERR_clear_error()
  if not self.is_secure then
    local result = ssl.SSL_do_handshake(self.ssl)
    if result ~= 1 then
      may_go_on(self, result)
      return pump_out(self)
    end
    self.is_secure = true
    local first = self.tls_how.options.first
    if first then good(ssl.SSL_write(self.ssl, first, #first) == #first and 1 or 0, "SSL_write") end
  end
  while not self.failure and not self.notified do
    crypto.ERR_clear_error()
    local n = ssl.SSL_read(self.ssl, into, SIZE)
    if n > 0 then
      take(self, ffi.string(into, n))
    else
      may_go_on(self, n)
      break
    end
  end
  pump_out(self)
end

function secured:send(bytes)
  if bytes == "" or self.ended == "closed" or self.failure then return self end
  self:note(">>", bytes)
  crypto.ERR_clear_error()
  good(ssl.SSL_write(self.ssl, bytes, #bytes) == #bytes and 1 or 0, "SSL_write")
  pump_out(self)
  return self
end

--- Says close_notify, and that no more will be sent.
function secured:half_close()
  crypto.ERR_clear_error()
  if self.is_secure and not self.failure then ssl.SSL_shutdown(self.ssl) end
  pump_out(self)
  connection.half_close(self)
end

function secured:close()
  if self.ended == "closed" then return end
  crypto.ERR_clear_error()
  if self.is_secure and not self.failure then
    ssl.SSL_shutdown(self.ssl)
    pump_out(self)
  end
  connection.close(self)
end

--- Waits for the end of the handshake; true when it is up.
function secured:attempt(seconds)
  loop.wait("TLS of " .. self.name, function()
    return self.is_secure or self.failure or self.ended
  end, seconds)
  return self.is_secure
end

--- Waits until it is up.
function secured:handshake(seconds)
  if not self:attempt(seconds) then
    error(("%s: no TLS: %s"):format(self.name, self.failure or self.ended), 2)
  end
  return self
end

--- Bytes that are no TLS, in the middle of it.
function secured:send_raw(bytes) return connection.send(self, bytes) end

function secured:version() return ffi.string(ssl.SSL_get_version(self.ssl)) end

function secured:cipher()
  return ffi.string(ssl.SSL_CIPHER_get_name(ssl.SSL_get_current_cipher(self.ssl)))
end

--- What the other side's key for this connection is of: "secp384r1 384", "3072" without a name.
function secured:group()
  local key = ffi.new "void *[1]"
  if ssl.SSL_ctrl(self.ssl, GET_PEER_KEY, 0, key) ~= 1 then return nil end
  local named = crypto.EVP_PKEY_get_group_name(key[0], into, SIZE, nil) == 1
  local words = (named and ffi.string(into) .. " " or "") .. crypto.EVP_PKEY_get_bits(key[0])
  crypto.EVP_PKEY_free(key[0])
  return words
end

--- The names of authorities that the server wants clients' certificates from.
function secured:authorities()
  local list, names = ssl.SSL_get0_peer_CA_list(self.ssl), {}
  for i = 0, crypto.OPENSSL_sk_num(list) - 1 do
    local name = crypto.OPENSSL_sk_value(list, i)
    names[i + 1] = ffi.string(crypto.X509_NAME_oneline(name, into, SIZE))
  end
  return names
end

--- How many seconds its ticket lasts, as the server says; 0: there is none.
function secured:lifetime()
  return tonumber(ssl.SSL_SESSION_get_ticket_lifetime_hint(self:session()))
end

function secured:is_resumed() return ssl.SSL_session_reused(self.ssl) == 1 end

--- Its session, for another `tls.client { session = }`.
function secured:session()
  return ffi.gc(ssl.SSL_get1_session(self.ssl), ssl.SSL_SESSION_free)
end

--- Names of this connection (RFC 9266): what it exports under `EXPORTER-Channel-Binding`.
function secured:tls_exporter()
  local label, bytes = "EXPORTER-Channel-Binding", ffi.new("unsigned char[32]")
  good(ssl.SSL_export_keying_material(self.ssl, bytes, 32, label, #label, bytes, 0, 1), "export")
  return ffi.string(bytes, 32)
end

--- And (RFC 5929) the first Finished that was sent over it, by whom that was the turn.
function secured:tls_unique()
  local own = self:is_resumed() ~= (self.tls_how.is_client or false)
  local get = own and ssl.SSL_get_finished or ssl.SSL_get_peer_finished
  return ffi.string(into, get(self.ssl, into, SIZE))
end

--- On a server: the name that the client asked for.
function secured:server_name()
  local name = ssl.SSL_get_servername(self.ssl, 0)
  return name ~= nil and ffi.string(name) or nil
end

--- The subject of the other side's certificate, "/CN=a"; nil: it showed none.
function secured:peer_subject()
  local certificate = ssl.SSL_get1_peer_certificate(self.ssl)
  if certificate == nil then return nil end
  local name = crypto.X509_NAME_oneline(crypto.X509_get_subject_name(certificate), into, SIZE)
  crypto.X509_free(certificate)
  return ffi.string(name)
end

local function to_server_name(how)
  return ffi.cast("void *", ffi.cast("const char *", how.options.name))
end

--- Turns the connection into one of TLS; what it had read already counts as TLS.
-- For a client the ClientHello is sent.
function tls.start(c, how)
  c.ssl = ffi.gc(ssl.SSL_new(how.ctx), ssl.SSL_free)
  c.tls_in, c.tls_out = crypto.BIO_new(crypto.BIO_s_mem()), crypto.BIO_new(crypto.BIO_s_mem())
  c.tls_how = how -- keeps the context
  ssl.SSL_set_bio(c.ssl, c.tls_in, c.tls_out)
  if how.is_client then
    if how.options.name then
      ssl.SSL_ctrl(c.ssl, SET_SERVER_NAME, 0, to_server_name(how))
    end
    if how.options.session then ssl.SSL_set_session(c.ssl, how.options.session) end
    ssl.SSL_set_connect_state(c.ssl)
  else
    ssl.SSL_set_accept_state(c.ssl)
  end
  for name, method in pairs(secured) do c[name] = method end
  c.sink = function(bytes)
    crypto.BIO_write(c.tls_in, bytes, #bytes)
    pump_in(c)
  end
  local early = c.input
  c.input = ""
  if early ~= "" then c.sink(early) else pump_in(c) end
  return c
end

--- A client of implicit TLS whose handshake is done; `how` as for tls.client.
function tls.connect(port, how, options)
  return tls.start(client.connect(port, options), tls.client(how or {})):handshake()
end

return tls
