/* fuzz_regex.c -- a pattern, a NUL, and the text that it is looked for in;
 * the first byte chooses options.  What is found lies within the text. */
#include "base/slice.h"
#include "lua/regex.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(struct regex *x, struct slice text)
{
    struct regex_span *spans =
        xcalloc(regex_groups(x) + 1, sizeof(struct regex_span));
    struct error err;
    size_t from = 0;

    while (from <= text.len &&
           regex_find(x, text, from, spans, &err) == REGEX_FOUND) {
        for (size_t i = 0; i <= regex_groups(x); i++)
            require(spans[i].from == SIZE_MAX ||
                    (spans[i].from <= text.len && spans[i].to <= text.len));
        from = text.len + 1;
    }
    free(spans);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"", "i", "mx", "su", "a", "uD"};
    const size_t count = sizeof options / sizeof options[0];
    struct regexes all;
    struct error err;

    if (size < 1)
        return 0;
    struct slice text = {(const char *)data + 1, size - 1};
    struct slice pattern = slice_cut(&text, '\0');
    regexes_init(&all);
    struct regex *x =
        regex_get(&all, pattern, slice_of(options[data[0] % count]), &err);
    if (x != NULL)
        look(x, text);
    else
        require(err.text[0] != '\0');
    regexes_deinit(&all);
    return 0;
}
