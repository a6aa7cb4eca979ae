/* tls_link.h -- the TLS of one connection, between stream_tls.c and OpenSSL's
 * callbacks in tls_*.c. */
#pragma once

#include "base/types.h"
#include "net/tls_client_context.h"
#include "net/tls_server_context.h"

#include <openssl/ssl.h>

/* What is expected of an upstream. */
struct tls_peer {
    unsigned char key[32]; /* under which its session is kept */
    enum tls_verify verify;
    char *name; /* the name or address that its certificate must hold */
    unsigned char (*pins)[TLS_PIN_SIZE];
    size_t pin_count;
};

struct tls_link {
    SSL *ssl;                          /* its app data is this link */
    int fd;                            /* owned by the stream */
    struct tls_server_context *server; /* held; NULL towards upstreams */
    struct tls_client_context *client; /* held; NULL towards clients */
    struct tls_peer *peer;             /* owned; NULL towards clients */
    struct tls_identity *identity;     /* held; what this handshake shows, NULL:
                                      the context's own */
    char *sni;      /* owned; what the client asked for, lower case, or NULL */
    char *failure;  /* owned; why it is lost, in words */
    bool up;        /* the handshake is over */
    bool kernel;    /* the kernel seals what is sent (kTLS) */
    bool dead;      /* OpenSSL may not be called any more */
    bool eof;       /* the socket has ended */
    bool asks;      /* a full handshake waits for stream_show */
    bool asking;    /* the handshake waits for stream_show */
    bool answered;  /* and was told */
    bool refused;   /* that there is no certificate for this client */
    bool more;      /* the last read left bytes that no event will tell of */
    bool closing;   /* close_notify is not wholly sent */
    bool closed;    /* it is sent */
    bool offered;   /* a session of before, to the upstream */
    bool stumbled;  /* over that: it may do without */
    bool untrusted; /* the upstream's certificate is not good */
};

struct tls_link *tls_link_of(const SSL *ssl);

/* Keeps the first reason. */
void tls_link_fail(struct tls_link *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
