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

/* Calls `each` for every file that was read from disk: by source_tls, or in
 * any other way. */
void source_each_file(struct source *s, bool tls,
                      void (*each)(void *arg, const char *path,
                                   const struct file_stamp *stamp),
                      void *arg);

/* Reads a whole regular file; errno says why not.  `*bytes` is malloc'ed, with
 * a NUL behind it; `stamp` is from before it was read. */
bool source_read(const char *path, char **bytes, size_t *len,
                 struct file_stamp *stamp) MUST_USE;

/* Reads from `b`, which outlives the result. */
struct source *source_of_bundle(const struct bundle *b);

/* Reads from disk; `w` may be NULL.  `config` is moongate.lua (or NULL: then
 * only the library and shipped policies are found). */
struct source *source_of_disk(const char *config, const struct share *share,
                              struct bundle_writer *w);
void source_free(struct source *s);
