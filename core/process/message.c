#include "process/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In front of the fields; both ends are the same binary. */
struct header {
    uint32_t type;
    uint32_t len;
};

static const struct {
    const char *name;
    size_t fds;
} types[] = {
#define MESSAGE(name, fds) {#name, fds},
#include "process/messages.def"
#undef MESSAGE
};

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
};

const char *
message_name(enum message_type type)
{
    require(type < MESSAGE_COUNT);
    return types[type].name;
}

void
message_init(struct message *m, enum message_type type)
{
    require(type < MESSAGE_COUNT);
    m->type = type;
    m->len = m->at = 0;
    m->bad = false;
    for (size_t i = 0; i < MESSAGE_FDS_MAX; i++)
        m->fds[i] = -1;
}

static void
put(struct message *m, const void *bytes, size_t len)
{
    if (m->bad || len > MESSAGE_MAX - m->len) {
        m->bad = true;
        return;
    }
    if (len > 0)
        memcpy(m->body + m->len, bytes, len);
    m->len += len;
}

void
message_put_u64(struct message *m, uint64_t value)
{
    put(m, &value, sizeof value);
}

void
message_put_i64(struct message *m, int64_t value)
{
    put(m, &value, sizeof value);
}

void
message_put_double(struct message *m, double value)
{
    put(m, &value, sizeof value);
}

void
message_put_text(struct message *m, struct slice text)
{
    message_put_u64(m, text.len);
    put(m, text.ptr, text.len);
}

static void
attach_fds(struct msghdr *packet, union control *control, const int *fds,
           size_t count)
{
    struct cmsghdr *c;

    packet->msg_control = control->bytes;
    packet->msg_controllen = CMSG_SPACE(sizeof(int) * count);
    c = CMSG_FIRSTHDR(packet);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
}

/* sendmsg only reads, but its iovec is also recvmsg's. */
static void *
unconst(const void *bytes)
{
    union {
        const void *in;
        void *out;
    } pointer = {.in = bytes};

    return pointer.out;
}

/* The errno of it; 0: sent. */
static int
send_packet(int fd, const struct message *m, int flags)
{
    struct header header = {(uint32_t)m->type, (uint32_t)m->len};
    struct iovec parts[] = {
        {&header, sizeof header},
        {unconst(m->body), m->len},
    };
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};
    union control control = {0};
    size_t count = types[m->type].fds;
    ssize_t sent;

    if (m->bad)
        return EMSGSIZE;
    for (size_t i = 0; i < count; i++)
        require(m->fds[i] >= 0);
    if (count > 0)
        attach_fds(&packet, &control, m->fds, count);
    do {
        sent = sendmsg(fd, &packet, MSG_NOSIGNAL | flags);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

static bool
is_sent(const struct message *m, int failure, struct error *err)
{
    return failure == 0 || error_set(err, "message %s: %s",
                                     message_name(m->type), strerror(failure));
}

bool
message_send(int fd, const struct message *m, struct error *err)
{
    return is_sent(m, send_packet(fd, m, MSG_DONTWAIT), err);
}

enum send
message_try(int fd, const struct message *m)
{
    int failure = send_packet(fd, m, MSG_DONTWAIT);

    if (failure == 0)
        return SEND_DONE;
    return failure == EAGAIN ? SEND_FULL : SEND_FAILED;
}

bool
message_send_wait(int fd, const struct message *m, struct error *err)
{
    return is_sent(m, send_packet(fd, m, 0), err);
}

/* Takes over every descriptor that came, wanted or not.  There is no room for
 * more than fit: the kernel drops those and sets MSG_CTRUNC. */
static size_t
detach_fds(struct msghdr *packet, struct message *m)
{
    size_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c != NULL;
         c = CMSG_NXTHDR(packet, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        require(here + count <= MESSAGE_FDS_MAX);
        memcpy(m->fds + count, CMSG_DATA(c), here * sizeof(int));
        count += here;
    }
    return count;
}

static bool
is_one_of_ours(const struct header *header, size_t received, size_t fds)
{
    return received >= sizeof *header &&
           header->len == received - sizeof *header &&
           header->type < MESSAGE_COUNT && types[header->type].fds == fds;
}

enum receive
message_receive(int fd, bool wait, struct message *m)
{
    struct header header = {0};
    struct iovec parts[] = {
        {&header, sizeof header},
        {m->body, sizeof m->body},
    };
    union control control;
    struct msghdr packet = {.msg_iov = parts,
                            .msg_iovlen = 2,
                            .msg_control = control.bytes,
                            .msg_controllen =
                                CMSG_LEN(sizeof(int) * MESSAGE_FDS_MAX)};
    ssize_t received;
    size_t fds;

    message_init(m, MESSAGE_PING);
    do {
        received =
            recvmsg(fd, &packet, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    } while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno == EAGAIN ? RECEIVE_AGAIN : RECEIVE_EOF;
    if (received == 0)
        return RECEIVE_EOF;

    fds = detach_fds(&packet, m);
    if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        !is_one_of_ours(&header, (size_t)received, fds)) {
        message_deinit(m);
        return RECEIVE_BAD;
    }
    m->type = (enum message_type)header.type;
    m->len = header.len;
    return RECEIVE_DONE;
}

static bool
get(struct message *m, void *out, size_t len)
{
    if (m->bad || len > m->len - m->at) {
        m->bad = true;
        return false;
    }
    memcpy(out, m->body + m->at, len);
    m->at += len;
    return true;
}

uint64_t
message_get_u64(struct message *m)
{
    uint64_t value = 0;
    return get(m, &value, sizeof value) ? value : 0;
}

int64_t
message_get_i64(struct message *m)
{
    int64_t value = 0;
    return get(m, &value, sizeof value) ? value : 0;
}

double
message_get_double(struct message *m)
{
    double value = 0;
    return get(m, &value, sizeof value) ? value : 0;
}

struct slice
message_get_text(struct message *m)
{
    uint64_t len = message_get_u64(m);
    struct slice text = {m->body + m->at, 0};

    if (m->bad || len > m->len - m->at) {
        m->bad = true;
        return text;
    }
    text.len = (size_t)len;
    m->at += text.len;
    return text;
}

int
message_take_fd(struct message *m, size_t i)
{
    int fd;

    require(i < types[m->type].fds);
    fd = m->fds[i];
    m->fds[i] = -1;
    return fd;
}

bool
message_is_whole(const struct message *m)
{
    return !m->bad && m->at == m->len;
}

void
message_deinit(struct message *m)
{
    for (size_t i = 0; i < MESSAGE_FDS_MAX; i++) {
        if (m->fds[i] >= 0)
            (void)close(m->fds[i]);
        m->fds[i] = -1;
    }
}
