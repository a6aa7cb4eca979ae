/* source.h -- where a Lua state gets files from: a sealed bundle, or the disk
 * while a bundle is being made (and then each file read is added to it). */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"
#include "lua/bundle.h"
#include "lua/share.h"
#include "lua/stamp.h"

#define SOURCE_FILE_MAX ((size_t)64 << 20)

struct source_file {
    struct slice path;  /* absolute */
    struct slice bytes; /* live as long as the source */
};

struct source {
    /* Finds a Lua file by its module or policy name, or a data file by its
     * absolute path.  False: none, `err` says where it was looked for. */
    bool (*find)(struct source *s, enum bundle_kind kind, struct slice name,
                 struct source_file *file, struct error *err);
};

/* The folder of moongate.lua: relative data paths start here. */
bool source_base(struct source *s, struct slice *folder);

/* A data file's bytes, `path` absolute or beside moongate.lua. */
bool source_data(struct source *s, struct slice path, struct source_file *file,
                 struct error *err);

/* The same for a file that a `tls` section names. */
bool source_tls(struct source *s, struct slice path, struct source_file *file,
                struct error *err) MUST_USE;

/* What secret_fetch knows by that name: fetched now, or by whoever made the
 * bundle. */
bool source_secret(struct source *s, struct slice name,
                   struct source_file *file, struct error *err) MUST_USE;

/* Whether a file of an environment is to be laid over moongate.lua; it is
 * found as BUNDLE_OVERLAY with the name "". */
bool source_has_overlay(struct source *s);

/* What was read from disk, in that order. */
struct source_item {
    enum bundle_kind kind;
    const char *name, *path;
    struct slice bytes;
    struct file_stamp stamp;
};
/* One of ours, lua/moongate or lua/api. */
bool source_is_library(const struct source_item *item);
/* One of the policies that come with the program. */
bool source_is_shipped(struct source *s, const char *path);
void source_each(struct source *s,
                 void (*each)(void *arg, const struct source_item *item),
                 void *arg);

/* Reads a whole regular file; errno says why not.  `*bytes` is malloc'ed, with
 * a NUL behind it; `stamp` is from before it was read. */
bool source_read(const char *path, char **bytes, size_t *len,
                 struct file_stamp *stamp) MUST_USE;

/* The same for what a `tls` section names: also a folder, whose PEM files are
 * then one behind the other.  Its stamp changes when one comes, goes or is
 * replaced. */
bool source_read_pem(const char *path, char **bytes, size_t *len,
                     struct file_stamp *stamp) MUST_USE;

/* Reads from `b`, which outlives the result. */
struct source *source_of_bundle(const struct bundle *b);

/* Reads from disk; `w` may be NULL.  `config` is moongate.lua (or NULL: then
 * only the library and shipped policies are found) and `environment` the one
 * whose file is laid over it, or NULL. */
struct source *source_of_disk(const char *config, const char *environment,
                              const struct share *share,
                              struct bundle_writer *w);
/* A file of a source of the disk that need not lie there; all is copied. */
void source_give(struct source *s, enum bundle_kind kind, struct slice path,
                 struct slice bytes);
void source_free(struct source *s);
