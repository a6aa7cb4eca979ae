#include "net/network.h"

#include "base/slice.h"

#include <netinet/in.h>

/* The bytes that count of an address, and how many there are. */
static size_t
bytes_of(const struct addr *a, int *family, unsigned char out[16])
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    *family = a->len > 0 ? a->any.sa_family : AF_UNSPEC;
    if (*family == AF_INET) {
        memcpy(&in, &a->storage, sizeof in);
        memcpy(out, &in.sin_addr, 4);
        return 4;
    }
    if (*family != AF_INET6)
        return 0;
    memcpy(&in6, &a->storage, sizeof in6);
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        *family = AF_INET;
        memcpy(out, in6.sin6_addr.s6_addr + 12, 4);
        return 4;
    }
    memcpy(out, &in6.sin6_addr, 16);
    return 16;
}

bool
network_parse(struct slice text, struct network *n, struct error *err)
{
    struct slice rest = text, address = slice_cut(&rest, '/');
    bool has_bits = address.len < text.len;
    struct addr a;

    *n = (struct network){.family = AF_UNIX};
    if (slice_equal(text, S("unix:")))
        return true;
    if (!addr_parse_ip(address, 0, &a))
        return error_set(err, "\"%.*s\" is no address or network",
                         text.len < 100 ? (int)text.len : 100, text.ptr);
    size_t most = bytes_of(&a, &n->family, n->bytes) * 8;
    size_t bits = has_bits ? slice_to_size(rest) : most;
    if (has_bits && (rest.len == 0 || rest.len > 3 || bits > most ||
                     rest.ptr[0] < '0' || rest.ptr[0] > '9'))
        return error_set(err, "\"%.*s\" has no prefix length from 0 to %zu",
                         text.len < 100 ? (int)text.len : 100, text.ptr, most);
    n->bits = (unsigned)bits;
    return true;
}

static bool
contains(const struct network *n, int family, const unsigned char *bytes)
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (n->family != family)
        return false;
    if (family == AF_UNIX)
        return true;
    if (memcmp(n->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || (n->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

bool
networks_contain(const struct network *networks, size_t count,
                 const struct addr *a)
{
    unsigned char bytes[16] = {0};
    int family;

    (void)bytes_of(a, &family, bytes);
    for (size_t i = 0; i < count; i++) {
        if (contains(&networks[i], family, bytes))
            return true;
    }
    return false;
}
