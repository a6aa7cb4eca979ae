/* abuse.h -- clients that speak another protocol. */
#pragma once

#include "proto/dialog.h"

/* Whether a command begins as an HTTP request does.  A browser can be made to
 * send one to a mail port, with a valid login in its body (ALPACA): it gets no
 * answer at all. */
bool is_http(struct slice command);

/* How a command ends that was one. */
enum ask abuse_close(struct dialog *d);
