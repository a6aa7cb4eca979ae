--- `moongate.jwt`. The format is explained in README.md.
return {
  name = "moongate.jwt",
  doc = "JSON Web Tokens (RFC 7519) that are checked here: RS256, ES256 and EdDSA (Ed25519).",
  functions = {
    {
      "keys", doc = "The public keys of whoever signs tokens: a JWKS, PEM, or the URL of a JWKS, "
        .. "which is asked again for a key that is not known; what it said before stays while it "
        .. "does not answer. Each key is for one algorithm.",
      arguments = { { "options", "table", fields = {
        { "jwks", "string", optional = true, max_length = 65536, doc = "JSON; see `file.read`" },
        { "pem", "string", optional = true, doc = "one or several `PUBLIC KEY`" },
        { "url", "string", optional = true, doc = "http:// or https://" },
        { "interval", "number", default = 60, unit = "seconds",
          doc = "between two times that it is asked, at least" },
        { "max_age", "number", default = 3600, unit = "seconds",
          doc = "after which it is asked also for keys that are known" },
        { "timeout", "number", default = 5, unit = "seconds" },
        { "ca", "string", optional = true, doc = "as of `http.get`" },
        { "verify", "boolean", default = true, doc = "as of `http.get`" },
      } } },
      returns = { { "JwtKeys" } },
      errors = "raises when an option is wrong, or the text holds no key that can be used",
    },
    {
      "verify", awaits = true, doc = "What a token claims, once signature, time, issuer, audience "
        .. "and scope were found right; or false and why not: `malformed`, `algorithm`, `key`, "
        .. "`signature`, `expired`, `early`, `issuer`, `audience`, `scope`; or nil and an error "
        .. "when the keys can't be had.",
      arguments = {
        { "token", "Secret|string", max_length = 16384 },
        { "options", "table", fields = {
          { "keys", "JwtKeys" },
          { "algorithms", "string[]", doc = "those that count, of RS256, ES256, EdDSA" },
          { "issuer", "string|string[]", doc = "what `iss` must be" },
          { "audience", "string|string[]", doc = "what `aud` must have one of" },
          { "leeway", "number", default = 30, unit = "seconds", min = 0, max = 600,
            doc = "that clocks may differ" },
          { "scope", "string|string[]", optional = true,
            doc = "words that `scope` or `scp` must have, all of them" },
        } },
      },
      returns = { { "table|false" }, { "string?", doc = "why it is refused" } },
      errors = "raises when an option is wrong",
    },
  },
  classes = {
    { "JwtKeys", variable = "keys", doc = "Keys for `jwt.verify`." },
  },
}
