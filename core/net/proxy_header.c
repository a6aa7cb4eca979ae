#include "net/proxy_header.h"

#include "base/slice.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define V1_MAX 107 /* with CRLF, as the specification counts */

static const char signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r',
                                   '\n', 'Q',  'U',  'I',  'T',  '\n'};

#define V2_HEAD 16 /* signature, version and command, family, length */

enum tlv_type {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_UNIQUE_ID = 0x05,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
};

enum { SSL_USED = 1, SSL_CERT_CONN = 2, SSL_CERT_SESS = 4 };

#define UNIQUE_ID_MAX 128

static struct slice
signature_slice(void)
{
    return (struct slice){signature, sizeof signature};
}

/* --- version 1 --- */

/* Without leading zeros. */
static bool
parse_port(struct slice text, uint16_t *port)
{
    return (text.len <= 1 || text.ptr[0] != '0') && addr_parse_port(text, port);
}

static bool
parse_address(struct slice text, struct slice port_text, int family,
              struct addr *a)
{
    uint16_t port;
    bool brackets = text.len > 0 && text.ptr[0] == '[';

    return !brackets && parse_port(port_text, &port) &&
           addr_parse_ip(text, port, a) && a->any.sa_family == family;
}

/* "TCP4 source destination port port" */
static bool
parse_v1(struct slice line, struct proxy_header *h)
{
    struct slice word = slice_cut(&line, ' ');
    int family = slice_equal(word, S("TCP6")) ? AF_INET6 : AF_INET;

    if (slice_equal(word, S("UNKNOWN"))) {
        h->local = true;
        return true;
    }
    if (family == AF_INET && !slice_equal(word, S("TCP4")))
        return false;
    struct slice source = slice_cut(&line, ' ');
    struct slice destination = slice_cut(&line, ' ');
    struct slice source_port = slice_cut(&line, ' ');
    return parse_address(source, source_port, family, &h->source) &&
           parse_address(destination, line, family, &h->destination);
}

static enum parse
frame_v1(struct slice in, struct proxy_header *h, size_t *len)
{
    size_t at = slice_find(in, '\n');

    if (at >= V1_MAX)
        return PARSE_BAD;
    if (at == in.len)
        return PARSE_MORE;
    if (at < 1 || in.ptr[at - 1] != '\r')
        return PARSE_BAD;
    *len = at + 1;
    struct slice line = slice_take(in, at - 1);
    return parse_v1(slice_drop(line, 6), h) ? PARSE_DONE : PARSE_BAD;
}

/* --- version 2 --- */

static unsigned
byte_at(struct slice s, size_t i)
{
    return (unsigned char)s.ptr[i];
}

static size_t
u16_at(struct slice s, size_t i)
{
    return (size_t)byte_at(s, i) << 8 | byte_at(s, i + 1);
}

static uint32_t
u32_at(struct slice s, size_t i)
{
    return (uint32_t)u16_at(s, i) << 16 | (uint32_t)u16_at(s, i + 2);
}

/* RFC 3720 B.4, over the whole header with the checksum itself as zeros. */
static uint32_t
crc32c(struct slice whole, size_t hole)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < whole.len; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0 : byte_at(whole, i);
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

/* Cuts the next TLV off; false when none is left or the rest is torn, which
 * `rest->len` then tells. */
static bool
next_tlv(struct slice *rest, unsigned *type, struct slice *value)
{
    if (rest->len < 3)
        return false;
    size_t len = u16_at(*rest, 1);
    if (len > rest->len - 3)
        return false;
    *type = byte_at(*rest, 0);
    *value = slice_take(slice_drop(*rest, 3), len);
    *rest = slice_drop(*rest, 3 + len);
    return true;
}

static bool
parse_ssl(struct slice value, struct proxy_header *h)
{
    unsigned type;
    struct slice part;

    if (value.len < 5)
        return false;
    unsigned client = byte_at(value, 0);
    h->tls = (client & SSL_USED) != 0;
    h->certificate = (client & (SSL_CERT_CONN | SSL_CERT_SESS)) != 0;
    h->verified = h->certificate && u32_at(value, 1) == 0;
    struct slice rest = slice_drop(value, 5);
    while (next_tlv(&rest, &type, &part)) {
        if (type == TLV_SSL_VERSION)
            h->tls_version = part;
        else if (type == TLV_SSL_CN)
            h->common_name = part;
        else if (type == TLV_SSL_CIPHER)
            h->tls_cipher = part;
    }
    return rest.len == 0;
}

