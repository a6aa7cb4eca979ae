#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Bool
error_set(struct error *err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    return 0;
}

_Bool
error_context(struct error *err, const char *format, ...)
{
    struct error inner = *err;
    char context[sizeof err->text / 2];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    (void)snprintf(err->text, sizeof err->text, "%.400s: %.600s", context,
                   inner.text);
    return 0;
}
