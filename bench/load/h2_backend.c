/* h2_backend: a gRPC server over cleartext HTTP/2 that returns its request's message, for benchmarks.
 *
 * One thread, epoll; all that one read asked for is answered by one write. Every request's fields and body are checked,
 * and a wrong one gets grpc-status 3. A method Stream_COUNT_SIZE is answered by so many messages of so many bytes. It can
 * be told to answer wrongly (--fault), so that whoever checks answers can be checked. */
#include "h2_body.h"
#include "h2_frames.h"

#include <getopt.h>

enum { BUCKETS = 1024, OUT_HIGH = 1 << 20 };

enum fault { FAULT_NONE, FAULT_HTTP, FAULT_STATUS, FAULT_BODY, FAULT_CALL, FAULT_TRAILERS, FAULT_RESET, FAULT_DROP, FAULT_CLOSE };
static const char *const fault_names[] = {"none", "http", "status", "body", "call", "trailers", "reset", "drop", "close"};

/* A call, from its request's fields to its answer's end. */
struct stream {
    uint32_t id;
    bool whole, wrong, headed; /* the request is; it is no good; the answer's fields are out */
    enum fault fault;
    uint32_t received;  /* since this stream was given credit */
    int64_t credit;     /* to send, beside the first window */
    struct h2_seen asked;
    struct body request, answer;
    struct stream *next, *waits_next, *waits_prev;
};

struct client {
    struct h2_conn conn;
    bool typed, stated; /* the peer's table has content-type, grpc-status from us */
    uint32_t last;      /* stream */
    struct stream *streams[BUCKETS];
    struct stream waits; /* answers that want a window or room: a ring */
};

static struct {
    enum fault fault;
    uint64_t every, seen;
    int epoll;
    const char *want_name, *want_value; /* a field that each request must have */
    struct stream *spare;
} self = {.every = 1};

