/* fuzz_redact.c -- a password never shows, wherever it stands in a line.
 *
 * The first byte chooses the protocol, the second who speaks, the third where
 * the password is put in, and as what; the rest is the line. */
#include "base/base64.h"
#include "base/check.h"
#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/protocols.h"
#include "proto/redact.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PASSWORD S("correct-horse")
#define LINE_MAX ((size_t)4096)

static const struct proto *const protocols[] = {&proto_imap, &proto_pop3,
                                                &proto_smtp};

/* The password itself, or base64 of something that ends with it. */
static size_t
put_secret(bool encoded, char *out)
{
    struct slice plain = S("\0ann\0correct-horse");

    if (!encoded) {
        memcpy(out, PASSWORD.ptr, PASSWORD.len);
        return PASSWORD.len;
    }
    base64_encode(plain, out);
    return base64_encoded_len(plain.len);
}

static struct slice
make_line(unsigned where, struct slice text, char *out)
{
    char secret[64];
    size_t len = put_secret((where & 1) != 0, secret);
    size_t at = text.len > 0 ? where % text.len : 0;

    memcpy(out, text.ptr, at);
    out[at] = ' ';
    memcpy(out + at + 1, secret, len);
    out[at + 1 + len] = ' ';
    memcpy(out + at + 2 + len, text.ptr + at, text.len - at);
    return (struct slice){out, text.len + len + 2};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[512];
    struct dialog d = {.credentials.password.bytes = PASSWORD};

    if (size < 4 || size > LINE_MAX)
        return 0;
    d.proto = protocols[data[0] % 3];
    enum speaker who = (enum speaker)(data[1] % SPEAKER_COUNT);
    char *line = xmalloc(size + 128);
    struct slice text = {(const char *)data + 3, size - 3};
    struct slice shown =
        redact_line(&d, who, make_line(data[2], text, line), out, sizeof out);
    require(shown.ptr == out && out[shown.len] == '\0' &&
            shown.len < sizeof out);
    require(!redact_holds(shown, PASSWORD));
    free(line);
    return 0;
}
