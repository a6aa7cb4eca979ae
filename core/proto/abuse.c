#include "proto/abuse.h"

#include "base/slice.h"

bool
is_http(struct slice command)
{
    static const char *const methods[] = {
        "GET",     "POST",  "PUT",   "HEAD", "CONNECT",
        "OPTIONS", "TRACE", "PATCH", "PRI",  "PROPFIND",
    };
    struct slice verb = slice_cut(&command, ' ');

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (slice_spells(verb, methods[i]))
            return true;
    }
    return false;
}

enum ask
abuse_close(struct dialog *d)
{
    d->fault = FAULT_ABUSE;
    return ASK_CLOSE;
}
