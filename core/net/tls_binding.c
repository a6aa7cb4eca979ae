/* tls_binding.c -- names of a TLS connection that nobody else's has. */
#include "base/slice.h"
#include "net/stream_tls.h"
#include "net/tls_link.h"

#define EXPORTER_LABEL "EXPORTER-Channel-Binding" /* RFC 9266 2 */
#define EXPORTER_LEN   32

/* Of TLS 1.2 without it a man in the middle can make two connections that have
 * the same secrets (RFC 7627 1). */
static bool
is_unique(SSL *ssl)
{
    return SSL_version(ssl) >= TLS1_3_VERSION ||
           SSL_get_extms_support(ssl) == 1;
}

static bool
export_binding(SSL *ssl, struct arena *a, struct slice *exporter)
{
    unsigned char bytes[EXPORTER_LEN];

    /* With a context, of no bytes: TLS 1.2 tells that from none. */
    if (SSL_export_keying_material(ssl, bytes, sizeof bytes, EXPORTER_LABEL,
                                   sizeof EXPORTER_LABEL - 1,
                                   (const unsigned char *)"", 0, 1) != 1)
        return true;
    return arena_copy(a, (struct slice){(const char *)bytes, sizeof bytes},
                      exporter);
}

/* RFC 5929 3.1: the first Finished, which is the client's unless the session
 * was resumed.  We are the server, and there is no renegotiation. */
static bool
finished_binding(SSL *ssl, struct arena *a, struct slice *unique)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    size_t len = SSL_session_reused(ssl) == 1
                     ? SSL_get_finished(ssl, bytes, sizeof bytes)
                     : SSL_get_peer_finished(ssl, bytes, sizeof bytes);

    return len > sizeof bytes ||
           arena_copy(a, (struct slice){(const char *)bytes, len}, unique);
}

bool
stream_tls_bindings(const struct stream *s, struct arena *arena,
                    struct slice *exporter, struct slice *unique)
{
    SSL *ssl = s->tls->ssl;

    *exporter = *unique = S("");
    if (!is_unique(ssl))
        return true;
    if (!export_binding(ssl, arena, exporter))
        return false;
    return SSL_version(ssl) >= TLS1_3_VERSION ||
           finished_binding(ssl, arena, unique);
}
