/* stamp.h -- what tells one version of a file from the next. */
#pragma once

#include "base/types.h"

#include <sys/stat.h>

/* All zero: there is no such file. */
struct file_stamp {
    int64_t seconds, nanoseconds; /* when it was written */
    uint64_t size, inode;
};

struct file_stamp file_stamp_of(const struct stat *st);
struct file_stamp file_stamp_now(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
