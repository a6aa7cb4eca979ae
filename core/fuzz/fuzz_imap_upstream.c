/* fuzz_imap_upstream.c -- IMAP as a server speaks it. */
#include "fuzz/play.h"

#include "proto/protocols.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play_upstream(&proto_imap, data, size);
    return 0;
}
