/* http_options.h -- the arguments of http.get and the others, as a query. */
#pragma once

#include "lua/http_client.h"

#include <lua.h>

/* Reads the URL at `index` and the options behind it.  Raises for a mistake;
 * `*query` is then freed with the userdata that it lives in. */
void http_options_read(lua_State *L, int index, struct http_query *query);

/* Percent-encodes all but RFC 3986's unreserved characters. */
bool http_escape(struct buf *out, struct slice bytes) MUST_USE;
