/* share.h -- where the files that ship with the program are. */
#pragma once

#include <limits.h>

struct share {
    char scripts[PATH_MAX]; /* policies by name */
    char library[PATH_MAX]; /* holds moongate/, for require "moongate.x" */
};

/* Beside the running binary: PREFIX/bin beside PREFIX/share/moongate, or a
 * build folder inside the source tree; else where the build said that it
 * would be installed. */
void share_find(struct share *s);
