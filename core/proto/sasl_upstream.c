#include "proto/sasl_upstream.h"

#include "base/base64.h"
#include "base/slice.h"
#include "proto/dialog.h"

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
           m == MECHANISM_LOGIN;
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
