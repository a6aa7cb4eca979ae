/* protocols.h -- the tables that registry.c lists, one a protocol. */
#pragma once

#include "proto/proto.h"

extern const struct proto proto_imap;
extern const struct proto proto_pop3;
extern const struct proto proto_smtp;
