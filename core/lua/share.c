#include "lua/share.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Whether `base` joined with `relative` holds both folders. */
static bool
try(struct share *s, const char *base, const char *relative)
{
    char root[PATH_MAX / 2];
    int len = snprintf(root, sizeof root, "%s%s", base, relative);

    if (len < 0 || (size_t)len >= sizeof root)
        return false;
    char whole[PATH_MAX];
    if (realpath(root, whole) == NULL || strlen(whole) > sizeof root)
        return false;
    (void)snprintf(s->scripts, sizeof s->scripts, "%.2048s/scripts", whole);
    (void)snprintf(s->library, sizeof s->library, "%.2048s/lua", whole);
    return is_folder(s->scripts) && is_folder(s->library);
}

void
share_find(struct share *s)
{
    char binary[PATH_MAX / 4];
    ssize_t len = readlink("/proc/self/exe", binary, sizeof binary - 1);
    char *slash;

    binary[len > 0 ? len : 0] = '\0';
    slash = strrchr(binary, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (try(s, binary, "/../share/moongate") || try(s, binary, "/../.."))
            return;
    }
    if (try(s, MOONGATE_SHARE, ""))
        return;
    /* Nowhere: what then can't be found is missed where it belongs. */
    (void)snprintf(s->scripts, sizeof s->scripts, MOONGATE_SHARE "/scripts");
    (void)snprintf(s->library, sizeof s->library, MOONGATE_SHARE "/lua");
}
