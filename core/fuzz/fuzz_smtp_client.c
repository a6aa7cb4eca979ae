/* fuzz_smtp_client.c -- SMTP as a client speaks it. */
#include "fuzz/play.h"

#include "proto/protocols.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play_client(&proto_smtp, data, size);
    return 0;
}
