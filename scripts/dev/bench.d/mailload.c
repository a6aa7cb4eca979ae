/* mailload - mail session load generator (epoll edge-triggered, single thread, OpenSSL).
 *
 * mailload MODE -P imap|pop3|smtp -p PORT [options]
 *   login   : -n sessions -c concurrency : connect, greet, login, NOOP, logout, EOF
 *   connect : -n -c                      : connect, greet, close
 *   idle    : -n M : open M logged-in sessions, print READY, hold until stdin closes
 *   ping    : -n M -r RATE -d SECS : as idle; then a line on stdin (or at once with -g)
 *             starts NOOPs at RATE/s on random sessions for SECS; prints, then holds
 *             until stdin closes
 *   bulk    : -n k sessions (all at once, -c k) each moving -m MiB; -u upload
 * options: -T 0|1|2  plain | implicit TLS | STARTTLS     -R  resume TLS sessions
 *          -2 TLS1.2 only   -t timeout_s (whole run, default 60)  -s K  use K source addresses
 *          -H host (127.0.0.1)  -a  LOGIN->AUTHENTICATE PLAIN (imap), AUTH PLAIN (pop3)
 *          -C n  connect at most n sessions per second (idle/ping ramp; 0 = no limit)
 * One JSON line on stdout per phase. */
#include "common.h"

#include <math.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
enum { IMAP, POP3, SMTP };
enum { LOGIN, CONNECT, IDLE, PING, BULK };
enum {
    S_FREE,
    S_CONN,
    S_TLS,
    S_GREET,
    S_EHLO,
    S_STLS,
    S_EHLO2,
    S_USER,
    S_PASS,
    S_READY,
    S_NOOP,
    S_LOGOUT,
    S_EOF,
    S_BD,
    S_UP0,
    S_UP1,
    S_UPCMD,
    S_UPW,
    S_UPF
};
struct conn {
    SSL *ssl;
    uint64_t t0, t1, lit, left;
    int fd, len;
    uint8_t st, tls, wantw;
    char buf[512];
};
static int proto, mode, port, tls, resume, tls12,
    N = 100, CC = 16, mib = 10, upload, nsrc, authp, to = 60, rate = 1000,
    dur = 5, pgo;
static const char *host = "127.0.0.1";
static struct conn *C;
static int ep, nopen, started, done, errs, ready, stop_new, reused, hs;
static uint32_t *lat, *slat;
static int nlat, nslat, caplat; /* us x 10 : session, noop */
static SSL_CTX *ctx;
static SSL_SESSION *pool[8192];
static int npool;
static uint64_t bytes;
static char *blk;
enum { BLK = 78 * 840 };
static char rb[1 << 18];
static char tfd_tag_dummy_a, tfd_tag_dummy_b;
static const char *why = "";
static int whyst = -1;
static int
started_cap(void)
{
    return N;
}
static void
rec(uint32_t *a, int *n, uint64_t ns)
{
    if (*n < caplat)
        a[(*n)++] = ns / 100;
}
static int
new_sess(SSL *s, SSL_SESSION *x)
{
    (void)s;
    if (npool < 8192) {
        pool[npool++] = x;
        return 1;
    }
    return 0;
}
static void start_one(struct conn *);
static void
finish(struct conn *c, int ok, const char *w)
{
    if (!ok) {
        errs++;
        if (!*why) {
            why = w;
            whyst = c->st;
        }
    }
    if (c->ssl) {
        if (ok)
            SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
        c->ssl = 0;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->st = S_FREE;
    nopen--;
    done++;
    if (started < started_cap() && !stop_new)
        start_one(c);
}
static int
cw(struct conn *c, const char *s, int n)
{
    if (c->ssl) {
        int r = SSL_write(c->ssl, s, n);
        return r == n ? 0 : -1;
    }
    return write(c->fd, s, n) == n ? 0 : -1;
}
static int
cws(struct conn *c, const char *s)
{
    return cw(c, s, strlen(s));
}
static void
start_one(struct conn *c)
{
    int one = 1, k = started++;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (nsrc > 0) {
        struct sockaddr_in b = {.sin_family = AF_INET};
        b.sin_addr.s_addr = htonl(0x7f000002 + k % nsrc);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (void *)&b, sizeof b))
            die("bind");
    }
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    c->fd = fd;
    c->len = 0;
    c->lit = c->left = 0;
    c->ssl = 0;
    c->tls = 0;
    c->st = S_CONN;
    c->t0 = now_ns();
    nopen++;
    int r = connect(fd, (void *)&a, sizeof a);
    if (r && errno != EINPROGRESS) {
        finish(c, 0, "connect");
        return;
    }
    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}
