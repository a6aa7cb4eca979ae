/* nginx_import.h -- a configuration that is made of nginx.conf when it is
 * evaluated: what `moongate import` would write, without files.
 *
 * lua/moongate/nginx makes it, in a Lua state of its own with the whole
 * standard library; the configuration then runs as any other. */
#pragma once

#include "lua/evaluate.h"
#include "lua/policy_lua.h"
#include "lua/source.h"

struct nginx_import;

/* Reads the nginx.conf that `order` names; NULL and `*errors`, one
 * "file:line: message" a line, malloc'ed. */
struct nginx_import *nginx_import_read(const struct config_order *order,
                                       const struct host *host,
                                       const struct share *share,
                                       char **errors);

/* A source whose moongate.lua is what was made; as source_of_disk. */
struct source *nginx_import_source(const struct nginx_import *import,
                                   const char *environment,
                                   const struct share *share,
                                   struct bundle_writer *w);

/* Names the lines of nginx.conf in errors that name those of what was made. */
void nginx_import_place(struct nginx_import *import, char **errors);
void nginx_import_free(struct nginx_import *import);
