/* grpc_provider: as provider, of gRPC: returns its message, as late as it is told, and says who it is.
 *
 * With --name an answer carries the field `x-from`. With --answer messages have so many bytes. With --streams it takes so
 * many at once. With --rate it answers no more a second. Commands:
 *   count    answers: ok CALLS CONNECTIONS
 *   drain    GOAWAY on every connection as it is meant to be: the last stream that came; those that are open are answered
 *   cut N    GOAWAY that leaves out the last N streams that came: those are not answered, and count as no calls
 *   fail N   calls are answered with that grpc-status, in trailers-only answers; 0: well again
 *   beat     a PING on every connection */
#include "h2_body.h"
#include "h2_frames.h"
#include "server.h"

#include <getopt.h>

enum { BUCKETS = 1024, OUT_HIGH = 1 << 20, FROM_MOST = 31 };

struct conn;

/* A call, from its request's fields to its answer's end. */
struct stream {
    uint32_t id, received;
    bool due, headed;
    uint64_t at; /* when it is answered */
    int64_t credit;
    struct h2_seen asked;
    struct body request, answer;
    struct conn *conn;
    struct stream *next;             /* of its bucket */
    struct stream *later, **earlier; /* whole requests, in the order in which they came */
};

struct conn {
    struct h2_conn h2;
    struct conn *next, **at;
    uint32_t last, most, streams; /* the last stream that came; that will be answered; that are open */
    bool leaves, dead;
    struct stream *buckets[BUCKETS];
};

static struct {
    uint64_t delay, calls, connections, gap, due; /* as in provider.c */
    uint32_t answer, streams, fails;
    const char *name;
    struct conn *conns, *dead;
    struct stream *first, **last;
} self = {.last = &self.first};

static struct stream **find(struct conn *conn, uint32_t id)
{
    struct stream **at = &conn->buckets[id / 2 % BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void forget(struct stream **at)
{
    struct stream *s = *at;
    *at = s->next;
    if (s->earlier) {
        *s->earlier = s->later;
        if (s->later)
            s->later->earlier = s->earlier;
        else
            self.last = s->earlier;
    }
    s->conn->streams--;
    free(s);
}

static void put_block(struct conn *conn, uint32_t id, const char *name, const char *value, bool end)
{
    uint8_t *to = bytes_reserve(&conn->h2.out, 256), *at = to + H2_HEAD;
    if (!end) {
        at = hpack_put_index(at, 8);
        at = hpack_put_literal(at, H2_ONCE, 31, NULL, "application/grpc");
    }
    if (value)
        at = hpack_put_literal(at, H2_ONCE, 0, name, value);
    h2_put_head(to, (size_t)(at - to) - H2_HEAD, H2_HEADERS, H2_END_HEADERS | (end ? H2_END_STREAM : 0), id);
    conn->h2.out.end += (size_t)(at - to);
}

static void put_failure(struct conn *conn, uint32_t id)
{
    char status[12];
    snprintf(status, sizeof status, "%u", self.fails);
    uint8_t *to = bytes_reserve(&conn->h2.out, 256), *at = to + H2_HEAD;
    at = hpack_put_index(at, 8);
    at = hpack_put_literal(at, H2_ONCE, 31, NULL, "application/grpc");
    at = hpack_put_literal(at, H2_ONCE, 0, "grpc-status", status);
    h2_put_head(to, (size_t)(at - to) - H2_HEAD, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, id);
    conn->h2.out.end += (size_t)(at - to);
}

/* Writes what may be written of an answer; true once that is all of it. */
static bool put_answer(struct conn *conn, struct stream *s)
{
    struct h2_conn *h2 = &conn->h2;
    bool good = s->asked.good && body_whole(&s->request);
    if (self.fails && !s->headed) {
        put_failure(conn, s->id);
        return true;
    }
    if (!s->headed)
        put_block(conn, s->id, "x-from", self.name, false);
    s->headed = true;
    for (uint64_t left; good && (left = body_left(&s->answer));) {
        size_t n = bytes_held(&h2->out) < OUT_HIGH ? h2_conn_may_send(h2, s->credit, left) : 0;
        if (!n)
            return false;
        uint8_t *to = bytes_reserve(&h2->out, H2_HEAD + n);
        body_put(&s->answer, h2_put_head(to, n, H2_DATA, 0, s->id), n);
        h2->out.end += H2_HEAD + n;
        h2->window -= (int64_t)n;
        s->credit -= (int64_t)n;
    }
    put_block(conn, s->id, "grpc-status", good ? "0" : "3", true);
    return true;
}

static int requested(struct stream **at)
{
    struct stream *s = *at;
    s->at = now_ns() + self.delay;
    self.due = s->at = self.due + self.gap > s->at ? self.due + self.gap : s->at;
    s->answer = body_of(s->request.nonce, self.answer ? self.answer : s->request.size, 1);
    s->earlier = self.last;
    *self.last = s;
    self.last = &s->later;
    self.calls++;
    return 0;
}

static int on_headers(struct h2_conn *h2, uint32_t id, const struct h2_seen *seen, bool end)
{
    struct conn *conn = (struct conn *)h2;
    struct stream **at = find(conn, id);
    if (!*at) {
        if (id % 2 == 0 || id <= conn->last)
            return id % 2 ? 0 : -EPROTO;
        conn->last = id;
        if (id > conn->most)
            return 0;
        struct stream *s = *at = must_alloc(sizeof *s);
        *s = (struct stream){.id = id, .asked = *seen, .conn = conn, .request = body_of(0, 0, 1)};
        conn->streams++;
    }
    return end ? requested(at) : 0;
}

static int on_data(struct h2_conn *h2, uint32_t id, const uint8_t *p, size_t len, size_t counted, bool end)
{
    struct conn *conn = (struct conn *)h2;
    struct stream **at = find(conn, id), *s = *at;
    if (!s)
        return id > conn->last || id % 2 == 0 ? -EPROTO : 0;
    if (!body_check(&s->request, p, len))
        s->asked.good = false;
    s->received += (uint32_t)counted;
    if (!end && s->received >= H2_OWN_STREAM / 2) {
        h2_conn_number(h2, H2_CREDIT, id, s->received);
        s->received = 0;
    }
    return end ? requested(at) : 0;
}

static int on_reset(struct h2_conn *h2, uint32_t id, uint32_t code)
{
    struct stream **at = find((struct conn *)h2, id);
    (void)code;
    if (*at)
        forget(at);
    return 0;
}

static int on_credit(struct h2_conn *h2, uint32_t id, uint32_t more)
{
    struct stream *s = id ? *find((struct conn *)h2, id) : NULL;
    if (s)
        s->credit += more;
    return 0;
}

static int on_goaway(struct h2_conn *h2, uint32_t last, uint32_t code)
{
    (void)h2, (void)last, (void)code;
    return 0;
}

static void see(const struct mf_pair *fields, uint32_t n, struct h2_seen *seen)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        found |= mf_slice_eq(fields[i].key, MF_SLICE(":path")) ? 1 : 0;
        if (mf_slice_eq(fields[i].key, MF_SLICE("content-type")))
            found |= mf_slice_eq(fields[i].value, MF_SLICE("application/grpc")) ? 2 : 0;
    }
    seen->good = found == 3;
}

