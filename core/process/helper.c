#include "process/helper.h"

#include "base/buf.h"
#include "base/slice.h"
#include "lua/lasting.h"
#include "lua/policy_lua.h"
#include "lua/renewal.h"
#include "lua/share.h"
#include "net/addr.h"
#include "net/dns.h"
#include "process/differences.h"
#include "process/message.h"
#include "process/spawn.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DIFFERENCES_MAX ((size_t)4 * 1024 * 1024)

/* --- in the helper, or in `moongate check` --- */

static bool
check_addresses(const struct plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->listener_count; i++) {
        const struct plan_listener *l = &plan->listeners[i];
        struct addr address;
        if (!addr_parse(slice_of(l->address), 0, &address, err))
            return error_context(err, "listen \"%s\"", l->name);
    }
    return true;
}

struct canary {
    struct ev_loop *loop;
    struct error *err;
    bool ok;
};

static void
on_initialised(void *arg, bool ok, const char *error)
{
    struct canary *c = arg;

    c->ok = ok || error_set(c->err, "%s", error);
    ev_break(c->loop, EVBREAK_ONE);
}

/* Runs `init` as a worker will, with all that it asks for. */
static bool
try_init(struct generation *generation, struct ev_loop *loop, struct error *err)
{
    struct canary canary = {.loop = loop, .err = err};

    generation_init(generation, on_initialised, &canary);
    if (!canary.ok && err->text[0] == '\0')
        ev_run(loop, 0);
    return canary.ok;
}

static bool
find_control_owner(struct plan *plan, struct error *err)
{
    struct listen_options *o = &plan->control_socket;

    o->owned = plan->control_owner != NULL || plan->control_group != NULL;
    return privileges_find_owner(plan->control_owner, plan->control_group,
                                 &o->owner, &o->group, err) ||
           error_context(err, "control");
}

static bool
try_whole(const struct host *host, const struct bundle *b, struct plan *plan,
          struct error *err)
{
    struct generation *generation = generation_new(host, b, 1, err);
    bool built = generation != NULL;

    if (built && plan->canary_init) {
        err->text[0] = '\0';
        built = try_init(generation, host->loop, err);
    }
    generation_free(generation);
    return built;
}

/* Builds what a worker will build, and forgets it. */
static bool
try_generation(struct evaluation *e,
               bool (*build)(const struct host *host, const struct bundle *b,
                             struct plan *plan, struct error *err),
               struct error *err)
{
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    struct bundle *bundle = bundle_open(e->bundle, err);
    const struct dns_options options = {e->plan.resolver, e->plan.valid};
    struct dns *dns = bundle != NULL ? dns_new(loop, &options, err) : NULL;
    struct host host = {.loop = loop, .dns = dns, .worker = 1};

    host.lasting = lasting_new(loop, dns);

    bool built = dns != NULL && build(&host, bundle, &e->plan, err);
    lasting_free(host.lasting);
    if (dns != NULL)
        dns_free(dns);
    if (bundle != NULL)
        bundle_close(bundle);
    ev_loop_destroy(loop);
    return built;
}

static bool
seal(struct bundle_writer *writer, struct evaluation *e, struct error *err)
{
    struct bundle *bundle;

    e->bundle = bundle_writer_seal(writer, err);
    bundle = e->bundle >= 0 ? bundle_open(e->bundle, err) : NULL;
    if (bundle == NULL)
        return false;
    bundle_hash(bundle, e->hash);
    e->hash[64] = '\0';
    bundle_close(bundle);
    return true;
}

bool
configuration_evaluate(const struct config_order *order, struct evaluation *e,
                       char **errors)
{
    struct bundle_writer *writer = bundle_writer_new();
    struct share share;
    struct error err = {""};
    bool done;

    *errors = NULL;
    share_find(&share);
    if (!config_evaluate(order, &share, writer, &e->plan, errors)) {
        bundle_writer_free(writer);
        return false;
    }
    done = seal(writer, e, &err) && check_addresses(&e->plan, &err) &&
           privileges_find(e->plan.user, e->plan.group, &e->identity, &err) &&
           find_control_owner(&e->plan, &err) &&
           try_generation(e, try_whole, &err);
    if (!done)
        *errors = xstrndup(err.text, strlen(err.text));
    return done;
}

