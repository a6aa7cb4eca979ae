#include "process/ocsp_helper.h"

#include "base/buf.h"
#include "base/slice.h"
#include "lua/http_post.h"
#include "net/tls_ocsp.h"
#include "process/spawn.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define REQUEST_MAX  4096
#define RESPONSE_MAX ((size_t)64 * 1024)

void
ocsp_helper_order(struct message *m, const struct plan_staple *staple,
                  const struct identity *identity)
{
    message_init(m, MESSAGE_FETCH);
    message_put_u64(m, identity->change);
    message_put_u64(m, identity->uid);
    message_put_u64(m, identity->gid);
    message_put_text(m, slice_of(staple->responder));
    message_put_text(m, slice_of(staple->chain));
}

struct order {
    struct identity identity;
    struct slice chain; /* of the message */
    char *url;
};

static bool
take_order(struct order *o, struct message *m)
{
    struct slice url;

    if (m->type != MESSAGE_FETCH)
        return false;
    o->identity.change = message_get_u64(m) != 0;
    o->identity.uid = (uid_t)message_get_u64(m);
    o->identity.gid = (gid_t)message_get_u64(m);
    url = message_get_text(m);
    o->chain = message_get_text(m);
    o->url = xstrndup(url.ptr, url.len);
    return message_is_whole(m);
}

static bool
answer(struct slice der, time_t until, struct error *err)
{
    struct message m;

    message_init(&m, MESSAGE_STATUS);
    message_put_i64(&m, (int64_t)until);
    message_put_text(&m, der);
    return message_send_wait(SPAWN_FD, &m, err);
}

static bool
fetch(const struct order *o, struct error *err)
{
    struct buf request, response;
    time_t until;

    buf_init(&request, REQUEST_MAX);
    buf_init(&response, RESPONSE_MAX);
    bool done = tls_ocsp_request(o->chain, &request, err) &&
                http_post(o->url, "application/ocsp-request",
                          buf_bytes(&request), &response, err) &&
                tls_ocsp_check(o->chain, buf_bytes(&response), time(NULL),
                               &until, err) &&
                answer(buf_bytes(&response), until, err);
    buf_deinit(&request);
    buf_deinit(&response);
    return done || error_context(err, "%s", o->url);
}

static bool
give_up_privileges(const struct identity *identity, struct error *err)
{
    /* Changing the user clears what was hardened before. */
    return privileges_drop(identity, err) && privileges_harden(err) &&
           prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

int
ocsp_helper_run(void)
{
    struct order order = {.url = NULL};
    struct message m;
    struct error err = {"the order makes no sense"};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!privileges_harden(&err) ||
        message_receive(SPAWN_FD, true, &m) != RECEIVE_DONE)
        return EXIT_FAILURE;
    bool done = take_order(&order, &m) &&
                give_up_privileges(&order.identity, &err) &&
                fetch(&order, &err);
    free(order.url);
    message_deinit(&m);
    if (done)
        return EXIT_SUCCESS;
    message_init(&m, MESSAGE_ERROR);
    message_put_text(&m, slice_of(err.text));
    return message_send(SPAWN_FD, &m, &err) ? EXIT_SUCCESS : EXIT_FAILURE;
}
