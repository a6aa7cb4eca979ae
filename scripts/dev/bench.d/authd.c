/* authd - minimal auth_http responder (epoll, single thread).
 * usage: authd -p PORT [-I imap_port] [-P pop3_port] [-S smtp_port] [-H host]
 *              [-d delay_ms] [-t max_seconds]
 * HTTP/1.0 (close) and HTTP/1.1 or "Connection: keep-alive" (keep), pipelining ok.
 * Chooses Auth-Port by the Auth-Protocol request header (imap|pop3|smtp).
 * Also answers the same for a JSON-ish/other request: anything without the
 * header gets the imap port.  User names beginning "bad" are refused. */
#include "common.h"
#define RB 4096
struct conn {
    int fd, len, keep;
    char buf[RB];
};
struct delayed {
    uint64_t due;
    int fd;
    uint32_t gen;
    int keep, n;
    char out[320];
};
static struct conn **C;
static uint32_t *G;
static int ep, maxfd;
static int pi = 10143, pp = 10110, ps = 10587, delay;
static const char *host = "127.0.0.1";
static struct delayed *Q;
static int qh, qt, qcap = 65536;
static unsigned long nreq;
static void
drop(int fd)
{
    G[fd]++;
    free(C[fd]);
    C[fd] = 0;
    close(fd);
}
static int
hdr(const char *b, const char *e, const char *name, char *out, int cap)
{
    int nl = strlen(name);
    for (const char *p = b; p < e;) {
        const char *q = memchr(p, '\n', e - p);
        if (!q)
            break;
        if (q - p > nl && p[nl] == ':' && !strncasecmp(p, name, nl)) {
            const char *v = p + nl + 1;
            while (v < q && *v == ' ')
                v++;
            int l = q - v;
            if (l && v[l - 1] == '\r')
                l--;
            if (l >= cap)
                l = cap - 1;
            memcpy(out, v, l);
            out[l] = 0;
            return l;
        }
        p = q + 1;
    }
    out[0] = 0;
    return -1;
}
static void
reply(int fd, int keep, const char *out, int n)
{
    if (write(fd, out, n) != n || !keep)
        drop(fd);
}
static void
handle(int fd, struct conn *c)
{
    for (;;) {
        char *e = memmem(c->buf, c->len, "\r\n\r\n", 4);
        if (!e)
            return;
        e += 4;
        char v[64], out[320];
        int body = 0, keep;
        if (hdr(c->buf, e, "Content-Length", v, sizeof v) > 0)
            body = atoi(v);
        if (e - c->buf + body > c->len)
            return;
        keep = memmem(c->buf, e - c->buf, "HTTP/1.1\r\n", 10) != 0;
        hdr(c->buf, e, "Connection", v, sizeof v);
        if (!strcasecmp(v, "close"))
            keep = 0;
        else if (!strcasecmp(v, "keep-alive"))
            keep = 1;
        int port = pi;
        hdr(c->buf, e, "Auth-Protocol", v, sizeof v);
        if (!strcmp(v, "pop3"))
            port = pp;
        else if (!strcmp(v, "smtp"))
            port = ps;
        hdr(c->buf, e, "Auth-User", v, sizeof v);
        nreq++;
        int n =
            strncmp(v, "bad", 3)
                ? snprintf(out, sizeof out,
                           "HTTP/1.%d 200 OK\r\nAuth-Status: "
                           "OK\r\nAuth-Server: %s\r\nAuth-Port: "
                           "%d\r\nContent-Length: 0\r\nConnection: %s\r\n\r\n",
                           keep, host, port, keep ? "keep-alive" : "close")
                : snprintf(out, sizeof out,
                           "HTTP/1.%d 200 OK\r\nAuth-Status: Invalid login or "
                           "password\r\nAuth-Wait: 1\r\nContent-Length: "
                           "0\r\nConnection: %s\r\n\r\n",
                           keep, keep ? "keep-alive" : "close");
        int used = e - c->buf + body;
        memmove(c->buf, c->buf + used, c->len - used);
        c->len -= used;
        if (delay) {
            struct delayed *d = &Q[qt++ % qcap];
            d->due = now_ns() + delay * 1000000ull;
            d->fd = fd;
            d->gen = G[fd];
            d->keep = keep;
            d->n = n;
            memcpy(d->out, out, n);
        } else {
            reply(fd, keep, out, n);
            if (!C[fd])
                return;
        }
    }
}
int
main(int argc, char **argv)
{
    int o, port = 10080, maxs = 3600;
    while ((o = getopt(argc, argv, "p:I:P:S:H:d:t:")) != -1)
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'I':
            pi = atoi(optarg);
            break;
        case 'P':
            pp = atoi(optarg);
            break;
        case 'S':
            ps = atoi(optarg);
            break;
        case 'H':
            host = optarg;
            break;
        case 'd':
            delay = atoi(optarg);
            break;
        case 't':
            maxs = atoi(optarg);
            break;
        default:
            return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    raise_nofile();
    maxfd = max_fds();
    C = calloc(maxfd, sizeof *C);
    G = calloc(maxfd, sizeof *G);
    if (delay)
        Q = calloc(qcap, sizeof *Q);
    int ls = listen_tcp(port, 0);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = ls}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    uint64_t end = now_ns() + maxs * 1000000000ull;
    for (;;) {
        int to = 1000;
        if (qh != qt) {
            int64_t d = (int64_t)(Q[qh % qcap].due - now_ns());
            to = d <= 0 ? 0 : d / 1000000 + 1;
        }
        int n = epoll_wait(ep, evs, 256, to);
        uint64_t t = now_ns();
        if (t > end)
            break;
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd;
            if (fd == ls) {
                int k = 0, s;
                while (k++ < 64 &&
                       (s = accept4(ls, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
                           0) {
                    struct conn *c = C[s] = malloc(sizeof *c);
                    c->fd = s;
                    c->len = 0;
                    struct epoll_event e2 = {.events = EPOLLIN, .data.fd = s};
                    epoll_ctl(ep, EPOLL_CTL_ADD, s, &e2);
                }
                continue;
            }
            struct conn *c = C[fd];
            if (!c)
                continue;
            int r = read(fd, c->buf + c->len, RB - c->len);
            if (r <= 0) {
                if (r < 0 && errno == EAGAIN)
                    continue;
                drop(fd);
                continue;
            }
            c->len += r;
            handle(fd, c);
        }
        while (qh != qt && Q[qh % qcap].due <= t) {
            struct delayed *d = &Q[qh++ % qcap];
            if (G[d->fd] == d->gen && C[d->fd])
                reply(d->fd, d->keep, d->out, d->n);
        }
    }
    return 0;
}
