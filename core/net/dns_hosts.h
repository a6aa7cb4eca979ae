/* dns_hosts.h -- the machine's hosts file, read once.
 *
 * c-ares would open the file again for each name; a worker opens nothing after
 * it is ready. */
#pragma once

#include "net/addr.h"

#define DNS_FOUND_MAX 32

/* Addresses of one name; what is past the room is not worth trying. */
struct dns_found {
    struct addr addresses[DNS_FOUND_MAX];
    size_t count;
};

struct dns_hosts;

/* A file that is missing or unreadable counts as empty. */
struct dns_hosts *dns_hosts_read(const char *path);
void dns_hosts_free(struct dns_hosts *h);

/* Sets `found` to the addresses of `name` in the file's order, of
 * `family` (AF_UNSPEC: both).  Returns whether the file has the name at all,
 * with whatever family. */
bool dns_hosts_find(const struct dns_hosts *h, struct slice name, int family,
                    struct dns_found *found);