/* In as many messages as it takes. */
static void
send_text(enum message_type type, struct slice text)
{
    const size_t piece = MESSAGE_MAX - 64;
    struct message m;
    struct error err;

    while (text.len > 0) {
        message_init(&m, type);
        message_put_text(&m, slice_take(text, piece));
        if (!message_send_wait(SPAWN_FD, &m, &err))
            return;
        text = slice_drop(text, piece);
    }
}

static void
send_errors(struct slice text)
{
    send_text(MESSAGE_ERROR, text);
}

static void
run_evaluation(struct message *order)
{
    struct slice path_text = message_get_text(order);
    struct slice environment_text = message_get_text(order);
    bool nginx = message_get_u64(order) != 0;
    struct slice prefix_text = message_get_text(order);
    char *path = xstrndup(path_text.ptr, path_text.len);
    char *prefix = xstrndup(prefix_text.ptr, prefix_text.len);
    char *environment = xstrndup(environment_text.ptr, environment_text.len);
    struct config_order what = {
        .path = path,
        .environment = *environment != '\0' ? environment : NULL,
        .nginx = nginx,
        .prefix = *prefix != '\0' ? prefix : NULL,
    };
    char *errors;
    struct evaluation e;
    struct error err;

    evaluation_init(&e);
    if (!configuration_evaluate(&what, &e, &errors))
        send_errors(slice_of(errors));
    else if (!evaluation_send(SPAWN_FD, &e, &err))
        send_errors(slice_of(err.text));
    free(errors);
    free(environment);
    free(prefix);
    free(path);
    evaluation_deinit(&e);
}

/* Makes the bundle of the configuration with its TLS files as they are now. */
static bool
renew(int old, struct evaluation *e, struct error *err)
{
    struct bundle *bundle = bundle_open(old, err);
    struct bundle_writer *writer;

    if (bundle == NULL)
        return false;
    writer = bundle_writer_new();
    bool copied = renewal_copy(bundle, writer, &e->plan, err);
    bundle_close(bundle);
    if (!copied) {
        bundle_writer_free(writer);
        return false;
    }
    return seal(writer, e, err) && try_generation(e, renewal_try, err);
}

static void
run_renewal(struct message *order)
{
    int old = message_take_fd(order, 0);
    struct evaluation e;
    struct error err;

    evaluation_init(&e);
    bool done = renew(old, &e, &err) &&
                plan_send_files(SPAWN_FD, &e.plan, &err) &&
                plan_send_staples(SPAWN_FD, &e.plan, &err) &&
                bundle_send(SPAWN_FD, &e, &err);
    if (!done)
        send_errors(slice_of(err.text));
    (void)close(old);
    evaluation_deinit(&e);
}

static void
run_diff(struct message *order)
{
    struct error err = {""};
    struct bundle *old = bundle_open(order->fds[0], &err);
    struct bundle *new = bundle_open(order->fds[1], &err);
    struct buf text;

    buf_init(&text, DIFFERENCES_MAX);
    if (old != NULL && new != NULL && differences_write(old, new, &text, &err))
        send_text(MESSAGE_TEXT, buf_bytes(&text));
    else
        send_errors(slice_of(err.text));
    buf_deinit(&text);
    bundle_close(old);
    bundle_close(new);
}

int
helper_run(void)
{
    struct error err;
    struct message m;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!privileges_harden(&err) ||
        message_receive(SPAWN_FD, true, &m) != RECEIVE_DONE)
        return EXIT_FAILURE;
    if (m.type == MESSAGE_EVALUATE)
        run_evaluation(&m);
    else if (m.type == MESSAGE_RENEW)
        run_renewal(&m);
    else if (m.type == MESSAGE_DIFF)
        run_diff(&m);
    message_deinit(&m);
    return EXIT_SUCCESS;
}
