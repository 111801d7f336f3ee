/* dubbo_load: a Dubbo2 load generator that checks every answer and measures one window.
 *
 * Closed loop: each connection keeps --inflight calls going; latency is from the moment a call is queued for sending.
 * Open loop (--rate): calls are due at fixed moments whatever became of earlier ones, and latency is from the moment a
 * call was due, so that waiting in this program counts (no coordinated omission).
 * Fixed count (--calls): the closed loop until so many calls are answered, for counting instructions.
 * Prints one JSON object. Exit code 1 when any answer was wrong, missing or late beyond --stall. */
#include "pace_say.h"
#include "request.h"

#include <sys/prctl.h>

enum { OUT_ROOM = 256 << 10, IN_ROOM = 256 << 10, INFLIGHT_MAX = 65536 };

/* What can be wrong with an answer, or with its absence. */
enum wrong { WRONG_STATUS, WRONG_BODY, WRONG_ID, WRONG_FRAME, WRONG_CLOSED, WRONG_STALL };
static const char *const wrong_names[] = {"status", "body", "id", "frame", "closed", "stall", NULL};

struct slot {
    uint64_t id;    /* 0: free */
    uint64_t due, sent, nonce;
};

struct conn {
    int fd;
    uint32_t number, events;
    uint32_t n_free;
    uint16_t *free; /* slots not in use */
    struct slot *slots;
    uint64_t sequence; /* calls begun */
    uint8_t *in, *out;
    size_t in_begin, in_end, in_cap, out_begin, out_end, out_cap;
};

static struct {
    const char *connect;
    uint32_t inflight;
    struct request_options request;
} options = {.inflight = 1,
             .request = {.service = "org.meshfast.bench.Echo", .version = "1.0.0", .method = "echo", .payload = 200}};

static struct {
    int epoll;
    struct conn *conns;
    struct request request;
    uint64_t heartbeats, readonly;
} self;

static void send_call(struct conn *conn, uint64_t due, uint64_t now)
{
    uint16_t at = conn->free[--conn->n_free];
    struct slot *slot = &conn->slots[at];
    slot->id = ++conn->sequence << 16 | at;
    slot->due = due;
    slot->sent = now;
    slot->nonce = request_put(&self.request, conn->out + conn->out_end, slot->id);
    conn->out_end += self.request.len;
    pace_sent(due, now);
}

/* Room for `len` more bytes of output; false while the peer does not read. */
static bool out_room(struct conn *conn, size_t len)
{
    if (conn->out_cap - conn->out_end >= len)
        return true;
    if (conn->out_begin < conn->out_cap / 2)
        return false;
    memmove(conn->out, conn->out + conn->out_begin, conn->out_end - conn->out_begin);
    conn->out_end -= conn->out_begin;
    conn->out_begin = 0;
    return conn->out_cap - conn->out_end >= len;
}

/* Queues what is due now. */
static void fill(struct conn *conn, uint64_t now)
{
    uint64_t due;
    while (!pace.over && conn->n_free && out_room(conn, self.request.len) && pace_next(conn->number, conn->sequence, now, &due))
        send_call(conn, due, now);
}

static void flush(struct conn *conn)
{
    while (conn->out_end > conn->out_begin) {
        ssize_t n = send(conn->fd, conn->out + conn->out_begin, conn->out_end - conn->out_begin, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            blame(WRONG_CLOSED, "connection %u: send: %s", conn->number, strerror(errno));
            return;
        }
        conn->out_begin += (size_t)n;
    }
    if (conn->out_begin == conn->out_end)
        conn->out_begin = conn->out_end = 0;
    uint32_t events = EPOLLIN | (conn->out_end ? EPOLLOUT : 0u);
    if (events != conn->events)
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = events, conn);
}

/* The proxy may send heartbeats, which are answered, and READONLY, which is counted. */
static void on_peer_event(struct conn *conn, const uint8_t *frame, size_t body)
{
    if (!(frame[2] & WIRE_REQUEST))
        return;
    if (!(frame[2] & WIRE_TWO_WAY)) {
        self.readonly++;
        return;
    }
    self.heartbeats++;
    if (!out_room(conn, WIRE_HEAD + body))
        return;
    conn->out_end += wire_answer_event(conn->out + conn->out_end, frame, body);
}

