/* fuzz_address.c -- addresses and networks; what is read can be written and
 * read again. */
#include "base/check.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const struct addr *a)
{
    char text[ADDR_TEXT_MAX], again[ADDR_TEXT_MAX];
    struct error err;
    struct addr copy;

    (void)addr_format(a, text);
    require(strlen(text) < sizeof text);
    require(addr_parse(slice_of(text), 0, &copy, &err) || addr_port(a) == 0);
    if (addr_port(a) != 0 || addr_is_local(a))
        require(strcmp(addr_format(&copy, again), text) == 0);
    (void)addr_format_ip(a, text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct network network;
    struct error err;
    struct addr a;

    bool is_network = network_parse(text, &network, &err);
    if (addr_parse(text, (uint16_t)(size % 2 * 143), &a, &err)) {
        check_text(&a);
        if (is_network)
            (void)networks_contain(&network, 1, &a);
    }
    if (addr_parse_ip(text, 25, &a)) {
        check_text(&a);
        require(addr_port(&a) == 25);
        /* An address alone is a network that holds it. */
        if (is_network)
            require(networks_contain(&network, 1, &a));
    }
    return 0;
}
