/* answer: a Dubbo2 provider that returns its argument, each after a wait of its own, so that answers overtake each other.
 *
 * Waits are random from 0 to --delay milliseconds. --wrong answers every n-th call with the argument of another one, so
 * that whoever compares answers can be seen to notice. On SIGTERM it prints what it counted as one JSON object. */
#include "bytes.h"
#include "wire.h"

#include <getopt.h>
#include <signal.h>
#include <sys/signalfd.h>

enum { WHEEL = 1024, READ_ROOM = 128 << 10, OUT_HIGH = 8 << 20, KEPT = 64 << 10 };

struct conn {
    int fd;
    uint32_t events;
    uint32_t waiting; /* answers on the wheel; a closed connection is freed after the last of them */
    bool closed;
    struct bytes in, out;
};

/* An answer that waits. */
struct due {
    struct due *next;
    struct conn *conn;
    size_t len;
    uint8_t bytes[];
};

static struct {
    int epoll;
    uint32_t delay;
    uint64_t wrong, random, tick; /* the last millisecond that was run */
    uint64_t waiting;
    struct due *wheel[WHEEL];
    uint64_t requests, one_way, answers, heartbeats;
    uint8_t last[4096]; /* the argument before this one, for --wrong */
    size_t last_len;
} self;

static void write_out(struct conn *conn)
{
    if (bytes_send(&conn->out, conn->fd))
        return; /* its end is read next */
    bytes_trim(&conn->out, KEPT);
    uint32_t events = (bytes_held(&conn->out) ? EPOLLOUT : 0u) | (bytes_held(&conn->out) < OUT_HIGH ? EPOLLIN : 0u);
    if (events != conn->events)
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = events, conn);
}

static void put(struct conn *conn, const uint8_t *bytes, size_t len)
{
    memcpy(bytes_reserve(&conn->out, len), bytes, len);
    conn->out.end += len;
    self.answers++;
}

static void release(struct conn *conn)
{
    if (!conn->closed || conn->waiting)
        return;
    bytes_free(&conn->in);
    bytes_free(&conn->out);
    free(conn);
}

/* Everything due up to now, last in first out: within a millisecond the order turns round. */
static void run_wheel(void)
{
    uint64_t now = now_ns() / 1000000;
    for (; self.tick < now; self.tick++) {
        struct due **slot = &self.wheel[(self.tick + 1) % WHEEL], *due = *slot;
        *slot = NULL;
        while (due) {
            struct due *next = due->next;
            struct conn *conn = due->conn;
            conn->waiting--;
            self.waiting--;
            if (!conn->closed) {
                put(conn, due->bytes, due->len);
                if (!next || next->conn != conn)
                    write_out(conn);
            }
            release(conn);
            free(due);
            due = next;
        }
    }
}

static void answer(struct conn *conn, uint64_t id, const uint8_t *value, size_t len)
{
    uint32_t wait = self.delay ? (uint32_t)((self.random = mix(self.random)) % (self.delay + 1)) : 0;
    struct due *due = malloc(sizeof *due + WIRE_HEAD + 1 + len);
    if (!due)
        die(EXIT_FAILED, "out of memory");
    due->len = WIRE_HEAD + 1 + len;
    due->conn = conn;
    wire_put_head(due->bytes, WIRE_HESSIAN2, WIRE_OK, id, (uint32_t)(1 + len));
    due->bytes[WIRE_HEAD] = 0x91;
    memcpy(due->bytes + WIRE_HEAD + 1, value, len);
    if (self.wrong && self.requests % self.wrong == 0 && self.last_len == len)
        memcpy(due->bytes + WIRE_HEAD + 1, self.last, len);
    if (len <= sizeof self.last)
        memcpy(self.last, value, self.last_len = len);
    if (wait == 0) {
        put(conn, due->bytes, due->len);
        free(due);
        return;
    }
    struct due **slot = &self.wheel[(self.tick + wait) % WHEEL];
    due->next = *slot;
    *slot = due;
    conn->waiting++;
    self.waiting++;
}

