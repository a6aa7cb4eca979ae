/* error.h -- what went wrong, for the operator who must mend it.
 *
 * For mistakes in configuration, certificates and the machine, not for what a
 * peer does.  Context is added in front while the error goes up:
 * "listen \"imap\": bind 0.0.0.0:143: Permission denied". */
#pragma once

struct error {
    char text[1024];
};

/* Sets the text; always returns false, for `return error_set(...)`. */
_Bool error_set(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "<context>: " in front; always returns false. */
_Bool error_context(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
