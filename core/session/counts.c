#include "session/counts.h"

#include "session/sessions.h"

void
sessions_count_begin(const struct session *s)
{
    struct counter **begun = &s->counts->begun;

    if (s->home->counters == NULL)
        return;
    if (*begun == NULL)
        *begun =
            counters_get(s->home->counters, "sessions_total{protocol=\"%s\"}",
                         s->listener->proto->name);
    (*begun)->value++;
}

void
sessions_count_end(const struct session *s)
{
    struct counter **ended = &s->home->ended[s->end];

    if (s->home->counters == NULL)
        return;
    if (*ended == NULL)
        *ended =
            counters_get(s->home->counters, "sessions_ended_total{end=\"%s\"}",
                         end_name(s->end));
    (*ended)->value++;
}

void
sessions_count_login(const struct session *s, enum login_outcome outcome)
{
    static const char *const names[LOGIN_OUTCOMES] = {
        [LOGIN_ACCEPTED] = "accepted",
        [LOGIN_REFUSED] = "refused",
        [LOGIN_FAILED] = "failed",
    };

    if (s->home->counters == NULL)
        return;
    struct counter **logins = &s->counts->logins[outcome];
    if (*logins == NULL)
        *logins = counters_get(s->home->counters,
                               "logins_total{outcome=\"%s\",protocol=\"%s\"}",
                               names[outcome], s->listener->proto->name);
    (*logins)->value++;
}

void
sessions_count_tls(const struct session *s, const char *peer,
                   const char *outcome)
{
    if (s->home->counters != NULL)
        counters_count(s->home->counters,
                       "tls_handshakes_total{outcome=\"%s\",peer=\"%s\"}",
                       outcome, peer);
}
