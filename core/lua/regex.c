#include "lua/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/slice.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_MAX    100
#define PATTERN_MAX 8192
#define MATCH_LIMIT 100000 /* steps from one start */
#define DEPTH_LIMIT 5000
#define HEAP_LIMIT  2048 /* KiB */
#define STARTS      64   /* that are tried between two looks at the clock */
#define SECONDS_MAX 0.05 /* of CPU time for one question */

struct regex {
    struct list link;
    pcre2_code *code;
    pcre2_match_context *bounds;
    bool utf, anchored;
    uint32_t groups, name_count, name_size;
    PCRE2_SPTR names;
    size_t pattern_len, letters_len;
    char key[]; /* pattern, letters */
};

void
regexes_init(struct regexes *r)
{
    list_init(&r->all);
    r->count = 0;
}

static void
regex_free(struct regexes *r, struct regex *x)
{
    list_remove(&x->link);
    r->count--;
    pcre2_match_context_free(x->bounds);
    pcre2_code_free(x->code);
    free(x);
}

void
regexes_deinit(struct regexes *r)
{
    for (struct list *l = r->all.next, *next; l != &r->all; l = next) {
        next = l->next;
        regex_free(r, container_of(l, struct regex, link));
    }
}

static bool
is_it(const struct regex *x, struct slice pattern, struct slice letters)
{
    struct slice mine = {x->key, x->pattern_len};
    struct slice its = {x->key + x->pattern_len, x->letters_len};

    return slice_equal(mine, pattern) && slice_equal(its, letters);
}

static struct regex *
find_kept(struct regexes *r, struct slice pattern, struct slice letters)
{
    for (struct list *l = r->all.next; l != &r->all; l = l->next) {
        struct regex *x = container_of(l, struct regex, link);
        if (!is_it(x, pattern, letters))
            continue;
        list_remove(&x->link);
        list_append(&r->all, &x->link);
        return x;
    }
    return NULL;
}

static bool
read_letters(struct slice letters, uint32_t *options, struct error *err)
{
    static const struct {
        char letter;
        uint32_t option;
    } known[] = {
        {'i', PCRE2_CASELESS}, {'m', PCRE2_MULTILINE},
        {'s', PCRE2_DOTALL},   {'x', PCRE2_EXTENDED},
        {'a', PCRE2_ANCHORED}, {'u', PCRE2_UTF | PCRE2_UCP},
        {'D', PCRE2_DUPNAMES},
    };

    *options = PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
    for (size_t i = 0; i < letters.len; i++) {
        size_t k = 0, count = sizeof known / sizeof known[0];
        while (k < count && known[k].letter != letters.ptr[i])
            k++;
        if (k == count)
            return error_set(err, "unknown option \"%c\" (there are imsxauD)",
                             letters.ptr[i]);
        *options |= known[k].option;
    }
    return true;
}

static pcre2_code *
compile(struct slice pattern, uint32_t options, struct error *err)
{
    PCRE2_UCHAR words[160];
    size_t at;
    int code;

    if (pattern.len > PATTERN_MAX) {
        error_set(err, "a pattern of more than %d bytes", PATTERN_MAX);
        return NULL;
    }
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                                         options, &code, &at, NULL);
    if (compiled != NULL)
        return compiled;
    if (pcre2_get_error_message(code, words, sizeof words) < 0)
        words[0] = '\0';
    error_set(err, "%s at byte %zu of the pattern", (const char *)words,
              at + 1);
    return NULL;
}

