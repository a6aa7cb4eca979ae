#include "proto/sasl_token.h"

#include "base/slice.h"
#include "proto/dialog.h"

#define SEPARATOR '\1'
#define PAIRS_MAX 16

/* The pairs that mean something; ptr NULL: not there. */
struct pairs {
    struct slice user, auth, host, port;
};

static bool
is_alphabetic(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if (c < 'a' || c > 'z')
            return false;
    }
    return s.len > 0;
}

static bool
is_token_char(char c)
{
    char l = ascii_lower(c);

    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~+/", c) != NULL);
}

bool
token_is_sane(struct slice token)
{
    struct slice rest = token;

    while (slice_drop_suffix(&rest, S("=")))
        continue;
    for (size_t i = 0; i < rest.len; i++) {
        if (!is_token_char(rest.ptr[i]))
            return false;
    }
    return token.len <= TOKEN_MAX && (rest.len > 0 || token.len == 0);
}

/* False for a pair that was there before: who is to say which one counts? */
static bool
note_pair(struct pairs *p, struct slice key, struct slice value)
{
    struct slice *known = slice_equal(key, S("user"))   ? &p->user
                          : slice_equal(key, S("auth")) ? &p->auth
                          : slice_equal(key, S("host")) ? &p->host
                          : slice_equal(key, S("port")) ? &p->port
                                                        : NULL;

    if (known == NULL)
        return true;
    if (known->ptr != NULL)
        return false;
    *known = value;
    return true;
}

/* key=value^A, any number, then ^A alone. */
static bool
read_pairs(struct slice rest, struct pairs *p)
{
    for (int n = 0; n <= PAIRS_MAX; n++) {
        size_t end = slice_find(rest, SEPARATOR);
        if (end == rest.len)
            return false;
        struct slice value = slice_take(rest, end);
        rest = slice_drop(rest, end + 1);
        if (value.len == 0)
            return rest.len == 0;
        size_t equals = slice_find(value, '=');
        if (equals == value.len)
            return false;
        struct slice key = slice_take(value, equals);
        value = slice_drop(value, equals + 1);
        if (!is_alphabetic(key) || has_control(value) ||
            !note_pair(p, key, value))
            return false;
    }
    return false;
}

/* "Bearer token".  Nothing at all is the question where to get one. */
static bool
read_auth(struct slice auth, struct slice *token)
{
    if (auth.ptr == NULL)
        return false;
    if (auth.len == 0) {
        *token = auth;
        return true;
    }
    if (!slice_has_prefix_nocase(auth, S("Bearer ")))
        return false;
    *token = slice_drop(auth, S("Bearer ").len);
    while (slice_has_prefix(*token, S(" ")))
        *token = slice_drop(*token, 1);
    return token->len > 0 && token_is_sane(*token);
}

/* RFC 5801 4: "=2C" is a comma, "=3D" an equals sign, and nothing else is. */
static bool
unescape(struct dialog *d, struct slice name, struct slice *user)
{
    char *out = arena_alloc(d->arena, name.len + 1);
    size_t len = 0;

    if (out == NULL) {
        d->fault = FAULT_RESOURCES;
        return false;
    }
    while (name.len > 0) {
        size_t used = 1;
        char c = name.ptr[0];
        if (c == '=') {
            used = 3;
            c = slice_has_prefix(name, S("=2C")) ? ',' : '=';
            if (c == '=' && !slice_has_prefix(name, S("=3D")))
                return false;
        }
        out[len++] = c;
        name = slice_drop(name, used);
    }
    *user = (struct slice){out, len};
    return true;
}

/* "n,a=user,^A".  No channel binding comes with a token ("p="). */
static bool
take_header(struct dialog *d, struct slice *rest, struct slice *user)
{
    size_t end = slice_find(*rest, SEPARATOR);
    struct slice header = slice_take(*rest, end);

    if (end == rest->len || !slice_drop_suffix(&header, S(",")))
        return false;
    *rest = slice_drop(*rest, end + 1);
    if (!slice_has_prefix(header, S("n,")) &&
        !slice_has_prefix(header, S("y,")))
        return false;
    header = slice_drop(header, 2);
    if (header.len == 0)
        return true;
    if (!slice_has_prefix(header, S("a=")) || header.len == 2 ||
        slice_find(header, ',') < header.len)
        return false;
    return unescape(d, slice_drop(header, 2), user);
}

bool
sasl_token_take(struct dialog *d, enum mechanism m, struct slice message)
{
    struct pairs pairs = {.auth = {NULL, 0}};
    struct slice user = S(""), token;

    if (m == MECHANISM_OAUTHBEARER && !take_header(d, &message, &user))
        return false;
    if (!read_pairs(message, &pairs) || !read_auth(pairs.auth, &token))
        return false;
    if (m == MECHANISM_XOAUTH2 && pairs.user.len == 0)
        return false;
    if (m == MECHANISM_XOAUTH2)
        user = pairs.user;
    if (!credential_is_sane(user))
        return false;
    d->credentials.user = user;
    d->credentials.password.bytes = token;
    return true;
}
