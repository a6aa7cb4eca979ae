/* mod_dns.c -- `moongate.dns`: resolve(name, type, opts), reverse_name(ip). */
#include "base/slice.h"
#include "lua/await.h"
#include "lua/failure.h"
#include "lua/module.h"
#include "lua/options.h"
#include "net/dns.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dns_op {
    struct ticket ticket;
    struct dns_query *query;
    char name[256];
};

static void
dns_op_cancel(void *op)
{
    struct dns_op *o = op;

    dns_cancel(o->query);
    free(o);
}

static void
push_records(lua_State *L, const struct slice *records, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, records[i].ptr, records[i].len);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static int
push_outcome(lua_State *L, const char *name, enum dns_status status)
{
    switch (status) {
    case DNS_OK:
        break;
    case DNS_NOT_FOUND: /* an answer: there are none */
        lua_newtable(L);
        return 1;
    case DNS_TIMEOUT:
        return failure_push(L, FAILURE_TIMEOUT, "dns %s: timed out", name);
    case DNS_FAILED:
        return failure_push(L, FAILURE_DNS, "dns %s: failed", name);
    }
    return 0;
}

static const char *const outcome_words[] = {
    [DNS_OK] = "found",
    [DNS_NOT_FOUND] = "none",
    [DNS_TIMEOUT] = "timed out",
    [DNS_FAILED] = "failed",
};

static void
on_records(void *arg, enum dns_status status, const struct slice *records,
           size_t count)
{
    struct dns_op *o = arg;
    struct ticket ticket = o->ticket;
    lua_State *L = await_done(&ticket);
    int results = 1;

    if (L != NULL && status == DNS_OK)
        push_records(L, records, count);
    else if (L != NULL)
        results = push_outcome(L, o->name, status);
    free(o);
    if (L == NULL)
        return;
    await_outcome(&ticket, "%s", outcome_words[status]);
    await_resume(&ticket, results);
}

static int
dns_resolve_name(lua_State *L)
{
    static const char *const names[] = {"timeout", NULL};
    static const char *const types[] = {"A",   "AAAA", "CNAME", "MX", "NS",
                                        "PTR", "SRV",  "TXT",   NULL};
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    const char *type = types[luaL_checkoption(L, 2, "A", types)];
    struct options opts = options_check(L, 3, "dns.resolve", names);
    double timeout =
        option_number(&opts, "timeout", (struct option_range){5, 0.001, 60});

    struct dns *dns = host_or_raise(L)->dns;
    if (len == 0 || len > 253 || memchr(name, '\0', len) != NULL)
        return failure_push(L, FAILURE_DNS, "dns: not a name");
    int known = await_known(L, "dns %s %s", type, name);
    if (known >= 0)
        return known;
    struct dns_op *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return luaL_error(L, "out of memory");
    (void)snprintf(o->name, sizeof(o->name), "%s", name);
    struct dns_question question = {
        .name = o->name, .type = type, .timeout = time_within(L, timeout)};
    o->query = dns_lookup(dns, &question, on_records, o);
    return await(L, dns_op_cancel, o, &o->ticket);
}

/* "192.0.2.1" gives "1.2.0.192": in the form that block lists are asked. */
static int
dns_reverse_name(lua_State *L)
{
    const char *ip = luaL_checkstring(L, 1);
    unsigned char bytes[16];
    char out[72], *at = out;

    if (inet_pton(AF_INET, ip, bytes) == 1) {
        (void)snprintf(out, sizeof(out), "%u.%u.%u.%u", bytes[3], bytes[2],
                       bytes[1], bytes[0]);
        lua_pushstring(L, out);
        return 1;
    }
    if (inet_pton(AF_INET6, ip, bytes) != 1)
        return luaL_argerror(L, 1, "an IP address is expected");
    for (int i = 15; i >= 0; i--)
        at += snprintf(at, sizeof("f.f."), "%x.%x.", bytes[i] & 15u,
                       bytes[i] >> 4u);
    lua_pushlstring(L, out, (size_t)(at - out) - 1);
    return 1;
}

int
mod_dns_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"resolve", dns_resolve_name},
                                         {"reverse_name", dns_reverse_name},
                                         {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
