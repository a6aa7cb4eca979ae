#include "lua/core_module.h"

#include "base/counters.h"
#include "base/error.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/checks.h"
#include "lua/child.h"
#include "lua/client_certificate.h"
#include "lua/clock.h"
#include "lua/decision.h"
#include "lua/detach.h"
#include "lua/failure.h"
#include "lua/gate.h"
#include "lua/jwt.h"
#include "lua/log_lua.h"
#include "lua/memo_object.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/openresty.h"
#include "lua/openresty_dict.h"
#include "lua/patterns.h"
#include "lua/pool_object.h"
#include "lua/recall.h"
#include "lua/redis_leases_object.h"
#include "lua/regex_lua.h"
#include "lua/secret.h"
#include "lua/secret_read.h"
#include "lua/socket_object.h"
#include "lua/source.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define LABELS_MAX      8
#define METRIC_NAME_LEN 100
#define METRIC_TEXT_MAX 1000 /* with labels */
#define VALUE_MAX       9e15 /* whole numbers stay whole */

struct c_module {
    const char *name;
    lua_CFunction open;
};

static const struct c_module c_modules[] = {
#define MODULE(name, open) {name, open},
#include "lua/modules.def"
#undef MODULE
    {NULL, NULL},
};

/* (kind, name) -> the body of the module, or nil, message, whether the file is
 * not there. */
static int
load(lua_State *L)
{
    bool config = strcmp(luaL_checkstring(L, 1), "config") == 0;
    struct slice name;
    struct source_file file;
    struct error err;
    enum bundle_kind kind = config ? BUNDLE_CONFIG : BUNDLE_MODULE;
    struct source *source = vm_of(L)->source;

    name.ptr = luaL_checklstring(L, 2, &name.len);
    for (const struct c_module *m = c_modules; !config && m->name; m++) {
        if (slice_equal(name, slice_of(m->name))) {
            lua_pushcfunction(L, m->open);
            return 1;
        }
    }
    if (!source->find(source, kind, name, &file, &err)) {
        lua_pushnil(L);
        (void)lua_pushfstring(L, "module %s", err.text);
        lua_pushboolean(L, 1);
        return 3;
    }
    return vm_compile(L, kind, &file);
}

/* (body, name): its first result.  Behind this call nothing can wait. */
static int
run(lua_State *L)
{
    struct vm *vm = vm_of(L);

    vm->top_level++;
    int status = lua_pcall(L, 1, 1, 0);
    vm->top_level--;
    return status == 0 ? 1 : lua_error(L);
}

/* Text only: bytecode could do anything. */
static int
compile(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, "=load");

    if (luaL_loadbufferx(L, text, len, name, "t") != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    vm_core(L, "environment");
    (void)lua_setfenv(L, -2);
    return 1;
}

static int
is_token(lua_State *L)
{
    lua_pushboolean(L, call_is_token(L, 1));
    return 1;
}

static int
random_number(lua_State *L)
{
    unsigned value = 0;

    (void)!getrandom(&value, sizeof value, GRND_NONBLOCK);
    lua_pushnumber(L, (lua_Number)value);
    return 1;
}

static int
log_line_of(lua_State *L)
{
    log_from_lua(L, 1, "policy: ");
    return 0;
}

/* The value of a label as metrics have it. */
static int
label_value(lua_State *L)
{
    char out[COUNTER_LABEL_MAX];
    struct slice value;

    value.ptr = luaL_checklstring(L, 1, &value.len);
    lua_pushstring(L, counter_label(value, out));
    return 1;
}

static struct slice
check_metric_name(lua_State *L)
{
    struct slice name;

    name.ptr = luaL_checklstring(L, 1, &name.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        bool digit = c >= '0' && c <= '9';
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(digit && i > 0))
            (void)luaL_argerror(L, 1, "letters, digits and _ expected");
    }
    if (name.len == 0 || name.len > METRIC_NAME_LEN)
        (void)luaL_argerror(L, 1, "1 to 100 letters, digits and _ expected");
    return name;
}

/* Pushes the name, which is the first argument, with the labels that are at
 * `index`, the last. */
