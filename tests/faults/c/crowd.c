/* crowd: many connections that do nothing good: they say nothing, or half a thing, or do not read their answers.
 *
 *   --how idle    connect and say nothing
 *   --how loris   a byte now and then: of a first byte, of a head, of a body that never becomes whole
 *   --how hoard   a call of --payload bytes, all of it but its last byte
 *   --how reader  a call now and then, --calls in all, whose answers are read at --rate bytes a second
 * Now and then is every --every ms. With --again a connection that was closed by the other side is made again. Sources are 127.0.0.1 and the addresses
 * behind it, so that ports do not run short. Commands:
 *   count   answers: ok OPEN CONNECTED CLOSED REFUSED OLDEST_MS; the last is the greatest age at which one was closed
 *   close   closes all and makes none again */
#include "command.h"
#include "request.h"

#include <arpa/inet.h>
#include <getopt.h>

enum { CONNECTING_MAX = 128, PER_SOURCE = 4000, COUNT_MAX = 100000, SMALL = 4096 };
enum { SEGMENT = 536 }; /* loopback's 64 KiB would have the kernel take megabytes of answers from the sidecar */

#define MS UINT64_C(1000000)

enum how { IDLE, LORIS, HOARD, READER };

struct conn {
    int fd; /* -1: to be made */
    bool connecting, done;
    uint64_t since, next;
    size_t sent;
};

static struct {
    enum how how;
    const char *connect;
    uint32_t count, calls;
    uint64_t every, rate;
    bool again;
    struct request_options request;
} options = {.count = 1000, .calls = 16, .every = 500 * MS,
             .request = {.service = "org.meshfast.faults.Slow", .version = "1.0.0", .method = "echo", .payload = 16}};

static struct {
    int epoll;
    struct addrinfo *to;
    struct conn *conns;
    uint32_t connecting, open;
    uint64_t connected, closed, refused, oldest;
    struct request request;
    uint8_t *pipeline; /* what a reader sends */
    size_t n_pipeline;
    bool over;
    struct commands commands;
} self;

static char stdin_mark;

static void lose(struct conn *conn, uint64_t now)
{
    close(conn->fd);
    conn->fd = -1;
    conn->done = !options.again;
    if (conn->connecting) {
        self.connecting--;
        self.refused++;
        conn->connecting = false;
        return;
    }
    self.open--;
    self.closed++;
    if (now - conn->since > self.oldest)
        self.oldest = now - conn->since;
}

static void dial(struct conn *conn, uint32_t number, uint64_t now)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / PER_SOURCE);
    int on = 1, small = SMALL, segment = SEGMENT;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die(EXIT_FAILED, "socket %u: %s", number, strerror(errno));
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (options.how == READER) {
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        setsockopt(conn->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    if (bind(conn->fd, (struct sockaddr *)&source, sizeof source))
        die(EXIT_FAILED, "bind: %s", strerror(errno));
    conn->connecting = true;
    conn->sent = 0;
    self.connecting++;
    if (connect(conn->fd, self.to->ai_addr, self.to->ai_addrlen) && errno != EINPROGRESS) {
        lose(conn, now);
        return;
    }
    net_watch(self.epoll, EPOLL_CTL_ADD, conn->fd, EPOLLOUT, conn);
}

/* What a connection of its number will never finish: a first byte, a head, a body. */
static size_t loris_end(const struct conn *conn)
{
    size_t kind = (size_t)(conn - self.conns) % 3;
    return kind == 0 ? 1 : kind == 1 ? WIRE_HEAD - 1 : self.request.len - 1;
}

/* One byte more; the head of a body that dribbles goes at once. */
static void dribble(struct conn *conn, uint64_t now)
{
    size_t last = loris_end(conn);
    size_t n = last > WIRE_HEAD && conn->sent == 0 ? WIRE_HEAD : 1;
    if (conn->sent < last) {
        ssize_t sent = send(conn->fd, self.request.frame + conn->sent, n, MSG_NOSIGNAL);
        if (sent > 0)
            conn->sent += (size_t)sent;
    }
    conn->next = now + options.every;
}

/* As much as the other side takes, but never the end. */
static void hoard(struct conn *conn)
{
    ssize_t sent = send(conn->fd, self.request.frame + conn->sent, self.request.len - 1 - conn->sent, MSG_NOSIGNAL);
    if (sent > 0)
        conn->sent += (size_t)sent;
}

static void read_some(struct conn *conn, uint64_t now)
{
    char bytes[SMALL];
    uint64_t n = options.rate * options.every / (1000 * MS);
    if (n && recv(conn->fd, bytes, n < SMALL ? n : SMALL, 0) == 0)
        lose(conn, now);
    conn->next = now + options.every;
}

/* One call more; what the sidecar does not read any more stays with the kernel. */
static void ask_one(struct conn *conn)
{
    size_t n = self.request.len - conn->sent % self.request.len;
    if (conn->sent == self.n_pipeline)
        return;
    ssize_t sent = send(conn->fd, self.pipeline + conn->sent, n, MSG_NOSIGNAL);
    if (sent > 0)
        conn->sent += (size_t)sent;
}

static void on_event(struct conn *conn, uint32_t events, uint64_t now)
{
    if (conn->fd < 0)
        return;
    if (conn->connecting && !(events & (EPOLLERR | EPOLLHUP))) {
        conn->connecting = false;
        self.connecting--;
        self.open++;
        self.connected++;
        conn->since = now;
        conn->next = now + (uint64_t)(conn - self.conns) % 97 * options.every / 97; /* not all at the same time */
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, options.how == READER ? EPOLLRDHUP : EPOLLIN, conn);
        return;
    }
    char byte;
    bool ended = events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);
    if (!ended && events & EPOLLIN)
        ended = recv(conn->fd, &byte, 1, 0) == 0;
    if (ended)
        lose(conn, now);
}

