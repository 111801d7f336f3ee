/* provider: a Dubbo2 provider that returns its argument, as late as it is told, and says who it is.
 *
 * With --name an answer carries the attachment `from`. With --answer it is a string of so many bytes instead of the
 * argument. With --most it hangs up over a longer body. With --rate it answers no more a second: calls wait. Commands: `count` is answered with "ok CALLS CONNECTIONS";
 * `beat` sends a heartbeat on every connection; with `fail STATUS` calls are answered with that from then on, 0: well again. */
#include "bytes.h"
#include "server.h"
#include "wire.h"

#include <getopt.h>

enum { READ_ROOM = 64 << 10, OUT_HIGH = 4 << 20, NAME_MAX_LEN = 31 };

struct conn {
    struct conn *next, **at;
    int fd;
    uint32_t events, waiting; /* answers that are not due yet */
    bool closed;
    size_t ready;             /* bytes of `out` that are due */
    struct bytes in, out;
};

/* Answers in the order in which they are due, which is that in which their calls came. */
struct due {
    struct due *next;
    struct conn *conn;
    uint64_t at;
    size_t len;
};

static struct {
    uint64_t delay, gap, due; /* gap: an answer no sooner than so long after the one before, which is at `due` */
    uint8_t fails; /* the status; 0: it does not */
    size_t answer, most;
    const char *name;
    uint8_t *padding; /* the string that --answer asks for, encoded */
    size_t n_padding;
    struct due *first, **last;
    struct conn *conns;
    uint64_t calls, connections;
} self = {.last = &self.first, .most = WIRE_MAX_BODY};

/* What is used up needs no memory: a thousand idle connections cost nothing. */
static void consume(struct bytes *b, size_t len)
{
    bytes_consume(b, len);
    bytes_trim(b, 0);
}

static void forget(struct conn *conn)
{
    if (conn->waiting)
        return;
    bytes_free(&conn->in);
    bytes_free(&conn->out);
    free(conn);
}

static void end(struct conn *conn)
{
    close(conn->fd);
    *conn->at = conn->next;
    if (conn->next)
        conn->next->at = conn->at;
    conn->closed = true;
    self.connections--;
    forget(conn);
}

static void put_later(struct conn *conn, size_t len)
{
    conn->out.end += len;
    if (!self.delay) {
        conn->ready += len;
        return;
    }
    struct due *due = must_alloc(sizeof *due);
    uint64_t at = now_ns() + self.delay;
    self.due = self.due + self.gap > at ? self.due + self.gap : at;
    *due = (struct due){.conn = conn, .at = self.due, .len = len};
    *self.last = due;
    self.last = &due->next;
    conn->waiting++;
}

static void answer(struct conn *conn, const uint8_t *frame, size_t body_len)
{
    uint64_t id = wire_get64(frame + 4);
    const uint8_t *body = frame + WIRE_HEAD;
    if (!(frame[2] & WIRE_TWO_WAY))
        return;
    if (frame[2] & WIRE_EVENT) {
        uint8_t *to = bytes_reserve(&conn->out, WIRE_HEAD + body_len);
        put_later(conn, wire_answer_event(to, frame, body_len)); /* behind the answers that are on their way: bytes go in order */
        return;
    }
    self.calls++;
    if (self.fails) {
        static const char why[] = "failing";
        uint8_t *to = bytes_reserve(&conn->out, WIRE_HEAD + wire_string_room(sizeof why));
        uint8_t *end = wire_put_string(to + WIRE_HEAD, why, sizeof why - 1);
        wire_put_head(to, WIRE_HESSIAN2, self.fails, id, (uint32_t)(end - to - WIRE_HEAD));
        put_later(conn, (size_t)(end - to));
        return;
    }
    size_t value_len;
    const uint8_t *value = wire_argument(body, body_len, &value_len);
    if (self.padding) {
        value = self.padding;
        value_len = self.n_padding;
    }
    uint8_t *to = bytes_reserve(&conn->out, WIRE_HEAD + 64 + value_len), *p = to + WIRE_HEAD;
    *p++ = (uint8_t)((value ? 0x91 : 0x92) + (self.name ? 3 : 0)); /* a value, or none; with attachments */
    if (value)
        memcpy(p, value, value_len);
    p += value_len;
    if (self.name) {
        *p++ = 'H';
        p = wire_put_string(p, "from", 4);
        p = wire_put_string(p, self.name, strlen(self.name));
        *p++ = 'Z';
    }
    wire_put_head(to, WIRE_HESSIAN2, WIRE_OK, id, (uint32_t)(p - to - WIRE_HEAD));
    put_later(conn, (size_t)(p - to));
}

