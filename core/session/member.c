#include "session/member.h"

#include "base/check.h"
#include "base/random.h"
#include "base/slice.h"

#define DOWN_MAX    300. /* seconds; a longer `retry` is its own limit */
#define DOUBLED_MAX 16U

void
member_facts(const struct member *m, double now, struct member_facts *facts)
{
    *facts = (struct member_facts){
        .pool = slice_of(m->pool),
        .address = m->address,
        .state = m->state,
        .sessions = m->sessions,
        .failures = m->failures,
        .retired = m->pool[0] != '\0' && !m->listed,
    };
    if (m->state == MEMBER_DOWN && m->down_until > now)
        facts->seconds = m->down_until - now;
}

bool
member_is_usable(const struct member *m, double now)
{
    return m->state == MEMBER_UP ||
           (m->state == MEMBER_DOWN && now >= m->down_until);
}

void
visit_begin(struct visit *v, struct member *m, double now)
{
    require(v->member == NULL);
    *v = (struct visit){.member = member_ref(m), .began = now};
    m->sessions++;
    if (m->state == MEMBER_DOWN && now >= m->down_until) {
        m->state = MEMBER_TRIED;
        v->trial = true;
    }
}

/* Between 80 and 120 percent: members that failed together are not all tried
 * at once, nor by all workers. */
static double
scatter(double seconds)
{
    uint32_t bits;

    random_bytes(&bits, sizeof bits);
    return seconds * (0.8 + 0.4 * (double)bits / (double)UINT32_MAX);
}

static void
go_down(struct member *m, double retry, double now)
{
    double bound = retry > DOWN_MAX ? retry : DOWN_MAX;
    double seconds = retry;

    for (unsigned i = 0; i < m->downs && seconds < bound; i++)
        seconds *= 2;
    if (m->downs < DOUBLED_MAX)
        m->downs++;
    m->state = MEMBER_DOWN;
    m->down_until = now + scatter(seconds < bound ? seconds : bound);
}

bool
visit_failed(struct visit *v, const struct member_limits *limits, double now)
{
    struct member *m = v->member;
    bool was_up = m->state == MEMBER_UP;

    if (v->began < m->last_success)
        return false;
    m->last_failure = now;
    m->failures++;
    if (v->trial || (was_up && m->failures >= limits->max_failures))
        go_down(m, limits->retry, now);
    v->trial = false;
    return was_up && m->state == MEMBER_DOWN;
}

bool
visit_succeeded(struct visit *v, double now)
{
    struct member *m = v->member;
    bool was_down = m->state != MEMBER_UP;

    m->state = MEMBER_UP;
    m->failures = m->downs = 0;
    m->last_success = now;
    v->trial = false;
    return was_down;
}

void
visit_end(struct visit *v)
{
    struct member *m = v->member;

    if (m == NULL)
        return;
    if (v->trial && m->state == MEMBER_TRIED)
        m->state = MEMBER_DOWN; /* its time has come already */
    m->sessions--;
    *v = (struct visit){0};
    member_unref(m);
}