/* Types that are not known are passed over, as the specification asks. */
static bool
parse_tlv(struct slice whole, unsigned type, struct slice value,
          struct proxy_header *h)
{
    switch (type) {
    case TLV_ALPN:
        h->alpn = value;
        return true;
    case TLV_AUTHORITY:
        h->authority = value;
        return value.len <= 255;
    case TLV_UNIQUE_ID:
        h->unique_id = value;
        return value.len <= UNIQUE_ID_MAX;
    case TLV_SSL:
        return parse_ssl(value, h);
    case TLV_CRC32C:
        return value.len == 4 &&
               u32_at(value, 0) ==
                   crc32c(whole, (size_t)(value.ptr - whole.ptr));
    default:
        return true;
    }
}

static void
take_ipv4(struct slice bytes, size_t port_at, struct addr *a)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    memcpy(&in.sin_addr, bytes.ptr, 4);
    in.sin_port = htons((uint16_t)u16_at(bytes, port_at));
    memcpy(&a->storage, &in, sizeof in);
    a->len = sizeof in;
}

static void
take_ipv6(struct slice bytes, size_t port_at, struct addr *a)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6};

    memcpy(&in.sin6_addr, bytes.ptr, 16);
    in.sin6_port = htons((uint16_t)u16_at(bytes, port_at));
    memcpy(&a->storage, &in, sizeof in);
    a->len = sizeof in;
}

/* Sets the addresses; the bytes they take, or SIZE_MAX if it is no family for
 * a byte stream or they are not all there. */
static size_t
parse_addresses(struct slice body, unsigned family, struct proxy_header *h)
{
    enum { UNSPEC = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX = 0x31 };

    if (family == TCP4 && body.len >= 12) {
        take_ipv4(body, 8, &h->source);
        take_ipv4(slice_drop(body, 4), 6, &h->destination);
        return 12;
    }
    if (family == TCP6 && body.len >= 36) {
        take_ipv6(body, 32, &h->source);
        take_ipv6(slice_drop(body, 16), 18, &h->destination);
        return 36;
    }
    if (family == UNIX && body.len >= 216) {
        h->local = true;
        return 216;
    }
    if (family != UNSPEC)
        return SIZE_MAX;
    h->local = true;
    return 0;
}

static enum parse
parse_v2(struct slice whole, struct proxy_header *h)
{
    unsigned command = byte_at(whole, 12), type;
    struct slice rest = slice_drop(whole, V2_HEAD), value;

    if (command == 0x20) { /* LOCAL: whatever else is in it does not count */
        h->local = true;
        return PARSE_DONE;
    }
    if (command != 0x21)
        return PARSE_BAD;
    size_t used = parse_addresses(rest, byte_at(whole, 13), h);
    if (used > rest.len)
        return PARSE_BAD;
    rest = slice_drop(rest, used);
    while (next_tlv(&rest, &type, &value)) {
        if (!parse_tlv(whole, type, value, h))
            return PARSE_BAD;
    }
    return rest.len == 0 ? PARSE_DONE : PARSE_BAD;
}

static enum parse
frame_v2(struct slice in, struct proxy_header *h, size_t *len)
{
    if (in.len < V2_HEAD)
        return PARSE_MORE;
    size_t total = V2_HEAD + u16_at(in, 14);
    if (total > PROXY_HEADER_MAX)
        return PARSE_BAD;
    if (in.len < total)
        return PARSE_MORE;
    *len = total;
    return parse_v2(slice_take(in, total), h);
}

enum parse
proxy_header_parse(struct slice in, struct proxy_header *header, size_t *len)
{
    struct slice v1 = S("PROXY "), v2 = signature_slice();

    *header = (struct proxy_header){0};
    if (slice_has_prefix(in, v1))
        return frame_v1(in, header, len);
    if (slice_has_prefix(in, v2))
        return frame_v2(in, header, len);
    if (slice_has_prefix(v1, in) || slice_has_prefix(v2, in))
        return PARSE_MORE;
    return PARSE_BAD;
}

/* --- writing --- */

/* 4 or 6 when both addresses are of that family, else 0. */
static unsigned
common_family(const struct proxy_header *h)
{
    int family = h->source.any.sa_family;

    if (h->local || h->source.len == 0 || h->destination.len == 0 ||
        family != h->destination.any.sa_family)
        return 0;
    return family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0;
}