static int on_request(struct conn *conn, const uint8_t *frame, size_t body_len)
{
    uint64_t id = wire_get64(frame + 4);
    if (frame[2] & WIRE_EVENT) {
        self.heartbeats++;
        if (frame[2] & WIRE_TWO_WAY)
            conn->out.end += wire_answer_event(bytes_reserve(&conn->out, WIRE_HEAD + body_len), frame, body_len);
        return 0;
    }
    size_t len;
    const uint8_t *value = wire_argument(frame + WIRE_HEAD, body_len, &len);
    if (!value)
        return -EPROTO;
    self.requests++;
    if (frame[2] & WIRE_TWO_WAY)
        answer(conn, id, value, len);
    else
        self.one_way++;
    return 0;
}

static int on_readable(struct conn *conn)
{
    ssize_t n = recv(conn->fd, bytes_reserve(&conn->in, READ_ROOM), READ_ROOM, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -ECONNRESET;
    conn->in.end += (size_t)n;
    size_t body;
    int whole;
    while ((whole = wire_frame(conn->in.base + conn->in.begin, bytes_held(&conn->in), WIRE_MAX_BODY, &body)) == 1) {
        const uint8_t *frame = conn->in.base + conn->in.begin;
        int rc = frame[2] & WIRE_REQUEST ? on_request(conn, frame, body) : 0;
        if (rc)
            return rc;
        bytes_consume(&conn->in, WIRE_HEAD + body);
    }
    bytes_trim(&conn->in, KEPT);
    return whole < 0 ? -EPROTO : 0;
}

static void on_event(struct conn *conn, uint32_t events)
{
    int rc = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? on_readable(conn) : 0;
    if (rc) {
        close(conn->fd);
        conn->closed = true;
        release(conn);
        return;
    }
    write_out(conn);
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = net_accept(listener)) >= 0) {
        struct conn *conn = must_alloc(sizeof *conn);
        conn->fd = fd;
        net_watch(self.epoll, EPOLL_CTL_ADD, fd, conn->events = EPOLLIN, conn);
    }
}

static int watch_signals(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    return signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", 1, NULL, 'l'}, {"delay", 1, NULL, 'd'}, {"wrong", 1, NULL, 'w'}, {0}};
    static struct conn listening, ending; /* only their addresses: which event it is */
    const char *at = "127.0.0.1:0";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'l')
            at = optarg;
        else if (c == 'd')
            self.delay = (uint32_t)atoi(optarg) < WHEEL - 1 ? (uint32_t)atoi(optarg) : WHEEL - 2;
        else if (c == 'w')
            self.wrong = strtoull(optarg, NULL, 10);
        else
            die(EXIT_USAGE, "usage: answer [--listen HOST:PORT] [--delay MS] [--wrong EVERY]");
    }
    self.random = now_ns();
    self.tick = now_ns() / 1000000;
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    int signals = watch_signals(), listener = net_listen(at);
    net_watch(self.epoll, EPOLL_CTL_ADD, listener, EPOLLIN, &listening);
    net_watch(self.epoll, EPOLL_CTL_ADD, signals, EPOLLIN, &ending);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(self.epoll, events, 256, self.waiting ? 1 + (int)self.delay / 8 : -1);
        if (self.waiting)
            run_wheel();
        else
            self.tick = now_ns() / 1000000;
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn == &listening) {
                accept_all(listener);
            } else if (conn == &ending) {
                printf("{\"requests\": %llu, \"one_way\": %llu, \"answers\": %llu, \"heartbeats\": %llu}\n",
                       (unsigned long long)self.requests, (unsigned long long)self.one_way,
                       (unsigned long long)self.answers, (unsigned long long)self.heartbeats);
                return 0;
            } else {
                on_event(conn, events[i].events);
            }
        }
    }
}
