/* fuzz_log_escape.c -- any bytes in a line of the log, in room of any size. */
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing in it ends the line or the quotes around it. */
static void
check(const char *text, size_t room)
{
    size_t len = strlen(text);

    require(len < room);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        require(c >= 0x20 && c != 0x7f && c != '"');
        if (c != '\\')
            continue;
        require(i + 3 < len && (text[i + 1] == 'x' || text[i + 1] == 'u'));
        i += text[i + 1] == 'x' ? 3 : 5;
        require(i < len);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice bytes = {(const char *)data + 1, size - 1};
    size_t room = (size_t)data[0] * 4 + 1;
    char *out = xmalloc(room);

    check(log_escape(bytes, out, room), room);
    check(log_escape_json(bytes, out, room), room);
    free(out);
    return 0;
}