static bool flush(struct conn *conn)
{
    while (conn->ready) {
        ssize_t n = send(conn->fd, conn->out.base + conn->out.begin, conn->ready, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        conn->ready -= (size_t)n;
        consume(&conn->out, (size_t)n);
    }
    uint32_t events = (conn->ready ? EPOLLOUT : 0u) | (bytes_held(&conn->out) < OUT_HIGH ? EPOLLIN : 0u);
    if (events != conn->events)
        net_watch(serving.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = events, conn);
    return true;
}

static bool serve(struct conn *conn)
{
    size_t body;
    int whole;
    while ((whole = wire_frame(conn->in.base + conn->in.begin, bytes_held(&conn->in), self.most, &body)) == 1) {
        const uint8_t *frame = conn->in.base + conn->in.begin;
        if (frame[2] & WIRE_REQUEST)
            answer(conn, frame, body);
        consume(&conn->in, WIRE_HEAD + body);
    }
    return whole == 0;
}

static bool on_event(struct conn *conn, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(conn->fd, bytes_reserve(&conn->in, READ_ROOM), READ_ROOM, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n > 0)
            conn->in.end += (size_t)n;
        consume(&conn->in, 0);
        if (!serve(conn))
            return false;
    }
    return flush(conn);
}

static void accept_all(void)
{
    int fd;
    while ((fd = net_accept(serving.listener)) >= 0) {
        struct conn *conn = must_alloc(sizeof *conn);
        conn->fd = fd;
        conn->next = self.conns;
        conn->at = &self.conns;
        if (conn->next)
            conn->next->at = &conn->next;
        self.conns = conn;
        self.connections++;
        net_watch(serving.epoll, EPOLL_CTL_ADD, fd, conn->events = EPOLLIN, conn);
    }
}

/* Sets free what is due; milliseconds until more is, -1 when nothing waits. */
static int release(void)
{
    uint64_t now = now_ns();
    while (self.first && self.first->at <= now) {
        struct due *due = self.first;
        struct conn *conn = due->conn;
        self.first = due->next;
        if (!self.first)
            self.last = &self.first;
        conn->ready += due->len;
        conn->waiting--;
        bool last = !self.first || self.first->conn != conn || self.first->at > now;
        free(due);
        if (conn->closed)
            forget(conn);
        else if (last && !flush(conn))
            end(conn);
    }
    return self.first ? (int)((self.first->at - now) / 1000000 + 1) : -1;
}

static void beat_all(void)
{
    for (struct conn *conn = self.conns, *next; conn; conn = next) {
        next = conn->next;
        uint8_t *to = bytes_reserve(&conn->out, WIRE_HEAD + 1);
        wire_put_head(to, WIRE_REQUEST | WIRE_TWO_WAY | WIRE_EVENT | WIRE_HESSIAN2, 0, 1, 1);
        to[WIRE_HEAD] = 'N';
        put_later(conn, WIRE_HEAD + 1);
        if (!flush(conn))
            end(conn);
    }
}

static void obey(char *line)
{
    if (!strcmp(line, "beat")) {
        beat_all();
        reply("ok");
        return;
    }
    if (!strncmp(line, "fail ", 5)) {
        self.fails = (uint8_t)number(line + 5, 0, 255);
        reply("ok");
        return;
    }
    if (strcmp(line, "count"))
        die(EXIT_USAGE, "'%s' is not a command", line);
    reply("ok %llu %llu", (unsigned long long)self.calls, (unsigned long long)self.connections);
}

static void event(void *what, uint32_t events)
{
    if (!on_event(what, events))
        end(what);
}

static void nothing(void)
{
}

static const struct server_ops ops = {release, accept_all, event, obey, nothing};

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", 1, NULL, 'l'}, {"delay", 1, NULL, 'd'}, {"name", 1, NULL, 'n'},
                                            {"answer", 1, NULL, 'a'}, {"most", 1, NULL, 'm'},
                                            {"rate", 1, NULL, 'r'}, {0}};
    const char *at = "127.0.0.1:0";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'l': at = optarg; break;
        case 'd': self.delay = number(optarg, 0, 60000) * 1000000; break;
        case 'a': self.answer = number(optarg, 1, 1 << 20); break;
        case 'r': self.gap = 1000000000 / number(optarg, 1, 1000000); break;
        case 'm': self.most = number(optarg, 1, WIRE_MAX_BODY); break;
        case 'n': self.name = optarg; break;
        default: die(EXIT_USAGE, "usage: provider [--listen HOST:PORT] [--delay MS] [--name TEXT] [--answer BYTES] "
                                "[--most BYTES] [--rate ANSWERS_A_SECOND]");
        }
    }
    if (self.name && strlen(self.name) > NAME_MAX_LEN)
        die(EXIT_USAGE, "a name has at most %d bytes", NAME_MAX_LEN);
    if (self.answer) {
        char *text = must_alloc(self.answer);
        memset(text, 'x', self.answer);
        self.padding = must_alloc(wire_string_room(self.answer));
        self.n_padding = (size_t)(wire_put_string(self.padding, text, self.answer) - self.padding);
        free(text);
    }
    server_begin();
    serving.listener = net_listen(at);
    server_watch_listener();
    server_run(&ops);
    return 0;
}
