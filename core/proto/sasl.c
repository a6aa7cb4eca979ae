#include "proto/sasl.h"

#include "base/base64.h"
#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/line.h"
#include "proto/sasl_token.h"
#include "proto/sasl_upstream.h"
#include "proto/scram.h"

#define DIGEST_LEN 32 /* hex digits of an MD5 */

/* The longest thing that may come in: PLAIN with three full fields. */
#define RESPONSE_MAX (3 * CREDENTIAL_MAX + 2)

/* The prompts of nginx and everybody else, in base64. */
#define USERNAME_PROMPT "VXNlcm5hbWU6"
#define PASSWORD_PROMPT "UGFzc3dvcmQ6"

static const char *const names[MECHANISM_COUNT] = {
    [MECHANISM_NONE] = "NONE",
    [MECHANISM_PLAIN] = "PLAIN",
    [MECHANISM_LOGIN] = "LOGIN",
    [MECHANISM_CRAM_MD5] = "CRAM-MD5",
    [MECHANISM_APOP] = "APOP",
    [MECHANISM_EXTERNAL] = "EXTERNAL",
    [MECHANISM_OAUTHBEARER] = "OAUTHBEARER",
    [MECHANISM_XOAUTH2] = "XOAUTH2",
    [MECHANISM_SCRAM_SHA_1] = "SCRAM-SHA-1",
    [MECHANISM_SCRAM_SHA_1_PLUS] = "SCRAM-SHA-1-PLUS",
    [MECHANISM_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [MECHANISM_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
};

const char *
mechanism_name(enum mechanism m)
{
    return m < MECHANISM_COUNT ? names[m] : "NONE";
}

bool
mechanism_find(struct slice name, enum mechanism *m)
{
    for (unsigned i = MECHANISM_PLAIN; i < MECHANISM_COUNT; i++) {
        if (i != MECHANISM_APOP && slice_spells(name, names[i])) {
            *m = (enum mechanism)i;
            return true;
        }
    }
    return false;
}

bool
mechanism_has_token(enum mechanism m)
{
    return m == MECHANISM_OAUTHBEARER || m == MECHANISM_XOAUTH2;
}

bool
mechanism_is_scram(enum mechanism m)
{
    return m >= MECHANISM_SCRAM_SHA_1 && m <= MECHANISM_SCRAM_SHA_256_PLUS;
}

bool
mechanism_is_bound(enum mechanism m)
{
    return m == MECHANISM_SCRAM_SHA_1_PLUS || m == MECHANISM_SCRAM_SHA_256_PLUS;
}

enum scram_hash
mechanism_hash(enum mechanism m)
{
    return m == MECHANISM_SCRAM_SHA_1 || m == MECHANISM_SCRAM_SHA_1_PLUS
               ? SCRAM_SHA_1
               : SCRAM_SHA_256;
}

/* Whether an AUTH or AUTHENTICATE begins here that may bring a token. */
static bool
announces_token(const struct dialog *d, struct slice command)
{
    enum mechanism m;
    struct slice verb = slice_cut(&command, ' ');

    if (!slice_equal_nocase(verb, S("AUTH")) &&
        !slice_equal_nocase(verb, S("AUTHENTICATE")))
        return false;
    size_t end = slice_find(command, ' ');
    return end < command.len && mechanism_find(slice_take(command, end), &m) &&
           mechanism_has_token(m) && dialog_offers(d, m);
}

size_t
sasl_line_max(const struct dialog *d, struct slice command)
{
    size_t max = d->settings->command_max;
    bool token = d->sasl.active ? mechanism_has_token(d->sasl.mechanism)
                                : announces_token(d, command);

    return token && max < TOKEN_LINE_MAX ? TOKEN_LINE_MAX : max;
}

enum parse
sasl_line_frame(struct dialog *d, struct slice in, struct slice *line)
{
    size_t max = d->settings->command_max;

    if (in.len >= max)
        max = sasl_line_max(d, in);
    return line_frame(&d->command_framer, in, max, line);
}

bool
credential_is_sane(struct slice bytes)
{
    return bytes.len <= CREDENTIAL_MAX && !has_control(bytes);
}

bool
digest_is_hex(struct slice digest)
{
    if (digest.len != DIGEST_LEN)
        return false;
    for (size_t i = 0; i < digest.len; i++) {
        char c = ascii_lower(digest.ptr[i]);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* Decodes to the arena. */
static bool
decode(struct dialog *d, struct slice line, struct slice *decoded)
{
    size_t max = mechanism_has_token(d->sasl.mechanism) ? TOKEN_MESSAGE_MAX
                                                        : RESPONSE_MAX;

    if (line.len > base64_encoded_len(max))
        return false;

    dialog_begin_attempt(d);
    char *bytes = arena_alloc(d->arena, line.len / 4 * 3 + 1);
    if (bytes == NULL) {
        d->fault = FAULT_RESOURCES;
        return false;
    }
    *decoded = (struct slice){bytes, 0};
    return base64_decode(line, bytes, &decoded->len);
}

/* RFC 4616: [authzid] NUL authcid NUL passwd. */
static enum sasl_step
take_plain(struct dialog *d, struct slice response)
{
    struct slice rest = response;
    size_t nuls = 0;

    for (size_t i = 0; i < response.len; i++)
        nuls += response.ptr[i] == '\0';
    if (nuls != 2)
        return SASL_BAD;

    struct slice authzid = slice_cut(&rest, '\0');
    struct slice user = slice_cut(&rest, '\0');
    if (user.len == 0 || !credential_is_sane(user) ||
        !credential_is_sane(authzid) || !credential_is_sane(rest))
        return SASL_BAD;
    d->credentials.authzid = authzid;
    d->credentials.user = user;
    d->credentials.password.bytes = rest;
    return SASL_DONE;
}

static enum sasl_step
take_login(struct dialog *d, struct slice response, struct slice *challenge)
{
    if (!credential_is_sane(response))
        return SASL_BAD;
    if (d->sasl.step > 0) {
        d->credentials.password.bytes = response;
        return SASL_DONE;
    }
    if (response.len == 0)
        return SASL_BAD;
    d->credentials.user = response;
    *challenge = S(PASSWORD_PROMPT);
    return SASL_CHALLENGE;
}

/* RFC 2195: the user, a space, the digest.  The user may contain spaces. */
static enum sasl_step
take_cram_md5(struct dialog *d, struct slice response)
{
    if (response.len < DIGEST_LEN + 2)
        return SASL_BAD;

    struct slice digest = slice_drop(response, response.len - DIGEST_LEN);
    struct slice user = slice_take(response, response.len - DIGEST_LEN);
    if (!slice_drop_suffix(&user, S(" ")) || !credential_is_sane(user) ||
        !digest_is_hex(digest))
        return SASL_BAD;
    d->credentials.user = user;
    d->credentials.response = digest;
    return SASL_DONE;
}

static enum sasl_step
take_external(struct dialog *d, struct slice response)
{
    if (!credential_is_sane(response))
        return SASL_BAD;
    d->credentials.user = response;
    return SASL_DONE;
}

static enum sasl_step
take(struct dialog *d, struct slice line, struct slice *challenge)
{
    struct slice response = S("");

    if (!decode(d, line, &response))
        return SASL_BAD;
    if (d->sasl.mechanism == MECHANISM_PLAIN)
        return take_plain(d, response);
    if (d->sasl.mechanism == MECHANISM_LOGIN)
        return take_login(d, response, challenge);
    if (d->sasl.mechanism == MECHANISM_CRAM_MD5)
        return take_cram_md5(d, response);
    if (d->sasl.mechanism == MECHANISM_EXTERNAL)
        return take_external(d, response);
    if (mechanism_is_scram(d->sasl.mechanism))
        return scram_take(d, response, challenge);
    if (mechanism_has_token(d->sasl.mechanism) &&
        sasl_token_take(d, d->sasl.mechanism, response))
        return SASL_DONE;
    return SASL_BAD;
}

static enum sasl_step
finish(struct dialog *d, enum sasl_step step)
{
    if (step == SASL_CHALLENGE || step == SASL_VERIFIER) {
        d->sasl.step++;
        return step;
    }
    scram_end(d);
    d->sasl = (struct sasl){0};
    if (step != SASL_DONE && step != SASL_WRONG)
        d->credentials = (struct credentials){0};
    return step;
}

/* What the server says first when the client gave no initial response. */
static enum sasl_step
first_challenge(struct dialog *d, struct slice *challenge)
{
    if (d->sasl.mechanism == MECHANISM_LOGIN ||
        d->sasl.mechanism == MECHANISM_EXTERNAL)
        *challenge = S(USERNAME_PROMPT);
    if (d->sasl.mechanism != MECHANISM_CRAM_MD5)
        return SASL_CHALLENGE;

    dialog_begin_attempt(d);
    size_t len = base64_encoded_len(d->salt.len);
    char *text = arena_alloc(d->arena, len + 1);
    if (text == NULL) {
        d->fault = FAULT_RESOURCES;
        return SASL_BAD;
    }
    base64_encode(d->salt, text);
    *challenge = (struct slice){text, len};
    return SASL_CHALLENGE;
}

enum sasl_step
sasl_begin(struct dialog *d, enum mechanism m, struct slice initial,
           struct slice *challenge)
{
    *challenge = S("");
    scram_end(d);
    d->credentials = (struct credentials){.mechanism = m};
    d->sasl = (struct sasl){.mechanism = m, .active = true};

    if (initial.ptr == NULL) {
        /* `step` counts the responses of the client, of which there was
         * none yet. */
        if (first_challenge(d, challenge) == SASL_CHALLENGE)
            return SASL_CHALLENGE;
        return finish(d, SASL_BAD);
    }
    /* The server speaks first in CRAM-MD5 (RFC 4422 3.3). */
    if (m == MECHANISM_CRAM_MD5)
        return finish(d, SASL_BAD);
    if (slice_equal(initial, S("=")))
        initial = S("");
    return finish(d, take(d, initial, challenge));
}

struct slice
sasl_deny(struct dialog *d)
{
    enum mechanism m = d->credentials.mechanism;
    struct slice why = d->refusal.sasl;

    if (why.len == 0 && m == MECHANISM_XOAUTH2)
        why = S("{\"status\":\"401\",\"schemes\":\"bearer\"}");
    else if (why.len == 0)
        why = S("{\"status\":\"invalid_token\"}");
    d->sasl = (struct sasl){.mechanism = m, .active = true, .denying = true};
    return sasl_encode(d, why);
}

enum sasl_step
sasl_respond(struct dialog *d, struct slice line, struct slice *challenge)
{
    *challenge = S("");
    if (d->sasl.denying)
        return finish(d, SASL_DENIED);
    if (slice_equal(line, S("*")))
        return finish(d, SASL_CANCELLED);
    return finish(d, take(d, line, challenge));
}
