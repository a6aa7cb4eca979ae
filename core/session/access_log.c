#include "session/access_log.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "session/sessions.h"

#include <inttypes.h>
#include <stdio.h>

#define LINE_MAX_BYTES 4096
#define VALUE_MAX      768

/* One field after another, as `name=value` or `"name":value`. */
struct line {
    struct buf text;
    bool json;
    bool full; /* a field did not fit */
};

static void
put_text(struct line *l, const char *name, struct slice value)
{
    char safe[VALUE_MAX];
    bool fits;

    if (l->json)
        fits = buf_printf(&l->text, ",\"%s\":\"%s\"", name,
                          log_escape_json(value, safe, sizeof safe));
    else
        fits = buf_printf(&l->text, " %s=\"%s\"", name,
                          log_escape(value, safe, sizeof safe));
    l->full |= !fits;
}

/* A word of our own that needs no quotes. */
static void
put_word(struct line *l, const char *name, const char *value)
{
    l->full |= !buf_printf(&l->text, l->json ? ",\"%s\":\"%s\"" : " %s=%s",
                           name, value);
}

static void
put_number(struct line *l, const char *name, uint64_t value)
{
    l->full |= !buf_printf(
        &l->text, l->json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, name, value);
}

static void
put_seconds(struct line *l, const char *name, double value)
{
    l->full |= !buf_printf(&l->text, l->json ? ",\"%s\":%.3f" : " %s=%.3f",
                           name, value);
}

/* Every phase that took time, so that a slow part shows. */
static void
put_times(struct line *l, const struct session *s)
{
    double now = ev_now(s->home->loop);

    put_seconds(l, "seconds", now - s->began);
    for (enum phase p = PHASE_HANDSHAKE; p < PHASE_CLOSE; p++) {
        char name[32];
        if (s->spent[p] < 0.0005F)
            continue;
        (void)snprintf(name, sizeof name, "%s_seconds", phase_name(p));
        put_seconds(l, name, (double)s->spent[p]);
    }
}

static void
put_session(struct line *l, const struct session *s)
{
    const struct record *r = &s->record;
    char client[ADDR_TEXT_MAX];

    put_word(l, "session", s->id);
    put_number(l, "generation", s->generation);
    put_word(l, "client", addr_format(&s->client_addr, client));
    if (r->via[0] != '\0')
        put_word(l, "via", r->via);
    if (r->origin[0] != '\0')
        put_text(l, "origin", slice_of(r->origin));
    put_text(l, "listener", s->listener->name);
    put_word(l, "protocol", s->listener->proto->name);
    if (r->mechanism[0] != '\0')
        put_word(l, "mechanism", r->mechanism);
    if (r->user[0] != '\0')
        put_text(l, "user", slice_of(r->user));
    if (r->policy[0] != '\0')
        put_text(l, "policy", slice_of(r->policy));
    if (r->pool[0] != '\0')
        put_text(l, "pool", slice_of(r->pool));
    if (r->upstream[0] != '\0')
        put_text(l, "upstream", slice_of(r->upstream));
    if (r->tls[0] != '\0')
        put_text(l, "tls", slice_of(r->tls));
    put_number(l, "attempts", s->attempts);
    put_word(l, "phase", phase_name(s->end_phase));
    put_word(l, "end", end_name(s->end));
    if (r->log[0] != '\0')
        put_text(l, "log", slice_of(r->log));
    put_number(l, "in", s->up.bytes);
    put_number(l, "out", s->down.bytes);
    put_times(l, s);
}

void
access_log_write(const struct session *s)
{
    struct line l = {.json = log_get_format() == LOG_JSON};
    char now[25];

    if (!log_enabled(LOG_INFO))
        return;
    log_time(now);
    buf_init(&l.text, LINE_MAX_BYTES);
    l.full = !buf_printf(
        &l.text, l.json ? "{\"time\":\"%s\",\"level\":\"info\"" : "%s info",
        now);
    put_session(&l, s);
    if (l.json)
        l.full |= !buf_append(&l.text, S("}"));
    if (l.full)
        log_warn("session %s: its log line was too long", s->id);
    log_line(LOG_INFO, buf_bytes(&l.text));
    buf_deinit(&l.text);
}
