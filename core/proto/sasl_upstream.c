#include "proto/sasl_upstream.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/redact.h"
#include "proto/sasl_token.h"

#define CHALLENGE_MAX 1024

bool
login_is_sane(const struct dialog *d)
{
    return credential_is_sane(d->login.user) &&
           credential_is_sane(d->login.authzid) &&
           (d->login.token ? token_is_sane(d->login.password.bytes)
                           : credential_is_sane(d->login.password.bytes));
}

bool
login_has_password(const struct dialog *d)
{
    enum mechanism m = d->credentials.mechanism;

    return d->login.password.bytes.len > 0 || m == MECHANISM_PLAIN ||
           m == MECHANISM_LOGIN || d->login.mechanism == MECHANISM_EXTERNAL;
}

static char *
keep_room(struct dialog *d, size_t size)
{
    dialog_begin_attempt(d);
    char *room = arena_alloc(d->arena, size);
    if (room == NULL)
        d->fault = FAULT_RESOURCES;
    return room;
}

struct slice
sasl_encode(struct dialog *d, struct slice bytes)
{
    size_t len = base64_encoded_len(bytes.len);
    char *text = keep_room(d, len + 1);

    if (text == NULL)
        return S("");
    base64_encode(bytes, text);
    return (struct slice){text, len};
}

static char *
append(char *end, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(end, bytes.ptr, bytes.len);
    return end + bytes.len;
}

struct slice
sasl_encode_plain(struct dialog *d)
{
    const struct login *login = &d->login;
    size_t len = login->authzid.len + 1 + login->user.len + 1 +
                 login->password.bytes.len;
    char *message = keep_room(d, len);

    if (message == NULL)
        return S("");
    char *end = append(message, login->authzid);
    *end++ = '\0';
    end = append(end, login->user);
    *end++ = '\0';
    append(end, login->password.bytes);
    return sasl_encode(d, (struct slice){message, len});
}

struct slice
sasl_encode_external(struct dialog *d)
{
    const struct login *login = &d->login;

    return sasl_encode(d,
                       login->authzid.len > 0 ? login->authzid : login->user);
}

/* RFC 2195: the user, a space, the digest of the challenge. */
struct slice
sasl_encode_cram_md5(struct dialog *d, struct slice challenge)
{
    const struct login *login = &d->login;
    size_t room = login->user.len + 1 + 32;
    size_t len = 0;

    if (challenge.len == 0 || challenge.len > CHALLENGE_MAX)
        return S("");
    char *text = keep_room(d, challenge.len + room);
    if (text == NULL || !base64_decode(challenge, text, &len))
        return S("");
    char *answer = text + challenge.len;
    char *digest = append(answer, login->user);
    *digest++ = ' ';
    if (!digest_hmac_md5(login->password.bytes, (struct slice){text, len},
                         digest))
        return S("");
    return sasl_encode(d, (struct slice){answer, room});
}

bool
login_tells_token(const struct dialog *d)
{
    enum mechanism m = d->login.mechanism;

    return d->login.token && (m == MECHANISM_NONE || mechanism_has_token(m));
}

enum mechanism
sasl_token_mechanism(const struct dialog *d, unsigned offered, bool known)
{
    static const enum mechanism all[] = {MECHANISM_OAUTHBEARER,
                                         MECHANISM_XOAUTH2};
    enum mechanism m = d->login.mechanism;

    if (m == MECHANISM_NONE)
        m = d->credentials.mechanism;
    if (mechanism_has_token(m) && (!known || (offered & MECHANISM_BIT(m)) != 0))
        return m;
    for (size_t i = 0; i < 2 && d->login.mechanism == MECHANISM_NONE; i++) {
        if (!known || (offered & MECHANISM_BIT(all[i])) != 0)
            return all[i];
    }
    return MECHANISM_NONE;
}

/* RFC 5801 4. */
static char *
append_escaped(char *end, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == ',')
            end = append(end, S("=2C"));
        else if (name.ptr[i] == '=')
            end = append(end, S("=3D"));
        else
            *end++ = name.ptr[i];
    }
    return end;
}

struct slice
sasl_encode_token(struct dialog *d, enum mechanism m)
{
    const struct login *login = &d->login;
    struct slice user = login->authzid.len > 0 ? login->authzid : login->user;
    char *start = keep_room(d, 3 * user.len + login->password.bytes.len + 32);

    if (start == NULL)
        return S("");
    char *end = start;
    if (m == MECHANISM_XOAUTH2) {
        end = append(append(end, S("user=")), user);
    } else {
        end = append(end, user.len > 0 ? S("n,a=") : S("n,"));
        end = append(append_escaped(end, user), S(","));
    }
    end = append(end, S("\1auth=Bearer "));
    end = append(append(end, login->password.bytes), S("\1\1"));
    return sasl_encode(d, (struct slice){start, (size_t)(end - start)});
}

struct slice
sasl_note_denial(struct dialog *d, enum mechanism m, struct slice challenge)
{
    char *text = keep_room(d, challenge.len + 1);
    size_t len = 0;

    if (text != NULL && challenge.len <= CHALLENGE_MAX &&
        base64_decode(challenge, text, &len)) {
        struct slice json = {text, len};
        if (slice_has_prefix(json, S("{")) && !has_control(json) &&
            !redact_holds_credentials(d, json))
            d->reply.sasl = json;
    }
    return m == MECHANISM_OAUTHBEARER ? S("AQ==") : S("");
}
