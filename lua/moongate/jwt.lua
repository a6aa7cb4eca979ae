--- JSON Web Tokens that are checked here: signature, issuer, audience, time and scope.
--
-- RFC 7519, as RFC 8725 wants it done: which algorithms count is the configuration's to say, each
-- key is for one of them, and nothing in a token leads to a file, a URL or another key.
local core = require "moongate.core"
local http = require "moongate.http"
local json = require "moongate.json"

local jwt = {}

local ALGORITHMS = { RS256 = "RSA", ES256 = "EC", EdDSA = "OKP" }
local KEYS_MAX = 64
local JWKS_MAX = 65536
local PEM = "%-%-%-%-%-BEGIN PUBLIC KEY%-%-%-%-%-[^%-]*%-%-%-%-%-END PUBLIC KEY%-%-%-%-%-"
local KID_MAX = 256

-- Options -------------------------------------------------------------------

local function check_names(what, options, known)
  if type(options) ~= "table" then error(what .. ": a table of options expected", 3) end
  for name in pairs(options) do
    if not known[name] then
      local names = {}
      for one in pairs(known) do table.insert(names, one) end
      table.sort(names)
      error(("%s: unknown option %q (there are %s)"):format(what, tostring(name),
        table.concat(names, ", ")), 3)
    end
  end
end

local function check_number(what, options, name, default)
  local value = options[name] or default
  if type(value) ~= "number" or not (value > 0 and value < 1e9) then
    error(("%s: %s: a number of seconds expected"):format(what, name), 3)
  end
  return value
end

--- A text, or several, as a set.
local function set_of(what, value)
  local set = {}
  for _, one in ipairs(type(value) == "string" and { value } or value or {}) do
    if type(one) ~= "string" or one == "" then error(what .. ": text expected", 3) end
    set[one] = true
  end
  return set
end

-- JSON that says nothing twice ------------------------------------------------

local function count_members(value)
  local count = 0
  for key, member in pairs(value) do
    if type(key) == "string" then count = count + 1 end
    if type(member) == "table" then count = count + count_members(member) end
  end
  return count
end

--- The object that the text is, or nil. One in which a name occurs twice is none: two readers of
-- it might not see the same.
local function read_object(text)
  local value = json.decode(text, { null = true })
  if type(value) ~= "table" or not text:match "^%s*{" then return nil end
  local bare = text:gsub("\\.", ""):gsub('"[^"]*"', "")
  local _, colons = bare:gsub(":", "")
  if colons ~= count_members(value) then return nil end
  return json.decode(text)
end

-- Keys ------------------------------------------------------------------------

local function is_for_signatures(members)
  if members.use ~= nil and members.use ~= "sig" then return false end
  if members.key_ops == nil then return true end
  if type(members.key_ops) ~= "table" then return false end
  for _, operation in ipairs(members.key_ops) do
    if operation == "verify" then return true end
  end
  return false
end

--- The algorithm that a key of a JWKS is for, or nil if it is for none of ours.
local function algorithm_of(members)
  for name, kind in pairs(ALGORITHMS) do
    if members.kty == kind and (members.alg == nil or members.alg == name) then return name end
  end
  return nil
end

