#include "lua/shadow_session.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/lease.h"
#include "lua/vars.h"
#include "session/record.h"

#define ARENA_MAX ((size_t)64 << 10)

static bool
keep(struct arena *a, struct slice *text)
{
    struct slice from = *text;

    *text = (struct slice){0};
    return from.ptr == NULL || arena_copy(a, from, text);
}

static bool
keep_all(struct arena *a, struct slice *const texts[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!keep(a, texts[i]))
            return false;
    }
    return true;
}

#define KEEP(a, ...) \
    keep_all(a, (struct slice *const[]){__VA_ARGS__}, \
             sizeof((struct slice *const[]){__VA_ARGS__}) / sizeof(void *))

static bool
copy_target(struct arena *a, struct target *t)
{
    return KEEP(a, &t->host, &t->source, &t->tls_profile, &t->server_name,
                &t->pool, &t->pool_key);
}

static bool
copy_tls(struct arena *a, struct tls_facts *t)
{
    return KEEP(a, &t->version, &t->cipher, &t->sni, &t->alpn,
                &t->client_verify, &t->subject, &t->issuer, &t->serial,
                &t->fingerprint, &t->fingerprint_sha256);
}

static bool
copy_proxy(struct arena *a, struct proxy_header *h)
{
    return KEEP(a, &h->alpn, &h->authority, &h->unique_id, &h->tls_version,
                &h->tls_cipher, &h->common_name);
}

/* What the hooks see of the dialog; the rest of it is of no use to them. */
static bool
copy_dialog(struct arena *a, struct dialog *to, const struct dialog *from)
{
    *to = (struct dialog){
        .proto = from->proto,
        .settings = from->settings,
        .arena = a,
        .mechanisms = from->mechanisms,
        .certified = from->certified,
        .secure = from->secure,
        .salt = from->salt,
        .credentials = from->credentials,
        .login = from->login,
    };
    struct credentials *c = &to->credentials;
    to->envelope.mail = from->envelope.mail;
    to->envelope.rcpt = from->envelope.rcpt;
    to->envelope.helo = from->envelope.helo;
    return KEEP(a, &to->salt, &c->user, &c->authzid, &c->password.bytes,
                &c->response, &to->envelope.mail, &to->envelope.rcpt,
                &to->envelope.helo, &to->login.user, &to->login.password.bytes,
                &to->login.authzid);
}

static bool
copy_login(struct login_state *to, const struct login_state *from)
{
    struct arena *a = &to->arena;

    to->hook = from->hook;
    to->target = from->target;
    to->fallback = from->fallback;
    to->server_addr = from->server_addr;
    to->proxy_addr = from->proxy_addr;
    to->proxy_header = from->proxy_header;
    to->client_host = from->client_host;
    to->tls = from->tls;
    to->shaking = from->shaking;
    to->upstream_attempt = from->upstream_attempt;
    return copy_dialog(a, &to->dialog, &from->dialog) &&
           copy_target(a, &to->target) && copy_target(a, &to->fallback) &&
           copy_proxy(a, &to->proxy_header) && keep(a, &to->client_host) &&
           copy_tls(a, &to->tls);
}

static void
copy_record(struct record *to, const struct record *from)
{
    record_init(to);
    record_set(&to->user, slice_of(from->user));
    record_set(&to->policy, slice_of(from->policy));
    record_set(&to->upstream, slice_of(from->upstream));
    record_set(&to->origin, slice_of(from->origin));
    to->mechanism = from->mechanism;
    to->vars = from->vars != NULL ? vars_copy(from->vars) : vars_new();
}

bool
shadow_session_init(struct shadow_session *copy, struct session *s)
{
    struct session *to = &copy->session;

    (void)session_server_addr(s); /* the copy can't ask the kernel */
    *copy = (struct shadow_session){
        .session = {.config = config_ref(s->config),
                    .listener = s->listener,
                    .login = &copy->login,
                    .began = s->began,
                    .login_by = s->login_by,
                    .client_addr = s->client_addr,
                    .phase = s->phase,
                    .attempts = s->attempts,
                    .generation = s->generation},
    };
    to->client.stream.fd = to->upstream.stream.fd = -1;
    memcpy(to->id, s->id, sizeof to->id);
    copy_record(&to->record, &s->record);
    arena_init(&copy->login.arena, ARENA_MAX);
    if (copy_login(&copy->login, s->login))
        return true;
    shadow_session_deinit(copy);
    return false;
}

void
shadow_session_deinit(struct shadow_session *copy)
{
    struct session *s = &copy->session;

    lease_end_all(s);
    vars_unref(s->record.vars);
    s->record.vars = NULL;
    record_deinit(&s->record);
    arena_wipe(&copy->login.arena);
    config_unref(s->config);
    explicit_bzero(copy, sizeof *copy);
}
