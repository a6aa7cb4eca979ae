/* trace_hook.c -- one call of one hook, and what it waits for. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/generation.h"
#include "lua/trace.h"
#include "lua/trace_answer.h"
#include "lua/trace_event.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WAITS_MAX ((size_t)10 << 10) /* bytes of all waits of a call */
#define WORDS_MAX 512

/* Elements of a list, as JSON. */
struct wait_list {
    struct buf text;
    struct json_writer writer;
    bool wanted, records; /* the answers too */
};

struct hook_trace {
    struct hook_trace *parent; /* whose lists a child adds to; or NULL */
    const struct loaded_policy *policy;
    int hook;
    int where; /* the decision's line */
    double began;
    struct wait_list told, recorded;
    double waiting_since;
    bool waiting;
    char name[WORDS_MAX]; /* of what is waited for */
    char outcome[WORDS_MAX];
};

static void
list_begin(struct wait_list *l, bool wanted, bool records)
{
    buf_init(&l->text, WAITS_MAX);
    l->writer = (struct json_writer){.out = &l->text};
    l->wanted = wanted;
    l->records = records;
}

void
trace_hook_begin(struct call *c, const struct session *s,
                 const struct loaded_policy *policy, int hook)
{
    if (!trace_follows(s, AUDIENCE_ALL))
        return;
    struct hook_trace *t = xcalloc(1, sizeof *t);
    t->policy = policy;
    t->hook = hook;
    t->began = trace_clock();
    list_begin(&t->told, trace_follows(s, AUDIENCE_LOOKS_ON), false);
    list_begin(&t->recorded, trace_follows(s, AUDIENCE_RECORDS), true);
    c->trace = t;
}

void
trace_child_begin(struct call *child, struct call *parent)
{
    struct hook_trace *t = parent->trace;

    if (t == NULL)
        return;
    child->trace = xcalloc(1, sizeof *child->trace);
    child->trace->parent = t->parent != NULL ? t->parent : t;
}

void
trace_child_end(struct call *child)
{
    free(child->trace);
    child->trace = NULL;
}

void
trace_hook_where(struct call *c, int line)
{
    if (c->trace != NULL)
        c->trace->where = line;
}

/* --- what it waits for --- */

/* The names of operations are made of what policies ask with. */
static struct slice
safe(const struct call *c, const char *text)
{
    bool tells = redact_holds(slice_of(text), c->redact[0]) ||
                 redact_holds(slice_of(text), c->redact[1]);

    return tells ? S("***") : slice_of(text);
}

void
trace_wait_begin(struct call *c)
{
    struct hook_trace *t = c->trace;

    t->waiting = true;
    t->waiting_since = trace_clock();
}

static void
add_wait(struct call *c, lua_State *L, struct wait_list *l, int results)
{
    const struct hook_trace *t = c->trace;
    struct json_writer *w = &l->writer;

    if (!l->wanted)
        return;
    json_begin(w, NULL, '{');
    json_text(w, "what", safe(c, t->name[0] != '\0' ? t->name : "wait"));
    json_given(w, "outcome", safe(c, t->outcome));
    json_number(w, "ms", trace_since(t->waiting_since));
    if (l->records && results >= 0)
        trace_answer_put(w, c, L, results);
    json_end(w, '}');
}

/* The `results` are on the top of L. */
static void
end_wait(struct call *c, lua_State *L, int results)
{
    struct hook_trace *t = c->trace;
    struct hook_trace *all = t->parent != NULL ? t->parent : t;

    add_wait(c, L, &all->told, results);
    add_wait(c, L, &all->recorded, results);
    t->name[0] = t->outcome[0] = '\0';
}

void
trace_wait_end(struct call *c, int results)
{
    if (!c->trace->waiting)
        return;
    c->trace->waiting = false;
    end_wait(c, c->thread, results);
}

