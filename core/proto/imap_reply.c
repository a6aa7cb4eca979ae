#include "proto/imap_reply.h"

#include "base/slice.h"

/* Cuts "[CODE args]" off the front of `*rest`, with the space behind it. */
static struct slice
take_code(struct slice *rest)
{
    struct slice inside = slice_drop(*rest, 1);
    size_t end = slice_find(inside, ']');

    if (!slice_has_prefix(*rest, S("[")) || end == inside.len)
        return S("");
    *rest = slice_drop(inside, end + 1);
    if (slice_has_prefix(*rest, S(" ")))
        *rest = slice_drop(*rest, 1);
    return slice_take(inside, end);
}

static bool
is_condition(struct slice word)
{
    return slice_equal_nocase(word, S("OK")) ||
           slice_equal_nocase(word, S("NO")) ||
           slice_equal_nocase(word, S("BAD")) ||
           slice_equal_nocase(word, S("BYE")) ||
           slice_equal_nocase(word, S("PREAUTH"));
}

void
imap_reply_parse(struct slice line, struct imap_reply *reply)
{
    *reply = (struct imap_reply){.kind = IMAP_GARBAGE,
                                 .tag = S(""),
                                 .word = S(""),
                                 .code = S(""),
                                 .rest = line};
    if (slice_equal(line, S("+")) || slice_has_prefix(line, S("+ "))) {
        reply->kind = IMAP_CONTINUE;
        reply->rest = slice_drop(line, 2);
        return;
    }
    struct slice tag = slice_cut(&reply->rest, ' ');
    struct slice word = slice_cut(&reply->rest, ' ');
    if (tag.len == 0 || word.len == 0)
        return;
    bool condition = is_condition(word);
    if (slice_equal(tag, S("*")))
        reply->kind = IMAP_UNTAGGED;
    else if (condition)
        reply->kind = IMAP_TAGGED;
    else
        return;
    reply->tag = tag;
    reply->word = word;
    if (condition)
        reply->code = take_code(&reply->rest);
}
