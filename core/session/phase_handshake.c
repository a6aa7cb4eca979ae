/* phase_handshake.c -- before the greeting: who is it, and may it speak? */
#include "base/log.h"
#include "base/slice.h"
#include "session/session.h"
#include "session/sessions.h"

#define REVERSE_SECONDS 30.0

static void
on_reverse(void *arg, enum dns_status status, const struct slice *names,
           size_t count)
{
    struct session *s = arg;
    struct login_state *login = s->login;

    login->reverse = NULL;
    login->resolved = true;
    /* Lives as long as the session: not part of any login attempt. */
    if (status != DNS_OK || count == 0 ||
        !arena_copy(&login->arena, names[0], &login->client_host))
        login->client_host =
            status == DNS_NOT_FOUND ? S("[UNAVAILABLE]") : S("[TEMPUNAVAIL]");
    session_run(s);
}

/* True once the client's name is known or nobody wants it. */
static bool
resolve(struct session *s)
{
    struct login_state *login = s->login;

    if (login->resolved || login->reverse != NULL)
        return login->resolved;
    if (!s->listener->resolve_client || addr_is_local(&s->client_addr)) {
        login->client_host = s->listener->resolve_client ? S("[TEMPUNAVAIL]")
                                                         : S("[UNAVAILABLE]");
        return login->resolved = true;
    }
    login->reverse = dns_reverse(s->home->dns, &s->client_addr, REVERSE_SECONDS,
                                 on_reverse, s);
    return false;
}

enum phase
phase_handshake(struct session *s)
{
    if (s->home->draining)
        return session_say_bye(s, REASON_SHUTDOWN, END_SHUTDOWN);
    if (s->home->count_max > 0 && s->home->count > s->home->count_max)
        return session_say_bye(s, REASON_LIMIT, END_OVERLOAD);
    if (!resolve(s))
        return s->client.eof ? session_end(s, END_CLIENT_CLOSED)
                             : PHASE_HANDSHAKE;
    return session_ask(s, HOOK_CONNECT);
}