static struct slice
push_metric(lua_State *L, int index)
{
    struct slice text;

    (void)check_metric_name(L);
    lua_settop(L, index);
    if (!lua_isnil(L, index))
        luaL_checktype(L, index, LUA_TTABLE);
    vm_core(L, "label_text");
    lua_insert(L, index);
    lua_call(L, 1, 2); /* text, how many */
    if (lua_tonumber(L, -1) > LABELS_MAX)
        (void)luaL_error(L, "count: at most 8 labels");
    lua_pop(L, 1);
    lua_pushvalue(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    text.ptr = lua_tolstring(L, -1, &text.len);
    if (text.len > METRIC_TEXT_MAX)
        (void)luaL_error(L, "count: at most %d bytes of labels",
                         METRIC_TEXT_MAX);
    return text;
}

static struct counters *
counters_of(lua_State *L)
{
    return vm_counters(vm_of(L));
}

/* (name, labels): adds one to a counter. */
static int
count(lua_State *L)
{
    lua_pushboolean(L, counters_add(counters_of(L), push_metric(L, 2), 1));
    return 1;
}

static double
check_finite(lua_State *L, int index, double least)
{
    double value = luaL_checknumber(L, index);

    if (!(value >= least && value <= VALUE_MAX))
        (void)luaL_argerror(L, index, "the number is out of range");
    return value;
}

/* (name, amount, labels): adds to a counter. */
static int
metric_count(lua_State *L)
{
    double amount = lua_isnoneornil(L, 2) ? 1 : check_finite(L, 2, 0);

    lua_pushboolean(L, counters_add(counters_of(L), push_metric(L, 3), amount));
    return 1;
}

/* (name, value, labels): sets a gauge. */
static int
metric_gauge(lua_State *L)
{
    double value = check_finite(L, 2, -VALUE_MAX);
    struct slice name = check_metric_name(L);

    if (slice_drop_suffix(&name, S("_total")))
        return luaL_argerror(L, 1, "_total is for counters");
    lua_pushboolean(L, counters_set(counters_of(L), push_metric(L, 3), value));
    return 1;
}

static int
hostname(lua_State *L)
{
    char name[256] = "localhost";

    (void)gethostname(name, sizeof name - 1);
    lua_pushstring(L, name);
    return 1;
}

/* (level) -> file and line of a calling function; nil if it is in C. */
static int
caller(lua_State *L)
{
    lua_Debug d;

    if (!lua_getstack(L, (int)luaL_checkinteger(L, 1), &d) ||
        !lua_getinfo(L, "Sl", &d) || d.source[0] != '@')
        return 0;
    lua_pushstring(L, d.source + 1);
    lua_pushinteger(L, d.currentline);
    return 2;
}

static int
text(lua_State *L)
{
    vm_text(L, luaL_checkstring(L, 1));
    return 1;
}

static int
secret_of(lua_State *L)
{
    struct slice bytes;

    bytes.ptr = luaL_checklstring(L, 1, &bytes.len);
    secret_push(L, bytes);
    return 1;
}

static int
is_secret(lua_State *L)
{
    lua_pushboolean(L, object_test(L, 1, OBJECT_SECRET) != NULL);
    return 1;
}

/* (kind, text): what a module of ours gives beside nil. */
static int
failure_of(lua_State *L)
{
    static const char *const names[] = {"protocol", "overload", NULL};
    static const enum failure kinds[] = {FAILURE_PROTOCOL, FAILURE_OVERLOAD};

    failure_push_object(L, kinds[luaL_checkoption(L, 1, NULL, names)],
                        luaL_checkstring(L, 2));
    return 1;
}

static const luaL_Reg functions[] = {
    {"load", load},
    {"run", run},
    {"compile", compile},
    {"is_token", is_token},
    {"check_size", check_size},
    {"find", patterns_find},
    {"match", patterns_match},
    {"gmatch", patterns_gmatch},
    {"gsub", patterns_gsub},
    {"random", random_number},
    {"log", log_line_of},
    {"count", count},
    {"metric_count", metric_count},
    {"metric_gauge", metric_gauge},
    {"label_value", label_value},
    {"hostname", hostname},
    {"caller", caller},
    {"text", text},
    {"secret_file", secret_read_file},
    {"secret_env", secret_read_variable},
    {"secret_command", secret_read_command},
    {"secret", secret_of},
    {"is_secret", is_secret},
    {"secret_base64", secret_base64},
    {"nearest", check_nearest},
    {"target_error", check_target},
    {"address_error", check_address},
    {"ip_error", check_ip},
    {"pin_error", check_pin},
    {"resolver_error", check_resolver},
    {"network_error", check_network},
    {"redis_error", check_redis},
    {"failure", failure_of},
    {"redis_leases", redis_leases_object_new},
    {"now", clock_now},
    {"time", clock_time},
    {"sleep", clock_sleep},
    {"jwt_open", jwt_open},
    {"jwt_key", jwt_key},
    {"jwt_key_pem", jwt_key_pem},
    {"jwt_is_signed", jwt_is_signed},
    {"spawn", child_spawn},
    {"child_wait", child_wait},
    {"detach", detach},
    {"regex_find", regex_lua_find},
    {"md5", openresty_md5},
    {"sha1", openresty_sha1},
    {"hmac_sha1", openresty_hmac_sha1},
    {"crc32", openresty_crc32},
    {"encode_base64", openresty_encode_base64},
    {"decode_base64", openresty_decode_base64},
    {"worker", openresty_worker},
    {"prefix", openresty_prefix},
    {"client_certificate", client_certificate_parse},
    {"client_key", client_key_parse},
    {"client_certificate_kind", client_certificate_kind},
    {"set_certificate", socket_set_certificate},
    {"gate", gate_new},
    {"memo", memo_object_new},
    {"purge", memo_object_purge},
    {"note", recall_note},
    {"recall", recall},
    {"accept", decision_accept},
    {"reject", decision_reject},
    {"tempfail", decision_tempfail},
    {"wait", decision_wait},
    {"to", decision_to},
    {"retry", decision_retry},
    {"login", decision_login},
    {"certificate", decision_certificate},
    {"verifier", decision_verifier},
    {"upstream", upstream_object_of},
    {"pool", pool_object_of},
    {NULL, NULL},
};

void
core_module_push(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushboolean(L, vm_of(L)->open);
    lua_setfield(L, -2, "open");
    openresty_dict_push(L);
    lua_setfield(L, -2, "dict");
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "itself");
}
