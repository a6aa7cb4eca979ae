/* policy.h -- who decides.  Implemented by core/lua; the session layer knows
 * only this table of functions, so a spec can put a three-line fake here. */
#pragma once

#include "proto/dialog.h"
#include "session/config.h"

struct session;

enum hook {
    HOOK_CERTIFICATE,
    HOOK_CONNECT,
    HOOK_SECURED,
    HOOK_HELO,
    HOOK_MAIL,
    HOOK_RCPT,
    HOOK_VERIFIER,
    HOOK_AUTH,
    HOOK_ROUTE,
    HOOK_CONNECT_FAILED,
    HOOK_UPSTREAM_AUTH,
    HOOK_UPSTREAM_REFUSED,
    HOOK_REFUSED,
    HOOK_SPLICED,
    HOOK_CLOSED,
    HOOK_COUNT,
};

/* "connect", "secured", "auth", ...: the names in a policy's table. */
const char *hook_name(enum hook h);

enum verdict_kind {
    VERDICT_PENDING, /* the hook still runs */
    VERDICT_NONE,    /* no policy had an opinion, or none has the hook */
    VERDICT_ACCEPT,
    VERDICT_REJECT,
    VERDICT_TEMPFAIL,
    VERDICT_WAIT,  /* sleep `delay`, then ask the same hook again */
    VERDICT_TO,    /* route: `target` is set */
    VERDICT_RETRY, /* connect_failed, upstream_refused: `target` may be set */
    VERDICT_LOGIN, /* upstream_auth: `login` is set */
    VERDICT_CERTIFICATE, /* certificate: `identity` is set */
    VERDICT_VERIFIER,    /* verifier: `verifier` is set */
    VERDICT_COUNT,
};

/* What the session acts on.  Slices are in the session's arena. */
struct verdict {
    enum verdict_kind kind;
    struct refusal refusal; /* REJECT, TEMPFAIL */
    double delay;           /* seconds: before the refusal, or of WAIT */
    bool close;             /* end the session after the refusal */
    bool bug;               /* the policy itself is broken */
    struct slice log;       /* for the log only */
    struct slice policy;    /* name of the policy that decided, or "" */
    struct slice user;      /* ACCEPT: new name, or ptr NULL */
    struct target target;   /* ACCEPT with upstream=, TO, RETRY */
    struct target fallback; /* TO: when `target` can't be reached */
    struct login login;     /* LOGIN, and ACCEPT with upstream_auth= when
                               has_login */
    bool has_login;
    struct tls_identity *identity;         /* CERTIFICATE: what to show; the
                                      configuration's */
    const struct scram_verifier *verifier; /* VERIFIER */
};

struct policy;

struct policy_ops {
    /* Whether any member of the listener's chain has the hook. */
    bool (*has)(struct policy *p, const struct listener_config *l,
                enum hook hook);

    /* Starts the chain for `hook`.  Sets s->verdict at once, or leaves it
     * VERDICT_PENDING, sets it later and calls session_run(s).  Never both.
     * At most one hook of a session runs at a time.  REFUSED, SPLICED and
     * CLOSED are notifications: they copy what they need and set no verdict. */
    void (*ask)(struct policy *p, struct session *s, enum hook hook);

    /* The client has gone or the budget is over: forget the running hook of
     * `s`.  No verdict will come. Harmless when none runs. */
    void (*cancel)(struct policy *p, struct session *s);

    /* Forgets everything kept for `s` (vars, session object): called once,
     * when the session is buried. */
    void (*forget)(struct policy *p, struct session *s);

    /* A login holds the policies that it began with until it is over, so that
     * one generation decides all of it. */
    void (*hold)(struct policy *p);
    void (*let_go)(struct policy *p);

    /* Which mechanisms the chain's `mechanisms` hooks offer, a set of
     * MECHANISM_BIT; `otherwise` if no policy has that hook.  Synchronous. */
    unsigned (*mechanisms)(struct policy *p, struct session *s,
                           unsigned otherwise);
};

struct policy {
    const struct policy_ops *ops;
};
