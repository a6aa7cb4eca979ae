/* tls_resume.h -- the latest session of each upstream, to be resumed.
 *
 * A small table of a worker: the one not used for longest makes room. */
#pragma once

#include <stddef.h>

#define TLS_RESUME_KEY_SIZE 32

struct tls_resume;
struct ssl_session_st; /* SSL_SESSION */

struct tls_resume *tls_resume_new(size_t max);
void tls_resume_free(struct tls_resume *r); /* NULL is fine */

/* Takes over `session`. */
void tls_resume_put(struct tls_resume *r, const unsigned char *key,
                    struct ssl_session_st *session);
/* Borrowed until the next put or forget; NULL when there is none. */
struct ssl_session_st *tls_resume_get(struct tls_resume *r,
                                      const unsigned char *key);
void tls_resume_forget(struct tls_resume *r, const unsigned char *key);
/* The upstream can't live with sessions that it has made itself: from now on
 * none of it is kept. */
void tls_resume_refuse(struct tls_resume *r, const unsigned char *key);