static pcre2_match_context *
make_bounds(void)
{
    pcre2_match_context *bounds = pcre2_match_context_create(NULL);

    require(bounds != NULL);
    (void)pcre2_set_match_limit(bounds, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(bounds, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(bounds, HEAP_LIMIT);
    return bounds;
}

static void
learn(struct regex *x)
{
    uint32_t options = 0;

    (void)pcre2_pattern_info(x->code, PCRE2_INFO_ALLOPTIONS, &options);
    (void)pcre2_pattern_info(x->code, PCRE2_INFO_CAPTURECOUNT, &x->groups);
    (void)pcre2_pattern_info(x->code, PCRE2_INFO_NAMECOUNT, &x->name_count);
    (void)pcre2_pattern_info(x->code, PCRE2_INFO_NAMEENTRYSIZE, &x->name_size);
    (void)pcre2_pattern_info(x->code, PCRE2_INFO_NAMETABLE, &x->names);
    x->utf = (options & PCRE2_UTF) != 0;
    x->anchored = (options & PCRE2_ANCHORED) != 0;
}

struct regex *
regex_get(struct regexes *r, struct slice pattern, struct slice letters,
          struct error *err)
{
    struct regex *x = find_kept(r, pattern, letters);
    uint32_t options;

    if (x != NULL)
        return x;
    if (!read_letters(letters, &options, err))
        return NULL;
    pcre2_code *code = compile(pattern, options, err);
    if (code == NULL)
        return NULL;
    x = xcalloc(1, sizeof *x + pattern.len + letters.len);
    memcpy(x->key, pattern.ptr, pattern.len);
    memcpy(x->key + pattern.len, letters.ptr, letters.len);
    x->pattern_len = pattern.len;
    x->letters_len = letters.len;
    x->code = code;
    x->bounds = make_bounds();
    learn(x);
    if (r->count == KEPT_MAX)
        regex_free(r, container_of(r->all.next, struct regex, link));
    list_append(&r->all, &x->link);
    r->count++;
    return x;
}

size_t
regex_groups(const struct regex *x)
{
    return x->groups;
}

bool
regex_name(const struct regex *x, size_t i, const char **name, size_t *group)
{
    if (i >= x->name_count)
        return false;
    PCRE2_SPTR entry = x->names + i * x->name_size;
    *group = (size_t)(entry[0] << 8 | entry[1]);
    *name = (const char *)entry + 2;
    return true;
}

static double
cpu_time(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The last start of a turn that begins at `from`: no character is cut. */
static size_t
turn_end(const struct regex *x, struct slice subject, size_t from)
{
    size_t to = from + STARTS;

    if (x->anchored || to >= subject.len)
        return PCRE2_UNSET;
    while (x->utf && to < subject.len &&
           ((unsigned char)subject.ptr[to] & 0xc0) == 0x80)
        to++;
    return to >= subject.len ? PCRE2_UNSET : to - 1;
}

static int
match(struct regex *x, struct slice subject, size_t from,
      pcre2_match_data *data)
{
    double began = cpu_time();
    uint32_t options = 0;

    for (;;) {
        size_t last = turn_end(x, subject, from);
        (void)pcre2_set_offset_limit(x->bounds, last);
        int code = pcre2_match(x->code, (PCRE2_SPTR)subject.ptr, subject.len,
                               from, options, data, x->bounds);
        if (code != PCRE2_ERROR_NOMATCH || last == PCRE2_UNSET)
            return code;
        if (cpu_time() - began > SECONDS_MAX)
            return PCRE2_ERROR_MATCHLIMIT;
        from = last + 1;
        options = PCRE2_NO_UTF_CHECK; /* done */
    }
}

static enum regex_outcome
failed(int code, struct error *err)
{
    PCRE2_UCHAR words[160] = "";

    (void)pcre2_get_error_message(code, words, sizeof words);
    error_set(err, "%s", (const char *)words);
    return REGEX_FAILED;
}

enum regex_outcome
regex_find(struct regex *x, struct slice subject, size_t from,
           struct regex_span *spans, struct error *err)
{
    if (subject.len > REGEX_SUBJECT_MAX) {
        error_set(err, "a text of more than %zu bytes", REGEX_SUBJECT_MAX);
        return REGEX_FAILED;
    }
    pcre2_match_data *data =
        pcre2_match_data_create_from_pattern(x->code, NULL);
    require(data != NULL);
    int code = match(x, subject, from, data);
    const size_t *found = pcre2_get_ovector_pointer(data);
    for (size_t i = 0; code > 0 && i <= x->groups; i++) {
        bool there = (int)i < code && found[2 * i] != PCRE2_UNSET;
        spans[i].from = there ? found[2 * i] : SIZE_MAX;
        spans[i].to = there ? found[2 * i + 1] : SIZE_MAX;
    }
    pcre2_match_data_free(data);
    if (code > 0)
        return REGEX_FOUND;
    return code == PCRE2_ERROR_NOMATCH ? REGEX_NONE : failed(code, err);
}
