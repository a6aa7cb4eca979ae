#include "session/policy.h"

static const char *const names[HOOK_COUNT] = {
    [HOOK_CERTIFICATE] = "certificate",
    [HOOK_CONNECT] = "connect",
    [HOOK_SECURED] = "secured",
    [HOOK_HELO] = "helo",
    [HOOK_MAIL] = "mail",
    [HOOK_RCPT] = "rcpt",
    [HOOK_VERIFIER] = "verifier",
    [HOOK_AUTH] = "auth",
    [HOOK_ROUTE] = "route",
    [HOOK_CONNECT_FAILED] = "connect_failed",
    [HOOK_UPSTREAM_AUTH] = "upstream_auth",
    [HOOK_UPSTREAM_REFUSED] = "upstream_refused",
    [HOOK_REFUSED] = "refused",
    [HOOK_SPLICED] = "spliced",
    [HOOK_CLOSED] = "closed",
};

const char *
hook_name(enum hook h)
{
    return names[h];
}
