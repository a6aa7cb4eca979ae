#include "lua/session_tls.h"

#include "net/addr.h"

/* Sets a field unless the text is empty. */
static void
set_text(lua_State *L, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    lua_pushlstring(L, text.ptr, text.len);
    lua_setfield(L, -2, name);
}

static void
push_certificate(lua_State *L, const struct tls_facts *tls)
{
    lua_createtable(L, 0, 6);
    set_text(L, "verify", tls->client_verify);
    set_text(L, "subject", tls->subject);
    set_text(L, "issuer", tls->issuer);
    set_text(L, "serial", tls->serial);
    set_text(L, "fingerprint", tls->fingerprint);
    set_text(L, "fingerprint_sha256", tls->fingerprint_sha256);
}

int
session_tls_push(lua_State *L, const struct session *s)
{
    const struct login_state *login = s->login;

    /* While its certificate is chosen a client has a name, but no TLS yet. */
    if (login == NULL || !(login->dialog.secure || login->shaking)) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 7);
    set_text(L, "sni", login->tls.sni);
    if (!login->dialog.secure)
        return 1;
    set_text(L, "version", login->tls.version);
    set_text(L, "cipher", login->tls.cipher);
    set_text(L, "alpn", login->tls.alpn);
    lua_pushboolean(L, login->tls.resumed);
    lua_setfield(L, -2, "resumed");
    lua_pushboolean(L, login->tls.kernel);
    lua_setfield(L, -2, "kernel");
    if (login->tls.client_asked) {
        push_certificate(L, &login->tls);
        lua_setfield(L, -2, "client_cert");
    }
    return 1;
}

/* What a PROXY header of version 2 tells besides the addresses. */
static void
push_header(lua_State *L, const struct proxy_header *h)
{
    set_text(L, "alpn", h->alpn);
    set_text(L, "authority", h->authority);
    set_text(L, "unique_id", h->unique_id);
    if (!h->tls)
        return;
    lua_createtable(L, 0, 4);
    set_text(L, "version", h->tls_version);
    set_text(L, "cipher", h->tls_cipher);
    set_text(L, "common_name", h->common_name);
    lua_pushboolean(L, h->verified);
    lua_setfield(L, -2, "verified");
    lua_setfield(L, -2, "tls");
}

int
session_proxy_push(lua_State *L, const struct session *s)
{
    char text[ADDR_TEXT_MAX];

    if (s->login == NULL || s->login->proxy_addr.len == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, addr_format_ip(&s->login->proxy_addr, text));
    lua_setfield(L, -2, "ip");
    if (!addr_is_local(&s->login->proxy_addr)) {
        lua_pushinteger(L, addr_port(&s->login->proxy_addr));
        lua_setfield(L, -2, "port");
    }
    push_header(L, &s->login->proxy_header);
    return 1;
}
