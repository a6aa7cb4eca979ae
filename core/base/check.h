/* check.h -- what must be true, and what must not be ignored. */
#pragma once

#include <stddef.h>

/* The result of a call that can fail may not be dropped. */
#define MUST_USE __attribute__((warn_unused_result))

/* Our own bug if `condition` is false: says where, and aborts.  Always
 * compiled in; the supervisor starts the worker again. */
#define require(condition) \
    ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* The end of a switch that covers every case of its enum. */
#define unreachable() check_failed("unreachable", __FILE__, __LINE__)

/* The object of which `member` is a part. */
#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

_Noreturn void check_failed(const char *condition, const char *file, int line);

/* malloc and friends for small fixed objects: never NULL, abort instead. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
char *xstrndup(const char *bytes, size_t len);
