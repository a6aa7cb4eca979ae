#include "lua/auth_reply.h"

#include "base/base64.h"
#include "base/slice.h"
#include "net/addr.h"
#include "proto/dialog.h"

#define WAIT_MAX 3600

static bool
all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return s.len > 0;
}

static void
invalid(struct auth_answer *a, const char *problem)
{
    a->verdict = AUTH_INVALID;
    a->problem = problem;
}

enum field {
    FIELD_STATUS,
    FIELD_SERVER,
    FIELD_PORT,
    FIELD_USER,
    FIELD_PASS,
    FIELD_WAIT,
    FIELD_ERROR_CODE,
    FIELD_ERROR_SASL,
    FIELD_COUNT,
};

/* The fields that mean something, with how often each is there. */
struct fields {
    struct slice value[FIELD_COUNT]; /* the last one's */
    unsigned count[FIELD_COUNT];
};

#define NAME(literal) \
    { \
        literal, sizeof(literal) - 1 \
    }

static void
find(const struct http_field *field, struct fields *all)
{
    static const struct slice names[FIELD_COUNT] = {
        [FIELD_STATUS] = NAME("Status"),
        [FIELD_SERVER] = NAME("Server"),
        [FIELD_PORT] = NAME("Port"),
        [FIELD_USER] = NAME("User"),
        [FIELD_PASS] = NAME("Pass"),
        [FIELD_WAIT] = NAME("Wait"),
        [FIELD_ERROR_CODE] = NAME("Error-Code"),
        [FIELD_ERROR_SASL] = NAME("Error-SASL"),
    };
    struct slice name = slice_drop(field->name, 5);

    if (!slice_has_prefix_nocase(field->name, S("Auth-")))
        return;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!slice_equal_nocase(name, names[i]))
            continue;
        all->value[i] = field->value;
        all->count[i]++;
        return;
    }
}

/* The one field of that name; false if it is there more than once. */
static bool
take(const struct fields *all, enum field field, struct slice *value,
     bool *there)
{
    *there = all->count[field] > 0;
    *value = *there ? all->value[field] : S("");
    return all->count[field] <= 1;
}

/* Bytes that are no text are dropped: the client's protocol is made of
 * lines. */
static void
copy_text(struct slice from, char out[AUTH_TEXT_MAX + 1])
{
    size_t len = 0;

    for (size_t i = 0; i < from.len && len < AUTH_TEXT_MAX; i++) {
        unsigned char c = (unsigned char)from.ptr[i];
        if (c >= 0x20 && c != 0x7f)
            out[len++] = (char)c;
    }
    out[len] = '\0';
}

static bool
is_host(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '-' || c == '_'))
            return false;
    }
    return s.len > 0 && s.len <= 253;
}

/* A name, an IPv4 or a bare IPv6 address, or one in brackets. */
static bool
read_server(struct slice value, struct slice *server)
{
    struct addr unused;

    *server = value;
    if (slice_has_prefix(value, S("[")) && slice_drop_suffix(server, S("]")))
        *server = slice_drop(*server, 1);
    if (slice_find(*server, ':') < server->len)
        return addr_parse_ip(*server, 0, &unused);
    return is_host(*server);
}

