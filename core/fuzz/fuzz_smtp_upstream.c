/* fuzz_smtp_upstream.c -- an SMTP upstream that says anything, to a login of
 * any bytes. */
#include "fuzz/play.h"

#include "base/slice.h"
#include "proto/protocols.h"

static bool
may_send(struct slice line)
{
    return slice_equal(line, S("EHLO gate.example")) ||
           slice_equal(line, S("EHLO client.example")) ||
           slice_equal(line, S("HELO gate.example")) ||
           slice_equal(line, S("HELO client.example")) ||
           slice_equal(line, S("MAIL FROM:<a@example>")) ||
           slice_equal(line, S("RCPT TO:<b@example>")) ||
           slice_has_prefix(line, S("XCLIENT ")) ||
           slice_has_prefix(line, S("AUTH PLAIN")) ||
           slice_has_prefix(line, S("AUTH EXTERNAL ")) ||
           slice_equal(line, S("AUTH CRAM-MD5")) ||
           slice_equal(line, S("AUTH LOGIN")) || slice_equal(line, S("QUIT")) ||
           is_base64(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play_login(&proto_smtp, may_send, data, size);
    return 0;
}
