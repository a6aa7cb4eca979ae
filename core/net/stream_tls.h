/* stream_tls.h -- turning a plain stream into one of TLS, and what TLS knows.
 *
 * A stream starts plain and is upgraded in place, at once or after STARTTLS;
 * whoever upgrades has made sure that no plaintext of the peer is buffered
 * (CVE-2011-0411).  Then stream_handshake is called until it is done:
 *
 *   IO_DONE   up.  stream_has_more may already be true.
 *   IO_AGAIN  wait for exactly `wants`; or, when that is 0, for the answer to
 *             stream_asks_certificate.
 *   IO_EOF    the peer left; IO_ERROR: it failed.  stream_tls_failure says why.
 *
 * After IO_AGAIN a write must be repeated with the same bytes in front. */
#pragma once

#include "base/arena.h"
#include "net/stream.h"
#include "net/tls_client_context.h"
#include "net/tls_server_context.h"

/* `s` is open and plain; its role is that of a server or of a client.  The
 * context is held as long as the stream is open.  false: no memory, a target
 * without a name, or an identity that can't be used; stream_tls_failure says
 * which, and only stream_close may follow. */
bool stream_start_tls_server(struct stream *s,
                             struct tls_server_context *c) MUST_USE;
bool stream_start_tls_client(struct stream *s, struct tls_client_context *c,
                             const struct tls_target *target) MUST_USE;

/* Right after stream_start_tls_server: a full handshake will ask. */
void stream_ask_certificate(struct stream *s);
/* The handshake waits to be told what to show. */
bool stream_asks_certificate(const struct stream *s);
/* Tells it: NULL for what the context has.  Call stream_handshake next. */
void stream_show(struct stream *s, struct tls_identity *identity);
/* Or that there is nothing for this client, and why, in words or ""; the
 * handshake fails. */
void stream_show_nothing(struct stream *s, struct slice why);

/* The name that the client asked for, in lower case; empty: none.  Known once
 * a handshake asks or is done. */
struct slice stream_tls_sni(const struct stream *s);

/* Why it failed, in words: "certificate has expired (CN=a)"; never NULL. */
const char *stream_tls_failure(const struct stream *s);

/* It failed because the upstream can't prove who it is: trying again is no
 * use, and nothing secret was sent. */
bool stream_tls_is_untrusted(const struct stream *s);

/* It failed at a session of before, which it won't be offered again. */
bool stream_tls_has_stumbled(const struct stream *s);

/* A finished handshake took up a session of before. */
bool stream_tls_is_resumed(const struct stream *s);

/* What a finished handshake learnt.  Empty slices: not known. */
struct tls_facts {
    struct slice version; /* "TLSv1.3" */
    struct slice cipher;  /* OpenSSL's name */
    struct slice sni, alpn;
    bool resumed;
    bool kernel;                  /* the kernel seals what is sent */
    bool client_asked;            /* for a certificate; the rest is about it */
    bool client_passes;           /* what the listener demands is there */
    bool client_verified;         /* it is there, and signed as it should be */
    struct slice client_verify;   /* "NONE", "SUCCESS", "FAILED:<reason>" */
    struct slice subject, issuer; /* RFC 2253 */
    struct slice serial;          /* upper-case hexadecimal */
    struct slice fingerprint;     /* SHA-1, lower-case hexadecimal, as nginx */
    struct slice fingerprint_sha256;
};

/* Fills `facts` with copies in `arena`; false at its cap. */
bool stream_tls_facts(const struct stream *s, struct arena *arena,
                      struct tls_facts *facts) MUST_USE;

/* What channel bindings name this connection by, as copies in `arena`:
 * tls-exporter (RFC 9266) and tls-unique (RFC 5929).  Empty where another
 * connection could have the same: TLS 1.2 without an extended master secret
 * (RFC 7627); and tls-unique with TLS 1.3, which has none.  false at the cap. */
bool stream_tls_bindings(const struct stream *s, struct arena *arena,
                         struct slice *exporter, struct slice *unique) MUST_USE;

/* The client's certificate as PEM, empty when there is none. */
bool stream_tls_client_pem(const struct stream *s, struct arena *arena,
                           struct slice *pem) MUST_USE;
