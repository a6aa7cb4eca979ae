/* session.h -- one client connection from accept to log line.
 *
 * Events record facts; session_run() acts on them.  What is needed only until
 * the login is done hangs off `login_state`, is wiped and freed on entering
 * SPLICE, so an idle relayed session is this struct and nothing else. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "net/dial.h"
#include "net/proxy_header.h"
#include "net/splice.h"
#include "net/stream.h"
#include "net/stream_tls.h"
#include "proto/dialog.h"
#include "session/config.h"
#include "session/policy.h"
#include "session/pools.h"

#include <ev.h>

enum phase {
#define PHASE(id, name, next) PHASE_##id,
#include "session/phases.def"
#undef PHASE
    PHASE_COUNT
};

enum end {
#define END(id, clean, name, text) END_##id,
#include "session/ends.def"
#undef END
    END_COUNT
};

/* One of the two connections.  Both are this type; `client` and `upstream`. */
struct side {
    struct stream stream;
    ev_io watcher;
    bool readable; /* SPLICE: facts recorded by the io callback */
    bool writable;
    bool eof;        /* the peer will send no more */
    bool broken;     /* reading or writing failed: the connection is lost */
    bool untuned;    /* the upstream's: stream_tune() is still to come */
    bool unanswered; /* SPLICE, the upstream's: it was written to last */
};

/* What outlives the arena: for the log line, `spliced` and `closed`. */
struct record {
    char *user;            /* who logged in or last tried; "" */
    char *policy;          /* who decided; "" */
    char *upstream;        /* "10.0.0.5:143"; "" */
    char *pool;            /* of which that is a member; "" */
    const char *mechanism; /* constant text */
    char *tls;             /* "TLSv1.3 TLS_AES_128_GCM_SHA256 sni"; "" */
    char *log;             /* the policy's word for the log; "" */
    char *via;             /* who told that the client is another; "" */
    char *origin;          /* the id that it has for this session; "" */
    void *vars; /* session.vars, owned and encoded by the policy layer;
                        policy_ops.forget frees it */
};

/* What a login needs, and nothing after it. */
struct login_state {
    struct policy *policy; /* held: it decides all of this login; or NULL */
    struct arena arena;
    struct buf from_client, to_client;
    struct buf from_upstream, to_upstream;
    struct dialog dialog;
    struct capabilities *learnt;
    struct verdict verdict;
    enum hook hook;          /* what POLICY waits for */
    struct target target;    /* the upstream being tried */
    struct target fallback;  /* tried after it */
    struct pool_tries tries; /* of `target.pool` */
    struct dial *dial;
    enum dial_status dial_status; /* facts recorded by the dial callback */
    bool dial_done;
    bool reached_itself;   /* at the address that the client connected to */
    bool prepared;         /* the PROXY header for the upstream is written */
    bool upstream_greeted; /* the upstream's greeting was good */
    enum end failed;       /* why the last upstream failed */
    struct slice failure;  /* connect_failed: what happened, in words */
    struct dns_query *reverse;
    struct addr server_addr;   /* see session_server_addr */
    struct slice client_host;  /* verified reverse name, or nginx's
                                 "[UNAVAILABLE]", "[TEMPUNAVAIL]" */
    unsigned upstream_attempt; /* 1, 2, ... of this login */
    unsigned attempts_end;     /* the last that it may have; those of the
                                  fallback are counted anew */
    unsigned waits;            /* WAIT rounds of this login */
    bool delaying;             /* the deadline is the verdict's delay ... */
    bool delay_over;           /* ... and that has passed */
    bool refusal_told;         /* to the policies: HOOK_REFUSED */
    bool proxied;              /* the PROXY header is in, or not expected */
    bool starttls;             /* the client was told to go ahead with TLS */
    bool shaking;              /* the client's TLS handshake is under way */
    bool upstream_shaking;     /* and the upstream's */
    bool certificate_asked;    /* the `certificate` hook runs or has run */
    struct tls_facts tls;      /* of the client, once `dialog.secure` */
    struct addr proxy_addr;    /* who sent the PROXY header; len 0: nobody */
    struct addr proxy_source, proxy_destination; /* what it said */
    struct proxy_header proxy_header;            /* if it is believed */
    struct addr peer_addr;  /* who speaks; see dialog.peer_trusted */
    struct slice peer_host; /* and its client_host */
    unsigned ttl;           /* gateways that the login may still pass */
    bool introducing;       /* the peer has told who the client is */
    bool greeted;           /* the greeting is written */
    bool resolved;          /* the reverse name is known, or not wanted */
    struct slice nobody;    /* why the user has no verifier, or ptr NULL, */
    struct slice nobody_by; /* and which policy says so */
    char salt_text[304];    /* what dialog.salt points to */
    bool lingering;         /* CLOSE: waits for the client to close too */
    size_t shown_client, shown_upstream; /* of the output, see observer.h */
};

struct sessions;
struct protocol_counts;

