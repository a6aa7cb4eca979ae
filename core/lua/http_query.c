#include "base/slice.h"
#include "lua/http_client.h"

#include <stdlib.h>

#define BODY_MAX ((size_t)8 << 20)
#define CA_MAX   ((size_t)1 << 20)

void
http_query_init(struct http_query *q)
{
    *q = (struct http_query){.verify = true};
    buf_init(&q->body, BODY_MAX);
    buf_init(&q->ca, CA_MAX);
}

void
http_query_deinit(struct http_query *q)
{
    for (struct curl_slist *h = q->headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(q->headers);
    curl_url_cleanup(q->url);
    buf_deinit(&q->body);
    buf_deinit(&q->ca);
    http_query_init(q);
}

bool
http_query_header(struct http_query *q, struct slice name, struct slice value)
{
    struct buf line;
    struct curl_slist *longer = NULL;

    /* libcurl takes "Name;" for a field without a value */
    buf_init(&line, name.len + value.len + 8);
    if (buf_append(&line, name) &&
        buf_append(&line, value.len > 0 ? S(": ") : S(";")) &&
        buf_append(&line, value) && buf_append(&line, (struct slice){"", 1}))
        longer = curl_slist_append(q->headers, buf_bytes(&line).ptr);
    buf_deinit(&line);
    if (longer == NULL)
        return false;
    q->headers = longer;
    return true;
}
