/* auth_url.h -- where an auth server is: "http://host[:port][/uri]" or
 * "http://unix:/path[:/uri]", as in nginx's `auth_http`; or "https://...". */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct auth_url {
    char *text;   /* as configured, for the log */
    char *host;   /* for dial.h: a name, an IP literal, "unix:/path" */
    char *header; /* of the Host field: no port, "localhost" for unix */
    char *uri;
    uint16_t port;
    bool tls;
};

/* False and `err`, and nothing to free. */
bool auth_url_parse(struct slice text, struct auth_url *url, struct error *err);
void auth_url_deinit(struct auth_url *url);
