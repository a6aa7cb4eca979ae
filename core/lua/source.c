#include "lua/source.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/secret_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file that was read; freed with the source. */
struct disk_file {
    struct disk_file *next;
    enum bundle_kind kind;
    char *name, *path, *bytes;
    size_t len;
    struct file_stamp stamp;
};

/* The two implementations; which one it is tells `bundle`. */
struct any_source {
    struct source source;
    const struct bundle *bundle;
    struct bundle_writer *writer;
    char *config, *folder, *scripts, *library;
    char *environment;              /* or NULL */
    struct disk_file *files, **end; /* in the order they were read */
};

static struct any_source *
whole(struct source *s)
{
    return container_of(s, struct any_source, source);
}

static bool
find_in_bundle(struct source *s, enum bundle_kind kind, struct slice name,
               struct source_file *file, struct error *err)
{
    struct bundle_entry entry;

    bool there = bundle_find(whole(s)->bundle, kind, name, &entry);
    if (!there && kind == BUNDLE_SECRET)
        return error_set(err, "secrets are read with the configuration: a "
                              "policy must ask while it loads");
    if (!there)
        return error_set(err,
                         "\"%.*s\" is not in the bundle: what a policy needs "
                         "must be named while it loads",
                         (int)name.len, name.ptr);
    *file = (struct source_file){entry.path, entry.bytes};
    return true;
}

bool
source_read(const char *path, char **bytes, size_t *len,
            struct file_stamp *stamp)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        (size_t)st.st_size > SOURCE_FILE_MAX) {
        (void)close(fd);
        errno = S_ISREG(st.st_mode) ? EFBIG : EISDIR;
        return false;
    }

    size_t size = (size_t)st.st_size, used = 0;
    *stamp = file_stamp_of(&st);
    char *memory = xmalloc(size + 1);
    ssize_t n = 1;
    while (used < size && n > 0) {
        n = read(fd, memory + used, size - used);
        used += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    if (n < 0) {
        free(memory);
        return false;
    }
    memory[used] = '\0';
    *bytes = memory;
    *len = used;
    return true;
}

/* Module names become paths, so only plain words may pass. */
static bool
name_is_plain(struct slice name)
{
    if (name.len == 0 || name.len > 200)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '_' || c == '-';
        bool dot = c == '.' && i > 0 && name.ptr[i - 1] != '.';
        if (!word && !dot)
            return false;
    }
    return name.ptr[name.len - 1] != '.';
}

static bool
in_library(struct slice name)
{
    return slice_equal(name, S("moongate")) ||
           slice_has_prefix(name, S("moongate.")) ||
           slice_has_prefix(name, S("api."));
}

/* The places to look in, as formats for the file name; ends with NULL. */
static void
places(const struct any_source *s, enum bundle_kind kind, struct slice name,
       const char *folders[4])
{
    size_t n = 0;

    memset(folders, 0, 4 * sizeof *folders);
    if (kind == BUNDLE_MODULE && in_library(name)) {
        folders[n] = s->library;
        return;
    }
    if (kind == BUNDLE_CONFIG) {
        folders[n] = s->folder;
        return;
    }
    /* folder/scripts is made once, see source_of_disk. */
    if (s->folder != NULL) {
        folders[n++] = s->folder + strlen(s->folder) + 1;
        if (kind == BUNDLE_MODULE)
            folders[n++] = s->folder;
    }
    folders[n] = s->scripts;
}

static void
file_path(struct slice name, const char *folder, char path[PATH_MAX])
{
    char relative[256];
    size_t i;

    for (i = 0; i < name.len && i < sizeof relative - 1; i++)
        relative[i] = name.ptr[i];
    relative[i] = '\0';
    for (char *c = relative; *c != '\0'; c++)
        if (*c == '.')
            *c = '/';
    if (slice_equal(name, S("moongate")))
        (void)snprintf(path, PATH_MAX, "%s/moongate/init.lua", folder);
    else
        (void)snprintf(path, PATH_MAX, "%s/%s.lua", folder, relative);
}

static const struct disk_file *
keep(struct any_source *s, const char *path, struct disk_file *file)
{
    file->path = xstrndup(path, strlen(path));
    *s->end = file;
    s->end = &file->next;
    if (s->writer != NULL)
        bundle_add(s->writer, file->kind, slice_of(file->name),
                   slice_of(file->path),
                   (struct slice){file->bytes, file->len});
    return file;
}

/* A file by what it is called in the bundle, and where it may lie. */
struct wanted {
    enum bundle_kind kind;
    struct slice name;
    const char *path;
};

/* What was read already, or NULL. */
static const struct disk_file *
find_read(const struct any_source *s, enum bundle_kind kind, struct slice name)
{
    for (const struct disk_file *f = s->files; f != NULL; f = f->next) {
        if (f->kind == kind && slice_equal(slice_of(f->name), name))
            return f;
    }
    return NULL;
}

static struct disk_file *
new_file(enum bundle_kind kind, struct slice name)
{
    struct disk_file *f = xcalloc(1, sizeof *f);

    f->kind = kind;
    f->name = xstrndup(name.ptr, name.len);
    return f;
}