static struct stream **find(struct client *client, uint32_t id)
{
    struct stream **at = &client->streams[id / 2 % BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void wait_begin(struct client *client, struct stream *s)
{
    struct stream *ring = &client->waits;
    s->waits_next = ring;
    s->waits_prev = ring->waits_prev;
    ring->waits_prev->waits_next = s;
    ring->waits_prev = s;
}

static void wait_end(struct stream *s)
{
    if (!s->waits_next)
        return;
    s->waits_prev->waits_next = s->waits_next;
    s->waits_next->waits_prev = s->waits_prev;
    s->waits_next = s->waits_prev = NULL;
}

static void forget(struct stream **at)
{
    struct stream *s = *at;
    *at = s->next;
    wait_end(s);
    s->next = self.spare;
    self.spare = s;
}

static bool is(struct mf_slice text, const char *wanted)
{
    return mf_slice_eq(text, mf_slice_str(wanted));
}

static void see_path(struct mf_slice path, struct h2_seen *seen)
{
    static const char stream[] = "/Stream_";
    char text[128];
    if (path.len >= sizeof text)
        return;
    memcpy(text, path.ptr, path.len);
    text[path.len] = 0;
    const char *found = strstr(text, stream);
    if (found && sscanf(found + sizeof stream - 1, "%u_%u", &seen->count, &seen->size) != 2)
        seen->count = seen->size = 0;
}

static void see(const struct mf_pair *fields, uint32_t n, struct h2_seen *seen)
{
    uint32_t found = 0, wanted = self.want_name ? 32 : 0;
    seen->size = seen->count = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct mf_slice key = fields[i].key, value = fields[i].value;
        if (is(key, ":method") && is(value, "POST"))
            found |= 1;
        else if (is(key, ":scheme") && is(value, "http"))
            found |= 2;
        else if (is(key, "te") && is(value, "trailers"))
            found |= 4;
        else if (is(key, "content-type") && is(value, "application/grpc"))
            found |= 8;
        else if (is(key, ":path") && value.len > 2) {
            found |= 16;
            see_path(value, seen);
        } else if (self.want_name && is(key, self.want_name) && is(value, self.want_value))
            found |= 32;
    }
    seen->good = (found & ~4u) == (27 | wanted); /* some proxies keep `te` to themselves */
}

/* Writes the answer's fields; with `grpc` they are all of it. */
static void put_headers(struct client *client, struct stream *s, const char *grpc)
{
    struct h2_conn *conn = &client->conn;
    uint8_t *to = bytes_reserve(&conn->out, 256), *at = to + H2_HEAD;
    if (conn->table < H2_TABLE && !client->typed)
        at = hpack_put_number(at, 0x20, 3, 0); /* a table of another size is not used at all */
    at = hpack_put_index(at, s->fault == FAULT_HTTP ? 14 : 8);
    if (conn->table < H2_TABLE)
        at = hpack_put_literal(at, H2_ONCE, 31, NULL, "application/grpc");
    else if (!client->typed)
        at = hpack_put_literal(at, H2_INDEXED, 31, NULL, "application/grpc");
    else
        at = hpack_put_index(at, H2_STATIC + client->stated);
    client->typed = true;
    if (grpc)
        at = hpack_put_literal(at, H2_ONCE, 0, "grpc-status", grpc);
    h2_put_head(to, (size_t)(at - to) - H2_HEAD, H2_HEADERS, H2_END_HEADERS | (grpc ? H2_END_STREAM : 0), s->id);
    conn->out.end += (size_t)(at - to);
}

static void put_trailers(struct client *client, struct stream *s)
{
    struct h2_conn *conn = &client->conn;
    uint8_t *to = bytes_reserve(&conn->out, 64), *at = to + H2_HEAD;
    if (conn->table < H2_TABLE || s->fault == FAULT_STATUS) {
        at = hpack_put_literal(at, H2_ONCE, 0, "grpc-status", s->fault == FAULT_STATUS ? "13" : "0");
    } else if (!client->stated) {
        client->stated = true;
        at = hpack_put_literal(at, H2_INDEXED, 0, "grpc-status", "0");
    } else {
        at = hpack_put_index(at, H2_STATIC);
    }
    h2_put_head(to, (size_t)(at - to) - H2_HEAD, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, s->id);
    conn->out.end += (size_t)(at - to);
}

/* Writes what may be written of an answer, no two messages in one frame; true once that is all of it. */
static bool put_answer(struct client *client, struct stream *s)
{
    struct h2_conn *conn = &client->conn;
    if (!s->headed) {
        put_headers(client, s, s->wrong ? "3" : NULL);
        s->headed = true;
    }
    for (uint64_t left; !s->wrong && (left = body_left(&s->answer));) {
        size_t n = bytes_held(&conn->out) < OUT_HIGH ? h2_conn_may_send(conn, s->credit, body_rest(&s->answer)) : 0;
        if (!n)
            return false;
        uint8_t *to = bytes_reserve(&conn->out, H2_HEAD + n);
        bool bare = s->fault == FAULT_TRAILERS && n == left;
        body_put(&s->answer, h2_put_head(to, n, H2_DATA, bare ? H2_END_STREAM : 0, s->id), n);
        if (s->fault == FAULT_BODY && n == left)
            to[H2_HEAD + n - 1] ^= 1;
        conn->out.end += H2_HEAD + n;
        conn->window -= (int64_t)n;
        s->credit -= (int64_t)n;
    }
    if (!s->wrong && s->fault != FAULT_TRAILERS)
        put_trailers(client, s);
    return true;
}

/* The request is whole: 0, or -EPIPE when the planned fault is to hang up. */
static int answer(struct client *client, struct stream **at)
{
    struct stream *s = *at;
    s->whole = true;
    s->wrong = !s->asked.good || !body_whole(&s->request);
    if (self.fault != FAULT_NONE && ++self.seen % self.every == 0)
        s->fault = self.fault;
    if (s->fault == FAULT_CLOSE)
        return -EPIPE;
    if (s->fault == FAULT_RESET)
        h2_conn_number(&client->conn, H2_RST, s->id, H2_INTERNAL_ERROR);
    if (s->fault == FAULT_RESET || s->fault == FAULT_DROP) {
        forget(at);
        return 0;
    }
    uint32_t size = s->asked.size >= BODY_HEAD ? s->asked.size : s->request.size;
    s->answer = body_of(s->request.nonce + (s->fault == FAULT_CALL), size, s->asked.size >= BODY_HEAD ? s->asked.count : 1);
    if (put_answer(client, s))
        forget(at);
    else
        wait_begin(client, s);
    return 0;
}

static int on_headers(struct h2_conn *conn, uint32_t id, const struct h2_seen *seen, bool end)
{
    struct client *client = (struct client *)conn;
    struct stream **at = find(client, id);
    if (!*at) {
        if (id % 2 == 0 || id <= client->last)
            return id % 2 ? 0 : -EPROTO;
        struct stream *s = self.spare ? self.spare : must_alloc(sizeof *s);
        self.spare = self.spare ? self.spare->next : NULL;
        *s = (struct stream){.id = id, .asked = *seen, .request = body_of(0, 0, 1)};
        client->last = id;
        *at = s;
    }
    if ((*at)->whole)
        return -EPROTO;
    return end ? answer(client, at) : 0;
}

static int on_data(struct h2_conn *conn, uint32_t id, const uint8_t *p, size_t len, size_t counted, bool end)
{
    struct client *client = (struct client *)conn;
    struct stream **at = find(client, id), *s = *at;
    if (!s)
        return id > client->last || id % 2 == 0 ? -EPROTO : 0;
    if (s->whole)
        return -EPROTO;
    if (!body_check(&s->request, p, len))
        s->asked.good = false;
    s->received += (uint32_t)counted;
    if (!end && s->received >= H2_OWN_STREAM / 2) {
        h2_conn_number(conn, H2_CREDIT, id, s->received);
        s->received = 0;
    }
    return end ? answer(client, at) : 0;
}

static int on_reset(struct h2_conn *conn, uint32_t id, uint32_t code)
{
    struct stream **at = find((struct client *)conn, id);
    (void)code;
    if (*at)
        forget(at);
    return 0;
}

static int on_credit(struct h2_conn *conn, uint32_t id, uint32_t more)
{
    struct stream *s = id ? *find((struct client *)conn, id) : NULL;
    if (s)
        s->credit += more;
    return 0;
}

static int on_goaway(struct h2_conn *conn, uint32_t last, uint32_t code)
{
    (void)conn, (void)last, (void)code;
    return 0;
}

static const struct h2_end end = {on_headers, on_data, on_reset, on_credit, on_goaway, see};

/* One round over the answers that wait, as far as windows and room go. */
static void put_waiting(struct client *client)
{
    struct stream *ring = &client->waits, *last = ring->waits_prev;
    for (struct stream *s = ring->waits_next, *next; s != ring && bytes_held(&client->conn.out) < OUT_HIGH; s = next) {
        next = s == last ? ring : s->waits_next;
        if (put_answer(client, s))
            forget(find(client, s->id));
        else if (client->conn.window <= 0)
            break;
    }
}

static int on_event(struct client *client, uint32_t events)
{
    struct h2_conn *conn = &client->conn;
    ssize_t rc = 0;
    h2_borrow(&conn->out);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        rc = h2_conn_receive(conn);
        if (rc > 0 && (rc = h2_conn_frames(conn, &end)) == -EPROTO)
            h2_conn_goaway(conn, client->last, H2_PROTOCOL_ERROR);
    }
    put_waiting(client);
    bool full = bytes_held(&conn->out) >= OUT_HIGH; /* else what still waits does so for a window */
    int sent = bytes_send(&conn->out, conn->fd);
    if (rc < 0 || sent)
        return rc < 0 ? (int)rc : sent;
    h2_return(&conn->in);
    h2_return(&conn->out);
    uint32_t wanted = (full || bytes_held(&conn->out) ? EPOLLOUT : 0u) | (bytes_held(&conn->out) < 4 * OUT_HIGH ? EPOLLIN : 0u);
    if (wanted != conn->events)
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = wanted, client);
    return 0;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = net_accept(listener)) >= 0) {
        struct client *client = must_alloc(sizeof *client);
        h2_conn_init(&client->conn, fd, true);
        client->waits.waits_next = client->waits.waits_prev = &client->waits;
        net_watch(self.epoll, EPOLL_CTL_ADD, fd, client->conn.events = EPOLLIN, client);
    }
}

