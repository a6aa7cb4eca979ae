#include "lua/stamp.h"

struct file_stamp
file_stamp_of(const struct stat *st)
{
    return (struct file_stamp){
        .seconds = st->st_mtim.tv_sec,
        .nanoseconds = st->st_mtim.tv_nsec,
        .size = (uint64_t)st->st_size,
        .inode = (uint64_t)st->st_ino,
    };
}

struct file_stamp
file_stamp_now(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return (struct file_stamp){0};
    return file_stamp_of(&st);
}

bool
file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->seconds == b->seconds && a->nanoseconds == b->nanoseconds &&
           a->size == b->size && a->inode == b->inode;
}
