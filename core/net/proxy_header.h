/* proxy_header.h -- the PROXY protocol: who the client of a proxy is.
 *
 * Versions 1 and 2 in and out, as bytes.  Strict: what is not a whole and
 * well-formed header is an error, never "no header", since the listener that
 * expects one trusts what follows. */
#pragma once

#include "base/buf.h"
#include "base/types.h"
#include "net/addr.h"

#define PROXY_HEADER_MAX 4096 /* a longer one is refused */

/* Slices point into the bytes that were parsed. */
struct proxy_header {
    bool local; /* health check (LOCAL) or UNKNOWN: no addresses in it */
    struct addr source, destination;
    struct slice alpn;      /* TLV PP2_TYPE_ALPN, or "" */
    struct slice authority; /* PP2_TYPE_AUTHORITY: the TLS server name */
    struct slice unique_id; /* PP2_TYPE_UNIQUE_ID, at most 128 bytes */
    bool tls;               /* PP2_TYPE_SSL: the client came by TLS */
    bool certificate;       /* and showed a certificate, */
    bool verified;          /* that was found good */
    struct slice tls_version, tls_cipher, common_name;
};

/* PARSE_DONE sets `*header` and `*len`, the bytes it took; PARSE_MORE wants
 * the rest; PARSE_BAD: no such header. */
enum parse proxy_header_parse(struct slice in, struct proxy_header *header,
                              size_t *len);

/* Appends the header, version 1 or 2.  Version 1 has no TLVs; addresses of
 * unlike families, or of unix sockets, make it UNKNOWN (version 2: LOCAL when
 * header->local). false if `out` is full. */
bool proxy_header_write(const struct proxy_header *header, unsigned version,
                        struct buf *out) MUST_USE;
