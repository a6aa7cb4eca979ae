/* control_api.h -- what can be asked at the control socket, and the answers.
 *
 *     GET  /v1/status     JSON: the gateway, its workers and listeners
 *     POST /v1/reload     JSON: how it went, once it has ended
 *     POST /v1/rollback   JSON: the same; generation=N, or the one before
 *     GET  /v1/diff       JSON: of two generations; from=N&to=N
 *     GET  /v1/sessions   JSON: the sessions of all workers; filters
 *     POST /v1/kick       JSON: how many sessions it ended; filters, reason
 *     GET  /v1/counters   JSON: what all workers counted
 *     GET  /v1/metrics    the same and more, as Prometheus reads it
 *     GET  /v1/trace      a line of JSON an event, until the client goes
 *     GET  /v1/record     the same, and what I/O has answered
 *
 * Filters are user, session, ip (an address or a network), protocol, listener
 * and phase, behind the path or, with POST, in a body of JSON.  An error is
 * {"error":"..."} with a status from 400 up.  Workers that did not answer are
 * in "missing". */
#pragma once

#include "process/control_http.h"
#include "process/control_links.h"

struct control_api;

struct control_api *control_api_new(struct ev_loop *loop, unsigned slot_count);
void control_api_free(struct control_api *a);

/* Where the questions go; before the first request. */
void control_api_use(struct control_api *a, struct control_links *links);

/* For control_http.h; `arg` is the API. */
void control_api_begin(void *arg, struct exchange *x);
void control_api_drained(void *arg, struct exchange *x);
void control_api_gone(void *arg, struct exchange *x);

/* For control_links.h; `arg` is the API. */
void control_api_reported(void *arg, const struct report *report);
bool control_api_answered(void *arg, unsigned slot, uint64_t id,
                          struct message *m);
void control_api_linked(void *arg, unsigned slot);
void control_api_lost(void *arg, unsigned slot);
