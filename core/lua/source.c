#include "lua/source.h"

#include "base/check.h"
#include "base/slice.h"

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

    if (!bundle_find(whole(s)->bundle, kind, name, &entry))
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

/* The file already read, or read now; NULL and errno. */
static const struct disk_file *
load(struct any_source *s, const struct wanted *w)
{
    for (const struct disk_file *f = s->files; f != NULL; f = f->next) {
        if (f->kind == w->kind && slice_equal(slice_of(f->name), w->name))
            return f;
    }
    struct file_stamp stamp;
    char *bytes;
    size_t len;
    if (!source_read(w->path, &bytes, &len, &stamp))
        return NULL;
    struct disk_file *f = xcalloc(1, sizeof *f);
    f->kind = w->kind;
    f->name = xstrndup(w->name.ptr, w->name.len);
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
find_on_disk(struct source *source, enum bundle_kind kind, struct slice name,
             struct source_file *file, struct error *err)
{
    struct any_source *s = whole(source);
    char path[PATH_MAX], tried[900] = "";
    const char *folders[4];
    struct wanted w = {kind, name, path};

    if (kind == BUNDLE_DATA || kind == BUNDLE_TLS) {
        (void)snprintf(path, sizeof path, "%.*s", (int)name.len, name.ptr);
        return find_by_path(s, &w, file, err);
    }
    if (kind == BUNDLE_CONFIG && name.len == 0) {
        w.path = s->config;
        return find_by_path(s, &w, file, err);
    }
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

void
source_each_file(struct source *s, bool tls,
                 void (*each)(void *arg, const char *path,
                              const struct file_stamp *stamp),
                 void *arg)
{
    for (const struct disk_file *f = whole(s)->files; f != NULL; f = f->next) {
        if ((f->kind == BUNDLE_TLS) == tls)
            each(arg, f->path, &f->stamp);
    }
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
source_of_disk(const char *config, const struct share *share,
               struct bundle_writer *w)
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
    s->scripts = xstrndup(share->scripts, strlen(share->scripts));
    s->library = xstrndup(share->library, strlen(share->library));
    return &s->source;
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
    free(s->folder);
    free(s->scripts);
    free(s->library);
    free(s);
}
