#include "proto/sasl_upstream.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/slice.h"
#include "proto/dialog.h"

#define CHALLENGE_MAX 1024

bool
login_is_sane(const struct dialog *d)
{
    return credential_is_sane(d->login.user) &&
           credential_is_sane(d->login.authzid) &&
           credential_is_sane(d->login.password.bytes);
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
