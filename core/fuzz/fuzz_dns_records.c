/* fuzz_dns_records.c -- any bytes as the reply of a name server. */
#include "fuzz/play.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/dns_records.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {"A",  "AAAA", "CNAME", "MX",
                                    "NS", "PTR",  "SRV",   "TXT"};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_records records = {.ttl = DNS_TTL_MAX};

    if (size == 0)
        return 0;
    struct slice input = {(const char *)data + 1, size - 1};
    char *reply = exact_copy(input);
    int type = dns_records_type(types[data[0] % 8]);

    (void)!dns_records_parse((struct slice){reply, input.len}, type, &records);
    free(reply);
    require(records.count <= DNS_RECORDS_MAX);
    require(records.ttl <= DNS_TTL_MAX);
    for (size_t i = 0; i < records.count; i++)
        require(records.items[i].ptr[records.items[i].len] == '\0');
    dns_records_deinit(&records);
    return 0;
}
