/* source_folder.c -- a folder of PEM files, read as if it were one of them. */
#include "base/buf.h"
#include "base/slice.h"
#include "lua/source.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
is_pem(const struct dirent *entry)
{
    struct slice name = slice_of(entry->d_name);

    return name.ptr[0] != '.' && (slice_drop_suffix(&name, S(".pem")) ||
                                  slice_drop_suffix(&name, S(".crt")) ||
                                  slice_drop_suffix(&name, S(".cer")));
}

static bool
append_file(struct buf *all, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct file_stamp stamp;
    char *bytes;
    size_t len;

    int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (size < 0 || (size_t)size >= sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (!source_read(path, &bytes, &len, &stamp))
        return false;
    bool fits =
        buf_append(all, (struct slice){bytes, len}) && buf_append(all, S("\n"));
    explicit_bzero(bytes, len);
    free(bytes);
    if (!fits)
        errno = EFBIG;
    return fits;
}

/* In the order of their names, so that the same folder is the same bytes. */
static bool
append_all(struct buf *all, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_pem, alphasort);
    bool done = count >= 0;

    for (int i = 0; i < count; i++) {
        done = done && append_file(all, folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return done;
}

bool
source_read_pem(const char *path, char **bytes, size_t *len,
                struct file_stamp *stamp)
{
    struct stat st;
    struct buf all;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return source_read(path, bytes, len, stamp);
    *stamp = file_stamp_of(&st);
    buf_init(&all, SOURCE_FILE_MAX);
    bool done = append_all(&all, path);
    if (done) {
        *len = buf_len(&all);
        *bytes = xstrndup(buf_bytes(&all).ptr, *len);
    }
    buf_deinit(&all);
    return done;
}
