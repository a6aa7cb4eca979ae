#include "lua/redis_reply.h"

#include "base/slice.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

struct redis_reader {
    redisReader *parser;
    size_t fed;      /* bytes of the answer that is being read */
    size_t elements; /* the same */
    const char *problem;
};

static void
free_object(void *object)
{
    redis_reply_free(object);
}

/* hiredis releases what it has of a list that breaks off: then the elements
 * that have not come are NULL. */
void
redis_reply_free(struct redis_reply *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++)
        redis_reply_free(r->elements[i]);
    free(r->elements);
    if (r->text.len > 0)
        explicit_bzero(r + 1, r->text.len);
    free(r);
}

bool
redis_reply_is_error(const struct redis_reply *r, struct slice word)
{
    return r->kind == REDIS_ERROR && slice_has_prefix(r->text, word);
}

static enum redis_kind
kind_of(int type)
{
    switch (type) {
    case REDIS_REPLY_STATUS:
        return REDIS_STATUS;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    default:
        return REDIS_STRING;
    }
}

/* A reply with room for `text` behind it, put into the list that it is in.
 * NULL makes hiredis give up. */
static struct redis_reply *
make(const redisReadTask *task, enum redis_kind kind, struct slice text)
{
    struct redis_reader *reader = task->privdata;
    char *copy;

    /* A length that was nonsense has wrapped around inside hiredis. */
    if (text.len > REDIS_REPLY_MAX ||
        ++reader->elements > REDIS_ELEMENTS_MAX + 1)
        return NULL;
    struct redis_reply *r = xmalloc(sizeof *r + text.len);
    *r = (struct redis_reply){.kind = kind};
    copy = (char *)(r + 1);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    r->text = (struct slice){copy, text.len};
    if (task->parent != NULL) {
        struct redis_reply *list = task->parent->obj;
        list->elements[task->idx] = r;
    }
    return r;
}

/* NOLINTBEGIN(readability-non-const-parameter): the type is hiredis's. */
static void *
make_string(const redisReadTask *task, char *bytes, size_t len)
{
    return make(task, kind_of(task->type), (struct slice){bytes, len});
}
/* NOLINTEND(readability-non-const-parameter) */

static void *
make_list(const redisReadTask *task, int count)
{
    const struct redis_reader *reader = task->privdata;

    if (count < 0 || reader->elements + (size_t)count > REDIS_ELEMENTS_MAX)
        return NULL;
    struct redis_reply *r = make(task, REDIS_LIST, S(""));
    if (r == NULL)
        return NULL;
    r->elements = count > 0 ? xcalloc((size_t)count, sizeof(void *)) : NULL;
    r->count = (size_t)count;
    return r;
}

static void *
make_integer(const redisReadTask *task, long long value)
{
    struct redis_reply *r = make(task, REDIS_INTEGER, S(""));

    if (r != NULL)
        r->integer = value;
    return r;
}

static void *
make_nil(const redisReadTask *task)
{
    return make(task, REDIS_NIL, S(""));
}

struct redis_reader *
redis_reader_new(void)
{
    static redisReplyObjectFunctions functions = {
        make_string, make_list, make_integer, make_nil, free_object};
    struct redis_reader *r = xcalloc(1, sizeof *r);

    r->parser = redisReaderCreateWithFunctions(&functions);
    require(r->parser != NULL);
    r->parser->privdata = r;
    return r;
}

void
redis_reader_free(struct redis_reader *r)
{
    if (r == NULL)
        return;
    redisReaderFree(r->parser);
    free(r);
}

bool
redis_reader_feed(struct redis_reader *r, struct slice bytes)
{
    r->fed += bytes.len;
    return r->problem == NULL &&
           redisReaderFeed(r->parser, bytes.ptr, bytes.len) == REDIS_OK;
}

static size_t
unread(const struct redis_reader *r)
{
    return r->parser->len - r->parser->pos;
}

static enum parse
give_up(struct redis_reader *r, const char *problem)
{
    if (r->problem == NULL)
        r->problem = problem;
    return PARSE_BAD;
}

enum parse
redis_reader_next(struct redis_reader *r, struct redis_reply **reply)
{
    void *object = NULL;

    if (r->problem != NULL)
        return PARSE_BAD;
    if (redisReaderGetReply(r->parser, &object) != REDIS_OK)
        return give_up(r, r->parser->err == REDIS_ERR_OOM
                              ? "the answer is too long"
                              : "the answer is not Redis's protocol");
    size_t size = object != NULL ? r->fed - unread(r) : r->fed;
    if (size > REDIS_REPLY_MAX) {
        redis_reply_free(object);
        return give_up(r, "the answer is too long");
    }
    if (object == NULL)
        return PARSE_MORE;
    *reply = object;
    r->fed = unread(r);
    r->elements = 0;
    return PARSE_DONE;
}

bool
redis_reader_is_empty(const struct redis_reader *r)
{
    return r->fed == 0;
}

const char *
redis_reader_problem(const struct redis_reader *r)
{
    return r->problem != NULL ? r->problem : "the answer makes no sense";
}
