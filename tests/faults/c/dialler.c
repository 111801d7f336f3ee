/* dialler: callers that dial, call once, hang up and dial again: what becomes of connections, not of calls alone.
 *
 * A connection counts as made when the kernel says so. From then on it is owed an answer: when it ends without, by RST
 * or FIN, it is `reset`. Commands on stdin, each answered by a line that begins with "ok":
 *   count   answers: ok MADE RIGHT ERRORS RESET REFUSED
 *   stop    nobody dials any more; answered when no connection is left, as `count` is */
#include "command.h"
#include "request.h"

#include <getopt.h>

enum { CONNS_MAX = 1024, IN_ROOM = 16 << 10 };

#define MS UINT64_C(1000000)
#define REST (MS / 4)
#define REFUSED_REST (20 * MS)

struct conn {
    int fd; /* -1: to be made at `dial_at` */
    bool connecting;
    uint64_t dial_at, nonce;
    size_t sent, in_end;
    uint8_t in[IN_ROOM];
    uint8_t *out;
};

static struct {
    const char *connect;
    uint32_t connections;
    struct request_options request;
} options = {.connections = 32,
             .request = {.service = "org.meshfast.faults.Busy", .version = "1.0.0", .method = "echo", .payload = 64}};

static struct {
    int epoll;
    struct addrinfo *to;
    struct conn *conns;
    struct request request;
    uint64_t ids, made, right, errors, reset, refused;
    uint32_t open;
    bool stopping, stop_told, over;
    struct commands commands;
} self;

static char stdin_mark;

static void hang_up(struct conn *conn, uint64_t rest, uint64_t now)
{
    struct linger linger = {1, 0}; /* thousands of ports a second would else be resting */
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(conn->fd);
    conn->fd = -1;
    conn->dial_at = now + rest;
    self.open--;
}

static void not_made(struct conn *conn, int error, uint64_t now)
{
    if (error == ECONNREFUSED)
        self.refused++;
    else
        self.reset++;
    hang_up(conn, REFUSED_REST, now);
}

static void dial(struct conn *conn, uint64_t now)
{
    conn->fd = socket(self.to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die(EXIT_FAILED, "socket: %s", strerror(errno));
    net_nodelay(conn->fd);
    conn->connecting = true;
    conn->sent = conn->in_end = 0;
    conn->nonce = request_put(&self.request, conn->out, ++self.ids);
    self.open++;
    if (connect(conn->fd, self.to->ai_addr, self.to->ai_addrlen) && errno != EINPROGRESS)
        not_made(conn, errno, now);
    else
        net_watch(self.epoll, EPOLL_CTL_ADD, conn->fd, EPOLLIN | EPOLLOUT, conn);
}

/* False: the connection has ended. */
static bool send_rest(struct conn *conn)
{
    while (conn->sent < self.request.len) {
        ssize_t n = send(conn->fd, conn->out + conn->sent, self.request.len - conn->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        conn->sent += (size_t)n;
    }
    net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn);
    return true;
}

/* An answer to the call: 1; not yet: 0; the connection has ended: -1. Events (READONLY) are passed over. */
static int receive(struct conn *conn)
{
    ssize_t n = recv(conn->fd, conn->in + conn->in_end, IN_ROOM - conn->in_end, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    conn->in_end += (size_t)n;
    size_t at = 0, len;
    while (wire_frame(conn->in + at, conn->in_end - at, IN_ROOM - WIRE_HEAD, &len) == 1) {
        const uint8_t *frame = conn->in + at;
        at += WIRE_HEAD + len;
        if (frame[2] & (WIRE_EVENT | WIRE_REQUEST))
            continue;
        bool right = frame[3] == WIRE_OK && len == self.request.answer_len &&
                     request_check(&self.request, frame + WIRE_HEAD, len, conn->nonce);
        self.right += right;
        self.errors += !right;
        return 1;
    }
    conn->in_end -= at;
    memmove(conn->in, conn->in + at, conn->in_end);
    return 0;
}

static void on_event(struct conn *conn, uint32_t events, uint64_t now)
{
    if (conn->fd < 0)
        return;
    if (conn->connecting) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            not_made(conn, error, now);
            return;
        }
        conn->connecting = false;
        self.made++;
    }
    int got = 0;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        got = receive(conn);
    if (got == 0 && !send_rest(conn))
        got = -1;
    self.reset += got < 0;
    if (got)
        hang_up(conn, REST, now);
}

static void tell(void)
{
    reply("ok %llu %llu %llu %llu %llu", (unsigned long long)self.made, (unsigned long long)self.right,
          (unsigned long long)self.errors, (unsigned long long)self.reset, (unsigned long long)self.refused);
}

static void obey(char *line)
{
    if (!strcmp(line, "count"))
        tell();
    else if (!strcmp(line, "stop"))
        self.stopping = true;
    else
        die(EXIT_USAGE, "'%s' is not a command", line);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"connect", 1, NULL, 'C'}, {"connections", 1, NULL, 'c'}, {"service", 1, NULL, 'n'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'c': options.connections = (uint32_t)number(optarg, 1, CONNS_MAX); break;
        case 'n': options.request.service = optarg; break;
        default: die(EXIT_USAGE, "usage: dialler --connect HOST:PORT [--connections N] [--service NAME]");
        }
    }
    if (!options.connect || optind != argc)
        die(EXIT_USAGE, "usage: dialler --connect HOST:PORT [--connections N] [--service NAME]");
    request_init(&self.request, &options.request);
    self.to = net_resolve(options.connect);
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    net_nonblocking(STDIN_FILENO);
    net_watch(self.epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &stdin_mark);
    self.conns = must_alloc(options.connections * sizeof *self.conns);
    for (uint32_t i = 0; i < options.connections; i++) {
        self.conns[i].fd = -1;
        self.conns[i].out = must_alloc(self.request.len);
    }
    while (!self.over) {
        struct epoll_event events[256];
        int n = epoll_wait(self.epoll, events, 256, 1);
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr != &stdin_mark)
                on_event(events[i].data.ptr, events[i].events, now);
            else
                self.over = !commands_read(&self.commands, obey);
        }
        for (uint32_t i = 0; i < options.connections && !self.stopping; i++)
            if (self.conns[i].fd < 0 && now >= self.conns[i].dial_at)
                dial(&self.conns[i], now);
        if (self.stopping && !self.stop_told && !self.open) {
            self.stop_told = true;
            tell();
        }
    }
    return 0;
}
