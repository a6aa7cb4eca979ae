/* ldap_connection.h -- one connection to an LDAP directory, by libldap's
 * asynchronous calls, and what is asked over it.
 *
 * libldap encodes and decodes; the bytes go through our own stream, which
 * net/dial.h connects, so that names, deadlines and TLS are those of
 * everything else (a layer of libldap's Sockbuf, see ber_sockbuf_add_io).  It
 * reads no configuration file and follows no referral.
 *
 * A connection that a user was bound on is bound to the service's own account
 * again before it searches. */
#pragma once

#include "lua/directory.h"

#include <ldap.h>

#define LDAP_ENTRIES_MAX    1000
#define LDAP_ATTRIBUTES_MAX 64

extern const struct directory_kind ldap_kind;

struct ldap_settings {
    char *dn, *password; /* owned; "": anonymous */
    bool starttls;
};

/* `texts` is one block that all texts of the question are in, wiped with it. */
struct ldap_question {
    struct directory_question base; /* first */
    bool binds;
    char *texts;
    size_t texts_size;
    const char *dn; /* to bind, or where to search */
    struct secret password;
    int scope;
    const char *filter;
    char *attributes[LDAP_ATTRIBUTES_MAX + 1];
    int limit;
    bool bound; /* the answer to a bind */
    LDAP *ld;   /* of the connection, while the answer is looked at */
    LDAPMessage *entries[LDAP_ENTRIES_MAX];
    size_t entry_count;
};

struct ldap_question *ldap_question_of(struct directory_question *q);

/* Once a process, before it opens no more files. */
void ldap_global_init(void);