struct session {
    struct list link; /* in sessions->live or the graveyard */
    struct list turn; /* in sessions->runnable, or in no list */
    struct sessions *home;
    struct protocol_counts *counts;         /* its protocol's, in `home` */
    struct config *config;                  /* a reference */
    const struct listener_config *listener; /* in `config` */
    struct login_state *login;              /* NULL from SPLICE on */
    struct record record;
    struct side client, upstream;
    struct channel up, down; /* client to upstream, and back */
    struct visit visit;      /* at the upstream, from its dial on */
    ev_timer deadline;
    ev_tstamp began;          /* accept, loop time */
    ev_tstamp login_by;       /* end of the whole budget before login */
    ev_tstamp last_byte;      /* SPLICE: for the idle timer */
    struct addr client_addr;  /* as it connected */
    char id[27];              /* ULID */
    float spent[PHASE_COUNT]; /* seconds in each phase so far */
    ev_tstamp entered;        /* the running phase */
    enum phase phase;
    enum end end;         /* why it is closing; first reason wins */
    enum phase end_phase; /* where that was */
    unsigned attempts;    /* login attempts that were asked about */
    unsigned generation;  /* that accepted it; then, of who decided last */
    void *call;           /* the policy layer's running hook, or NULL */
    void *leases;         /* the policy layer's; policy_ops.forget ends them */
    bool deadline_passed; /* fact recorded by the timer */
    bool rings_early;     /* it will ring once before that */
    bool stopped;         /* the worker ends now: close without waiting */
    bool kicked;          /* an operator wants it ended */
    bool dead;            /* freed when the loop has finished this round */
};

/* Acts on whatever has happened to `s`.  Events only record facts on the
 * session and then call this; it is the one place phases change. */
void session_run(struct session *s);

/* Starts closing for the first reason given.  Use as `return session_end()`. */
enum phase session_end(struct session *s, enum end why);

/* Ends it because an operator said so; `reason` is for the log.  Clients that
 * have not logged in are told. */
void session_kick(struct session *s, struct slice reason);

const char *phase_name(enum phase p);
const char *end_name(enum end e);

/* The address the client connected to; asks the kernel at most once.  Only
 * before SPLICE. */
const struct addr *session_server_addr(struct session *s);

/* --- for the phases --- */

/* Asks `hook` and returns PHASE_POLICY, where its verdict is waited for. */
enum phase session_ask(struct session *s, enum hook hook);

/* Goes over to the newest configuration, if that has the session's listener. */
void session_adopt(struct session *s);

/* No policy is held any more: the next login begins with the newest. */
void session_let_go(struct session *s);

/* (Re)arms the one deadline for the running phase, or sets it `seconds` from
 * now. */
void session_arm(struct session *s);
void session_arm_for(struct session *s, double seconds);

/* Writes what is pending for the client; true when nothing is left. */
bool session_flush_client(struct session *s);
bool session_flush_upstream(struct session *s); /* the same */

/* Tells the client goodbye for `reason` (no more than once) and ends. */
enum phase session_say_bye(struct session *s, enum reason reason, enum end why);

/* The client can't be served any more: it broke the connection, or half-closed
 * it with nothing left to ask. */
bool session_client_left(const struct session *s);

/* What the client is offered from now on, as policies and the listener say, and
 * the first challenge if that needs one. */
void session_offer(struct session *s);

/* Credentials are complete: who decides about them? */
enum phase session_try_login(struct session *s);

/* SCRAM: whose verifier it wants is known. */
enum phase session_ask_verifier(struct session *s);

/* SCRAM: the client has shown that it does not know the password. */
enum phase session_refuse_proof(struct session *s);

/* What the verdict of each hook leads to (answers.c). */
enum phase session_answer(struct session *s);

/* Tells the client that its login was refused, as login->verdict says. */
enum phase session_refuse(struct session *s, enum stage stage);

/* The client has heard why its token is refused: the refusal itself. */
enum phase session_end_refusal(struct session *s);

/* The upstream being tried is lost for `why`: the next one, or a refusal. */
enum phase session_upstream_failed(struct session *s, enum end why,
                                   struct slice text);

/* The upstream has answered the login, whatever it said. */
void session_upstream_answered(struct session *s);

/* The login would come back to where it has been: it is refused. */
enum phase session_end_loop(struct session *s, struct slice why);

/* Makes `given` the target `*to`.  One that is a mere address gets its TLS from
 * `like`: a password that was to go over TLS never goes in clear because an
 * upstream failed.  A pool has settings of its own.  All three may be the
 * same. */
void session_aim(const struct session *s, struct target *to,
                 const struct target *given, const struct target *like);

/* Closes the connection to the upstream being tried, if there is one. */
void session_close_upstream(struct session *s);

/* Tries login->target, of a pool its next member; the CONNECT phase. */
enum phase session_connect(struct session *s);

/* Whether its pool has a member that this login has not tried. */
bool session_has_other_member(const struct session *s);

/* Dials login->target, which may be the upstream that was being tried. */
enum phase session_dial(struct session *s);

/* Goes on with the client's TLS (secure.c).  HANDSHAKE to wait, COMMAND when
 * it is up; or where a failure or the `certificate` hook leads. */
enum phase session_secure_client(struct session *s);

/* The `certificate` hook has answered. */
enum phase session_show_certificate(struct session *s);

/* Begins TLS with the upstream, whose answers in clear are all handled. */
enum phase session_secure_upstream(struct session *s);

/* Goes on with it.  The running phase: wait, or, once `upstream_shaking` is
 * false, it is up; any other: it has failed. */
enum phase session_shake_upstream(struct session *s);

/* The phases, one file each: phase_<name>.c.  A step handles all it can and
 * returns the phase it leads to, or its own to wait.  `begin` runs once on
 * entering. */
#define PHASE(id, name, next) enum phase phase_##name(struct session *s);
#include "session/phases.def"
#undef PHASE
void phase_splice_begin(struct session *s);
void phase_login_begin(struct session *s);
void phase_close_begin(struct session *s);