--- The key, or nil and why it is passed over.
local function read_key(members)
  if type(members) ~= "table" then return nil, "no object" end
  local algorithm = algorithm_of(members)
  if not algorithm or not is_for_signatures(members) then return nil, "for another use" end
  if members.d ~= nil then return nil, "a private key" end
  if members.kid ~= nil and (type(members.kid) ~= "string" or #members.kid > KID_MAX) then
    return nil, "no kid"
  end
  local key, problem = core.jwt_key(algorithm, members)
  if not key then return nil, problem end
  return { key = key, algorithm = algorithm, kid = members.kid }
end

local function has(found, key)
  for _, other in ipairs(found) do
    if key.kid ~= nil and other.kid == key.kid then return true end
  end
  return false
end

--- The keys of a JWKS (RFC 7517): those for other uses are passed over. Nil, why if it is none, if
-- two have the same kid, or if none is left.
local function read_set(text)
  if #text > JWKS_MAX then return nil, "the JWKS is longer than 64 KiB" end
  local set = read_object(text)
  if not set or type(set.keys) ~= "table" then return nil, "not a JWKS" end
  local found, passed = {}, {}
  for i, members in ipairs(set.keys) do
    if i > KEYS_MAX then return nil, ("more than %d keys"):format(KEYS_MAX) end
    local key, why = read_key(members)
    if key and has(found, key) then return nil, "two keys have the same kid" end
    table.insert(key and found or passed, key or why)
  end
  if #found == 0 then
    return nil, "no key that can be used" .. (passed[1] and ": " .. passed[1] or "")
  end
  return found
end

local function read_pem(text)
  local found = {}
  for one in text:gmatch(PEM) do
    local key, algorithm = core.jwt_key_pem(one)
    if not key then return nil, algorithm end
    table.insert(found, { key = key, algorithm = algorithm })
  end
  if #found == 0 then return nil, "no PUBLIC KEY in PEM" end
  return found
end

local Keys = {}
Keys.__index = Keys
Keys.__metatable = false

local function ask(keys)
  local response, err = http.get(keys.url, keys.http)
  if not response then return nil, tostring(err) end
  if response.status ~= 200 then return nil, "status " .. response.status end
  return read_set(response.body)
end

--- Asks the service for its keys, unless it was asked a moment ago; while one login does, others
-- wait for what it gets. What was known before stays while the service says nothing of use.
local function fetch(keys)
  if keys.gate and not keys.gate:is_open() then
    keys.gate:wait()
    -- One that was cancelled leaves no answer.
    if keys.answered == keys.gate then return end
    return fetch(keys)
  end
  if keys.asked and core.now() - keys.asked < keys.interval then return end
  local gate = core.gate()
  keys.gate = gate
  local found, problem = ask(keys)
  keys.answered, keys.asked, keys.problem = gate, core.now(), problem
  if found then
    keys.list, keys.fresh = found, core.now()
  else
    core.log("warn", "jwt: the keys of a token service can't be had", { url = keys.url,
      problem = problem })
  end
  gate:open()
end

--- Those that a token with this header may be signed with.
local function candidates(keys, header)
  local found = {}
  for _, key in ipairs(keys.list or {}) do
    local named = header.kid == nil or key.kid == nil or key.kid == header.kid
    if named and key.algorithm == header.alg then table.insert(found, key.key) end
  end
  return found
end

--- Its candidates; with a service they are asked for once more when there is none, and when what
-- is known is old. Nil, error when the service is needed and does not answer.
function Keys:find(header)
  if self.url and (not self.fresh or core.now() - self.fresh > self.max_age) then fetch(self) end
  local found = candidates(self, header)
  if #found > 0 or not self.url then return found end
  fetch(self)
  found = candidates(self, header)
  if #found == 0 and self.problem then
    return nil, "jwt: no keys: " .. self.problem
  end
  return found
end

local KEYS_OPTIONS = {
  jwks = true, pem = true, url = true, interval = true, max_age = true, timeout = true, ca = true,
  verify = true,
}

--- Keys for `verify`.
function jwt.keys(options)
  check_names("jwt.keys", options, KEYS_OPTIONS)
  local given = (options.jwks and 1 or 0) + (options.pem and 1 or 0) + (options.url and 1 or 0)
  if given ~= 1 then error("jwt.keys: one of jwks, pem, url expected", 2) end
  local keys = setmetatable({}, Keys)
  if options.url then
    keys.url = options.url
    keys.interval = check_number("jwt.keys", options, "interval", 60)
    keys.max_age = check_number("jwt.keys", options, "max_age", 3600)
    keys.http = { timeout = check_number("jwt.keys", options, "timeout", 5), ca = options.ca,
      verify = options.verify, max_body = JWKS_MAX }
    return keys
  end
  local problem
  if options.jwks then
    keys.list, problem = read_set(options.jwks)
  else
    keys.list, problem = read_pem(options.pem)
  end
  if not keys.list then error("jwt.keys: " .. problem, 2) end
  return keys
end

-- Tokens ----------------------------------------------------------------------

local TYPES = { jwt = true, ["at+jwt"] = true, ["application/jwt"] = true,
  ["application/at+jwt"] = true }

--- Whether the header says nothing that would have to be understood first (RFC 7515 4.1.11), and
-- that this is no token in a token.
local function is_plain_header(header)
  if header.crit ~= nil or header.cty ~= nil or header.zip ~= nil or header.b64 ~= nil then
    return false
  end
  if header.typ ~= nil and not (type(header.typ) == "string" and TYPES[header.typ:lower()]) then
    return false
  end
  return header.kid == nil or (type(header.kid) == "string" and #header.kid <= KID_MAX)
end

local function contains(value, wanted)
  if type(value) == "string" then return wanted[value] == true end
  for _, one in ipairs(type(value) == "table" and value or {}) do
    if type(one) == "string" and wanted[one] then return true end
  end
  return false
end

local function is_time(value, optional)
  if value == nil then return optional end
  return type(value) == "number" and value == value and value >= 0 and value < 2 ^ 53
end

--- Why the claims are not good now, or nil.
local function wrong_time(claims, leeway)
  local now = core.time()
  if not is_time(claims.exp, false) or not is_time(claims.nbf, true)
    or not is_time(claims.iat, true) then
    return "malformed"
  end
  if now >= claims.exp + leeway then return "expired" end
  if claims.nbf and now < claims.nbf - leeway then return "early" end
  if claims.iat and now < claims.iat - leeway then return "early" end
  return nil
end

local function has_scope(claims, wanted)
  local granted = {}
  for _, claim in ipairs { claims.scope or false, claims.scp or false } do
    for _, one in ipairs(type(claim) == "table" and claim or { claim }) do
      if type(one) == "string" then
        for word in one:gmatch "%S+" do granted[word] = true end
      end
    end
  end
  for scope in pairs(wanted) do
    if not granted[scope] then return false end
  end
  return true
end

local function is_signed(keys, token)
  for _, key in ipairs(keys) do
    if core.jwt_is_signed(key, token) then return true end
  end
  return false
end

local VERIFY_OPTIONS = { algorithms = true, keys = true, issuer = true, audience = true,
  leeway = true, scope = true }

local function read_options(options)
  check_names("jwt.verify", options, VERIFY_OPTIONS)
  local o = {
    algorithms = set_of("jwt.verify: algorithms", options.algorithms),
    issuer = set_of("jwt.verify: issuer", options.issuer),
    audience = set_of("jwt.verify: audience", options.audience),
    scope = set_of("jwt.verify: scope", options.scope),
    leeway = options.leeway or 30,
    keys = options.keys,
  }
  for name in pairs(o.algorithms) do
    if not ALGORITHMS[name] then
      error(("jwt.verify: algorithms: RS256, ES256 or EdDSA expected, not %q"):format(name), 3)
    end
  end
  for _, name in ipairs { "algorithms", "issuer", "audience" } do
    if not next(o[name]) then error(("jwt.verify: %s is missing"):format(name), 3) end
  end
  if getmetatable(o.keys) ~= false or type(o.keys) ~= "table" or not o.keys.find then
    error("jwt.verify: keys: what jwt.keys gives expected", 3)
  end
  if type(o.leeway) ~= "number" or not (o.leeway >= 0 and o.leeway <= 600) then
    error("jwt.verify: leeway: 0 to 600 seconds expected", 3)
  end
  return o
end

--- What the token claims; or false, why it is refused; or nil, error when that can't be told.
function jwt.verify(token, options)
  local o = read_options(options)
  local header_text, payload = core.jwt_open(token)
  local header = header_text and read_object(header_text)
  if not header or not is_plain_header(header) then return false, "malformed" end
  if not o.algorithms[header.alg] then return false, "algorithm" end
  local keys, err = o.keys:find(header)
  if not keys then return nil, err end
  if #keys == 0 then return false, "key" end
  if not is_signed(keys, token) then return false, "signature" end

  local claims = read_object(payload)
  if not claims then return false, "malformed" end
  local problem = wrong_time(claims, o.leeway)
  if problem then return false, problem end
  if type(claims.iss) ~= "string" or not o.issuer[claims.iss] then return false, "issuer" end
  if not contains(claims.aud, o.audience) then return false, "audience" end
  if not has_scope(claims, o.scope) then return false, "scope" end
  return claims
end

return jwt
