#include "session/observer.h"

#include "base/slice.h"
#include "session/session.h"

const struct session_observer *session_observer;

static void
show(struct session *s, enum speaker who, const struct buf *out, size_t *shown)
{
    struct slice fresh = slice_drop(buf_bytes(out), *shown);

    if (fresh.len > 0)
        session_observer->said(s, who, fresh);
    *shown = buf_len(out);
}

void
session_show_output(struct session *s)
{
    struct login_state *login = s->login;

    if (session_observer == NULL)
        return;
    show(s, SPEAKER_GATEWAY, &login->to_client, &login->shown_client);
    show(s, SPEAKER_GATEWAY_UPSTREAM, &login->to_upstream,
         &login->shown_upstream);
}