static void on_answer(struct conn *conn, const uint8_t *frame, size_t body, uint64_t now)
{
    uint64_t id = wire_get64(frame + 4);
    uint16_t at = (uint16_t)id;
    struct slot *slot = &conn->slots[at];
    if (frame[2] & WIRE_REQUEST || at >= options.inflight || id == 0 || slot->id != id) {
        blame(WRONG_ID, "connection %u: no call waits for an answer with id %#llx", conn->number, (unsigned long long)id);
        return;
    }
    slot->id = 0;
    conn->free[conn->n_free++] = at;
    pace.in_flight--;
    pace.ended++;
    if (frame[3] != WIRE_OK) {
        blame(WRONG_STATUS, "connection %u: status %u: %.*s", conn->number, frame[3], body < 150 ? (int)body : 150,
              (const char *)frame + WIRE_HEAD);
    } else if (!request_check(&self.request, frame + WIRE_HEAD, body, slot->nonce)) {
        blame(WRONG_BODY, "connection %u: the body of answer %#llx is not what the call sent", conn->number,
              (unsigned long long)id);
    } else {
        pace.calls += pace.counting;
        pace_right(slot->due, now);
    }
}

static void on_readable(struct conn *conn)
{
    if (conn->in_begin && conn->in_cap - conn->in_end < conn->in_cap / 2) {
        memmove(conn->in, conn->in + conn->in_begin, conn->in_end - conn->in_begin);
        conn->in_end -= conn->in_begin;
        conn->in_begin = 0;
    }
    ssize_t n = recv(conn->fd, conn->in + conn->in_end, conn->in_cap - conn->in_end, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        blame(WRONG_CLOSED, "connection %u: %s", conn->number, n ? strerror(errno) : "closed by the other side");
        return;
    }
    conn->in_end += (size_t)n;
    uint64_t now = now_ns();
    size_t body, most = conn->in_cap / 2 - WIRE_HEAD;
    int whole;
    while ((whole = wire_frame(conn->in + conn->in_begin, conn->in_end - conn->in_begin, most, &body)) == 1) {
        const uint8_t *frame = conn->in + conn->in_begin;
        if (frame[2] & WIRE_EVENT)
            on_peer_event(conn, frame, body);
        else
            on_answer(conn, frame, body, now);
        conn->in_begin += WIRE_HEAD + body;
    }
    if (whole < 0) {
        blame(WRONG_FRAME, "connection %u: no Dubbo2 head, or a body of %zu bytes", conn->number, body);
        return;
    }
    if (conn->in_begin == conn->in_end)
        conn->in_begin = conn->in_end = 0;
}

static void find_stalls(uint64_t now)
{
    for (uint32_t c = 0; c < pace.connections && pace.in_flight; c++)
        for (uint32_t s = 0; s < options.inflight; s++) {
            struct slot *slot = &self.conns[c].slots[s];
            if (slot->id && now - slot->sent > pace.stall)
                blame(WRONG_STALL, "connection %u: call %#llx has no answer after %llu ms", c,
                      (unsigned long long)slot->id, (unsigned long long)((now - slot->sent) / MS));
        }
}

static void open_connections(void)
{
    struct addrinfo *to = net_resolve(options.connect);
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    self.conns = must_alloc(pace.connections * sizeof *self.conns);
    for (uint32_t i = 0; i < pace.connections; i++) {
        struct conn *conn = &self.conns[i];
        conn->number = i;
        conn->fd = net_connect(to);
        if (conn->fd < 0)
            die(EXIT_FAILED, "connection %u to %s: %s", i, options.connect, strerror(-conn->fd));
        conn->slots = must_alloc(options.inflight * sizeof *conn->slots);
        conn->free = must_alloc(options.inflight * sizeof *conn->free);
        while (conn->n_free < options.inflight) {
            conn->free[conn->n_free] = (uint16_t)(options.inflight - 1 - conn->n_free);
            conn->n_free++;
        }
        conn->in_cap = IN_ROOM + 4 * (WIRE_HEAD + self.request.answer_len);
        conn->out_cap = OUT_ROOM + 4 * self.request.len;
        conn->in = must_alloc(conn->in_cap);
        conn->out = must_alloc(conn->out_cap);
        net_watch(self.epoll, EPOLL_CTL_ADD, conn->fd, conn->events = EPOLLIN, conn);
    }
    freeaddrinfo(to);
}

