/* fuzz_pop3_client.c -- POP3 as a client speaks it. */
#include "fuzz/play.h"

#include "proto/protocols.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play_client(&proto_pop3, data, size);
    return 0;
}
