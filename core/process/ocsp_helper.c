#include "process/ocsp_helper.h"

#include "base/buf.h"
#include "base/slice.h"
#include "net/tls_ocsp.h"
#include "process/spawn.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define REQUEST_MAX  4096
#define RESPONSE_MAX ((size_t)64 * 1024)
#define CONNECT_MS   10000L
#define WHOLE_MS     20000L

void
ocsp_helper_order(struct message *m, const struct plan_staple *staple,
                  const struct identity *identity)
{
    message_init(m, MESSAGE_FETCH);
    message_put_u64(m, identity->change);
    message_put_u64(m, identity->uid);
    message_put_u64(m, identity->gid);
    message_put_text(m, slice_of(staple->responder));
    message_put_text(m, slice_of(staple->chain));
}

struct order {
    struct identity identity;
    struct slice chain; /* of the message */
    char *url;
};

static bool
take_order(struct order *o, struct message *m)
{
    struct slice url;

    if (m->type != MESSAGE_FETCH)
        return false;
    o->identity.change = message_get_u64(m) != 0;
    o->identity.uid = (uid_t)message_get_u64(m);
    o->identity.gid = (gid_t)message_get_u64(m);
    url = message_get_text(m);
    o->chain = message_get_text(m);
    o->url = xstrndup(url.ptr, url.len);
    return message_is_whole(m);
}

static size_t
on_bytes(const char *bytes, size_t size, size_t count, void *arg)
{
    struct slice piece = {bytes, size * count};

    return buf_append(arg, piece) ? piece.len : 0;
}

#define SET(option, value) (void)curl_easy_setopt(easy, option, value)

static void
prepare(CURL *easy, const char *url, struct slice request)
{
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, WHOLE_MS);
    SET(CURLOPT_FAILONERROR, 1L);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, request.ptr);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request.len);
    SET(CURLOPT_WRITEFUNCTION, on_bytes);
}

static bool
ask(const char *url, struct slice request, struct buf *response,
    struct error *err)
{
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/ocsp-request");
    CURL *easy = curl_easy_init();
    char words[CURL_ERROR_SIZE] = "";

    require(easy != NULL && headers != NULL);
    prepare(easy, url, request);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_WRITEDATA, response);
    SET(CURLOPT_ERRORBUFFER, words);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    return code == CURLE_OK ||
           error_set(err, "%s",
                     *words != '\0' ? words : curl_easy_strerror(code));
}

static bool
answer(struct slice der, time_t until, struct error *err)
{
    struct message m;

    message_init(&m, MESSAGE_STATUS);
    message_put_i64(&m, (int64_t)until);
    message_put_text(&m, der);
    return message_send_wait(SPAWN_FD, &m, err);
}

static bool
fetch(const struct order *o, struct error *err)
{
    struct buf request, response;
    time_t until;

    buf_init(&request, REQUEST_MAX);
    buf_init(&response, RESPONSE_MAX);
    bool done = tls_ocsp_request(o->chain, &request, err) &&
                ask(o->url, buf_bytes(&request), &response, err) &&
                tls_ocsp_check(o->chain, buf_bytes(&response), time(NULL),
                               &until, err) &&
                answer(buf_bytes(&response), until, err);
    buf_deinit(&request);
    buf_deinit(&response);
    return done || error_context(err, "%s", o->url);
}

static bool
give_up_privileges(const struct identity *identity, struct error *err)
{
    /* Changing the user clears what was hardened before. */
    return privileges_drop(identity, err) && privileges_harden(err) &&
           prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

int
ocsp_helper_run(void)
{
    struct order order = {.url = NULL};
    struct message m;
    struct error err = {"the order makes no sense"};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!privileges_harden(&err) ||
        message_receive(SPAWN_FD, true, &m) != RECEIVE_DONE)
        return EXIT_FAILURE;
    bool done = take_order(&order, &m) &&
                give_up_privileges(&order.identity, &err) &&
                curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK &&
                fetch(&order, &err);
    free(order.url);
    message_deinit(&m);
    if (done)
        return EXIT_SUCCESS;
    message_init(&m, MESSAGE_ERROR);
    message_put_text(&m, slice_of(err.text));
    return message_send(SPAWN_FD, &m, &err) ? EXIT_SUCCESS : EXIT_FAILURE;
}
