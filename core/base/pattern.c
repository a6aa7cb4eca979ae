#include "base/pattern.h"

#include "base/slice.h"

#include <string.h>

#define DEPTH_MAX 200

static size_t match(struct pattern *m, size_t s, size_t p);

static size_t
fail(struct pattern *m, const char *error)
{
    if (m->error == NULL)
        m->error = error;
    return PATTERN_NO;
}

static bool
step(struct pattern *m, unsigned long steps)
{
    if (m->left > steps) {
        m->left -= steps;
        return true;
    }
    m->left = 0;
    (void)fail(m, "the pattern takes too long for this text");
    return false;
}

/* The byte of the pattern at `p`; NUL behind its end. */
static unsigned char
at(const struct pattern *m, size_t p)
{
    return p < m->text.len ? (unsigned char)m->text.ptr[p] : '\0';
}

static bool
ends(const struct pattern *m, size_t p)
{
    return p >= m->text.len;
}

/* --- one byte --- */

static bool
is_alpha(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_graph(unsigned char c)
{
    return c > ' ' && c < 127;
}

/* In class `letter`, a small one; `known` is false if there is no such. */
static bool
in_class(unsigned char c, unsigned char letter, bool *known)
{
    *known = true;
    switch (letter) {
    case 'a':
        return is_alpha(c);
    case 'c':
        return c < ' ' || c == 127;
    case 'd':
        return is_digit(c);
    case 'g':
        return is_graph(c);
    case 'l':
        return c >= 'a' && c <= 'z';
    case 'p':
        return is_graph(c) && !is_alpha(c) && !is_digit(c);
    case 's':
        return c == ' ' || (c >= '\t' && c <= '\r');
    case 'u':
        return c >= 'A' && c <= 'Z';
    case 'w':
        return is_alpha(c) || is_digit(c);
    case 'x':
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    case 'z':
        return c == '\0';
    default:
        *known = false;
        return false;
    }
}

static bool
match_class(unsigned char c, unsigned char class)
{
    bool large = class >= 'A' && class <= 'Z', known;
    bool in =
        in_class(c, large ? (unsigned char)(class + 'a' - 'A') : class, &known);

    return known ? in != large : class == c;
}

/* The set from the [ at `p` to the ] at `end`. */
static bool
match_set(const struct pattern *m, unsigned char c, size_t p, size_t end)
{
    bool wanted = true;

    if (at(m, p + 1) == '^') {
        wanted = false;
        p++;
    }
    while (++p < end) {
        if (at(m, p) == '%') {
            p++;
            if (match_class(c, at(m, p)))
                return wanted;
        } else if (at(m, p + 1) == '-' && p + 2 < end) {
            p += 2;
            if (at(m, p - 2) <= c && c <= at(m, p))
                return wanted;
        } else if (at(m, p) == c) {
            return wanted;
        }
    }
    return !wanted;
}

static size_t
set_end(struct pattern *m, size_t p)
{
    if (at(m, p) == '^')
        p++;
    do { /* a ] that comes first stands for itself */
        if (ends(m, p))
            return fail(m, "malformed pattern (missing ']')");
        p += at(m, p) == '%' && !ends(m, p + 1) ? 2 : 1;
    } while (ends(m, p) || at(m, p) != ']');
    return p + 1;
}

/* Behind the class that begins at `p`. */
static size_t
class_end(struct pattern *m, size_t p)
{
    unsigned char c = at(m, p++);

    if (c == '[')
        return set_end(m, p);
    if (c != '%')
        return p;
    return ends(m, p) ? fail(m, "malformed pattern (ends with '%')") : p + 1;
}

/* Whether the byte at `s` is in the class from `p` to `end`. */
static bool
match_one(struct pattern *m, size_t s, size_t p, size_t end)
{
    unsigned char c;

    if (s >= m->subject.len || !step(m, 1))
        return false;
    c = (unsigned char)m->subject.ptr[s];
    switch (at(m, p)) {
    case '.':
        return true;
    case '%':
        return match_class(c, at(m, p + 1));
    case '[':
        return match_set(m, c, p, end - 1);
    default:
        return at(m, p) == c;
    }
}

/* --- pieces --- */

static size_t
match_balance(struct pattern *m, size_t s, size_t p)
{
    unsigned char open = at(m, p), close = at(m, p + 1);
    size_t depth = 1;

    if (ends(m, p + 1))
        return fail(m, "unbalanced pattern");
    if (s >= m->subject.len || (unsigned char)m->subject.ptr[s] != open)
        return PATTERN_NO;
    while (++s < m->subject.len && step(m, 1)) {
        unsigned char c = (unsigned char)m->subject.ptr[s];
        if (c == close) {
            if (--depth == 0)
                return s + 1;
        } else if (c == open) {
            depth++;
        }
    }
    return PATTERN_NO;
}

/* As often as possible, then the rest of the pattern. */
static size_t
match_most(struct pattern *m, size_t s, size_t p, size_t end)
{
    size_t count = 0;

    while (match_one(m, s + count, p, end))
        count++;
    for (;;) {
        size_t found = match(m, s + count, end + 1);
        if (found != PATTERN_NO || m->error != NULL || count == 0)
            return found;
        count--;
    }
}

/* As seldom as possible. */
static size_t
match_least(struct pattern *m, size_t s, size_t p, size_t end)
{
    for (;;) {
        size_t found = match(m, s, end + 1);
        if (found != PATTERN_NO || m->error != NULL)
            return found;
        if (!match_one(m, s, p, end))
            return PATTERN_NO;
        s++;
    }
}

static size_t
open_capture(struct pattern *m, size_t s, size_t p, size_t len)
{
    if (m->count >= PATTERN_CAPTURES_MAX)
        return fail(m, "too many captures");
    m->captures[m->count++] = (struct pattern_capture){s, len};
    size_t found = match(m, s, p);
    if (found == PATTERN_NO)
        m->count--;
    return found;
}

static size_t
close_capture(struct pattern *m, size_t s, size_t p)
{
    size_t last = m->count;

    while (last > 0 && m->captures[last - 1].len != PATTERN_OPEN)
        last--;
    if (last == 0)
        return fail(m, "invalid pattern capture");
    struct pattern_capture *c = &m->captures[last - 1];
    c->len = s - c->at;
    size_t found = match(m, s, p);
    if (found == PATTERN_NO)
        c->len = PATTERN_OPEN;
    return found;
}

/* %1: the same bytes again. */
static size_t
match_again(struct pattern *m, size_t s, unsigned char digit)
{
    size_t index = (size_t)digit - '1';

    if (digit == '0' || index >= m->count ||
        m->captures[index].len == PATTERN_OPEN)
        return fail(m, "invalid capture index");
    struct pattern_capture c = m->captures[index];
    if (c.len > m->subject.len - s || !step(m, c.len / 16 + 1))
        return PATTERN_NO;
    if (memcmp(m->subject.ptr + c.at, m->subject.ptr + s, c.len) != 0)
        return PATTERN_NO;
    return s + c.len;
}

/* %f[set]: between a byte outside of the set and one inside.  Returns where
 * the pattern goes on. */
static size_t
match_frontier(struct pattern *m, size_t s, size_t p)
{
    const char *bytes = m->subject.ptr;
    unsigned char before = '\0', after = '\0';

    if (at(m, p) != '[')
        return fail(m, "missing '[' after '%f' in pattern");
    size_t end = class_end(m, p);
    if (end == PATTERN_NO || !step(m, 1))
        return PATTERN_NO;
    if (s > 0)
        before = (unsigned char)bytes[s - 1];
    if (s < m->subject.len)
        after = (unsigned char)bytes[s];
    if (match_set(m, before, p, end - 1) || !match_set(m, after, p, end - 1))
        return PATTERN_NO;
    return end;
}

/* --- the whole --- */

/* A class and what may follow it.  True if the pattern goes on at *s and *p,
 * else *s is the result. */
static bool
match_item(struct pattern *m, size_t *s, size_t *p)
{
    size_t end = class_end(m, *p), found;

    if (end == PATTERN_NO) {
        *s = PATTERN_NO;
        return false;
    }
    unsigned char suffix = at(m, end);
    if (suffix == '*' || suffix == '-') {
        *s = suffix == '*' ? match_most(m, *s, *p, end)
                           : match_least(m, *s, *p, end);
        return false;
    }
    bool one = match_one(m, *s, *p, end);
    if (suffix == '+') {
        *s = one ? match_most(m, *s + 1, *p, end) : PATTERN_NO;
        return false;
    }
    if (suffix == '?') {
        found = one ? match(m, *s + 1, end + 1) : PATTERN_NO;
        if (found != PATTERN_NO || m->error != NULL) {
            *s = found;
            return false;
        }
        *p = end + 1;
        return true;
    }
    *s = one ? *s + 1 : PATTERN_NO;
    *p = end;
    return one;
}

/* What begins with %.  As match_item. */
static bool
match_escape(struct pattern *m, size_t *s, size_t *p)
{
    unsigned char c = at(m, *p + 1);

    if (c == 'b') {
        *s = match_balance(m, *s, *p + 2);
        *p += 4;
        return *s != PATTERN_NO;
    }
    if (c == 'f') {
        *p = match_frontier(m, *s, *p + 2);
        if (*p == PATTERN_NO)
            *s = PATTERN_NO;
        return *s != PATTERN_NO;
    }
    if (is_digit(c)) {
        *s = match_again(m, *s, c);
        *p += 2;
        return *s != PATTERN_NO;
    }
    return match_item(m, s, p);
}

/* What the byte at *p begins.  As match_item. */
static bool
match_piece(struct pattern *m, size_t *s, size_t *p)
{
    unsigned char c = at(m, *p);

    if (c == '(' && at(m, *p + 1) == ')')
        *s = open_capture(m, *s, *p + 2, PATTERN_POSITION);
    else if (c == '(')
        *s = open_capture(m, *s, *p + 1, PATTERN_OPEN);
    else if (c == ')')
        *s = close_capture(m, *s, *p + 1);
    else if (c == '$' && ends(m, *p + 1))
        *s = *s == m->subject.len ? *s : PATTERN_NO;
    else
        return c == '%' ? match_escape(m, s, p) : match_item(m, s, p);
    return false;
}

static size_t
match(struct pattern *m, size_t s, size_t p)
{
    if (m->depth >= DEPTH_MAX)
        return fail(m, "pattern too complex");
    if (!step(m, 1))
        return PATTERN_NO;
    m->depth++;
    while (!ends(m, p) && match_piece(m, &s, &p))
        ;
    m->depth--;
    return s;
}

void
pattern_init(struct pattern *p, struct slice subject, struct slice text)
{
    *p = (struct pattern){
        .subject = subject, .text = text, .left = PATTERN_STEPS};
}

size_t
pattern_match(struct pattern *p, size_t from)
{
    p->count = 0;
    return p->error == NULL ? match(p, from, 0) : PATTERN_NO;
}

bool
pattern_is_special(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\0' && strchr("^$*+?.([%-", text.ptr[i]) != NULL)
            return true;
    }
    return false;
}
