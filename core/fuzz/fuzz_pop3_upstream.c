/* fuzz_pop3_upstream.c -- a POP3 upstream that says anything, to a login of any
 * bytes. */
#include "fuzz/play.h"

#include "base/slice.h"
#include "proto/protocols.h"

static bool
may_send(struct slice line)
{
    return slice_has_prefix(line, S("USER ")) ||
           slice_has_prefix(line, S("PASS ")) ||
           slice_has_prefix(line, S("AUTH PLAIN")) ||
           slice_has_prefix(line, S("AUTH EXTERNAL ")) ||
           slice_equal(line, S("AUTH CRAM-MD5")) ||
           slice_has_prefix(line, S("XCLIENT ADDR=")) ||
           slice_equal(line, S("CAPA")) || slice_equal(line, S("QUIT")) ||
           is_base64(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play_login(&proto_pop3, may_send, data, size);
    return 0;
}
