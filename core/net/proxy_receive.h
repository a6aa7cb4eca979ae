/* proxy_receive.h -- taking a PROXY header off a socket, and not a byte more:
 * what follows it may be TLS, which OpenSSL must read itself. */
#pragma once

#include "base/buf.h"
#include "net/proxy_header.h"
#include "net/stream.h"

/* Reads on into `seen`, which keeps what came so far.  IO_DONE: `*header` is
 * set, its slices point into `seen`.  IO_ERROR: lost, or no such header. */
enum io proxy_receive(int fd, struct buf *seen, struct proxy_header *header);
