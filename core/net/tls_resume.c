#include "net/tls_resume.h"

#include "base/check.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    unsigned char key[TLS_RESUME_KEY_SIZE];
    SSL_SESSION *session; /* NULL: free, or refused */
    uint64_t used;        /* 0: free */
    bool refused;
};

struct tls_resume {
    size_t max;
    uint64_t clock; /* counts uses */
    struct entry entries[];
};

struct tls_resume *
tls_resume_new(size_t max)
{
    struct tls_resume *r = xcalloc(1, sizeof *r + max * sizeof r->entries[0]);

    r->max = max;
    return r;
}

void
tls_resume_free(struct tls_resume *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->max; i++)
        SSL_SESSION_free(r->entries[i].session);
    free(r);
}

static struct entry *
find(struct tls_resume *r, const unsigned char *key)
{
    for (size_t i = 0; i < r->max; i++) {
        struct entry *e = &r->entries[i];
        if (e->used != 0 && memcmp(e->key, key, sizeof e->key) == 0)
            return e;
    }
    return NULL;
}

/* The entry of this key, which may take the place of the oldest. */
static struct entry *
claim(struct tls_resume *r, const unsigned char *key)
{
    struct entry *found = find(r, key);

    if (found == NULL) {
        found = &r->entries[0];
        for (size_t i = 1; i < r->max; i++) {
            if (r->entries[i].used < found->used)
                found = &r->entries[i];
        }
        SSL_SESSION_free(found->session);
        *found = (struct entry){.session = NULL};
        memcpy(found->key, key, sizeof found->key);
    }
    found->used = ++r->clock;
    return found;
}

void
tls_resume_put(struct tls_resume *r, const unsigned char *key,
               struct ssl_session_st *session)
{
    struct entry *e = r->max > 0 ? claim(r, key) : NULL;

    if (e == NULL || e->refused) {
        SSL_SESSION_free(session);
        return;
    }
    SSL_SESSION_free(e->session);
    e->session = session;
}

struct ssl_session_st *
tls_resume_get(struct tls_resume *r, const unsigned char *key)
{
    struct entry *e = find(r, key);

    if (e == NULL)
        return NULL;
    e->used = ++r->clock;
    return e->session;
}

void
tls_resume_forget(struct tls_resume *r, const unsigned char *key)
{
    struct entry *e = find(r, key);

    if (e == NULL || e->refused)
        return;
    SSL_SESSION_free(e->session);
    *e = (struct entry){.session = NULL};
}

void
tls_resume_refuse(struct tls_resume *r, const unsigned char *key)
{
    if (r->max == 0)
        return;
    struct entry *e = claim(r, key);
    SSL_SESSION_free(e->session);
    e->session = NULL;
    e->refused = true;
}
