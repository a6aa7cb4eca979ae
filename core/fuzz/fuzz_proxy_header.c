/* What was parsed must parse the same when it is written again. */
#include "base/slice.h"
#include "net/proxy_header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same_again(const struct proxy_header *header)
{
    struct proxy_header again;
    struct buf out;
    size_t len;

    buf_init(&out, PROXY_HEADER_MAX);
    if (proxy_header_write(header, 2, &out) &&
        (proxy_header_parse(buf_bytes(&out), &again, &len) != PARSE_DONE ||
         len != buf_len(&out) ||
         !slice_equal(again.authority, header->authority)))
        abort();
    buf_deinit(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    struct proxy_header header;
    size_t len = 0;

    if (proxy_header_parse(in, &header, &len) != PARSE_DONE)
        return 0;
    if (len == 0 || len > size)
        abort();
    if (!header.local)
        same_again(&header);
    return 0;
}