static const struct h2_end end = {on_headers, on_data, on_reset, on_credit, on_goaway, see};

static void finish(struct conn *conn)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        while (conn->buckets[i])
            forget(&conn->buckets[i]);
    h2_conn_dispose(&conn->h2);
    *conn->at = conn->next;
    if (conn->next)
        conn->next->at = conn->at;
    self.connections--;
    conn->dead = true;
    conn->next = self.dead; /* an event of this turn may still name it */
    self.dead = conn;
}

static void flush(struct conn *conn)
{
    struct bytes *out = &conn->h2.out;
    bool left = conn->leaves && !conn->streams;
    if (bytes_send(out, conn->h2.fd) || (left && !bytes_held(out))) {
        finish(conn);
        return;
    }
    uint32_t events = (bytes_held(out) ? EPOLLOUT : 0u) | (bytes_held(out) < 4 * OUT_HIGH ? EPOLLIN : 0u);
    if (events != conn->h2.events)
        net_watch(serving.epoll, EPOLL_CTL_MOD, conn->h2.fd, conn->h2.events = events, conn);
}

static void on_event(struct conn *conn, uint32_t events)
{
    if (conn->dead)
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t rc = h2_conn_receive(&conn->h2);
        if (rc > 0 && (rc = h2_conn_frames(&conn->h2, &end)) == -EPROTO)
            h2_conn_goaway(&conn->h2, conn->last, H2_PROTOCOL_ERROR);
        if (rc < 0) {
            bytes_send(&conn->h2.out, conn->h2.fd);
            finish(conn);
            return;
        }
    }
    flush(conn);
}

