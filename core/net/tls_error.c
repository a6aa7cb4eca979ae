#include "net/tls_error.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

const char *
tls_error_words(void)
{
    static char words[256];
    unsigned long code = ERR_peek_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    if (code == 0)
        (void)snprintf(words, sizeof words, "no reason given");
    else if (ERR_SYSTEM_ERROR(code))
        (void)snprintf(words, sizeof words, "%s",
                       strerror((int)ERR_GET_REASON(code)));
    else if (reason != NULL)
        (void)snprintf(words, sizeof words, "%s", reason);
    else
        ERR_error_string_n(code, words, sizeof words);
    ERR_clear_error();
    return words;
}

_Bool
tls_error_set(struct error *err, const char *what)
{
    return error_set(err, "%s: %s", what, tls_error_words());
}