static bool may_begin(uint32_t conn)
{
    return self.conns[conn].n_free > 0;
}

static uint64_t begun(uint32_t conn)
{
    return self.conns[conn].sequence;
}

static void tend(uint32_t conn, uint64_t now)
{
    fill(&self.conns[conn], now);
    flush(&self.conns[conn]);
}

static void turn(uint64_t wait)
{
    struct epoll_event events[256];
    int n = pace_wait(self.epoll, events, wait);
    for (int i = 0; i < n && !pace.failed; i++) {
        struct conn *conn = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            on_readable(conn);
        if (pace.failed)
            break;
        fill(conn, now_ns());
        flush(conn);
    }
}

static const struct pace_ops ops = {wrong_names, WRONG_FRAME, turn, tend, may_begin, begun, find_stalls};

static void report(const struct spent *first, const struct spent *last)
{
    pace_put_begin(first, last);
    printf("\"connections\": %u, \"inflight\": %u, \"payload\": %zu, \"request_bytes\": %zu, \"answer_bytes\": %zu, ",
           pace.connections, options.inflight, options.request.payload, self.request.len,
           WIRE_HEAD + self.request.answer_len);
    pace_put_latency();
    printf("\"heartbeats\": %llu, \"readonly\": %llu, ", (unsigned long long)self.heartbeats,
           (unsigned long long)self.readonly);
    pace_put_end(first, last);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        PACE_OPTIONS,
        {"connect", 1, NULL, 'C'}, {"inflight", 1, NULL, 'i'}, {"payload", 1, NULL, 'p'}, {"service", 1, NULL, 'n'},
        {"version", 1, NULL, 'v'}, {"method", 1, NULL, 'm'},   {"attach", 1, NULL, 'a'},  {"trace", 0, NULL, 't'},
        {"serialization", 1, NULL, 'z'}, {0}};
    pace.stall = 3000 * MS;
    struct request_options *request = &options.request;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (pace_option(c, optarg))
            continue;
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'i': options.inflight = (uint32_t)window_number(optarg, 1, INFLIGHT_MAX); break;
        case 'p': request->payload = (size_t)window_number(optarg, NONCE_LEN, 16 << 20); break;
        case 'n': request->service = optarg; break;
        case 'v': request->version = optarg; break;
        case 'm': request->method = optarg; break;
        case 't': request->trace = true; break;
        case 'z': request->serialization = (uint8_t)window_number(optarg, 1, 31); break;
        case 'a':
            if (request->n_attach == ATTACH_MAX || !strchr(optarg, '='))
                die(EXIT_USAGE, "--attach takes KEY=VALUE, at most %d times", ATTACH_MAX);
            request->attach[request->n_attach++] = optarg;
            break;
        default: die(EXIT_USAGE, "see bench/README.md");
        }
    }
    pace_options_end();
    if (!options.connect || optind != argc)
        die(EXIT_USAGE, "usage: dubbo_load --connect HOST:PORT [options]; see bench/README.md");
}

int main(int argc, char **argv)
{
    struct spent first = {0}, last = {0};
    pace.ops = &ops;
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1ul); /* calls of the open loop leave when they are due, not up to 50 us later */
    request_init(&self.request, &options.request);
    open_connections();
    pace_run(&first, &last);
    if (!pace.calls && !pace.n_wrong)
        blame(WRONG_STALL, "no call was answered in the window");
    report(&first, &last);
    return pace.n_wrong ? EXIT_FAILED : 0;
}