void
await_noted(lua_State *L, const char *name, const char *outcome, int results)
{
    const struct vm *vm = vm_of(L);
    struct call *c = vm->running;

    if (c == NULL || c->trace == NULL)
        return;
    trace_wait_begin(c);
    c->trace->waiting = false;
    (void)snprintf(c->trace->name, sizeof c->trace->name, "%s", name);
    (void)snprintf(c->trace->outcome, sizeof c->trace->outcome, "%s", outcome);
    end_wait(c, L, results);
}

bool
await_is_followed(lua_State *L)
{
    const struct vm *vm = vm_of(L);

    return vm->running != NULL && (vm->running->trace != NULL || vm->replays);
}

int
await_known(lua_State *L, const char *format, ...)
{
    struct hook_trace *t;
    char name[WORDS_MAX];
    va_list arguments;

    if (!await_is_followed(L))
        return -1;
    va_start(arguments, format);
    (void)vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    t = vm_of(L)->running->trace;
    if (t != NULL)
        (void)snprintf(t->name, sizeof t->name, "%s", name);
    return vm_of(L)->replays ? await_replayed(L, name) : -1;
}

void
await_outcome(const struct ticket *ticket, const char *format, ...)
{
    struct hook_trace *t = ticket->call->trace;
    va_list arguments;

    if (t == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(t->outcome, sizeof t->outcome, format, arguments);
    va_end(arguments);
}

/* --- how it ended --- */

static void
begin_hook(struct json_writer *w, struct buf *line, const struct call *c,
           const struct session *s)
{
    const struct hook_trace *t = c->trace;

    trace_event_begin(w, line, s, "hook");
    json_text(w, "hook", slice_of(hook_label(t->hook)));
    json_text(w, "policy", slice_of(t->policy->name));
    json_text(w, "file", slice_of(t->policy->path));
    json_number(w, "line", t->policy->lines[t->hook]);
    if (t->where > 0)
        json_number(w, "decided", t->where);
    if (c->is_shadow)
        json_flag(w, "shadow", true);
    trace_put_facts(w, s, t->hook);
}

static void
end_hook(struct json_writer *w, const struct call *c, const struct session *s,
         const struct wait_list *l)
{
    json_number(w, "ms", trace_since(c->trace->began));
    json_begin(w, "awaits", '[');
    if (l->writer.full)
        json_text(w, NULL, S("too much to tell"));
    else if (!buf_is_empty(&l->text))
        json_raw(w, NULL, buf_bytes(&l->text));
    json_end(w, ']');
    trace_event_end(
        w, s, l == &c->trace->recorded ? AUDIENCE_RECORDS : AUDIENCE_LOOKS_ON);
}

static void
tell(const struct call *c, const struct session *s, const struct wait_list *l,
     const struct verdict *v, const char *error)
{
    struct json_writer w;
    struct buf line;

    if (!l->wanted)
        return;
    begin_hook(&w, &line, c, s);
    if (error != NULL)
        json_text(&w, "error", safe(c, error));
    else
        trace_put_verdict(&w, s, v);
    end_hook(&w, c, s, l);
}

static void
finish(struct call *c, const struct session *s, const struct verdict *v,
       const char *error)
{
    struct hook_trace *t = c->trace;

    tell(c, s, &t->told, v, error);
    tell(c, s, &t->recorded, v, error);
    buf_deinit(&t->told.text);
    buf_deinit(&t->recorded.text);
    free(t);
    c->trace = NULL;
}

void
trace_hook_decided(struct call *c, const struct session *s,
                   const struct verdict *v)
{
    if (c->trace != NULL)
        finish(c, s, v, NULL);
}

void
trace_hook_failed(struct call *c, const struct session *s, const char *why)
{
    if (c->trace == NULL)
        return;
    if (c->trace->waiting) {
        (void)snprintf(c->trace->outcome, sizeof c->trace->outcome, "cut off");
        trace_wait_end(c, -1);
    }
    finish(c, s, NULL, why != NULL ? why : "?");
}

void
trace_hook_cancelled(struct call *c, const struct session *s)
{
    trace_hook_failed(c, s, "cancelled");
}