static void tend_all(uint64_t now)
{
    for (uint32_t i = 0; i < options.count; i++) {
        struct conn *conn = &self.conns[i];
        if (conn->fd < 0 && !conn->done && self.connecting < CONNECTING_MAX)
            dial(conn, i, now);
        if (conn->fd < 0 || conn->connecting || now < conn->next)
            continue;
        if (options.how == LORIS) {
            dribble(conn, now);
        } else if (options.how == HOARD) {
            hoard(conn);
        } else if (options.how == READER) {
            ask_one(conn);
            read_some(conn, now);
        }
    }
}

static void obey(char *line)
{
    if (!strcmp(line, "count")) {
        reply("ok %u %llu %llu %llu %llu", self.open, (unsigned long long)self.connected,
              (unsigned long long)self.closed, (unsigned long long)self.refused,
              (unsigned long long)(self.oldest / MS));
    } else if (!strcmp(line, "close")) {
        for (uint32_t i = 0; i < options.count; i++) {
            struct conn *conn = &self.conns[i];
            if (conn->fd >= 0)
                close(conn->fd);
            conn->fd = -1;
            conn->done = true;
            conn->connecting = false;
        }
        self.open = self.connecting = 0;
        reply("ok");
    } else {
        die(EXIT_USAGE, "'%s' is not a command", line);
    }
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {{"connect", 1, NULL, 'C'}, {"count", 1, NULL, 'c'}, {"how", 1, NULL, 'h'},
                                          {"calls", 1, NULL, 'k'},   {"rate", 1, NULL, 'r'},  {"every", 1, NULL, 'e'},
                                          {"service", 1, NULL, 'n'}, {"again", 0, NULL, 'a'}, {"payload", 1, NULL, 'p'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'c': options.count = (uint32_t)number(optarg, 1, COUNT_MAX); break;
        case 'h':
            options.how = !strcmp(optarg, "idle")    ? IDLE
                          : !strcmp(optarg, "loris") ? LORIS
                          : !strcmp(optarg, "hoard") ? HOARD
                                                     : READER;
            if (options.how == READER && strcmp(optarg, "reader"))
                die(EXIT_USAGE, "'%s' is not idle, loris, hoard or reader", optarg);
            break;
        case 'k': options.calls = (uint32_t)number(optarg, 1, 1000); break;
        case 'r': options.rate = number(optarg, 0, 1 << 20); break;
        case 'e': options.every = number(optarg, 1, 60000) * MS; break;
        case 'n': options.request.service = optarg; break;
        case 'a': options.again = true; break;
        case 'p': options.request.payload = number(optarg, NONCE_LEN, 64 << 20); break;
        default: die(EXIT_USAGE, "see tests/faults/README.md");
        }
    }
    if (!options.connect || optind != argc)
        die(EXIT_USAGE, "usage: crowd --connect HOST:PORT --how idle|loris|hoard|reader [options]");
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    request_init(&self.request, &options.request);
    self.pipeline = must_alloc(options.calls * self.request.len);
    for (uint32_t i = 0; i < options.calls; i++, self.n_pipeline += self.request.len)
        request_put(&self.request, self.pipeline + self.n_pipeline, i + 1);
    self.to = net_resolve(options.connect);
    self.conns = must_alloc(options.count * sizeof *self.conns);
    for (uint32_t i = 0; i < options.count; i++)
        self.conns[i].fd = -1;
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    net_nonblocking(STDIN_FILENO);
    net_watch(self.epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &stdin_mark);
    while (!self.over) {
        struct epoll_event events[512];
        int n = epoll_wait(self.epoll, events, 512, 10);
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &stdin_mark)
                self.over = !commands_read(&self.commands, obey);
            else
                on_event(events[i].data.ptr, events[i].events, now);
        }
        tend_all(now);
    }
    return 0;
}