static bool
read_port(struct slice value, uint16_t *port)
{
    size_t number = slice_to_size(value);

    if (!all_digits(value) || number < 1 || number > UINT16_MAX)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* "535" or "535 5.7.8", of a refusal. */
static bool
is_error_code(struct slice code)
{
    struct slice basic = slice_cut(&code, ' ');

    if (basic.len != 3 || !all_digits(basic) ||
        (basic.ptr[0] != '4' && basic.ptr[0] != '5'))
        return false;
    if (code.len == 0)
        return true;
    struct slice class = slice_cut(&code, '.');
    struct slice subject = slice_cut(&code, '.');
    return slice_equal(class, slice_take(basic, 1)) && all_digits(subject) &&
           subject.len <= 3 && all_digits(code) && code.len <= 3;
}

static void
read_place(const struct fields *all, struct auth_answer *a)
{
    struct slice server, port;
    bool has_server, has_port;

    if (!take(all, FIELD_SERVER, &server, &has_server) ||
        !take(all, FIELD_PORT, &port, &has_port))
        invalid(a, "more than one Auth-Server or Auth-Port");
    else if (!has_server || !has_port)
        invalid(a, "no Auth-Server or no Auth-Port");
    else if (!read_server(server, &a->server))
        invalid(a, "Auth-Server is neither an address nor a name");
    else if (!read_port(port, &a->port))
        invalid(a, "Auth-Port is not from 1 to 65535");
}

static void
read_login(const struct fields *all, struct auth_answer *a)
{
    if (!take(all, FIELD_USER, &a->user, &a->has_user) ||
        !take(all, FIELD_PASS, &a->password.bytes, &a->has_password))
        invalid(a, "more than one Auth-User or Auth-Pass");
    else if (a->user.len > CREDENTIAL_MAX ||
             a->password.bytes.len > CREDENTIAL_MAX)
        invalid(a, "Auth-User or Auth-Pass is too long");
    else if (has_control(a->user) || has_control(a->password.bytes))
        invalid(a, "Auth-User or Auth-Pass holds a control byte");
    else if (a->has_user && a->user.len == 0)
        invalid(a, "Auth-User is empty");
}

/* JSON about a refused token, as it is or in base64, in which a client gets
 * it.  What is neither is left out: the mechanism has words of its own. */
static void
read_sasl(struct slice value, struct auth_answer *a)
{
    size_t len = value.len;

    if (slice_has_prefix(value, S("{")) && len <= sizeof a->sasl)
        memcpy(a->sasl, value.ptr, len);
    else if (len / 4 * 3 > sizeof a->sasl ||
             !base64_decode(value, a->sasl, &len))
        return;
    struct slice json = {a->sasl, len};
    if (slice_has_prefix(json, S("{")) && !has_control(json))
        a->sasl_len = len;
}

/* The fields that go with a refusal; false if one is doubled. */
static bool
read_refusal(const struct fields *all, struct auth_answer *a)
{
    struct slice wait, code, sasl;
    bool has_wait, has_code, has_sasl;

    if (!take(all, FIELD_WAIT, &wait, &has_wait) ||
        !take(all, FIELD_ERROR_CODE, &code, &has_code) ||
        !take(all, FIELD_ERROR_SASL, &sasl, &has_sasl))
        return false;
    read_sasl(sasl, a);
    if (all_digits(wait)) {
        size_t seconds = slice_to_size(wait);
        a->wait = seconds > WAIT_MAX ? WAIT_MAX : (double)seconds;
    }
    if (is_error_code(code))
        a->code = code;
    return true;
}

/* What the fields of an answer that counts mean. */
static void
read_fields(const struct fields *all, struct auth_answer *a)
{
    struct slice status;
    bool has_status;

    if (!take(all, FIELD_STATUS, &status, &has_status)) {
        invalid(a, "more than one Auth-Status");
    } else if (!has_status || status.len == 0) {
        invalid(a, "no Auth-Status");
    } else if (!read_refusal(all, a)) {
        invalid(a,
                "more than one Auth-Wait, Auth-Error-Code or Auth-Error-SASL");
    } else if (slice_equal(status, S("OK"))) {
        a->verdict = AUTH_OK;
        read_login(all, a);
        if (a->verdict == AUTH_OK)
            read_place(all, a);
    } else if (slice_equal(status, S("WAIT"))) {
        a->verdict = AUTH_WAIT;
    } else {
        a->verdict = AUTH_REFUSED;
        copy_text(status, a->text);
    }
}

void
auth_reply_read(const struct http_reply *reply, struct auth_answer *a)
{
    struct fields all = {.count = {0}};

    memset(a, 0, offsetof(struct auth_answer, text));
    a->text[0] = '\0';
    if (reply->status < 200 || reply->status > 299) {
        invalid(a, "the HTTP status is not 2xx");
        return;
    }
    for (size_t i = 0; i < reply->field_count; i++)
        find(&reply->fields[i], &all);
    read_fields(&all, a);
}
