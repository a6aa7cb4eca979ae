/* auth_field.h -- one field of a request to an auth server. */
#pragma once

#include "base/buf.h"

/* One field, `name: value`.  Escaped in nginx's way: 0x00 to 0x20 and '%' as
 * %XX, the rest as it is, so that no two values look the same. */
bool auth_field_put(struct buf *out, struct slice name,
                    struct slice value) MUST_USE;
bool auth_field_put_number(struct buf *out, struct slice name,
                           unsigned value) MUST_USE;
bool auth_field_put_escaped(struct buf *out, struct slice name,
                            struct slice value) MUST_USE;
