/* fuzz_imap_client.c -- IMAP as a client speaks it. */
#include "fuzz/play.h"

#include "proto/protocols.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play_client(&proto_imap, data, size);
    return 0;
}
