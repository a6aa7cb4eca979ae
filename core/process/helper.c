#include "process/helper.h"

#include "base/buf.h"
#include "base/slice.h"
#include "lua/certificates.h"
#include "lua/policy_lua.h"
#include "lua/renewal.h"
#include "lua/share.h"
#include "net/addr.h"
#include "net/dns.h"
#include "process/message.h"
#include "process/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIME_LIMIT    60 /* seconds for one evaluation */
#define EXIT_LIMIT_MS 5000
#define ERRORS_MAX    ((size_t)1024 * 1024)

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

    (void)plan; /* it is complete */
    bool built = generation != NULL;

    if (built && host->warns)
        certificates_warn(generation_config(generation)->own, time(NULL));
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
    struct dns *dns =
        bundle != NULL ? dns_new(loop, e->plan.resolver, err) : NULL;
    struct host host = {
        .loop = loop, .dns = dns, .worker = 1, .warns = e->warns};

    bool built = dns != NULL && build(&host, bundle, &e->plan, err);
    if (dns != NULL)
        dns_free(dns);
    if (bundle != NULL)
        bundle_close(bundle);
    ev_loop_destroy(loop);
    return built;
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
    e->bundle = bundle_writer_seal(writer, &err);
    done = e->bundle >= 0 && check_addresses(&e->plan, &err) &&
           privileges_find(e->plan.user, e->plan.group, &e->identity, &err) &&
           find_control_owner(&e->plan, &err) &&
           try_generation(e, try_whole, &err);
    if (!done)
        *errors = xstrndup(err.text, strlen(err.text));
    return done;
}

static bool
warn(const struct host *host, const struct bundle *b, struct plan *plan,
     struct error *err)
{
    struct host bare = *host;

    (void)plan;
    bare.no_policies = true;
    struct generation *generation = generation_new(&bare, b, 1, err);
    if (generation == NULL)
        return false;
    certificates_warn(generation_config(generation)->own, time(NULL));
    generation_free(generation);
    return true;
}

void
configuration_warn(struct evaluation *e)
{
    struct error err;

    if (!try_generation(e, warn, &err))
        log_error("%s", err.text);
}

/* All errors, in as many messages as it takes. */
static void
send_errors(struct slice text)
{
    const size_t piece = MESSAGE_MAX - 64;
    struct message m;
    struct error err;

    while (text.len > 0) {
        message_init(&m, MESSAGE_ERROR);
        message_put_text(&m, slice_take(text, piece));
        if (!message_send_wait(SPAWN_FD, &m, &err))
            return;
        text = slice_drop(text, piece);
    }
}

static void
run_evaluation(struct message *order)
{
    struct slice path_text = message_get_text(order);
    struct slice environment_text = message_get_text(order);
    char *path = xstrndup(path_text.ptr, path_text.len);
    char *environment = xstrndup(environment_text.ptr, environment_text.len);
    struct config_order what = {path,
                                *environment != '\0' ? environment : NULL};
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
    e->bundle = bundle_writer_seal(writer, err);
    return e->bundle >= 0 && try_generation(e, renewal_try, err);
}

static void
run_renewal(struct message *order)
{
    int old = message_take_fd(order, 0);
    struct evaluation e;
    struct error err;
    struct message m;

    evaluation_init(&e);
    bool done = renew(old, &e, &err) &&
                plan_send_files(SPAWN_FD, &e.plan, &err) &&
                plan_send_staples(SPAWN_FD, &e.plan, &err);
    if (done) {
        message_init(&m, MESSAGE_BUNDLE);
        m.fds[0] = e.bundle;
        done = message_send_wait(SPAWN_FD, &m, &err);
    }
    if (!done)
        send_errors(slice_of(err.text));
    (void)close(old);
    evaluation_deinit(&e);
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
    message_deinit(&m);
    return EXIT_SUCCESS;
}

/* --- in the supervisor --- */

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
ask(int fd, const struct config_order *order, struct error *err)
{
    struct message m;

    message_init(&m, MESSAGE_EVALUATE);
    message_put_text(&m, slice_of(order->path));
    message_put_text(
        &m, order->environment != NULL ? slice_of(order->environment) : S(""));
    return message_send(fd, &m, err);
}

static bool
wait_readable(int fd, double until, struct error *err)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    for (;;) {
        double left = until - now();
        if (left <= 0)
            break;
        int ready = poll(&readable, 1, (int)(left * 1000) + 1);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return error_set(err, "poll: %s", strerror(errno));
    }
    return error_set(err, "the configuration took more than %d s to evaluate",
                     TIME_LIMIT);
}

/* One message: a piece of the errors, or of the evaluation. */
static bool
take(struct message *m, struct evaluation *e, struct buf *errors,
     bool *complete)
{
    struct slice text;

    if (m->type != MESSAGE_ERROR)
        return evaluation_take(e, m, complete);
    text = message_get_text(m);
    return message_is_whole(m) && buf_append(errors, text);
}

/* Until the evaluation is complete, or the helper has gone. */
static bool
take_all(int fd, struct evaluation *e, struct buf *errors, struct error *err)
{
    double until = now() + TIME_LIMIT;
    bool complete = false;
    struct message m;

    while (!complete) {
        if (!wait_readable(fd, until, err))
            return false;
        enum receive received = message_receive(fd, false, &m);
        if (received == RECEIVE_EOF)
            return error_set(err, "the configuration could not be evaluated");
        if (received == RECEIVE_AGAIN)
            continue;
        bool taken = received == RECEIVE_DONE && take(&m, e, errors, &complete);
        message_deinit(&m);
        if (!taken)
            return error_set(err, "the helper spoke nonsense");
    }
    return true;
}

/* A helper has nothing left to do; one that hangs in its clean-up is killed. */
static void
wait_gone(pid_t pid)
{
    struct pollfd gone = {.fd = (int)syscall(SYS_pidfd_open, pid, 0),
                          .events = POLLIN};

    if (gone.fd < 0 || poll(&gone, 1, EXIT_LIMIT_MS) <= 0)
        (void)kill(pid, SIGKILL);
    if (gone.fd >= 0)
        (void)close(gone.fd);
}

/* Adds how the helper ended, if that was not of its own will. */
static void
reap(pid_t pid, struct error *err)
{
    int status = 0;

    wait_gone(pid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
        (void)error_context(err, "the helper died of signal %d",
                            WTERMSIG(status));
    }
}

bool
helper_evaluate(const struct config_order *order, struct evaluation *e,
                char **errors)
{
    struct child child;
    struct buf texts;
    struct error err = {""};
    struct slice text;
    bool done;

    *errors = NULL;
    buf_init(&texts, ERRORS_MAX);
    done = spawn("@helper", "", &child, &err);
    if (done) {
        done =
            ask(child.fd, order, &err) && take_all(child.fd, e, &texts, &err);
        if (!done && buf_is_empty(&texts))
            (void)kill(child.pid, SIGKILL);
        (void)close(child.fd);
        reap(child.pid, &err);
    }
    text = buf_is_empty(&texts) ? slice_of(err.text) : buf_bytes(&texts);
    if (!done)
        *errors = xstrndup(text.ptr, text.len);
    buf_deinit(&texts);
    return done;
}