/* The file already read, or read now; NULL and errno. */
static const struct disk_file *
load(struct any_source *s, const struct wanted *w)
{
    const struct disk_file *read = find_read(s, w->kind, w->name);
    struct file_stamp stamp;
    char *bytes;
    size_t len;

    if (read != NULL)
        return read;
    bool done = w->kind == BUNDLE_TLS
                    ? source_read_pem(w->path, &bytes, &len, &stamp)
                    : source_read(w->path, &bytes, &len, &stamp);
    if (!done)
        return NULL;
    struct disk_file *f = new_file(w->kind, w->name);
    f->bytes = bytes;
    f->len = len;
    f->stamp = stamp;
    return keep(s, w->path, f);
}

static bool
found(const struct disk_file *f, struct source_file *file)
{
    *file = (struct source_file){slice_of(f->path), {f->bytes, f->len}};
    return true;
}

static bool
find_by_path(struct any_source *s, const struct wanted *w,
             struct source_file *file, struct error *err)
{
    const struct disk_file *f = load(s, w);

    if (f == NULL)
        return error_set(err, "%s: %s", w->path, strerror(errno));
    return found(f, file);
}

static bool
find_secret(struct any_source *s, struct slice name, struct source_file *file,
            struct error *err)
{
    const struct disk_file *read = find_read(s, BUNDLE_SECRET, name);
    char *bytes;
    size_t len;

    if (read == NULL) {
        if (!secret_fetch(name, &bytes, &len, err))
            return false;
        struct disk_file *f = new_file(BUNDLE_SECRET, name);
        f->bytes = bytes;
        f->len = len;
        read = keep(s, f->name, f);
    }
    return found(read, file);
}

static bool
find_overlay(struct any_source *s, struct source_file *file, struct error *err)
{
    char path[PATH_MAX];
    struct wanted w = {BUNDLE_OVERLAY, S(""), path};
    const char *environment = s->environment != NULL ? s->environment : "";

    if (!name_is_plain(slice_of(environment)))
        return error_set(err, "\"%.100s\" is not the name of an environment",
                         environment);
    if (s->folder == NULL)
        return error_set(err, "there is no configuration");
    (void)snprintf(path, sizeof path, "%s/env/%s.lua", s->folder, environment);
    return find_by_path(s, &w, file, err);
}

/* A file that is named by its path. */
static bool
find_data(struct any_source *s, enum bundle_kind kind, struct slice name,
          struct source_file *file, struct error *err)
{
    char path[PATH_MAX];
    struct wanted w = {kind, name, path};

    (void)snprintf(path, sizeof path, "%.*s", (int)name.len, name.ptr);
    return find_by_path(s, &w, file, err);
}

/* A Lua file, wherever it lies. */
static bool
find_module(struct any_source *s, enum bundle_kind kind, struct slice name,
            struct source_file *file, struct error *err)
{
    char path[PATH_MAX], tried[900] = "";
    const char *folders[4];
    struct wanted w = {kind, name, path};

    if (!name_is_plain(name))
        return error_set(err, "\"%.*s\" is not a module name",
                         name.len < 100 ? (int)name.len : 100, name.ptr);
    places(s, kind, name, folders);
    for (size_t i = 0; folders[i] != NULL; i++) {
        file_path(name, folders[i], path);
        const struct disk_file *f = load(s, &w);
        if (f != NULL)
            return found(f, file);
        if (errno != ENOENT && errno != ENOTDIR)
            return error_set(err, "%s: %s", path, strerror(errno));
        size_t used = strlen(tried);
        (void)snprintf(tried + used, sizeof tried - used, "%s%.400s",
                       i > 0 ? ", " : "", path);
    }
    return error_set(err, "\"%.*s\" not found (looked for %s)", (int)name.len,
                     name.ptr, tried);
}

static bool
find_on_disk(struct source *source, enum bundle_kind kind, struct slice name,
             struct source_file *file, struct error *err)
{
    struct any_source *s = whole(source);

    switch (kind) {
    case BUNDLE_DATA:
    case BUNDLE_TLS:
        return find_data(s, kind, name, file, err);
    case BUNDLE_SECRET:
        return find_secret(s, name, file, err);
    case BUNDLE_OVERLAY:
        return find_overlay(s, file, err);
    case BUNDLE_CONFIG:
        if (name.len == 0)
            return find_by_path(s, &(struct wanted){kind, name, s->config},
                                file, err);
        break;
    case BUNDLE_POLICY:
    case BUNDLE_MODULE:
    case BUNDLE_KINDS:
        break;
    }
    return find_module(s, kind, name, file, err);
}

bool
source_base(struct source *source, struct slice *folder)
{
    struct any_source *s = whole(source);
    struct bundle_entry entry;

    if (s->bundle == NULL) {
        if (s->folder != NULL)
            *folder = slice_of(s->folder);
        return s->folder != NULL;
    }
    if (!bundle_find(s->bundle, BUNDLE_CONFIG, S(""), &entry))
        return false;
    while (entry.path.len > 1 && entry.path.ptr[entry.path.len - 1] != '/')
        entry.path.len--;
    *folder = slice_take(entry.path, entry.path.len - 1);
    return true;
}

