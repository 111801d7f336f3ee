/* dubbo_backend: a Dubbo2 provider that returns its argument, for benchmarks and end-to-end tests.
 *
 * One thread, epoll. All requests of one read are answered by one write, so that the backend costs as little as it can.
 * It answers heartbeats, stops reading from a peer that does not read its answers, and can be told to answer wrongly
 * (--fault), so that whoever checks answers can be checked. */
#include "bytes.h"
#include "wire.h"

#include <getopt.h>

enum { READ_ROOM = 256 << 10, OUT_HIGH = 4 << 20 };

enum fault { FAULT_NONE, FAULT_STATUS, FAULT_BODY, FAULT_ID, FAULT_DROP, FAULT_CLOSE };
static const char *const fault_names[] = {"none", "status", "body", "id", "drop", "close"};

struct conn {
    int fd;
    uint32_t events;
    struct bytes in, out; /* half a frame, answers not yet taken: mostly empty and without memory */
};

static struct {
    enum fault fault;
    uint64_t every, seen;
    int epoll;
    struct bytes in, out; /* where each turn of a connection happens, so that a thousand connections stay in cache */
} self;

/* Moves what is left in `from` to `to`, which is empty, and lets go of memory that `to` need not keep. */
static void keep(struct bytes *to, struct bytes *from)
{
    size_t left = bytes_held(from);
    if (left) {
        memcpy(bytes_reserve(to, left), from->base + from->begin, left);
        to->end += left;
    } else {
        bytes_free(to);
    }
    from->begin = from->end = 0;
}

/* Appends the answer to one request: 0, or -EPIPE when the planned fault is to hang up. */
static int answer(struct bytes *out, const uint8_t *frame, size_t body_len)
{
    const uint8_t *body = frame + WIRE_HEAD;
    uint64_t id = wire_get64(frame + 4);
    if (!(frame[2] & WIRE_TWO_WAY))
        return 0;
    uint8_t *to = bytes_reserve(out, WIRE_HEAD + 1 + body_len);
    if (frame[2] & WIRE_EVENT) {
        out->end += wire_answer_event(to, frame, body_len);
        return 0;
    }
    uint8_t serialization = frame[2] & 0x1f;
    size_t value_len, kind = serialization == WIRE_HESSIAN2; /* bytes before the value: a body not read has none */
    const uint8_t *value = kind ? wire_argument(body, body_len, &value_len) : body;
    if (!kind)
        value_len = body_len;
    wire_put_head(to, serialization, WIRE_OK, id, (uint32_t)(kind + value_len));
    if (kind)
        to[WIRE_HEAD] = value ? 0x91 : 0x92;
    if (value)
        memcpy(to + WIRE_HEAD + kind, value, value_len);
    if (self.fault != FAULT_NONE && ++self.seen % self.every == 0) {
        if (self.fault == FAULT_DROP)
            return 0;
        if (self.fault == FAULT_CLOSE)
            return -EPIPE;
        if (self.fault == FAULT_STATUS)
            to[3] = 80;
        else if (self.fault == FAULT_ID)
            wire_put64(to + 4, id ^ 1u << 20);
        else
            to[WIRE_HEAD + kind + value_len - 1] ^= 1;
    }
    out->end += WIRE_HEAD + kind + value_len;
    return 0;
}

static int flush(struct conn *conn, struct bytes *out)
{
    int rc = bytes_send(out, conn->fd);
    if (rc)
        return rc;
    uint32_t events = (bytes_held(out) ? EPOLLOUT : 0u) | (bytes_held(out) < OUT_HIGH ? EPOLLIN : 0u);
    if (events != conn->events)
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = events, conn);
    return 0;
}

/* Answers every whole frame of `in`. */
static int serve(struct bytes *in, struct bytes *out)
{
    size_t body;
    int whole;
    while ((whole = wire_frame(in->base + in->begin, bytes_held(in), WIRE_MAX_BODY, &body)) == 1) {
        const uint8_t *frame = in->base + in->begin;
        int rc = frame[2] & WIRE_REQUEST ? answer(out, frame, body) : 0;
        if (rc)
            return rc;
        bytes_consume(in, WIRE_HEAD + body);
    }
    return whole < 0 ? -EPROTO : 0;
}

/* How many bytes to ask for: what is missing of a large frame, else what fits. */
static size_t read_room(const struct bytes *in)
{
    if (bytes_held(in) >= WIRE_HEAD) {
        size_t frame = WIRE_HEAD + (size_t)wire_get32(in->base + in->begin + 12);
        if (frame <= WIRE_HEAD + WIRE_MAX_BODY && frame > bytes_held(in) && frame - bytes_held(in) > READ_ROOM)
            return frame - bytes_held(in);
    }
    return READ_ROOM;
}

static int on_event(struct conn *conn, uint32_t events)
{
    struct bytes *in = bytes_held(&conn->in) ? &conn->in : &self.in, *out = bytes_held(&conn->out) ? &conn->out : &self.out;
    self.in.begin = self.in.end = self.out.begin = self.out.end = 0; /* left over from a connection that failed */
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        size_t room = read_room(in);
        ssize_t n = recv(conn->fd, bytes_reserve(in, room), room, 0);
        if (n == 0)
            return -ECONNRESET;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n > 0)
            in->end += (size_t)n;
        int rc = serve(in, out);
        if (rc)
            return rc;
    }
    int rc = flush(conn, out);
    if (rc)
        return rc;
    if (in == &self.in)
        keep(&conn->in, in);
    if (out == &self.out)
        keep(&conn->out, out);
    return 0;
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

static void parse_fault(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    for (size_t i = 0; i < sizeof fault_names / sizeof *fault_names; i++)
        if (strlen(fault_names[i]) == len && !memcmp(fault_names[i], text, len))
            self.fault = (enum fault)i;
    self.every = colon ? strtoull(colon + 1, NULL, 10) : 1;
    if (self.fault == FAULT_NONE || self.every == 0)
        die(EXIT_USAGE, "'%s' is not status|body|id|drop|close[:EVERY]", text);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'}, {"fault", required_argument, NULL, 'f'}, {0}};
    const char *at = "127.0.0.1:0";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'l')
            at = optarg;
        else if (c == 'f')
            parse_fault(optarg);
        else
            die(EXIT_USAGE, "usage: dubbo_backend [--listen HOST:PORT] [--fault status|body|id|drop|close[:EVERY]]");
    }
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self.epoll < 0)
        die(EXIT_FAILED, "epoll_create1: %s", strerror(errno));
    int listener = net_listen(at);
    net_watch(self.epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(self.epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (!conn) {
                accept_all(listener);
            } else if (on_event(conn, events[i].events) < 0) {
                close(conn->fd);
                bytes_free(&conn->in);
                bytes_free(&conn->out);
                free(conn);
            }
        }
    }
}
