/* fuzz_envelope.c -- any bytes as a MAIL or RCPT command: all that is told lies
 * within them, and nothing is told twice. */
#include "base/check.h"
#include "base/slice.h"
#include "proto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_within(struct slice whole, struct slice part)
{
    require(part.len == 0 || (part.ptr >= whole.ptr &&
                              part.ptr + part.len <= whole.ptr + whole.len));
}

static void
check_address(struct slice command, const struct envelope_address *a)
{
    bool split = a->domain.ptr != NULL;

    check_within(command, a->address);
    check_within(command, a->params);
    check_within(a->address, a->local_part);
    check_within(a->address, a->domain);
    require(!split || slice_find(a->domain, '@') == a->domain.len);
    require(a->local_part.len + a->domain.len + split == a->address.len);
    require(a->address.len + a->params.len <= command.len);
    require(a->params.len == 0 || a->address.len == 0 ||
            a->address.ptr + a->address.len < a->params.ptr);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice command = {(const char *)data, size};
    struct envelope_address a = envelope_parse(command);
    struct slice rest = a.params, name, value;

    check_address(command, &a);
    while (envelope_next_param(&rest, &name, &value)) {
        check_within(a.params, name);
        check_within(a.params, value);
        require(name.len > 0 && slice_find(name, ' ') == name.len &&
                slice_find(name, '=') == name.len);
        require(slice_find(value, ' ') == value.len);
    }
    require(rest.len == 0);
    return 0;
}