static bool
write_v1(const struct proxy_header *h, struct buf *out)
{
    char source[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX];
    unsigned family = common_family(h);

    if (family == 0)
        return buf_append(out, S("PROXY UNKNOWN\r\n"));
    return buf_printf(out, "PROXY TCP%u %s %s %u %u\r\n", family,
                      addr_format_ip(&h->source, source),
                      addr_format_ip(&h->destination, destination),
                      addr_port(&h->source), addr_port(&h->destination));
}

struct v2 {
    char bytes[PROXY_HEADER_MAX];
    size_t len;
    bool full;
};

static void
put(struct v2 *v, struct slice bytes)
{
    if (bytes.len > sizeof v->bytes - v->len) {
        v->full = true;
        return;
    }
    if (bytes.len > 0)
        memcpy(v->bytes + v->len, bytes.ptr, bytes.len);
    v->len += bytes.len;
}

static void
put_byte(struct v2 *v, unsigned byte)
{
    char c = (char)byte;
    put(v, (struct slice){&c, 1});
}

static void
put_u16(struct v2 *v, size_t value)
{
    put_byte(v, (unsigned)(value >> 8 & 0xff));
    put_byte(v, (unsigned)(value & 0xff));
}

static void
put_tlv(struct v2 *v, enum tlv_type type, struct slice value)
{
    if (value.len == 0)
        return;
    put_byte(v, type);
    put_u16(v, value.len);
    put(v, value);
}

static size_t
tlv_size(struct slice value)
{
    return value.len > 0 ? 3 + value.len : 0;
}

static void
put_ssl(struct v2 *v, const struct proxy_header *h)
{
    static const char good[4] = {0, 0, 0, 0}, bad[4] = {0, 0, 0, 1};

    if (!h->tls)
        return;
    put_byte(v, TLV_SSL);
    put_u16(v, 5 + tlv_size(h->tls_version) + tlv_size(h->common_name) +
                   tlv_size(h->tls_cipher));
    put_byte(v,
             SSL_USED | (h->certificate ? SSL_CERT_CONN | SSL_CERT_SESS : 0U));
    put(v, (struct slice){h->verified ? good : bad, 4});
    put_tlv(v, TLV_SSL_VERSION, h->tls_version);
    put_tlv(v, TLV_SSL_CN, h->common_name);
    put_tlv(v, TLV_SSL_CIPHER, h->tls_cipher);
}

static void
put_addresses(struct v2 *v, const struct proxy_header *h, unsigned family)
{
    const struct addr *both[2] = {&h->source, &h->destination};

    for (size_t i = 0; i < 2 && family != 0; i++) {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        memcpy(&in, &both[i]->storage, sizeof in);
        memcpy(&in6, &both[i]->storage, sizeof in6);
        if (family == 4)
            put(v, (struct slice){(const char *)&in.sin_addr, 4});
        else
            put(v, (struct slice){(const char *)&in6.sin6_addr, 16});
    }
    for (size_t i = 0; i < 2 && family != 0; i++)
        put_u16(v, addr_port(both[i]));
}

static bool
write_v2(const struct proxy_header *h, struct buf *out)
{
    unsigned family = common_family(h);
    struct v2 v = {.len = 0};

    put(&v, signature_slice());
    put_byte(&v, h->local ? 0x20 : 0x21);
    put_byte(&v, family == 4 ? 0x11 : family == 6 ? 0x21 : 0x00);
    put_u16(&v, 0);
    put_addresses(&v, h, family);
    if (!h->local) {
        put_tlv(&v, TLV_ALPN, h->alpn);
        put_tlv(&v, TLV_AUTHORITY, h->authority);
        put_tlv(&v, TLV_UNIQUE_ID, h->unique_id);
        put_ssl(&v, h);
    }
    if (v.full)
        return false;
    v.bytes[14] = (char)((v.len - V2_HEAD) >> 8 & 0xff);
    v.bytes[15] = (char)((v.len - V2_HEAD) & 0xff);
    return buf_append(out, (struct slice){v.bytes, v.len});
}

bool
proxy_header_write(const struct proxy_header *header, unsigned version,
                   struct buf *out)
{
    return version == 1 ? write_v1(header, out) : write_v2(header, out);
}
