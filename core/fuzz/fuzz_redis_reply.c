/* fuzz_redis_reply.c -- answers of a Redis server, cut in two, must be what
 * they are in one piece, and within the limits; so must URLs of servers. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/redis_reply.h"
#include "lua/redis_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWERS_MAX 8

struct heard {
    struct redis_reply *replies[ANSWERS_MAX];
    size_t count;
    enum parse end;
};

static void
take(struct redis_reader *r, struct heard *h)
{
    h->end = PARSE_DONE;
    while (h->count < ANSWERS_MAX && h->end == PARSE_DONE) {
        h->end = redis_reader_next(r, &h->replies[h->count]);
        if (h->end == PARSE_DONE)
            h->count++;
    }
}

static void
hear(struct slice in, size_t cut, struct heard *h)
{
    struct redis_reader *r = redis_reader_new();

    *h = (struct heard){.end = PARSE_MORE};
    if (redis_reader_feed(r, slice_take(in, cut)))
        take(r, h);
    if (h->end == PARSE_MORE && redis_reader_feed(r, slice_drop(in, cut)))
        take(r, h);
    if (h->end == PARSE_BAD)
        require(*redis_reader_problem(r) != '\0');
    redis_reader_free(r);
}

/* Returns how many elements there are. */
static size_t
check_reply(const struct redis_reply *r, unsigned depth)
{
    size_t count = 1;

    require(r != NULL && depth <= REDIS_DEPTH_MAX);
    require(r->text.len <= REDIS_REPLY_MAX);
    for (size_t i = 0; i < r->count; i++)
        count += check_reply(r->elements[i], depth + 1);
    return count;
}

static void
check_same(const struct redis_reply *a, const struct redis_reply *b)
{
    require(a->kind == b->kind && a->integer == b->integer);
    require(a->count == b->count && slice_equal(a->text, b->text));
    for (size_t i = 0; i < a->count; i++)
        check_same(a->elements[i], b->elements[i]);
}

static void
check_url(struct slice text)
{
    struct redis_server s;
    struct error err;

    redis_server_init(&s);
    if (redis_server_parse(&s, text, false, &err)) {
        require(*s.place.host != '\0');
        redis_server_name(&s);
        require(*s.name != '\0');
    }
    redis_server_deinit(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole, parts;

    if (size < 2)
        return 0;
    struct slice in = {(const char *)data + 2, size - 2};
    size_t cut = (data[0] * 256u + data[1]) % (in.len + 1);
    hear(in, in.len, &whole);
    hear(in, cut, &parts);
    for (size_t i = 0; i < whole.count; i++)
        require(check_reply(whole.replies[i], 0) <= REDIS_ELEMENTS_MAX + 1);
    for (size_t i = 0; i < whole.count && i < parts.count; i++)
        check_same(whole.replies[i], parts.replies[i]);
    require(whole.end == PARSE_BAD || whole.count <= parts.count);
    for (size_t i = 0; i < whole.count; i++)
        redis_reply_free(whole.replies[i]);
    for (size_t i = 0; i < parts.count; i++)
        redis_reply_free(parts.replies[i]);
    check_url(in);
    return 0;
}
