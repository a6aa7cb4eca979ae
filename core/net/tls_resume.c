#include "net/tls_resume.h"

#include "base/check.h"

#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    unsigned char key[TLS_RESUME_KEY_SIZE];
    SSL_SESSION *session; /* NULL: free */
    uint64_t used;
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
        if (e->session != NULL && memcmp(e->key, key, sizeof e->key) == 0)
            return e;
    }
    return NULL;
}

/* A free entry has never been used, or long ago. */
static struct entry *
oldest(struct tls_resume *r)
{
    struct entry *found = &r->entries[0];

    for (size_t i = 1; i < r->max; i++) {
        if (r->entries[i].used < found->used)
            found = &r->entries[i];
    }
    return found;
}

void
tls_resume_put(struct tls_resume *r, const unsigned char *key,
               struct ssl_session_st *session)
{
    if (r->max == 0) {
        SSL_SESSION_free(session);
        return;
    }
    struct entry *e = find(r, key);
    if (e == NULL)
        e = oldest(r);
    SSL_SESSION_free(e->session);
    memcpy(e->key, key, sizeof e->key);
    e->session = session;
    e->used = ++r->clock;
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

    if (e == NULL)
        return;
    SSL_SESSION_free(e->session);
    *e = (struct entry){.session = NULL};
}
