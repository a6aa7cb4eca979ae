/* http_post.h -- one POST that waits for its answer, for throw-away helpers. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/error.h"

/* Sends `body` of media type `type` to `url`, plain http and at once there: no
 * proxy, no redirection.  What comes with a status below 400 is appended to
 * `answer`, up to its cap.  20 seconds at most. */
bool http_post(const char *url, const char *type, struct slice body,
               struct buf *answer, struct error *err) MUST_USE;
