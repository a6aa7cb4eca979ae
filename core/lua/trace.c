#include "lua/trace.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "lua/trace_event.h"

#include <time.h>

#define SAID_MAX 1024

static struct list observers = {&observers, &observers};
static char key[64]; /* of the hashes */
static bool has_key;

/* --- the session's own events --- */

static void
entered(struct session *s)
{
    struct json_writer w;
    struct buf line;

    if (!trace_follows(s, AUDIENCE_ALL))
        return;
    bool over = s->phase == PHASE_CLOSE;
    trace_event_begin(&w, &line, s, over ? "end" : "phase");
    json_text(&w, "phase",
              slice_of(phase_name(over ? s->end_phase : s->phase)));
    if (over)
        json_text(&w, "end", slice_of(end_name(s->end)));
    trace_event_end(&w, s, AUDIENCE_ALL);
}

static void
say(struct session *s, enum speaker who, struct slice text)
{
    static const char *const names[SPEAKER_COUNT] = {
        [SPEAKER_CLIENT] = "client",     [SPEAKER_CLIENT_RESPONSE] = "client",
        [SPEAKER_GATEWAY] = "gateway",   [SPEAKER_GATEWAY_UPSTREAM] = "gateway",
        [SPEAKER_UPSTREAM] = "upstream",
    };
    bool upstream = who == SPEAKER_UPSTREAM || who == SPEAKER_GATEWAY_UPSTREAM;
    char shown[SAID_MAX];
    struct json_writer w;
    struct buf line;

    trace_event_begin(&w, &line, s, "said");
    json_text(&w, "by", slice_of(names[who]));
    json_text(&w, "side", upstream ? S("upstream") : S("client"));
    json_text(&w, "text",
              redact_line(&s->login->dialog, who, text, shown, sizeof shown));
    trace_event_end(&w, s, AUDIENCE_ALL);
}

/* A command may hold literals, which are nobody's business; all others are
 * shown line by line. */
static void
said(struct session *s, enum speaker who, struct slice bytes)
{
    if (!trace_follows(s, AUDIENCE_ALL))
        return;
    if (who == SPEAKER_CLIENT || who == SPEAKER_CLIENT_RESPONSE) {
        say(s, who, bytes);
        return;
    }
    while (bytes.len > 0)
        say(s, who, slice_cut(&bytes, '\n'));
}

/* --- who looks on --- */

static const struct session_observer observer = {entered, said};

void
trace_add(struct trace_observer *o)
{
    list_append(&observers, &o->link);
    session_observer = &observer;
}

void
trace_remove(struct trace_observer *o)
{
    if (o->link.next == NULL)
        return;
    list_remove(&o->link);
    if (list_is_empty(&observers))
        session_observer = NULL;
}

static bool
is_of(const struct trace_observer *o, enum audience audience)
{
    return audience == AUDIENCE_ALL ||
           o->records == (audience == AUDIENCE_RECORDS);
}

bool
trace_follows(const struct session *s, enum audience audience)
{
    for (struct list *l = observers.next; l != &observers; l = l->next) {
        struct trace_observer *o = container_of(l, struct trace_observer, link);
        if (is_of(o, audience) && o->follows(o, s))
            return true;
    }
    return false;
}

/* --- lines --- */

double
trace_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

double
trace_since(double began)
{
    return (double)(long)((trace_clock() - began) * 1e3 + .5) / 1e3;
}

void
trace_event_begin(struct json_writer *w, struct buf *out,
                  const struct session *s, const char *event)
{
    char now[25], client[ADDR_TEXT_MAX];

    log_time(now);
    buf_init(out, TRACE_LINE_MAX);
    *w = (struct json_writer){.out = out};
    json_begin(w, NULL, '{');
    json_text(w, "time", slice_of(now));
    json_text(w, "session", slice_of(s->id));
    json_text(w, "event", slice_of(event));
    json_text(w, "listener", s->listener->name);
    json_text(w, "protocol", slice_of(s->listener->proto->name));
    json_text(w, "client", slice_of(addr_format(&s->client_addr, client)));
    json_given(w, "user", slice_of(s->record.user));
}

void
trace_event_end(struct json_writer *w, const struct session *s,
                enum audience audience)
{
    json_end(w, '}');
    if (w->full)
        log_warn("session %s: an event was too long to be traced", s->id);
    for (struct list *l = observers.next, *next; l != &observers && !w->full;
         l = next) {
        struct trace_observer *o = container_of(l, struct trace_observer, link);
        next = l->next;
        if (is_of(o, audience) && o->follows(o, s))
            o->see(o, s, buf_bytes(w->out));
    }
    buf_deinit(w->out);
}

/* --- secrets --- */

void
trace_set_secret(struct slice secret)
{
    digest_hmac_sha256(secret, S("what is traced"), key);
    has_key = true;
}

void
trace_put_secret(struct json_writer *w, const char *name, struct slice secret)
{
    char text[7 + 64] = "secret:";

    if (secret.len == 0)
        return;
    if (!has_key) {
        random_bytes(key, sizeof key);
        has_key = true;
    }
    digest_hmac_sha256((struct slice){key, sizeof key}, secret, text + 7);
    json_text(w, name, (struct slice){text, 7 + 32});
}

static bool
tells_secret(const struct session *s, struct slice text)
{
    return s->login != NULL &&
           redact_holds_credentials(&s->login->dialog, text);
}

void
trace_put_safe(struct json_writer *w, const char *name, const struct session *s,
               struct slice text)
{
    if (text.len > 0)
        json_text(w, name, tells_secret(s, text) ? S("***") : text);
}
