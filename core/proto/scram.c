#include "proto/scram.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/sasl_upstream.h"
#include "proto/scram_first.h"

#include <gsasl.h>
#include <stdio.h>

/* In the arena, but for what libgsasl has. */
struct scram {
    Gsasl_session *session; /* from server-first to server-final */
    struct scram_verifier verifier;
    struct slice first;   /* the client's first message, */
    struct slice binding; /* and the data of the binding that it names */
    bool unique;          /* which is tls-unique */
    bool proven;          /* the client knows the password */
};

static Gsasl *library;

void
scram_prepare(void)
{
    if (library == NULL)
        require(gsasl_init(&library) == GSASL_OK);
}

void
scram_end(struct dialog *d)
{
    if (d->scram != NULL && d->scram->session != NULL)
        gsasl_finish(d->scram->session);
    d->scram = NULL;
}

/* The data of the channel binding called `name`; "" if there is none. */
static struct slice
binding_data(const struct dialog *d, struct slice name)
{
    if (slice_equal(name, S("tls-exporter")))
        return d->tls_exporter;
    if (slice_equal(name, S("tls-unique")))
        return d->tls_unique;
    return S("");
}

/* Undoes the escapes, in the arena. */
static bool
take_name(struct dialog *d, struct slice escaped, struct slice *name)
{
    char *text = arena_alloc(d->arena, escaped.len + 1);

    if (text == NULL) {
        d->fault = FAULT_RESOURCES;
        return false;
    }
    *name = (struct slice){text, 0};
    return scram_unescape(escaped, text, &name->len) &&
           credential_is_sane(*name);
}

/* RFC 5802 5.1: the user's name is one after SASLprep (RFC 4013). */
static bool
take_user(struct dialog *d, struct slice escaped)
{
    struct slice *user = &d->credentials.user;
    char *prepared;

    if (!take_name(d, escaped, user))
        return false;
    if (gsasl_saslprep(user->ptr, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) !=
        GSASL_OK)
        return false;
    *user = dialog_keep(d, slice_of(prepared));
    gsasl_free(prepared);
    return user->len > 0 && credential_is_sane(*user);
}

/* Somebody between us may have taken the mechanisms with a binding off the list:
 * the client says that it would have used one, and has seen none. */
static bool
was_downgraded(const struct dialog *d, char flag)
{
    return flag == 'y' && (dialog_offers(d, MECHANISM_SCRAM_SHA_1_PLUS) ||
                           dialog_offers(d, MECHANISM_SCRAM_SHA_256_PLUS));
}

static enum sasl_step
take_first(struct dialog *d, struct slice message)
{
    bool plus = mechanism_is_bound(d->sasl.mechanism);
    struct scram_first first;

    scram_prepare();
    if (has_control(message) || !scram_first_parse(message, &first) ||
        plus != (first.flag == 'p'))
        return SASL_BAD;
    struct slice binding = binding_data(d, first.binding);
    if ((plus && binding.len == 0) || !take_user(d, first.user) ||
        !take_name(d, first.authzid, &d->credentials.authzid))
        return SASL_BAD;
    d->downgraded = was_downgraded(d, first.flag);
    d->scram = arena_alloc(d->arena, sizeof *d->scram);
    if (d->scram == NULL) {
        d->fault = FAULT_RESOURCES;
        return SASL_BAD;
    }
    *d->scram = (struct scram){
        .first = message,
        .binding = binding,
        .unique = slice_equal(first.binding, S("tls-unique")),
    };
    return SASL_VERIFIER;
}

/* Tells libgsasl a property, in base64. */
static void
set_bytes(Gsasl_session *session, Gsasl_property property, struct slice bytes)
{
    char text[96];

    require(base64_encoded_len(bytes.len) < sizeof text);
    base64_encode(bytes, text);
    require(gsasl_property_set_raw(session, property, text,
                                   base64_encoded_len(bytes.len)) == GSASL_OK);
    explicit_bzero(text, sizeof text);
}

/* libgsasl frees them as they are. */
static void
wipe_property(Gsasl_session *session, Gsasl_property property)
{
    union {
        const char *lent;
        char *text;
    } value = {gsasl_property_fast(session, property)};

    if (value.lent != NULL)
        explicit_bzero(value.text, strlen(value.lent));
}

bool
sasl_verify(struct dialog *d, const struct scram_verifier *v)
{
    struct scram *x = d->scram;
    char iterations[16], *message;
    size_t len;

    require(x != NULL && x->session == NULL &&
            v->hash == mechanism_hash(d->sasl.mechanism));
    x->verifier = *v;
    if (gsasl_server_start(library, mechanism_name(d->sasl.mechanism),
                           &x->session) != GSASL_OK)
        return false;
    (void)snprintf(iterations, sizeof iterations, "%u", v->iterations);
    require(gsasl_property_set(x->session, GSASL_SCRAM_ITER, iterations) ==
            GSASL_OK);
    set_bytes(x->session, GSASL_SCRAM_SALT,
              (struct slice){v->salt, v->salt_len});
    if (x->binding.len > 0)
        set_bytes(x->session,
                  x->unique ? GSASL_CB_TLS_UNIQUE : GSASL_CB_TLS_EXPORTER,
                  x->binding);
    if (gsasl_step(x->session, x->first.ptr, x->first.len, &message, &len) !=
        GSASL_NEEDS_MORE)
        return false;
    d->sasl.challenge = sasl_encode(d, (struct slice){message, len});
    gsasl_free(message);
    return d->sasl.challenge.len > 0;
}

static enum sasl_step
take_final(struct dialog *d, struct slice message, struct slice *challenge)
{
    struct scram *x = d->scram;
    size_t key_len = scram_key_len(x->verifier.hash), len = 0;
    char *answer = NULL;

    set_bytes(x->session, GSASL_SCRAM_STOREDKEY,
              (struct slice){x->verifier.stored_key, key_len});
    set_bytes(x->session, GSASL_SCRAM_SERVERKEY,
              (struct slice){x->verifier.server_key, key_len});
    int status =
        gsasl_step(x->session, message.ptr, message.len, &answer, &len);
    wipe_property(x->session, GSASL_SCRAM_STOREDKEY);
    wipe_property(x->session, GSASL_SCRAM_SERVERKEY);
    gsasl_finish(x->session);
    x->session = NULL;
    x->proven = status == GSASL_OK && !d->downgraded;
    if (x->proven)
        *challenge = sasl_encode(d, (struct slice){answer, len});
    gsasl_free(answer);
    if (x->proven)
        return challenge->len > 0 ? SASL_CHALLENGE : SASL_BAD;
    /* Any other status is not about the password. */
    return status == GSASL_AUTHENTICATION_ERROR || status == GSASL_OK
               ? SASL_WRONG
               : SASL_BAD;
}

enum sasl_step
scram_take(struct dialog *d, struct slice message, struct slice *challenge)
{
    if (d->scram == NULL)
        return take_first(d, message);
    if (d->scram->proven)
        return message.len == 0 ? SASL_DONE : SASL_BAD;
    if (d->scram->session == NULL || has_control(message))
        return SASL_BAD;
    return take_final(d, message, challenge);
}
