#include "lua/crypt_argon2.h"

#include "base/slice.h"

#include <argon2.h>
#include <openssl/crypto.h>

/* A hash that asks for more than this is a mistake, or an attack on us. */
#define MEMORY_KIB_MAX (1u << 20)
#define WORK_KIB_MAX   (1u << 22) /* memory times passes: a few seconds */
#define LANES_MAX      64u
#define FIELD_MAX      128

struct argon2_text {
    argon2_type type;
    uint32_t version, memory, passes, lanes;
    unsigned char salt[FIELD_MAX], tag[FIELD_MAX];
    uint32_t salt_len, tag_len;
};

/* "m=19456" gives 19456; false for another name or no number. */
static bool
parse_number(struct slice field, struct slice name, uint32_t *value)
{
    if (!slice_has_prefix(field, name))
        return false;
    struct slice digits = slice_drop(field, name.len);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
    }
    size_t number = slice_to_size(digits);
    if (digits.len == 0 || number > UINT32_MAX)
        return false;
    *value = (uint32_t)number;
    return true;
}

static int
base64_value(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                   "qrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);

    return at == NULL ? -1 : (int)(at - alphabet);
}

/* Base64 without padding, as argon2 writes it. */
static bool
decode(struct slice text, unsigned char out[FIELD_MAX], uint32_t *len)
{
    unsigned bits = 0, held = 0;

    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i]);
        if (value < 0)
            return false;
        held = (held << 6 | (unsigned)value) & 0xfff;
        bits += 6;
        if (bits < 8)
            continue;
        if (*len == FIELD_MAX)
            return false;
        bits -= 8;
        out[(*len)++] = (unsigned char)(held >> bits);
    }
    return *len >= 4;
}

static bool
parse_type(struct slice name, argon2_type *type)
{
    if (slice_equal(name, S("argon2id")))
        *type = Argon2_id;
    else if (slice_equal(name, S("argon2i")))
        *type = Argon2_i;
    else if (slice_equal(name, S("argon2d")))
        *type = Argon2_d;
    else
        return false;
    return true;
}

static bool
parse_text(struct slice hash, struct argon2_text *t)
{
    struct slice lead = slice_cut(&hash, '$');
    struct slice name = slice_cut(&hash, '$');

    if (lead.len != 0 || !parse_type(name, &t->type))
        return false;
    t->version = ARGON2_VERSION_10;
    if (slice_has_prefix(hash, S("v=")) &&
        !parse_number(slice_cut(&hash, '$'), S("v="), &t->version))
        return false;
    struct slice costs = slice_cut(&hash, '$');
    if (!parse_number(slice_cut(&costs, ','), S("m="), &t->memory) ||
        !parse_number(slice_cut(&costs, ','), S("t="), &t->passes) ||
        !parse_number(costs, S("p="), &t->lanes))
        return false;
    if (t->memory > MEMORY_KIB_MAX || t->lanes > LANES_MAX ||
        (uint64_t)t->memory * t->passes > WORK_KIB_MAX)
        return false;
    return decode(slice_cut(&hash, '$'), t->salt, &t->salt_len) &&
           decode(hash, t->tag, &t->tag_len);
}

enum crypt_result
crypt_argon2_verify(struct secret password, struct slice hash)
{
    struct argon2_text t;
    unsigned char tag[FIELD_MAX];

    if (!parse_text(hash, &t))
        return CRYPT_UNKNOWN;
    argon2_context context = {
        .out = tag,
        .outlen = t.tag_len,
        .pwd = (uint8_t *)(uintptr_t)password.bytes.ptr,
        .pwdlen = (uint32_t)password.bytes.len,
        .salt = t.salt,
        .saltlen = t.salt_len,
        .t_cost = t.passes,
        .m_cost = t.memory,
        .lanes = t.lanes,
        .threads = 1,
        .version = t.version,
        .flags = ARGON2_DEFAULT_FLAGS,
    };
    int error = argon2_ctx(&context, t.type);
    if (error == ARGON2_MEMORY_ALLOCATION_ERROR)
        return CRYPT_FAILED;
    if (error != ARGON2_OK)
        return CRYPT_UNKNOWN;
    bool same = CRYPTO_memcmp(tag, t.tag, t.tag_len) == 0;
    explicit_bzero(tag, sizeof(tag));
    return same ? CRYPT_MATCH : CRYPT_MISMATCH;
}
