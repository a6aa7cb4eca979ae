/* utf8.h -- characters of UTF-8. */
#pragma once

#include "base/types.h"

/* Length of the character that begins `s`, whose first byte is 0x80 or more;
 * 0 if it is no character: overlong, a surrogate, a C1 control, ... */
size_t utf8_wide(struct slice s);
