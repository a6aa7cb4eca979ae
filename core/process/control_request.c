#include "process/control_request.h"

#include "base/slice.h"
#include "proto/dialog.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON "application/json"

void
request_put_text(struct request *r, const char *before, struct slice text)
{
    char safe[6 * 1024 + 8];

    exchange_printf(r->exchange, "%s\"%s\"", before,
                    log_escape_json(text, safe, sizeof safe));
}

void
request_put_long_text(struct request *r, const char *before, struct slice text)
{
    size_t size = 6 * text.len + 8;
    char *safe = xmalloc(size);

    exchange_printf(r->exchange, "%s\"%s\"", before,
                    log_escape_json(text, safe, size));
    free(safe);
}

void
request_put_json(struct request *r, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);

    if (text == NULL)
        exchange_abort(r->exchange);
    else
        exchange_write(r->exchange, slice_of(text));
    cJSON_free(text);
}

void
request_fail(struct request *r, unsigned status, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    exchange_start(r->exchange, status, JSON);
    request_put_text(r, "{\"error\":", slice_of(text));
    exchange_write(r->exchange, S("}\n"));
    exchange_finish(r->exchange);
    r->finished = true;
}

/* --- what is asked for --- */

struct reading {
    struct request *r;
    struct error err;
    bool failed;
};

static bool
read_reason(struct request *r, struct slice value, struct error *err)
{
    if (value.len > REASON_MAX || has_control(value))
        return error_set(err, "reason: a line of at most %d bytes expected",
                         REASON_MAX);
    memcpy(r->reason, value.ptr, value.len);
    r->question.reason = (struct slice){r->reason, value.len};
    return true;
}

static bool
read_one(void *arg, struct slice name, struct slice value)
{
    struct reading *reading = arg;
    struct request *r = reading->r;
    bool done = r->route->changes && slice_equal(name, S("reason"))
                    ? read_reason(r, value, &reading->err)
                    : session_filter_set(&r->question.filter, name, value,
                                         &reading->err);
    char safe[128];

    reading->failed = !done;
    if (!done && reading->err.text[0] == 't') /* no such filter */
        (void)error_context(
            &reading->err, "\"%s\"",
            log_escape(slice_take(name, 20), safe, sizeof safe));
    return done;
}

static void
read_body(struct reading *reading)
{
    struct slice body = exchange_body(reading->r->exchange);
    cJSON *json = cJSON_ParseWithLength(body.ptr, body.len);
    const cJSON *field;

    if (!cJSON_IsObject(json)) {
        reading->failed =
            !error_set(&reading->err, "the body is no JSON object");
        cJSON_Delete(json);
        return;
    }
    cJSON_ArrayForEach(field, json)
    {
        if (reading->failed)
            break;
        if (!cJSON_IsString(field))
            reading->failed =
                !error_set(&reading->err, "the body has more than texts");
        else
            (void)read_one(reading, slice_of(field->string),
                           slice_of(field->valuestring));
    }
    cJSON_Delete(json);
}

bool
request_read(struct request *r)
{
    struct reading reading = {.r = r};

    exchange_each_query(r->exchange, read_one, &reading);
    if (!reading.failed && exchange_body(r->exchange).len > 0)
        read_body(&reading);
    if (reading.failed)
        request_fail(r, 400, "%s", reading.err.text);
    return !reading.failed;
}

/* --- asking the workers --- */

void
request_ask_one(struct request *r, unsigned slot)
{
    struct part *part = &r->parts[slot - 1];

    if (part->state != PART_MISSING ||
        !control_links_ask(r->links, slot, &r->question))
        return;
    *part = (struct part){.state = PART_WAITS, .credit = r->question.credit};
    r->waiting++;
}

void
request_ask(struct request *r, enum question_kind kind, uint64_t credit)
{
    r->question.kind = kind;
    r->question.credit = credit;
    r->progress = ev_now(r->loop);
    for (unsigned slot = 1; slot <= r->slot_count; slot++)
        request_ask_one(r, slot);
}

void
request_part_over(struct request *r, struct part *part, enum part_state state)
{
    if (part->state == PART_WAITS)
        r->waiting--;
    part->state = state;
}

void
request_grant(struct request *r)
{
    if (exchange_waiting(r->exchange) > WAITING_MAX)
        return;
    for (unsigned slot = 1; slot <= r->slot_count; slot++) {
        struct part *part = &r->parts[slot - 1];
        uint64_t owed = part->owed;
        if (part->state != PART_WAITS || owed == 0)
            continue;
        part->owed = 0;
        part->credit += owed;
        control_links_grant(r->links, slot, r->question.id, owed);
    }
}

void
request_end_if_over(struct request *r)
{
    if (r->finished || r->waiting > 0 || r->ordered || r->route->for_ever)
        return;
    r->finished = true;
    r->route->finish(r);
    exchange_finish(r->exchange);
}

void
request_put_missing(struct request *r)
{
    const char *comma = "";

    exchange_printf(r->exchange, ",\"missing\":[");
    for (unsigned slot = 1; slot <= r->slot_count; slot++) {
        if (r->parts[slot - 1].state == PART_DONE)
            continue;
        exchange_printf(r->exchange, "%s%u", comma, slot);
        comma = ",";
    }
    exchange_printf(r->exchange, "]");
}
