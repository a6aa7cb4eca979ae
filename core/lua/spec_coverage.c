#include "lua/spec_coverage.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAX 65536

struct covered {
    struct covered *next;
    char *path;
    unsigned *counts; /* by line */
    size_t lines;
};

static struct covered *files; /* the last one looked at is the first */
static bool counting;

void
spec_coverage_begin(void)
{
    counting = true;
}

bool
spec_coverage_counts(void)
{
    return counting;
}

static struct covered *
find(const char *path)
{
    struct covered **at = &files;

    while (*at != NULL && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    struct covered *file = *at;
    if (file == NULL) {
        file = xcalloc(1, sizeof(*file));
        file->path = xstrndup(path, strlen(path));
    } else {
        *at = file->next;
    }
    file->next = files;
    files = file;
    return file;
}

static void
make_room(struct covered *file, size_t line)
{
    size_t lines = 2 * (line + 1);
    unsigned *counts = xcalloc(lines, sizeof(*counts));

    if (file->lines > 0)
        memcpy(counts, file->counts, file->lines * sizeof(*counts));
    free(file->counts);
    file->counts = counts;
    file->lines = lines;
}

void
spec_coverage_line(lua_State *L, lua_Debug *activation)
{
    int line = activation->currentline;

    if (lua_getinfo(L, "S", activation) == 0 || activation->source[0] != '@' ||
        line <= 0 || line > LINES_MAX)
        return;
    struct covered *file = find(activation->source + 1);
    if ((size_t)line >= file->lines)
        make_room(file, (size_t)line);
    file->counts[line]++;
}

void
spec_coverage_push(lua_State *L)
{
    lua_newtable(L);
    for (const struct covered *f = files; f != NULL; f = f->next) {
        lua_newtable(L);
        for (size_t line = 1; line < f->lines; line++) {
            if (f->counts[line] == 0)
                continue;
            lua_pushnumber(L, f->counts[line]);
            lua_rawseti(L, -2, (int)line);
        }
        lua_setfield(L, -2, f->path);
    }
}
