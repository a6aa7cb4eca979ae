#include "lua/http_post.h"

#include <curl/curl.h>
#include <stdio.h>

#define CONNECT_MS 10000L
#define WHOLE_MS   20000L

static size_t
on_bytes(const char *bytes, size_t size, size_t count, void *arg)
{
    struct slice piece = {bytes, size * count};

    return buf_append(arg, piece) ? piece.len : 0;
}

#define SET(option, value) (void)curl_easy_setopt(easy, option, value)

static void
prepare(CURL *easy, const char *url, struct slice body)
{
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, WHOLE_MS);
    SET(CURLOPT_FAILONERROR, 1L);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, body.ptr);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    SET(CURLOPT_WRITEFUNCTION, on_bytes);
}

bool
http_post(const char *url, const char *type, struct slice body,
          struct buf *answer, struct error *err)
{
    char field[128], words[CURL_ERROR_SIZE] = "";

    if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
        return error_set(err, "libcurl can't be used");
    (void)snprintf(field, sizeof field, "Content-Type: %s", type);
    struct curl_slist *headers = curl_slist_append(NULL, field);
    CURL *easy = curl_easy_init();

    require(easy != NULL && headers != NULL);
    prepare(easy, url, body);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEDATA, answer);
    SET(CURLOPT_ERRORBUFFER, words);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    return code == CURLE_OK ||
           error_set(err, "%s",
                     *words != '\0' ? words : curl_easy_strerror(code));
}
