/* maild - fake IMAP/POP3/SMTP backend (epoll; one process per -w worker, SO_REUSEPORT).
 * usage: maild [-I 10143] [-P 10110] [-S 10587] [-w workers] [-t max_seconds] [-g]
 * Any credentials are accepted.  Bulk:
 *   IMAP  "tag UID FETCH <N> BODY[]"  -> one literal of N MiB;  APPEND {n} / {n+} swallows n bytes
 *   POP3  "RETR <N>"                  -> N MiB then ".";
 *   SMTP  DATA                        -> swallows until CRLF.CRLF
 * -g: do not greet at once (wait 20ms) - not used by default. */
#include "common.h"
enum { P_IMAP, P_POP3, P_SMTP };
enum { M_LINE, M_LIT, M_B64, M_DATA, M_IDLE };
#define LB 1024
struct conn {
    uint8_t proto, mode, authed, closing, lg;
    uint16_t len;
    char tail[5];
    char tag[16];
    uint64_t lit, out;
    char buf[LB];
};
static struct conn **C;
static int ep;
static char *blk;
enum { BLK = 78 * 4096 };
static void
drop(int fd)
{
    free(C[fd]);
    C[fd] = 0;
    close(fd);
}
static void
arm(int fd, uint32_t e)
{
    struct epoll_event ev = {.events = e, .data.fd = fd};
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}
static void
w(int fd, const char *s, int n)
{
    if (write(fd, s, n) != n) {
    }
}
static void
ws(int fd, const char *s)
{
    w(fd, s, strlen(s));
}
static void
ok(int fd, struct conn *c, const char *t)
{
    char b[128];
    w(fd, b, snprintf(b, sizeof b, "%s OK %s\r\n", c->tag, t));
}
static int
flush_bulk(int fd, struct conn *c)
{ /* returns 1 when finished */
    int budget = 4;
    while (c->out) {
        uint64_t off = c->out % BLK; /* keep line alignment irrelevant */
        size_t n = c->out < BLK ? c->out : BLK;
        (void)off;
        ssize_t r = write(fd, blk, n);
        if (r < 0) {
            if (errno == EAGAIN)
                return 0;
            c->out = 0;
            c->closing = 1;
            return 1;
        }
        c->out -= r;
        if (c->out && --budget == 0)
            return 0;
    }
    return 1;
}
static void
bulk_done(int fd, struct conn *c)
{
    if (c->proto == P_IMAP) {
        char b[64];
        w(fd, b, snprintf(b, sizeof b, ")\r\n%s OK done\r\n", c->tag));
    } else
        ws(fd, ".\r\n");
}
static void
start_bulk(int fd, struct conn *c, uint64_t bytes)
{
    c->out = bytes;
    if (flush_bulk(fd, c))
        bulk_done(fd, c);
    else
        arm(fd, EPOLLOUT);
}
static void
imap(int fd, struct conn *c, char *l, int n)
{
    char *p = l, *cmd;
    int t = 0;
    if (c->mode == M_IDLE) {
        c->mode = M_LINE;
        ok(fd, c, "idle done");
        return;
    }
    if (c->mode == M_B64) {
        c->mode = M_LINE;
        c->authed = 1;
        ok(fd, c, "[CAPABILITY IMAP4rev1 IDLE LITERAL+ UIDPLUS] Logged in");
        return;
    }
    if (c->lg) { /* continuation of a literal command line: nothing left to parse */
    } else {
        while (*p && *p != ' ' && t < 15)
            c->tag[t++] = *p++;
        c->tag[t] = 0;
        if (*p == ' ')
            p++;
    }
    cmd = p;
    int lit = 0;
    uint64_t ln = 0;
    if (n && l[n - 1] == '}') {
        char *b = memrchr(l, '{', n);
        if (b) {
            ln = strtoull(b + 1, 0, 10);
            lit = l[n - 2] == '+' ? 2 : 1;
        }
    }
    if (lit) {
        if (!c->lg)
            c->lg = !strncasecmp(cmd, "LOGIN", 5)    ? 1
                    : !strncasecmp(cmd, "APPEND", 6) ? 2
                                                     : 3;
        if (lit == 1)
            ws(fd, "+ OK\r\n");
        c->lit = ln;
        c->mode = M_LIT;
        return;
    }
    if (c->lg) {
        int g = c->lg;
        c->lg = 0;
        if (g == 1) {
            c->authed = 1;
            ok(fd, c, "[CAPABILITY IMAP4rev1 IDLE LITERAL+ UIDPLUS] Logged in");
        } else
            ok(fd, c, "done");
        return;
    }
    switch (cmd[0] | 32) {
    case 'n':
        ok(fd, c, "NOOP completed");
        return;
    case 'l':
        if (!strncasecmp(cmd, "LOGOUT", 6)) {
            char b[64];
            w(fd, b,
              snprintf(b, sizeof b, "* BYE bye\r\n%s OK done\r\n", c->tag));
            c->closing = 1;
            return;
        }
        if (!strncasecmp(cmd, "LOGIN", 5)) {
            c->authed = 1;
            ok(fd, c, "[CAPABILITY IMAP4rev1 IDLE LITERAL+ UIDPLUS] Logged in");
            return;
        }
        break;
    case 'a':
        if (!strncasecmp(cmd, "AUTHENTICATE", 12)) {
            char *q = strchr(cmd + 13, ' ');
            if (q) {
                c->authed = 1;
                ok(fd, c,
                   "[CAPABILITY IMAP4rev1 IDLE LITERAL+ UIDPLUS] Logged in");
            } else {
                c->mode = M_B64;
                ws(fd, "+ \r\n");
            }
            return;
        }
        break;
    case 'c':
        ws(fd, "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ IDLE ID "
               "UIDPLUS\r\n");
        ok(fd, c, "done");
        return;
    case 'i':
        if (!strncasecmp(cmd, "IDLE", 4)) {
            c->mode = M_IDLE;
            ws(fd, "+ idling\r\n");
            return;
        }
        ws(fd, "* ID NIL\r\n");
        break;
    case 'u': {
        unsigned mb;
        if (sscanf(cmd, "%*s %*s %u", &mb) == 1) {
            char b[96];
            uint64_t N = (uint64_t)mb << 20;
            w(fd, b,
              snprintf(b, sizeof b, "* 1 FETCH (UID %u BODY[] {%llu}\r\n", mb,
                       (unsigned long long)N));
            start_bulk(fd, c, N);
            return;
        }
        break;
    }
    }
    ok(fd, c, "done");
}
static void
pop3(int fd, struct conn *c, char *l, int n)
{
    (void)n;
    if (c->mode == M_B64) {
        c->mode = M_LINE;
        ws(fd, "+OK Logged in\r\n");
        return;
    }
    if (!strncasecmp(l, "CAPA", 4))
        ws(fd, "+OK\r\nTOP\r\nUIDL\r\nPIPELINING\r\nUSER\r\nSASL PLAIN\r\n.\r\n");
    else if (!strncasecmp(l, "AUTH", 4)) {
        if (strlen(l) > 11)
            ws(fd, "+OK Logged in\r\n");
        else {
            c->mode = M_B64;
            ws(fd, "+ \r\n");
        }
    } else if (!strncasecmp(l, "QUIT", 4)) {
        ws(fd, "+OK bye\r\n");
        c->closing = 1;
    } else if (!strncasecmp(l, "RETR", 4)) {
        ws(fd, "+OK follows\r\n");
        start_bulk(fd, c, (uint64_t)atoi(l + 5) << 20);
    } else
        ws(fd, "+OK\r\n");
}
static void
smtp(int fd, struct conn *c, char *l, int n)
{
    (void)n;
    if (c->mode == M_B64) {
        if (c->lg == 2) {
            c->lg = 1;
            ws(fd, "334 UGFzc3dvcmQ6\r\n");
            return;
        }
        c->mode = M_LINE;
        c->lg = 0;
        ws(fd, "235 2.7.0 ok\r\n");
        return;
    }
    if (!strncasecmp(l, "EHLO", 4))
        ws(fd, "250-maild\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-AUTH "
               "PLAIN LOGIN\r\n250-XCLIENT NAME ADDR PORT PROTO HELO "
               "LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n");
    else if (!strncasecmp(l, "XCLIENT", 7))
        ws(fd, "220 maild ESMTP\r\n");
    else if (!strncasecmp(l, "AUTH PLAIN", 10)) {
        if (strlen(l) > 11)
            ws(fd, "235 2.7.0 ok\r\n");
        else {
            c->mode = M_B64;
            c->lg = 1;
            ws(fd, "334 \r\n");
        }
    } else if (!strncasecmp(l, "AUTH LOGIN", 10)) {
        c->mode = M_B64;
        c->lg = strlen(l) > 11 ? 1 : 2;
        ws(fd, "334 VXNlcm5hbWU6\r\n");
    } else if (!strncasecmp(l, "DATA", 4)) {
        c->mode = M_DATA;
        memset(c->tail, 0, 5);
        ws(fd, "354 go\r\n");
    } else if (!strncasecmp(l, "QUIT", 4)) {
        ws(fd, "221 2.0.0 bye\r\n");
        c->closing = 1;
    } else
        ws(fd, "250 2.0.0 ok\r\n");
}
static char rb[262144];
static void
on_read(int fd, struct conn *c)
{
    int big = c->mode == M_DATA || c->mode == M_LIT;
    int r = read(fd, rb, big ? sizeof rb : 16384);
    if (r <= 0) {
        if (r < 0 && errno == EAGAIN)
            return;
        drop(fd);
        return;
    }
    char *p = rb, *e = rb + r;
    while (p < e && !c->closing) {
        if (c->mode == M_LIT) {
            uint64_t k =
                (uint64_t)(e - p) < c->lit ? (uint64_t)(e - p) : c->lit;
            p += k;
            c->lit -= k;
            if (!c->lit)
                c->mode = M_LINE;
            continue;
        }
        if (c->mode == M_DATA) {
            int k = e - p;
            char t[10];
            int a = k >= 5 ? 5 : k;
            memcpy(t, c->tail, 5);
            memmove(c->tail, c->tail + a, 5 - a);
            memcpy(c->tail + 5 - a, e - a, a);
            (void)t;
            p = e;
            if (!memcmp(c->tail, "\r\n.\r\n", 5)) {
                c->mode = M_LINE;
                ws(fd, "250 2.0.0 queued\r\n");
            }
            continue;
        }
        char *nl = memchr(p, '\n', e - p);
        int k = (nl ? nl + 1 : e) - p;
        if (c->len + k >= LB) {
            drop(fd);
            return;
        }
        memcpy(c->buf + c->len, p, k);
        c->len += k;
        p += k;
        if (!nl)
            break;
        int n = c->len - 1;
        if (n && c->buf[n - 1] == '\r')
            n--;
        c->buf[n] = 0;
        c->len = 0;
        if (c->proto == P_IMAP)
            imap(fd, c, c->buf, n);
        else if (c->proto == P_POP3)
            pop3(fd, c, c->buf, n);
        else
            smtp(fd, c, c->buf, n);
    }
    if (c->closing)
        drop(fd);
}
int
main(int argc, char **argv)
{
    int o, port[3] = {10143, 10110, 10587}, nw = 1, maxs = 3600;
    while ((o = getopt(argc, argv, "I:P:S:w:t:")) != -1)
        switch (o) {
        case 'I':
            port[0] = atoi(optarg);
            break;
        case 'P':
            port[1] = atoi(optarg);
            break;
        case 'S':
            port[2] = atoi(optarg);
            break;
        case 'w':
            nw = atoi(optarg);
            break;
        case 't':
            maxs = atoi(optarg);
            break;
        default:
            return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    raise_nofile();
    for (int i = 1; i < nw; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            break;
        }
    C = calloc(max_fds(), sizeof *C);
    blk = malloc(BLK);
    for (int i = 0; i < BLK; i++)
        blk[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'A' + i % 26;
    ep = epoll_create1(EPOLL_CLOEXEC);
    int ls[3];
    for (int i = 0; i < 3; i++) {
        ls[i] = listen_tcp(port[i], 1);
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = ls[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, ls[i], &ev);
    }
    struct epoll_event evs[256];
    uint64_t end = now_ns() + maxs * 1000000000ull;
    static const char *greet[3] = {
        "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ IDLE ID] maild "
        "ready\r\n",
        "+OK maild ready\r\n", "220 maild ESMTP ready\r\n"};
    for (;;) {
        int n = epoll_wait(ep, evs, 256, 1000);
        if (now_ns() > end)
            break;
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd, pr = fd == ls[0]   ? 0
                                          : fd == ls[1] ? 1
                                          : fd == ls[2] ? 2
                                                        : -1;
            if (pr >= 0) {
                int k = 0, s;
                while (k++ < 64 &&
                       (s = accept4(fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
                           0) {
                    struct conn *c = C[s] = calloc(1, sizeof *c);
                    c->proto = pr;
                    struct epoll_event e2 = {.events = EPOLLIN, .data.fd = s};
                    epoll_ctl(ep, EPOLL_CTL_ADD, s, &e2);
                    ws(s, greet[pr]);
                }
                continue;
            }
            struct conn *c = C[fd];
            if (!c)
                continue;
            if (c->out || (evs[i].events & EPOLLOUT)) {
                if (evs[i].events & (EPOLLERR | EPOLLHUP)) {
                    drop(fd);
                    continue;
                }
                if (flush_bulk(fd, c)) {
                    if (c->closing) {
                        drop(fd);
                        continue;
                    }
                    bulk_done(fd, c);
                    arm(fd, EPOLLIN);
                }
                continue;
            }
            on_read(fd, c);
        }
    }
    return 0;
}
