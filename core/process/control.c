#include "process/control.h"

#include "process/control_api.h"
#include "process/log_writer.h"
#include "process/role.h"
#include "process/spawn.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define FLUSH_LIMIT 1. /* seconds for the last log lines */

struct control {
    struct control_setup setup;
    struct ev_loop *loop;
    struct control_api *api;
    struct control_links *links;
    struct control_http *http;
};

static struct control_api *
api_of(void *arg)
{
    return ((struct control *)arg)->api;
}

static void
on_reported(void *arg, const struct report *report)
{
    control_api_reported(api_of(arg), report);
}

static bool
on_answered(void *arg, unsigned slot, uint64_t id, struct message *m)
{
    return control_api_answered(api_of(arg), slot, id, m);
}

static void
on_linked(void *arg, unsigned slot)
{
    control_api_linked(api_of(arg), slot);
}

static void
on_lost(void *arg, unsigned slot)
{
    control_api_lost(api_of(arg), slot);
}

static bool
on_told(void *arg, struct message *m)
{
    (void)arg;
    return role_take_log(m);
}

static void
on_over(void *arg)
{
    const struct control *c = arg;

    ev_break(c->loop, EVBREAK_ALL);
}

/* --- starting --- */

static bool
take_setup(struct control *c)
{
    struct message m;

    if (message_receive(SPAWN_FD, true, &m) != RECEIVE_DONE)
        return false;
    bool taken = control_setup_get(&c->setup, &m);
    message_deinit(&m);
    return taken;
}

static bool
start_log(const struct control_setup *setup, struct error *err)
{
    return role_start_log(setup->log_level, setup->log_format, setup->log, err);
}

static bool
serve(struct control *c, struct error *err)
{
    const struct control_links_host links = {
        .loop = c->loop,
        .slot_count = c->setup.slot_count,
        .reported = on_reported,
        .answered = on_answered,
        .linked = on_linked,
        .lost = on_lost,
        .told = on_told,
        .over = on_over,
        .arg = c,
    };

    c->api = control_api_new(c->loop, c->setup.slot_count);
    c->links = control_links_new(&links);
    control_api_use(c->api, c->links);
    const struct control_http_host http = {
        .loop = c->loop,
        .socket = c->setup.socket,
        .begin = control_api_begin,
        .drained = control_api_drained,
        .gone = control_api_gone,
        .arg = c->api,
    };
    c->http = control_http_new(&http, err);
    return c->http != NULL;
}

static void
deinit(struct control *c)
{
    if (c->http != NULL)
        control_http_free(c->http);
    if (c->links != NULL)
        control_links_free(c->links);
    if (c->api != NULL)
        control_api_free(c->api);
    ev_loop_destroy(c->loop);
    log_writer_stop(FLUSH_LIMIT);
}

int
control_run(void)
{
    struct control c = {.setup = {.socket = -1}};
    struct error err;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    role_ignore_signals();
    role_open_early();
    if (!take_setup(&c))
        return EXIT_FAILURE;
    c.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (c.loop == NULL)
        return EXIT_FAILURE;
    bool fine = role_give_up_privileges(&c.setup.identity, &err) &&
                start_log(&c.setup, &err) && serve(&c, &err);
    if (fine)
        ev_run(c.loop, 0);
    else
        log_error("the control process: %s", err.text);
    deinit(&c);
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