static void
start_tls(struct conn *c)
{
    c->ssl = SSL_new(ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    c->st = S_TLS;
    c->len = 0;
    if (resume && npool) {
        SSL_SESSION *s = pool[npool - 1];
        SSL_set_session(c->ssl, s);
        if (!tls12 && npool > 1) {
            npool--;
            SSL_SESSION_free(s);
        }
    }
}
static void
send_login(struct conn *c)
{
    if (proto == IMAP) {
        c->st = S_PASS;
        if (authp)
            cws(c, "a1 AUTHENTICATE PLAIN "
                   "AHVzZXJAZXhhbXBsZS5vcmcAc2VjcmV0cGFzcw==\r\n");
        else
            cws(c, "a1 LOGIN user@example.org secretpass\r\n");
    } else if (proto == POP3) {
        if (authp) {
            c->st = S_PASS;
            cws(c, "AUTH PLAIN AHVzZXJAZXhhbXBsZS5vcmcAc2VjcmV0cGFzcw==\r\n");
        } else {
            c->st = S_USER;
            cws(c, "USER user@example.org\r\n");
        }
    } else {
        c->st = S_PASS;
        cws(c, "AUTH PLAIN AHVzZXJAZXhhbXBsZS5vcmcAc2VjcmV0cGFzcw==\r\n");
    }
}
static void
send_noop(struct conn *c)
{
    c->st = S_NOOP;
    c->t1 = now_ns();
    cws(c, proto == IMAP ? "a2 NOOP\r\n" : "NOOP\r\n");
}
static void
send_quit(struct conn *c)
{
    c->st = S_LOGOUT;
    cws(c, proto == IMAP ? "a3 LOGOUT\r\n" : "QUIT\r\n");
}
static void
pump_up(struct conn *c)
{
    while (c->left) {
        int n = c->left < BLK ? (int)c->left : BLK, r;
        if (c->ssl) {
            r = SSL_write(c->ssl, blk, n > 16384 ? 16384 : n);
            if (r <= 0) {
                if (SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_WRITE)
                    return;
                finish(c, 0, "upload");
                return;
            }
        } else {
            r = write(c->fd, blk, n);
            if (r < 0) {
                if (errno == EAGAIN)
                    return;
                finish(c, 0, "upload");
                return;
            }
        }
        c->left -= r;
        bytes += r;
    }
    c->st = S_UPF;
    cws(c, proto == IMAP ? "\r\n" : "\r\n.\r\n");
}
static void
logged_in(struct conn *c)
{
    char b[128];
    switch (mode) {
    case LOGIN:
        send_noop(c);
        break;
    case BULK:
        if (!upload) {
            c->st = S_BD;
            if (proto == IMAP)
                sprintf(b, "a2 UID FETCH %d BODY[]\r\n", mib);
            else
                sprintf(b, "RETR %d\r\n", mib);
            cws(c, b);
        } else if (proto == IMAP) {
            c->st = S_UPCMD;
            sprintf(b, "a2 APPEND INBOX {%llu}\r\n",
                    (unsigned long long)mib << 20);
            cws(c, b);
        } else {
            c->st = S_UP0;
            cws(c, "MAIL FROM:<a@example.org>\r\n");
        }
        break;
    default:
        c->st = S_READY;
        ready++;
    }
}
static void
on_reply(struct conn *c, int ok)
{ /* ok: 1 final ok, 2 continuation, -1 bad */
    if (ok < 0) {
        finish(c, 0, "bad reply");
        return;
    }
    switch (c->st) {
    case S_GREET:
        if (mode == CONNECT) {
            rec(lat, &nlat, now_ns() - c->t0);
            finish(c, 1, "");
            return;
        }
        if (proto == SMTP) {
            c->st = S_EHLO;
            cws(c, "EHLO client.example.org\r\n");
            return;
        }
        if (tls == 2) {
            c->st = S_STLS;
            cws(c, proto == IMAP ? "a0 STARTTLS\r\n" : "STLS\r\n");
            return;
        }
        send_login(c);
        return;
    case S_EHLO:
        if (tls == 2) {
            c->st = S_STLS;
            cws(c, "STARTTLS\r\n");
        } else
            send_login(c);
        return;
    case S_STLS:
        start_tls(c);
        return;
    case S_EHLO2:
        send_login(c);
        return;
    case S_USER:
        c->st = S_PASS;
        cws(c, "PASS secretpass\r\n");
        return;
    case S_PASS:
        logged_in(c);
        return;
    case S_NOOP:
        rec(slat, &nslat, now_ns() - c->t1);
        if (mode == PING)
            c->st = S_READY;
        else
            send_quit(c);
        return;
    case S_BD:
    case S_UPF:
        send_quit(c);
        return;
    case S_UP0:
        c->st = S_UP1;
        cws(c, "RCPT TO:<b@example.org>\r\n");
        return;
    case S_UP1:
        c->st = S_UPCMD;
        cws(c, "DATA\r\n");
        return;
    case S_UPCMD:
        c->st = S_UPW;
        c->left = (uint64_t)mib << 20;
        pump_up(c);
        return;
    case S_LOGOUT:
        rec(lat, &nlat, now_ns() - c->t0);
        c->st = S_EOF;
        return;
    }
}
static int
classify(struct conn *c, const char *l, int n)
{ /* 0 = not final */
    if (proto == IMAP) {
        if (l[0] == '*') {
            if (c->st == S_GREET)
                return n > 4 && !memcmp(l, "* OK", 4) ? 1 : -1;
            if (l[n - 1] == '}') {
                const char *b = memrchr(l, '{', n);
                if (b)
                    c->lit = strtoull(b + 1, 0, 10);
            }
            return 0;
        }
        if (l[0] == '+')
            return c->st == S_UPCMD ? 2 : 0;
        if (l[0] == ')')
            return 0;
        const char *s = memchr(l, ' ', n);
        return s && n - (s - l) > 2 && s[1] == 'O' && s[2] == 'K' ? 1 : -1;
    }
    if (proto == POP3) {
        if (l[0] == '+') {
            if (c->st == S_BD) {
                c->lit = ((uint64_t)mib << 20) + 3;
                c->left = 1;
                return 0;
            }
            return 1;
        }
        return -1;
    }
    if (n < 4)
        return n == 3 ? 1 : -1;
    if (l[3] == '-')
        return 0;
    return l[0] == '2' ? 1 : l[0] == '3' ? 2 : -1;
}
static void
feed(struct conn *c, char *p, int n)
{
    char *e = p + n;
    while (p < e && c->st != S_FREE) {
        if (c->lit) {
            uint64_t k =
                (uint64_t)(e - p) < c->lit ? (uint64_t)(e - p) : c->lit;
            c->lit -= k;
            p += k;
            bytes += k;
            if (!c->lit && proto == POP3 && c->st == S_BD)
                on_reply(c, 1);
            continue;
        }
        char *nl = memchr(p, '\n', e - p);
        int k = (nl ? nl + 1 : e) - p;
        if (c->len + k > (int)sizeof c->buf) {
            finish(c, 0, "long line");
            return;
        }
        memcpy(c->buf + c->len, p, k);
        c->len += k;
        p += k;
        if (!nl)
            return;
        int m = c->len - 1;
        if (m && c->buf[m - 1] == '\r')
            m--;
        c->len = 0;
        if (m < 1)
            continue;
        struct conn *cc = c;
        int fd = c->fd;
        int r = classify(c, c->buf, m);
        if (r)
            on_reply(c, r);
        if (cc->fd != fd || cc->st == S_CONN)
            return; /* finished, maybe reused */
        if (c->st == S_TLS)
            return;
    }
}
static void
drive(struct conn *c, uint32_t evm)
{
    if (c->st == S_CONN) {
        if (evm & (EPOLLERR | EPOLLHUP)) {
            finish(c, 0, "connect refused/reset");
            return;
        }
        if (!(evm & EPOLLOUT))
            return;
        if (tls == 1)
            start_tls(c);
        else
            c->st = S_GREET;
    }
    for (;;) {
        if (c->st == S_TLS) {
            int r = SSL_do_handshake(c->ssl);
            if (r != 1) {
                int e = SSL_get_error(c->ssl, r);
                if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
                    return;
                finish(c, 0, "handshake");
                return;
            }
            hs++;
            if (SSL_session_reused(c->ssl))
                reused++;
            if (tls == 2) {
                if (proto == SMTP) {
                    c->st = S_EHLO2;
                    cws(c, "EHLO client.example.org\r\n");
                } else
                    send_login(c);
            } else
                c->st = S_GREET;
        }
        if (c->st == S_UPW && c->left) {
            pump_up(c);
            if (c->st == S_FREE || c->st == S_CONN)
                return;
        }
        int fd = c->fd, r;
        if (c->ssl) {
            r = SSL_read(c->ssl, rb, sizeof rb);
            if (r <= 0) {
                int e = SSL_get_error(c->ssl, r);
                if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
                    return;
                if (c->st == S_EOF)
                    finish(c, 1, "");
                else
                    finish(c, 0, "tls eof");
                return;
            }
        } else {
            r = read(c->fd, rb, sizeof rb);
            if (r < 0 && errno == EAGAIN)
                return;
            if (r <= 0) {
                if (c->st == S_EOF)
                    finish(c, 1, "");
                else
                    finish(c, 0, r ? strerror(errno) : "eof");
                return;
            }
        }
        feed(c, rb, r);
        if (c->fd != fd || c->st == S_FREE || c->st == S_CONN)
            return;
        if (!c->ssl && r < (int)sizeof rb && !(evm & (EPOLLRDHUP | EPOLLHUP)) &&
            c->st != S_TLS)
            return;
    }
}
static int
cmp(const void *a, const void *b)
{
    uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
    return x < y ? -1 : x > y;
}
static double
pct(uint32_t *a, int n, double p)
{
    if (!n)
        return 0;
    int i = (int)(p * n);
    if (i >= n)
        i = n - 1;
    return a[i] / 10.0;
}
static void
report(const char *ph, double secs, int count)
{
    qsort(lat, nlat, 4, cmp);
    qsort(slat, nslat, 4, cmp);
    printf("{\"phase\":\"%s\",\"n\":%d,\"errors\":%d,\"secs\":%.4f,\"per_s\":%."
           "1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
           "\"noop_p50_us\":%.1f,\"noop_p99_us\":%.1f,\"noop_p999_us\":%.1f,"
           "\"bytes\":%llu,\"MiB_s\":%.1f,\"handshakes\":%d,\"reused\":%d,"
           "\"why\":\"%s@%d\"}\n",
           ph, count, errs, secs, count / secs, pct(lat, nlat, .5),
           pct(lat, nlat, .99), pct(lat, nlat, .999), pct(slat, nslat, .5),
           pct(slat, nslat, .99), pct(slat, nslat, .999),
           (unsigned long long)bytes, bytes / 1048576.0 / secs, hs, reused, why,
           whyst);
    fflush(stdout);
}
static int
poll_once(int ms, uint64_t *ticks, int tfd, int *in)
{
    struct epoll_event evs[256];
    int n = epoll_wait(ep, evs, 256, ms);
    for (int i = 0; i < n; i++) {
        void *p = evs[i].data.ptr;
        if (p == &tfd_tag_dummy_a) {
            uint64_t x;
            if (read(tfd, &x, 8) == 8 && ticks)
                *ticks += x;
        } else if (p == &tfd_tag_dummy_b) {
            char b[64];
            int r = read(0, b, sizeof b);
            if (r <= 0)
                *in = -1;
            else
                *in = 1;
        } else {
            struct conn *c = p;
            if (c->st != S_FREE)
                drive(c, evs[i].events);
        }
    }
    return n;
}
int
main(int argc, char **argv)
{
    int o;
    if (argc < 2) {
        fprintf(stderr, "usage: see source\n");
        return 2;
    }
    const char *ms[] = {"login", "connect", "idle", "ping", "bulk"};
    mode = -1;
    for (int i = 0; i < 5; i++)
        if (!strcmp(argv[1], ms[i]))
            mode = i;
    if (mode < 0) {
        fprintf(stderr, "bad mode\n");
        return 2;
    }
    argv++;
    argc--;
    int ramp = 0;
    while ((o = getopt(argc, argv, "P:p:n:c:T:R2t:s:H:ar:d:m:ugC:")) != -1)
        switch (o) {
        case 'P':
            proto = !strcmp(optarg, "pop3")   ? POP3
                    : !strcmp(optarg, "smtp") ? SMTP
                                              : IMAP;
            break;
        case 'p':
            port = atoi(optarg);
            break;
        case 'n':
            N = atoi(optarg);
            break;
        case 'c':
            CC = atoi(optarg);
            break;
        case 'T':
            tls = atoi(optarg);
            break;
        case 'R':
            resume = 1;
            break;
        case '2':
            tls12 = 1;
            break;
        case 't':
            to = atoi(optarg);
            break;
        case 's':
            nsrc = atoi(optarg);
            break;
        case 'H':
            host = optarg;
            break;
        case 'a':
            authp = 1;
            break;
        case 'r':
            rate = atoi(optarg);
            break;
        case 'd':
            dur = atoi(optarg);
            break;
        case 'm':
            mib = atoi(optarg);
            break;
        case 'u':
            upload = 1;
            break;
        case 'g':
            pgo = 1;
            break;
        case 'C':
            ramp = atoi(optarg);
            break;
        default:
            return 2;
        }
    (void)ramp;
    signal(SIGPIPE, SIG_IGN);
    raise_nofile();
    int hold = mode == IDLE || mode == PING;
    if (mode == BULK)
        CC = N;
    if (N > max_fds() - 64 && hold) {
        fprintf(stderr, "-n above the fd limit %d\n", max_fds());
        return 2;
    }
    int slots = hold ? N : CC < N ? CC : N;
    C = calloc(slots, sizeof *C);
    for (int i = 0; i < slots; i++)
        C[i].fd = -1;
    caplat = mode == PING ? rate * dur + N + 1000 : N + 1000;
    lat = malloc(4ul * caplat);
    slat = malloc(4ul * caplat);
    blk = malloc(BLK);
    for (int i = 0; i < BLK; i++)
        blk[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'a' + i % 26;
    if (tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, 0);
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_set_cipher_list(
            ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
        if (tls12)
            SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(ctx, 1);
        SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
        if (resume) {
            SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
                                                    SSL_SESS_CACHE_NO_INTERNAL);
            SSL_CTX_sess_set_new_cb(ctx, new_sess);
        }
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev;
    int in = 0;
    uint64_t t0 = now_ns(), end = t0 + to * 1000000000ull, ticks = 0;
    if (hold) {
        ev.events = EPOLLIN;
        ev.data.ptr = &tfd_tag_dummy_b;
        int stdin_ep = epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev) == 0;
        (void)stdin_ep;
        int next = 0;
        while (now_ns() < end && ready + done < N) {
            while (next < N && next - ready - done < CC)
                start_one(&C[next++]);
            poll_once(100, 0, -1, &in);
            if (in < 0)
                break;
        }
        report("ready", (now_ns() - t0) / 1e9, ready);
        if (mode == PING) {
            while (!pgo && in == 0 && now_ns() < end)
                poll_once(200, 0, -1, &in);
            if (in >= 0) {
                int tfd =
                    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
                long iv = 1000000000l / rate;
                struct itimerspec it = {{iv / 1000000000l, iv % 1000000000l},
                                        {iv / 1000000000l, iv % 1000000000l}};
                timerfd_settime(tfd, 0, &it, 0);
                ev.events = EPOLLIN;
                ev.data.ptr = &tfd_tag_dummy_a;
                epoll_ctl(ep, EPOLL_CTL_ADD, tfd, &ev);
                nlat = nslat = 0;
                uint64_t s0 = now_ns(), e0 = s0 + dur * 1000000000ull;
                uint32_t rng = 12345;
                int sent = 0;
                while (now_ns() < e0) {
                    poll_once(50, &ticks, tfd, &in);
                    while (ticks) {
                        ticks--;
                        for (int k = 0; k < 8; k++) {
                            rng = rng * 1664525u + 1013904223u;
                            struct conn *c = &C[(rng >> 8) % N];
                            if (c->st == S_READY) {
                                send_noop(c);
                                sent++;
                                break;
                            }
                        }
                    }
                }
                for (int k = 0; k < 20 && nslat < sent; k++)
                    poll_once(50, &ticks, tfd, &in);
                report("ping", (now_ns() - s0) / 1e9, nslat);
                epoll_ctl(ep, EPOLL_CTL_DEL, tfd, 0);
                close(tfd);
            }
        }
        while (in >= 0 && now_ns() < end)
            poll_once(500, 0, -1, &in);
        return errs != 0;
    }
    int seed = resume ? 4 : 0;
    if (seed) { /* first fill the ticket pool, one session after another, outside the count */
        int sn = N, sm = mode;
        N = seed;
        struct conn *c = &C[0];
        mode = LOGIN;
        start_one(c);
        while (done < seed && now_ns() < end)
            poll_once(100, 0, -1, &in);
        N = sn;
        mode = sm;
        started = done = errs = nlat = nslat = hs = reused = 0;
        t0 = now_ns();
        for (int k = 0; k < npool; k++) {
        }
        /* one ticket serves all slots until new ones arrive */
        while (npool && npool < slots + 8 && npool < 8192) {
            SSL_SESSION_up_ref(pool[npool - 1]);
            pool[npool] = pool[npool - 1];
            npool++;
        }
    }
    for (int i = 0; i < slots; i++)
        start_one(&C[i]);
    while (done < N && now_ns() < end)
        poll_once(200, 0, -1, &in);
    int missing = N - done;
    errs += missing;
    if (missing && !*why) {
        why = "timeout";
        for (int i = 0; i < slots; i++)
            if (C[i].st != S_FREE) {
                whyst = C[i].st;
                break;
            }
    }
    report(ms[mode], (now_ns() - t0) / 1e9, done);
    return errs != 0;
}
