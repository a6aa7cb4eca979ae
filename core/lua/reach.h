/* reach.h -- whether a server can be reached as the gateway would reach it:
 * name, TCP, TLS with verification, and the first words of its protocol. */
#pragma once

#include "net/dial.h"
#include "net/tls_client_context.h"
#include "session/config.h"

struct reach_order {
    const char *host;          /* for dial.h */
    uint16_t port;             /* 0: unix */
    const struct proto *proto; /* NULL: TCP and TLS are all */
    enum tls_mode tls;
    struct tls_client_context *context; /* when `tls` is on; borrowed */
    struct tls_target target;           /* the same */
    unsigned proxy_protocol;            /* version of the header; 0: none */
    double timeout;                     /* for all of it */
};

struct reach_result {
    bool done;
    char address[ADDR_TEXT_MAX]; /* who answered; "" if nobody has */
    char tls[64];                /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" */
    char text[512];              /* why not */
};

/* Runs `loop` until it is known. */
void reach(struct ev_loop *loop, struct dns *dns,
           const struct reach_order *order, struct reach_result *result);
