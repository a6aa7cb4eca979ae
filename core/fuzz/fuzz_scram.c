/* fuzz_scram.c -- three lines: what a client of SCRAM says first and last, and
 * a stored verifier.  Nobody gets in by a proof that was not made. */
#include "fuzz/play.h"

#include "base/check.h"
#include "base/slice.h"
#include "proto/protocols.h"
#include "proto/sasl_upstream.h"
#include "proto/scram_first.h"

#include <stdlib.h>

static const struct secret key = {{"key", 3}};

static enum sasl_step
say(struct dialog *d, struct slice message)
{
    struct slice line = sasl_encode(d, message), challenge;

    return d->sasl.active
               ? sasl_respond(d, line, &challenge)
               : sasl_begin(d, d->credentials.mechanism, line, &challenge);
}

/* As the session does it, with a verifier that nothing fits. */
static void
play(enum mechanism m, struct slice first, struct slice final)
{
    struct scram_verifier nobody;
    struct stage_set set;
    struct dialog *d = &set.dialog;

    stage_set_init(&set, &proto_imap, 0);
    d->credentials.mechanism = m;
    if (say(d, first) == SASL_VERIFIER) {
        const struct credentials *c = &d->credentials;
        require(c->user.len > 0 && credential_is_sane(c->user) &&
                credential_is_sane(c->authzid));
        scram_verifier_of_nobody(key, mechanism_hash(m), SCRAM_ITERATIONS,
                                 c->user, &nobody);
        require(sasl_verify(d, &nobody) && d->sasl.challenge.len > 0);
        enum sasl_step step = say(d, final);
        require(step == SASL_WRONG || step == SASL_BAD ||
                step == SASL_CANCELLED);
    }
    stage_set_deinit(&set);
}

static void
read_verifier(struct slice text)
{
    char again[SCRAM_VERIFIER_MAX];
    struct scram_verifier v, same;

    if (!scram_verifier_parse(text, &v))
        return;
    require(v.iterations > 0 && v.salt_len > 0 && v.salt_len <= SCRAM_SALT_MAX);
    scram_verifier_format(&v, again);
    require(scram_verifier_parse(slice_of(again), &same));
    require(same.hash == v.hash && same.iterations == v.iterations &&
            same.salt_len == v.salt_len &&
            memcmp(same.salt, v.salt, v.salt_len) == 0 &&
            memcmp(same.stored_key, v.stored_key, SCRAM_KEY_MAX) == 0 &&
            memcmp(same.server_key, v.server_key, SCRAM_KEY_MAX) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size};
    struct slice first = slice_cut(&rest, '\n');
    struct slice final = slice_cut(&rest, '\n');
    char *copy = exact_copy(first), *text = exact_copy(rest);
    struct slice exact = {copy, first.len};
    bool bound = slice_has_prefix(first, S("p"));

    play(bound ? MECHANISM_SCRAM_SHA_256_PLUS : MECHANISM_SCRAM_SHA_256, exact,
         final);
    play(bound ? MECHANISM_SCRAM_SHA_1_PLUS : MECHANISM_SCRAM_SHA_1, exact,
         final);
    read_verifier((struct slice){text, rest.len});
    free(copy);
    free(text);
    return 0;
}
