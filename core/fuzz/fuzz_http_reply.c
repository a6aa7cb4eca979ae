/* fuzz_http_reply.c -- an answer cut in two must mean what it means whole. */
#include "base/check.h"
#include "base/slice.h"
#include "proto/http_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fields(const struct http_reply *reply)
{
    require(reply->status >= 100 && reply->status <= 599);
    for (size_t i = 0; i < reply->field_count; i++) {
        struct slice value = reply->fields[i].value;
        require(reply->fields[i].name.len > 0);
        require(slice_find(value, '\n') == value.len);
        require(slice_find(value, '\r') == value.len);
        require(slice_find(value, '\0') == value.len);
    }
}

static void
check_body(const struct http_reply *reply, struct slice in, size_t cut)
{
    struct http_body whole, parts;
    size_t used, first, second;

    http_body_begin(&whole, reply);
    http_body_begin(&parts, reply);
    enum parse expected = http_body_skip(&whole, in, &used);
    require(used <= in.len);

    enum parse p = http_body_skip(&parts, slice_take(in, cut), &first);
    if (p != PARSE_MORE) {
        require(p == expected && first == used);
        return;
    }
    p = http_body_skip(&parts, slice_drop(in, first), &second);
    require(p == expected && first + second == used);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_reply whole, parts;
    struct http_head one = {0}, two = {0};

    if (size < 2)
        return 0;
    struct slice in = {(const char *)data + 2, size - 2};
    size_t cut = (data[0] * 256u + data[1]) % (in.len + 1);

    enum parse expected = http_reply_parse(&one, in, &whole);
    enum parse p = http_reply_parse(&two, slice_take(in, cut), &parts);
    if (p == PARSE_MORE)
        p = http_reply_parse(&two, in, &parts);
    require(p == expected || p == PARSE_DONE);
    if (expected != PARSE_DONE)
        return 0;
    require(parts.head_len == whole.head_len);
    check_fields(&whole);
    check_body(&whole, slice_drop(in, whole.head_len), cut);
    return 0;
}
