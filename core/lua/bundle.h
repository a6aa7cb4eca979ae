/* bundle.h -- configuration, policies and data files as one sealed memory
 * file, so that a worker opens no file once it is ready.
 *
 * Written once by a throw-away helper, sealed, read by everybody.  Entries
 * are found by the absolute path that they came from (also their Lua chunk
 * name) and listed in the order they were added. */
#pragma once

#include "base/error.h"
#include "base/types.h"

enum bundle_kind {
    BUNDLE_CONFIG,  /* moongate.lua, then files it requires */
    BUNDLE_POLICY,  /* scripts/<name>.lua */
    BUNDLE_MODULE,  /* Lua files that policies require, and lua/moongate */
    BUNDLE_DATA,    /* files declared by file.map, keys, secrets */
    BUNDLE_TLS,     /* files of `tls` sections: watched, see renewal.h */
    BUNDLE_OVERLAY, /* env/<name>.lua, at most one; its name is "" */
    BUNDLE_SECRET,  /* what secret_fetch gave for the name */
    BUNDLE_KINDS,
};

struct bundle_entry {
    enum bundle_kind kind;
    struct slice name; /* policy or module name ("auth_http"), or path */
    struct slice path; /* absolute */
    struct slice bytes;
};

/* --- writing --- */
struct bundle_writer;

struct bundle_writer *bundle_writer_new(void);
void bundle_add(struct bundle_writer *w, enum bundle_kind kind,
                struct slice name, struct slice path, struct slice bytes);
/* A sealed memfd (close-on-exec), or -1. The writer is freed either way. */
int bundle_writer_seal(struct bundle_writer *w, struct error *err);
void bundle_writer_free(struct bundle_writer *w);

/* --- reading --- */
struct bundle;

/* Maps a sealed descriptor read-only; does not keep `fd`.  Refuses one that
 * is not sealed or not well-formed. */
struct bundle *bundle_open(int fd, struct error *err);
void bundle_close(struct bundle *b);
/* What tells it from others: SHA-256 of all that is in it. */
void bundle_hash(const struct bundle *b, char hex[64]);
size_t bundle_count(const struct bundle *b);
struct bundle_entry bundle_at(const struct bundle *b, size_t i);
/* By kind and name; false if there is none. */
bool bundle_find(const struct bundle *b, enum bundle_kind kind,
                 struct slice name, struct bundle_entry *entry);
