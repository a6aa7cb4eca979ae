/* auth_reply.h -- what an auth server's answer means.
 *
 * Only a 2xx answer with one Auth-Status counts; nothing that is missing,
 * doubled or malformed ever lets anybody in. */
#pragma once

#include "proto/http_reply.h"

enum auth_verdict {
    AUTH_OK,
    AUTH_REFUSED, /* the server's text is for the client */
    AUTH_WAIT,    /* ask again after `wait` */
    AUTH_INVALID, /* `problem` is for the log; the client may try later */
};

#define AUTH_TEXT_MAX 400
#define AUTH_SASL_MAX 1024

/* Slices point into the answer. */
struct auth_answer {
    enum auth_verdict verdict;
    const char *problem;
    struct slice server; /* without brackets */
    uint16_t port;
    bool has_user, has_password;
    struct slice user;
    struct secret password;
    double wait;                  /* seconds; 0 without Auth-Wait */
    struct slice code;            /* "535 5.7.8", or empty */
    size_t sasl_len;              /* 0: no `sasl` */
    char text[AUTH_TEXT_MAX + 1]; /* Auth-Status without control bytes */
    char sasl[AUTH_SASL_MAX];     /* JSON of Auth-Error-SASL */
};

void auth_reply_read(const struct http_reply *reply, struct auth_answer *a);