/* A file by its path, absolute or beside moongate.lua. */
static bool
find_file(struct source *s, const struct wanted *w, struct source_file *file,
          struct error *err)
{
    struct slice path = w->name;
    char whole_path[PATH_MAX];
    struct slice folder = S(".");
    bool absolute = path.len > 0 && path.ptr[0] == '/';

    if (path.len == 0 || memchr(path.ptr, '\0', path.len) != NULL)
        return error_set(err, "\"\" is not a file name");
    if (!absolute)
        (void)source_base(s, &folder);
    int len = snprintf(whole_path, sizeof whole_path, "%.*s%s%.*s",
                       absolute ? 0 : (int)folder.len, folder.ptr,
                       absolute ? "" : "/", (int)path.len, path.ptr);
    if (len < 0 || (size_t)len >= sizeof whole_path)
        return error_set(err, "the file name is too long");
    return s->find(s, w->kind, slice_of(whole_path), file, err);
}

bool
source_data(struct source *s, struct slice path, struct source_file *file,
            struct error *err)
{
    return find_file(s, &(struct wanted){BUNDLE_DATA, path, NULL}, file, err);
}

bool
source_tls(struct source *s, struct slice path, struct source_file *file,
           struct error *err)
{
    return find_file(s, &(struct wanted){BUNDLE_TLS, path, NULL}, file, err);
}

bool
source_secret(struct source *s, struct slice name, struct source_file *file,
              struct error *err)
{
    return s->find(s, BUNDLE_SECRET, name, file, err);
}

bool
source_has_overlay(struct source *source)
{
    const struct any_source *s = whole(source);
    struct bundle_entry entry;

    if (s->bundle == NULL)
        return s->environment != NULL;
    return bundle_find(s->bundle, BUNDLE_OVERLAY, S(""), &entry);
}

bool
source_is_library(const struct source_item *item)
{
    return item->kind == BUNDLE_MODULE && in_library(slice_of(item->name));
}

bool
source_is_shipped(struct source *s, const char *path)
{
    struct slice folder = slice_of(whole(s)->scripts);
    struct slice file = slice_of(path);

    return slice_has_prefix(file, folder) && file.ptr[folder.len] == '/';
}

void
source_each(struct source *s,
            void (*each)(void *arg, const struct source_item *item), void *arg)
{
    for (const struct disk_file *f = whole(s)->files; f != NULL; f = f->next)
        each(arg, &(struct source_item){
                      f->kind, f->name, f->path, {f->bytes, f->len}, f->stamp});
}

struct source *
source_of_bundle(const struct bundle *b)
{
    struct any_source *s = xcalloc(1, sizeof *s);

    s->source.find = find_in_bundle;
    s->bundle = b;
    return &s->source;
}

/* "folder\0folder/scripts": two strings in one allocation. */
static char *
folder_of(const char *config)
{
    const char *slash = strrchr(config, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - config);
    char *both = xcalloc(2, len + sizeof "/scripts");

    memcpy(both, config, len);
    memcpy(both + len + 1, config, len);
    memcpy(both + 2 * len + 1, "/scripts", sizeof "/scripts");
    return both;
}

struct source *
source_of_disk(const char *config, const char *environment,
               const struct share *share, struct bundle_writer *w)
{
    struct any_source *s = xcalloc(1, sizeof *s);
    char absolute[PATH_MAX];

    s->source.find = find_on_disk;
    s->end = &s->files;
    s->writer = w;
    if (config != NULL) {
        const char *path = realpath(config, absolute) ? absolute : config;
        s->config = xstrndup(path, strlen(path));
        s->folder = folder_of(s->config);
    }
    if (environment != NULL)
        s->environment = xstrndup(environment, strlen(environment));
    s->scripts = xstrndup(share->scripts, strlen(share->scripts));
    s->library = xstrndup(share->library, strlen(share->library));
    return &s->source;
}

void
source_give(struct source *source, enum bundle_kind kind, struct slice path,
            struct slice bytes)
{
    struct any_source *s = whole(source);
    struct disk_file *f = new_file(kind, kind == BUNDLE_CONFIG ? S("") : path);
    char *name = xstrndup(path.ptr, path.len);

    f->bytes = xcalloc(1, bytes.len + 1);
    memcpy(f->bytes, bytes.ptr, bytes.len);
    f->len = bytes.len;
    (void)keep(s, name, f);
    free(name);
}

void
source_free(struct source *source)
{
    if (source == NULL)
        return;
    struct any_source *s = whole(source);
    while (s->files != NULL) {
        struct disk_file *f = s->files;
        s->files = f->next;
        explicit_bzero(f->bytes, f->len);
        free(f->bytes);
        free(f->name);
        free(f->path);
        free(f);
    }
    free(s->config);
    free(s->environment);
    free(s->folder);
    free(s->scripts);
    free(s->library);
    free(s);
}
