#include "lua/crypt_job.h"

#include <stdlib.h>
#include <string.h>

struct crypt_job {
    struct job job;
    bool make;
    char *password;
    size_t password_len;
    char *hash;
    size_t hash_len;
    struct crypt_cost cost;
    enum crypt_result result;
    char made[CRYPT_HASH_MAX];
    crypt_done_fn done;
    void *arg;
};

static struct crypt_job *
crypt_of(struct job *job)
{
    return container_of(job, struct crypt_job, job);
}

static void
wipe_password(struct crypt_job *c)
{
    if (c->password == NULL)
        return;
    explicit_bzero(c->password, c->password_len);
    free(c->password);
    c->password = NULL;
}

static void
job_discard(struct job *job)
{
    struct crypt_job *c = crypt_of(job);

    wipe_password(c);
    if (c->hash != NULL) /* "{PLAIN}..." is a password, too */
        explicit_bzero(c->hash, c->hash_len);
    free(c->hash);
    explicit_bzero(c->made, sizeof(c->made));
    free(c);
}

static void
job_work(struct job *job)
{
    struct crypt_job *c = crypt_of(job);
    struct secret password = {{c->password, c->password_len}};

    if (c->make)
        c->result = crypt_hash_make(password, &c->cost, c->made);
    else
        c->result =
            crypt_hash_verify(password, (struct slice){c->hash, c->hash_len});
    wipe_password(c);
}

static void
job_done(struct job *job)
{
    struct crypt_job *c = crypt_of(job);

    c->done(c->arg, c->result, c->make ? c->made : NULL);
    job_discard(job);
}

static struct crypt_job *
submit(struct ev_loop *loop, struct crypt_job *c, struct secret password)
{
    c->job.work = job_work;
    c->job.done = job_done;
    c->job.discard = job_discard;
    c->password = xstrndup(password.bytes.ptr, password.bytes.len);
    c->password_len = password.bytes.len;
    if (threads_submit(loop, &c->job))
        return c;
    job_discard(&c->job);
    return NULL;
}

struct crypt_job *
crypt_job_verify(struct ev_loop *loop, struct secret password,
                 struct slice hash, crypt_done_fn done, void *arg)
{
    struct crypt_job *c = xcalloc(1, sizeof(*c));

    c->hash = xstrndup(hash.ptr, hash.len);
    c->hash_len = hash.len;
    c->done = done;
    c->arg = arg;
    return submit(loop, c, password);
}

struct crypt_job *
crypt_job_make(struct ev_loop *loop, struct secret password,
               const struct crypt_cost *cost, crypt_done_fn done, void *arg)
{
    struct crypt_job *c = xcalloc(1, sizeof(*c));

    c->make = true;
    c->cost = *cost;
    c->done = done;
    c->arg = arg;
    return submit(loop, c, password);
}

void
crypt_job_cancel(struct crypt_job *job)
{
    threads_drop(&job->job);
}