static void dispose(struct client *client)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        while (client->streams[i])
            forget(&client->streams[i]);
    h2_conn_dispose(&client->conn);
    free(client);
}

static void parse_fault(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    for (size_t i = 0; i < sizeof fault_names / sizeof *fault_names; i++)
        if (strlen(fault_names[i]) == len && !memcmp(fault_names[i], text, len))
            self.fault = (enum fault)i;
    self.every = colon ? number(colon + 1, 1, UINT32_MAX) : 1;
    if (self.fault == FAULT_NONE)
        die(EXIT_USAGE, "'%s' is none of http|status|body|call|trailers|reset|drop|close[:EVERY]", text);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"fault", required_argument, NULL, 'f'},
                                            {"want", required_argument, NULL, 'w'},
                                            {0}};
    const char *at = "127.0.0.1:0";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char *equals = c == 'w' ? strchr(optarg, '=') : NULL;
        if (c == 'l') {
            at = optarg;
        } else if (c == 'f') {
            parse_fault(optarg);
        } else if (equals) {
            *equals = 0;
            self.want_name = optarg;
            self.want_value = equals + 1;
        } else {
            die(EXIT_USAGE, "usage: h2_backend [--listen HOST:PORT] [--want NAME=VALUE] [--fault KIND[:EVERY]]");
        }
    }
    body_init();
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self.epoll < 0)
        die(EXIT_FAILED, "epoll_create1: %s", strerror(errno));
    int listener = net_listen(at);
    net_watch(self.epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(self.epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (!client)
                accept_all(listener);
            else if (on_event(client, events[i].events) < 0)
                dispose(client);
        }
    }
}
