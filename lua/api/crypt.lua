--- `moongate.crypt`. The format is explained in README.md.
return {
  name = "moongate.crypt",
  doc = "Password hashes, computed in threads; more than 64 that wait are an overload.",
  functions = {
    {
      "verify", awaits = true, doc = "Whether the password gives the hash.",
      arguments = {
        { "password", "Secret|string" },
        { "hash", "Secret|string", doc = "$argon2id$ $2b$ $6$ $y$ and others of crypt(3), or "
          .. "Dovecot's {SCHEME} with .b64 or .hex: PLAIN CRYPT MD5-CRYPT SHA256-CRYPT "
          .. "SHA512-CRYPT BLF-CRYPT ARGON2I ARGON2ID PLAIN-MD5 LDAP-MD5 SMD5 SHA SHA256 SHA512 "
          .. "SSHA SSHA256 SSHA512; or a verifier of SCRAM" },
      },
      returns = { { "boolean" } },
      fails = { "overload", "protocol" },
    },
    {
      "hash", awaits = true, doc = "A fresh hash with a random salt.",
      arguments = {
        { "password", "Secret|string" },
        { "options", "table", optional = true, fields = {
          { "scheme", "string", default = "argon2id",
            values = { "argon2id", "bcrypt", "sha512", "yescrypt", "scram-sha-1", "scram-sha-256" },
            doc = "those of SCRAM give what `moongate.verifier` takes" },
          { "rounds", "integer", optional = true, min = 1, max = 1000000,
            doc = "argon2id: passes, by default 2; SCRAM: iterations, by default 4096; else "
              .. "crypt(3)'s cost" },
          { "memory", "integer", default = 19456, unit = "KiB", min = 8, max = 1048576,
            doc = "argon2id" },
          { "salt", "string", optional = true,
            doc = "of SCRAM, in base64: this one instead of a random one" },
        } },
      },
      returns = { { "string" } },
      fails = { "overload", "protocol" },
    },
  },
  values = {
    { "DUMMY", "string", doc = "a hash that no password gives: check it for users that do not "
      .. "exist, so that they cost the same time" },
  },
}
