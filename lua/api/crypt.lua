--- `moongate.crypt`. The format is explained in auth_http.lua.
return {
  module = "moongate.crypt",
  doc = "password hashes, computed in threads; more than 64 that wait are an overload",
  functions = {
    {
      "verify", awaits = true, doc = "whether the password gives the hash",
      arguments = {
        { "password", "Secret|string" },
        { "hash", "string", doc = "$argon2id$ $2b$ $6$ $y$ and others of crypt(3), or Dovecot's "
          .. "{SCHEME} with .b64 or .hex: PLAIN CRYPT MD5-CRYPT SHA256-CRYPT SHA512-CRYPT "
          .. "BLF-CRYPT ARGON2I ARGON2ID PLAIN-MD5 LDAP-MD5 SMD5 SHA SHA256 SHA512 SSHA SSHA256 "
          .. "SSHA512" },
      },
      returns = { { "fits", "boolean" } },
      errors = { "overload", "protocol" },
    },
    {
      "hash", awaits = true, doc = "a fresh hash with a random salt",
      arguments = { { "password", "Secret|string" } },
      options = {
        { "scheme", "string", default = "argon2id", doc = "argon2id bcrypt sha512 yescrypt" },
        { "rounds", "integer", doc = "argon2id: passes (2); else crypt(3)'s cost" },
        { "memory", "integer", default = 19456, unit = "KiB", doc = "argon2id" },
      },
      returns = { { "hash", "string" } },
      errors = { "overload", "protocol" },
    },
  },
  values = {
    { "DUMMY", "string", doc = "a hash that no password gives: check it for users that do not "
      .. "exist, so that they cost the same time" },
  },
}
