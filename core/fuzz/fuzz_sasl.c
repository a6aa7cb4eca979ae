/* fuzz_sasl.c -- exchanges of every mechanism, one line an input line. */
#include "fuzz/play.h"

#include "base/check.h"
#include "base/slice.h"
#include "proto/protocols.h"
#include "proto/sasl_token.h"

#include <stdlib.h>

static void
check_credentials(const struct credentials *c)
{
    require(credential_is_sane(c->user) && credential_is_sane(c->authzid) &&
            (mechanism_has_token(c->mechanism)
                 ? token_is_sane(c->password.bytes)
                 : credential_is_sane(c->password.bytes)));
    require(c->user.len > 0 || c->mechanism == MECHANISM_EXTERNAL ||
            c->mechanism == MECHANISM_OAUTHBEARER);
    require(c->mechanism != MECHANISM_CRAM_MD5 || digest_is_hex(c->response));
}

static void
check_step(struct dialog *d, enum sasl_step step, struct slice challenge)
{
    require(d->sasl.active ==
            (step == SASL_CHALLENGE || step == SASL_VERIFIER));
    require(step == SASL_CHALLENGE || challenge.len == 0);
    if (step == SASL_DONE)
        check_credentials(&d->credentials);
    if (step == SASL_BAD || step == SASL_CANCELLED)
        require(d->credentials.mechanism == MECHANISM_NONE &&
                d->credentials.user.len == 0);
    if (step != SASL_CHALLENGE)
        dialog_forget(d);
}

/* A line outside an exchange begins one: "PLAIN" or "PLAIN response". */
static void
show(struct dialog *d, struct slice line)
{
    struct slice challenge, name = slice_cut(&line, ' ');
    enum mechanism m;

    if (mechanism_find(name, &m)) {
        enum sasl_step step = sasl_begin(
            d, m, line.len > 0 ? line : (struct slice){NULL, 0}, &challenge);
        check_step(d, step, challenge);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size};
    struct stage_set set;
    struct dialog *d = &set.dialog;

    stage_set_init(&set, &proto_imap, 0);
    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n');
        char *copy = exact_copy(line);
        struct slice exact = {copy, line.len}, challenge;
        if (d->sasl.active)
            check_step(d, sasl_respond(d, exact, &challenge), challenge);
        else
            show(d, exact);
        free(copy);
    }
    stage_set_deinit(&set);
    return 0;
}
