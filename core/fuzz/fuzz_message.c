/* fuzz_message.c -- packets between the gateway's processes: the first byte
 * says whether the rest is a body behind a right header, or a whole packet. */
#include "base/check.h"
#include "base/slice.h"
#include "process/message.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fields of every kind, until nothing is left or one was not there. */
static void
read_fields(struct message *m)
{
    for (unsigned i = 0; !m->bad && m->at < m->len; i++) {
        if (i % 4 == 0)
            (void)message_get_u64(m);
        else if (i % 4 == 1)
            (void)message_get_double(m);
        else if (i % 4 == 2)
            (void)message_get_i64(m);
        struct slice text = message_get_text(m);
        require(text.len <= m->len);
        require(text.len == 0 ||
                memchr(text.ptr, -1, text.len) != text.ptr + text.len);
    }
    require(!message_is_whole(m) || m->at == m->len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message m;
    uint32_t header[2] = {MESSAGE_ERROR, (uint32_t)size - 1};
    struct msghdr packet = {0};
    struct iovec parts[2];
    int pair[2];

    if (size < 2 || size > MESSAGE_MAX)
        return 0;
    union {
        const void *in;
        void *out;
    } body = {.in = data + 1};
    parts[0] = (struct iovec){header, sizeof header};
    parts[1] = (struct iovec){body.out, size - 1};
    packet.msg_iov = (data[0] & 1) != 0 ? parts : parts + 1;
    packet.msg_iovlen = (data[0] & 1) != 0 ? 2 : 1;
    require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    require(sendmsg(pair[0], &packet, 0) >= 0);
    enum receive got = message_receive(pair[1], false, &m);
    require(got == RECEIVE_DONE || got == RECEIVE_BAD);
    if (got == RECEIVE_DONE) {
        read_fields(&m);
        message_deinit(&m);
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return 0;
}