static void accept_all(void)
{
    int fd;
    while ((fd = net_accept(serving.listener)) >= 0) {
        struct conn *conn = must_alloc(sizeof *conn);
        h2_conn_init(&conn->h2, fd, true);
        if (self.streams) {
            uint8_t *at = h2_put_head(bytes_reserve(&conn->h2.out, H2_HEAD + 6), 6, H2_SETTINGS, 0, 0);
            h2_put_setting(at, H2_SET_STREAMS, self.streams);
            conn->h2.out.end += H2_HEAD + 6;
        }
        conn->most = UINT32_MAX;
        conn->next = self.conns;
        conn->at = &self.conns;
        if (conn->next)
            conn->next->at = &conn->next;
        self.conns = conn;
        self.connections++;
        net_watch(serving.epoll, EPOLL_CTL_ADD, fd, conn->h2.events = EPOLLIN, conn);
    }
}

/* Answers what is due, as far as windows go; milliseconds until more is, -1 when nothing waits. */
static int release(void)
{
    uint64_t now = now_ns(), next = 0;
    for (struct stream *s = self.first, *later; s; s = later) {
        later = s->later;
        if (s->at > now) {
            next = s->at;
            break;
        }
        if (put_answer(s->conn, s))
            forget(find(s->conn, s->id));
    }
    for (struct conn *conn = self.conns, *after; conn; conn = after) {
        after = conn->next;
        flush(conn);
    }
    return next ? (int)((next - now) / 1000000 + 1) : -1;
}

/* --- commands */

static void leave(struct conn *conn, uint32_t without)
{
    uint32_t most = conn->last > 2 * without ? conn->last - 2 * without : 0;
    if (conn->leaves)
        return;
    conn->leaves = true;
    conn->most = most;
    h2_conn_goaway(&conn->h2, most, 0);
    for (uint32_t i = 0; i < BUCKETS; i++)
        for (struct stream **at = &conn->buckets[i]; *at;) {
            if ((*at)->id > most) {
                self.calls -= (*at)->earlier != NULL;
                forget(at);
            } else {
                at = &(*at)->next;
            }
        }
}

static void obey(char *line)
{
    char *verb = strtok(line, " "), *word = strtok(NULL, " ");
    bool drain = verb && !strcmp(verb, "drain"), cut = verb && !strcmp(verb, "cut") && word;
    if (verb && !strcmp(verb, "count")) {
        reply("ok %llu %llu", (unsigned long long)self.calls, (unsigned long long)self.connections);
        return;
    }
    if (verb && !strcmp(verb, "fail") && word) {
        self.fails = (uint32_t)number(word, 0, 16);
        reply("ok");
        return;
    }
    if (!drain && !cut && (!verb || strcmp(verb, "beat") != 0))
        die(EXIT_USAGE, "'%s' is not a command", verb ? verb : "");
    for (struct conn *conn = self.conns; conn; conn = conn->next) {
        if (drain || cut) {
            leave(conn, cut ? (uint32_t)number(word, 1, 1 << 20) : 0);
            continue;
        }
        uint8_t *to = bytes_reserve(&conn->h2.out, H2_HEAD + 8);
        memset(h2_put_head(to, 8, H2_PING, 0, 0), 'b', 8);
        conn->h2.out.end += H2_HEAD + 8;
    }
    reply("ok");
}

static void event(void *what, uint32_t events)
{
    on_event(what, events);
}

static void bury(void)
{
    for (struct conn *conn; (conn = self.dead);) {
        self.dead = conn->next;
        free(conn);
    }
}

static const struct server_ops ops = {release, accept_all, event, obey, bury};

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", 1, NULL, 'l'}, {"delay", 1, NULL, 'd'}, {"name", 1, NULL, 'n'},
                                            {"answer", 1, NULL, 'a'}, {"streams", 1, NULL, 's'},
                                            {"rate", 1, NULL, 'r'}, {0}};
    const char *at = "127.0.0.1:0";
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'l': at = optarg; break;
        case 'd': self.delay = number(optarg, 0, 60000) * 1000000; break;
        case 'a': self.answer = (uint32_t)number(optarg, BODY_HEAD, 4 << 20); break;
        case 'r': self.gap = 1000000000 / number(optarg, 1, 1000000); break;
        case 's': self.streams = (uint32_t)number(optarg, 1, UINT32_MAX); break;
        case 'n': self.name = optarg; break;
        default: die(EXIT_USAGE, "usage: grpc_provider [--listen HOST:PORT] [--delay MS] [--name TEXT] "
                                "[--answer BYTES] [--streams N] [--rate ANSWERS_A_SECOND]");
        }
    }
    if (self.name && strlen(self.name) > FROM_MOST)
        die(EXIT_USAGE, "a name has at most %d bytes", FROM_MOST);
    body_init();
    server_begin();
    serving.listener = net_listen(at);
    server_watch_listener();
    server_run(&ops);
    return 0;
}
