#include "lua/dict_list.h"

#include "base/slice.h"

#define HEAD sizeof(uint32_t) /* how many */

/* Before and behind the bytes of each. */
struct mark {
    uint32_t len, type;
};

/* One of them, where it lies. */
struct element {
    struct mark mark;
    struct slice bytes;
};

static size_t
whole(struct mark m)
{
    return 2 * sizeof m + m.len;
}

uint32_t
dict_list_count(struct slice list)
{
    uint32_t count = 0;

    if (list.len >= HEAD)
        memcpy(&count, list.ptr, sizeof count);
    return count;
}

static void
set_count(char *list, uint32_t count)
{
    memcpy(list, &count, sizeof count);
}

static void
lay_out(char *at, struct mark mark, const void *bytes)
{
    memcpy(at, &mark, sizeof mark);
    if (mark.len > 0)
        memcpy(at + sizeof mark, bytes, mark.len);
    memcpy(at + sizeof mark + mark.len, &mark, sizeof mark);
}

size_t
dict_list_push(struct slice list, const struct dict_value *value,
               enum dict_end end, char *into, size_t size)
{
    bool text = value->type == DICT_STRING;
    struct mark mark = {text ? (uint32_t)value->text.len
                             : (uint32_t)sizeof value->number,
                        value->type};
    uint32_t count = dict_list_count(list);
    size_t old = count > 0 ? list.len : HEAD;
    size_t len = old + whole(mark), at = end == DICT_BACK ? old : HEAD;

    if (len > size)
        return 0;
    memcpy(into + HEAD + (end == DICT_FRONT ? whole(mark) : 0),
           list.ptr + (count > 0 ? HEAD : 0), old - HEAD);
    lay_out(into + at, mark,
            text ? (const void *)value->text.ptr : &value->number);
    set_count(into, count + 1);
    return len;
}

/* `elements` is a list without its head. */
static bool
find_end(struct slice elements, enum dict_end end, struct element *found)
{
    size_t at = end == DICT_FRONT ? 0 : elements.len - sizeof found->mark;

    if (elements.len < 2 * sizeof found->mark)
        return false;
    memcpy(&found->mark, elements.ptr + at, sizeof found->mark);
    if (whole(found->mark) > elements.len ||
        (found->mark.type != DICT_STRING &&
         (found->mark.type != DICT_NUMBER ||
          found->mark.len != sizeof(double))))
        return false;
    size_t begin = end == DICT_FRONT ? 0 : elements.len - whole(found->mark);
    found->bytes = (struct slice){elements.ptr + begin + sizeof found->mark,
                                  found->mark.len};
    return true;
}

bool
dict_list_pop(struct slice list, enum dict_end end, char *into, size_t *len,
              struct dict_value *value)
{
    struct element e;
    uint32_t count = dict_list_count(list);
    struct slice elements = slice_drop(list, HEAD);

    if (count == 0 || !find_end(elements, end, &e))
        return false;
    size_t rest = elements.len - whole(e.mark);
    *len = count > 1 ? HEAD + rest : 0;
    set_count(into, count - 1);
    memcpy(into + HEAD, elements.ptr + (end == DICT_FRONT ? whole(e.mark) : 0),
           rest);
    char *taken = into + HEAD + rest;
    memcpy(taken, e.bytes.ptr, e.bytes.len);
    *value = (struct dict_value){
        .type = (enum dict_type)e.mark.type,
        .text = {taken, e.bytes.len},
    };
    if (value->type == DICT_NUMBER)
        memcpy(&value->number, taken, sizeof value->number);
    return true;
}
