/* decision_option.h -- one option of a decision, checked and taken over. */
#pragma once

#include "lua/decision.h"

/* How the value of an option is read. */
enum option_kind {
    OPTION_TEXT,    /* told to clients: one line of at most 400 bytes */
    OPTION_LOG,     /* text that is only logged: any bytes, cut */
    OPTION_NAME,    /* a user: one line of at most CREDENTIAL_MAX bytes */
    OPTION_SECRET,  /* a Secret or text */
    OPTION_TOKEN,   /* a Secret or text, of what a token is made of */
    OPTION_SECONDS, /* a delay */
    OPTION_FLAG,
    OPTION_CODE,     /* "535" or "535 5.7.8" */
    OPTION_ENHANCED, /* "5.7.8" */
    OPTION_SASL,     /* JSON, or a table of what it says */
    OPTION_UPSTREAM, /* "host:port", "pool:NAME" or a `to` */
    OPTION_POOL,     /* the NAME alone */
    OPTION_POOL_KEY,
    OPTION_FALLBACK,
    OPTION_HOST,
    OPTION_PORT,
    OPTION_TLS,
    OPTION_PROFILE,
    OPTION_VERIFY,
    OPTION_SERVER_NAME,
    OPTION_PIN,
    OPTION_PROXY_PROTOCOL,
    OPTION_TRUSTED,
    OPTION_SOURCE,
    OPTION_CONNECT_TIMEOUT,
    OPTION_MECHANISM,
    OPTION_LOGIN, /* a `login`, or "passthrough" */
    OPTION_XCLIENT,
    OPTION_ITERATIONS,
    OPTION_VARS,
    OPTION_COUNT,
};

struct option {
    const char *name;
    enum option_kind kind;
    size_t offset; /* in struct decision, where the kind does not say */
};

/* The option being read: its value is at the top of the stack. */
struct reading {
    lua_State *L;
    const char *what; /* "reject" */
    const char *name; /* "text" */
    struct decision *d;
};

/* Reads it into `r->d`; raises an error that names it when it is wrong. */
void decision_read_option(const struct reading *r, const struct option *o);
