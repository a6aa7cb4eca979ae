/* fuzz_username.c -- any bytes as a user name. */
#include "base/check.h"
#include "base/slice.h"
#include "proto/username.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct username_settings *settings, struct slice user)
{
    require(user.len > 0 && user.len <= settings->max);
    for (size_t i = 0; i < user.len; i++) {
        unsigned char c = (unsigned char)user.ptr[i];
        require(c >= 0x20 && c != 0x7f);
        require(c < 0x80 || settings->utf8);
        require(settings->letter_case == USERNAME_KEEP || c < 'A' || c > 'Z');
    }
    require(settings->default_domain.len == 0 ||
            slice_find(user, '@') < user.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice user, again;

    if (size < 1)
        return 0;
    struct username_settings settings = {
        .letter_case = (data[0] & 1) != 0 ? USERNAME_LOWER : USERNAME_KEEP,
        .default_domain = (data[0] & 2) != 0 ? S("example.org") : S(""),
        .allowed = (data[0] & 4) != 0 ? S("abcABC.@exmplorg") : S(""),
        .utf8 = (data[0] & 8) != 0,
        .max = (data[0] & 16) != 0 ? 16 : 512,
    };
    arena_init(&arena, 4096);
    struct slice given = {(const char *)data + 1, size - 1};
    if (username_apply(&settings, &arena, given, &user)) {
        check(&settings, user);
        /* A name that was applied is its own. */
        require(username_apply(&settings, &arena, user, &again));
        require(slice_equal(user, again));
    }
    arena_wipe(&arena);
    return 0;
}
