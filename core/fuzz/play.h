/* play.h -- what every fuzz target of a protocol does.
 *
 * A dialog is played twice, with all bytes at once and one by one, as a
 * session would; everything it says, sends and asks must be the same, and
 * nothing may come out that a session must never see. */
#pragma once

#include "proto/dialog.h"

/* libFuzzer's entry, defined by each target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the settings; the rest is what a client says.
 * Logins are refused, so that it goes on. */
void play_client(const struct proto *proto, const uint8_t *data, size_t size);

/* The first byte chooses what is known; the rest is what an upstream says. */
void play_upstream(const struct proto *proto, const uint8_t *data, size_t size);

/* A login of any bytes, at an upstream that says anything.  Two bytes of
 * settings, then user, password and authorization identity, each behind a byte
 * with its length, then what the upstream says.  What goes to the upstream must
 * be clean lines, each of which `may_send` knows. */
void play_login(const struct proto *proto, bool (*may_send)(struct slice line),
                const uint8_t *data, size_t size);

/* Whether `line` is one response in base64. */
bool is_base64(struct slice line);

/* A dialog of `proto` to be used alone. */
struct stage_set {
    struct proto_settings settings;
    struct arena arena;
    struct buf to_client, to_upstream;
    struct capabilities learnt;
    struct dialog dialog;
};

void stage_set_init(struct stage_set *s, const struct proto *proto,
                    unsigned options);
void stage_set_deinit(struct stage_set *s);

/* A copy in memory of just its size, so that reading past it is seen. */
char *exact_copy(struct slice bytes);
