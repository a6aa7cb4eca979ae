/* random.h -- unpredictable bytes from the kernel, fetched in advance so that
 * a session costs no system call. */
#pragma once

#include <stddef.h>

void random_bytes(void *out, size_t len);
