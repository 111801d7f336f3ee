/* h2_load: a gRPC load generator over cleartext HTTP/2 that checks every answer and measures one window.
 *
 * Closed loop: each connection keeps --inflight calls going; latency is from the moment a call is queued for sending.
 * Open loop (--rate): calls are due at fixed moments whatever became of earlier ones, and latency is from the moment a
 * call was due, so that waiting in this program counts (no coordinated omission).
 * Fixed count (--calls): the closed loop until so many calls are answered, for counting instructions.
 * Server streaming (--messages): each call asks for so many messages; they are what is counted then.
 * Prints one JSON object. Exit code 1 when any answer was wrong, missing or late beyond --stall. */
#include "h2_body.h"
#include "h2_call.h"
#include "h2_frames.h"
#include "pace_say.h"

#include <sys/prctl.h>

enum { OUT_HIGH = 1 << 20, INFLIGHT_MAX = 65536, REQUEST_SIZE = 100 };

/* What can be wrong with an answer, or with its absence. */
enum wrong { WRONG_STATUS, WRONG_BODY, WRONG_ID, WRONG_RESET, WRONG_FRAME, WRONG_CLOSED, WRONG_STALL };
static const char *const wrong_names[] = {"status", "body", "id", "reset", "frame", "closed", "stall", NULL};

struct slot {
    uint32_t id; /* the stream; 0: free */
    uint32_t received;
    bool headed, waits;   /* the answer's fields came; the request is not out yet */
    int64_t credit;       /* to send, beside the first window */
    uint64_t due, moved;  /* when it was to begin; when it was heard of last */
    struct body request, answer;
};

struct conn {
    struct h2_conn h2;
    uint32_t number, in_flight, waiting, next; /* calls; those that wait for a window; the next stream */
    uint64_t sequence;                         /* calls begun */
    struct slot *slots;                        /* by stream: see slot_of */
    struct mf_hpack_encoder encoder;
};

static struct {
    const char *connect, *path;
    uint32_t inflight, payload, messages;
    char *extra[CALL_EXTRA_MOST];
    uint32_t n_extra;
} options = {.inflight = 1, .payload = 100};

static struct {
    int epoll;
    struct conn *conns;
    struct call call;
    uint32_t mask;
    uint64_t goaways, now;
} self;

static struct slot *slot_of(struct conn *conn, uint32_t id)
{
    return &conn->slots[id / 2 & self.mask];
}

static struct slot *find(struct conn *conn, uint32_t id)
{
    struct slot *slot = slot_of(conn, id);
    return slot->id == id && id ? slot : NULL;
}

/* Sends what the windows allow of a request's message. */
static void put_body(struct conn *conn, struct slot *slot)
{
    struct h2_conn *h2 = &conn->h2;
    for (uint64_t left; (left = body_left(&slot->request));) {
        size_t n = bytes_held(&h2->out) < OUT_HIGH ? h2_conn_may_send(h2, slot->credit, left) : 0;
        if (!n) {
            conn->waiting += !slot->waits;
            slot->waits = true;
            return;
        }
        uint8_t *to = bytes_reserve(&h2->out, H2_HEAD + n);
        body_put(&slot->request, h2_put_head(to, n, H2_DATA, n == left ? H2_END_STREAM : 0, slot->id), n);
        h2->out.end += H2_HEAD + n;
        h2->window -= (int64_t)n;
        slot->credit -= (int64_t)n;
    }
    conn->waiting -= slot->waits;
    slot->waits = false;
}

static void send_call(struct conn *conn, uint64_t due, uint64_t now)
{
    struct slot *slot;
    do /* a stream whose place is taken by a slow one is never used: numbers may be left out */
        slot = slot_of(conn, conn->next += 2);
    while (slot->id);
    uint64_t nonce = call_random(&self.call);
    *slot = (struct slot){.id = conn->next, .due = due, .moved = now};
    slot->request = body_of(nonce, options.messages ? REQUEST_SIZE : options.payload, 1);
    slot->answer = body_of(nonce, options.payload, options.messages ? options.messages : 1);
    uint8_t *to = bytes_reserve(&conn->h2.out, H2_HEAD + CALL_BLOCK_MOST);
    if (!conn->sequence)
        mf_hpack_encoder_limit(&conn->encoder, conn->h2.table);
    size_t len = call_put(&self.call, &conn->h2, &conn->encoder, conn->sequence++, to + H2_HEAD);
    h2_put_head(to, len, H2_HEADERS, H2_END_HEADERS, slot->id);
    conn->h2.out.end += H2_HEAD + len;
    put_body(conn, slot);
    conn->in_flight++;
    pace_sent(due, now);
}

static bool takes(const struct conn *conn)
{
    uint32_t most = conn->h2.streams_most < options.inflight ? conn->h2.streams_most : options.inflight;
    return !pace.over && conn->h2.greeted && conn->in_flight < most;
}

/* Queues what is due now, and what waited. */
static void fill(struct conn *conn, uint64_t now)
{
    for (uint32_t i = 0; conn->waiting && i <= self.mask; i++)
        if (conn->slots[i].waits)
            put_body(conn, &conn->slots[i]);
    uint64_t due;
    while (takes(conn) && bytes_held(&conn->h2.out) < OUT_HIGH && pace_next(conn->number, conn->sequence, now, &due))
        send_call(conn, due, now);
}

static void flush(struct conn *conn)
{
    int rc = bytes_send(&conn->h2.out, conn->h2.fd);
    if (rc) {
        blame(WRONG_CLOSED, "connection %u: send: %s", conn->number, strerror(-rc));
        return;
    }
    uint32_t events = EPOLLIN | (bytes_held(&conn->h2.out) ? EPOLLOUT : 0u);
    if (events != conn->h2.events)
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->h2.fd, conn->h2.events = events, conn);
    h2_return(&conn->h2.in);
    h2_return(&conn->h2.out);
}

/* The answer is over; it is right when `wrong` is NULL. */
static void call_ended(struct conn *conn, struct slot *slot, enum wrong kind, const char *wrong, int what)
{
    if (wrong)
        blame(kind, "connection %u, stream %u: %s (%d)", conn->number, slot->id, wrong, what);
    else
        pace_right(slot->due, self.now);
    pace.calls += !wrong && !options.messages && pace.counting;
    pace.ended++;
    conn->waiting -= slot->waits;
    slot->id = 0;
    slot->waits = false;
    conn->in_flight--;
    pace.in_flight--;
}

static int on_headers(struct h2_conn *h2, uint32_t id, const struct h2_seen *seen, bool end)
{
    struct conn *conn = (struct conn *)h2;
    struct slot *slot = find(conn, id);
    if (!slot) {
        blame(WRONG_ID, "connection %u: no call waits for an answer on stream %u", conn->number, id);
        return 0;
    }
    slot->moved = self.now;
    if (!slot->headed) {
        if (seen->status / 100 == 1 && !end)
            return 0;
        if (seen->status != 200 || !seen->good)
            call_ended(conn, slot, WRONG_STATUS, "HTTP status, or another content-type", seen->status);
        else if (end)
            call_ended(conn, slot, WRONG_STATUS, "no message, and grpc-status", seen->grpc);
        slot->headed = true;
    } else if (!end || seen->status >= 0) {
        call_ended(conn, slot, WRONG_STATUS, "fields that are no trailers; status", seen->status);
    } else if (seen->grpc != 0) {
        call_ended(conn, slot, WRONG_STATUS, "grpc-status", seen->grpc);
    } else if (!body_whole(&slot->answer) || body_left(&slot->request)) {
        call_ended(conn, slot, WRONG_BODY, "ended early; messages that came", (int)slot->answer.done);
    } else {
        call_ended(conn, slot, 0, NULL, 0);
    }
    return 0;
}

static int on_data(struct h2_conn *h2, uint32_t id, const uint8_t *p, size_t len, size_t counted, bool end)
{
    struct conn *conn = (struct conn *)h2;
    struct slot *slot = find(conn, id);
    if (!slot || !slot->headed) {
        blame(WRONG_ID, "connection %u: DATA on stream %u, which no answer began on", conn->number, id);
        return 0;
    }
    uint32_t before = slot->answer.done;
    slot->moved = self.now;
    if (!body_check(&slot->answer, p, len)) {
        call_ended(conn, slot, WRONG_BODY, "the body is not what the call is to get; message", (int)slot->answer.done);
        return 0;
    }
    pace.calls += options.messages && pace.counting ? slot->answer.done - before : 0;
    if (end) {
        call_ended(conn, slot, WRONG_STATUS, "no trailers", 0);
        return 0;
    }
    slot->received += (uint32_t)counted;
    if (slot->received >= H2_OWN_STREAM / 2) {
        h2_conn_number(h2, H2_CREDIT, id, slot->received);
        slot->received = 0;
    }
    return 0;
}

static int on_reset(struct h2_conn *h2, uint32_t id, uint32_t code)
{
    struct conn *conn = (struct conn *)h2;
    struct slot *slot = find(conn, id);
    if (slot)
        call_ended(conn, slot, WRONG_RESET, "RST_STREAM", (int)code);
    return 0;
}

static int on_credit(struct h2_conn *h2, uint32_t id, uint32_t more)
{
    struct slot *slot = find((struct conn *)h2, id);
    if (slot)
        slot->credit += more;
    return 0;
}

static int on_goaway(struct h2_conn *h2, uint32_t last, uint32_t code)
{
    struct conn *conn = (struct conn *)h2;
    self.goaways++;
    blame(WRONG_CLOSED, "connection %u: GOAWAY, last stream %u, code %u", conn->number, last, code);
    return 0;
}

static int32_t decimal(struct mf_slice text)
{
    int32_t v = 0;
    for (size_t i = 0; i < text.len && text.len < 6; i++)
        v = v * 10 + (text.ptr[i] - '0');
    return v;
}

static void see(const struct mf_pair *fields, uint32_t n, struct h2_seen *seen)
{
    for (uint32_t i = 0; i < n; i++) {
        if (mf_slice_eq(fields[i].key, MF_SLICE(":status")))
            seen->status = decimal(fields[i].value);
        else if (mf_slice_eq(fields[i].key, MF_SLICE("grpc-status")))
            seen->grpc = decimal(fields[i].value);
        else if (mf_slice_eq(fields[i].key, MF_SLICE("content-type")))
            seen->good = mf_slice_eq(fields[i].value, MF_SLICE("application/grpc"));
    }
}

static const struct h2_end end = {on_headers, on_data, on_reset, on_credit, on_goaway, see};

static void on_readable(struct conn *conn)
{
    ssize_t rc = h2_conn_receive(&conn->h2);
    self.now = now_ns();
    if (rc < 0)
        blame(WRONG_CLOSED, "connection %u: %s", conn->number, strerror((int)-rc));
    else if (h2_conn_frames(&conn->h2, &end))
        blame(WRONG_FRAME, "connection %u: not what HTTP/2 allows", conn->number);
}

static void find_stalls(uint64_t now)
{
    for (uint32_t c = 0; c < pace.connections; c++) {
        struct conn *conn = &self.conns[c];
        if (!conn->h2.greeted && now - pace.start > pace.stall)
            blame(WRONG_STALL, "connection %u: no SETTINGS", c);
        for (uint32_t s = 0; s <= self.mask && conn->in_flight; s++)
            if (conn->slots[s].id && now > conn->slots[s].moved && now - conn->slots[s].moved > pace.stall)
                blame(WRONG_STALL, "connection %u: stream %u is still after %llu ms", c, conn->slots[s].id,
                      (unsigned long long)((now - conn->slots[s].moved) / MS));
    }
}

static void open_connections(void)
{
    struct addrinfo *to = net_resolve(options.connect);
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    self.conns = must_alloc(pace.connections * sizeof *self.conns);
    for (self.mask = 3; self.mask < 2 * options.inflight; self.mask = self.mask * 2 + 1)
        ;
    for (uint32_t i = 0; i < pace.connections; i++) {
        struct conn *conn = &self.conns[i];
        int fd = net_connect(to);
        if (fd < 0)
            die(EXIT_FAILED, "connection %u to %s: %s", i, options.connect, strerror(-fd));
        h2_conn_init(&conn->h2, fd, false);
        mf_hpack_encoder_init(&conn->encoder, must_alloc(mf_hpack_encoder_room(H2_TABLE)), H2_TABLE);
        conn->number = i;
        conn->next = UINT32_MAX; /* so that the first stream is 1 */
        conn->slots = must_alloc((self.mask + 1) * sizeof *conn->slots);
        net_watch(self.epoll, EPOLL_CTL_ADD, fd, conn->h2.events = EPOLLIN, conn);
    }
    freeaddrinfo(to);
}

static bool may_begin(uint32_t conn)
{
    return takes(&self.conns[conn]);
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
        h2_borrow(&conn->h2.out);
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
    printf("\"connections\": %u, \"inflight\": %u, \"payload\": %u, \"messages\": %u, \"header_bytes\": %zu, ",
           pace.connections, options.inflight, options.payload, options.messages, self.call.steady.len);
    pace_put_latency();
    printf("\"goaways\": %llu, ", (unsigned long long)self.goaways);
    pace_put_end(first, last);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        PACE_OPTIONS,
        {"connect", 1, NULL, 'C'}, {"inflight", 1, NULL, 'i'}, {"payload", 1, NULL, 'p'}, {"path", 1, NULL, 'n'},
        {"header", 1, NULL, 'a'},  {"trace", 1, NULL, 't'},    {"messages", 1, NULL, 'm'}, {0}};
    pace.stall = 10000 * MS;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (pace_option(c, optarg))
            continue;
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'i': options.inflight = (uint32_t)window_number(optarg, 1, INFLIGHT_MAX); break;
        case 'p': options.payload = (uint32_t)window_number(optarg, BODY_HEAD, 16 << 20); break;
        case 'm': options.messages = (uint32_t)window_number(optarg, 1, 1e9); break;
        case 'n': options.path = optarg; break;
        case 't':
            self.call.trace = !strcmp(optarg, "once") ? CALL_TRACE_ONCE : CALL_TRACE_INDEXED;
            if (self.call.trace == CALL_TRACE_INDEXED && strcmp(optarg, "indexed") != 0)
                die(EXIT_USAGE, "--trace takes once or indexed");
            break;
        case 'a':
            if (options.n_extra == CALL_EXTRA_MOST || !strchr(optarg, '='))
                die(EXIT_USAGE, "--header takes NAME=VALUE, at most %d times", CALL_EXTRA_MOST);
            options.extra[options.n_extra++] = optarg;
            break;
        default: die(EXIT_USAGE, "see bench/README.md");
        }
    }
    pace_options_end();
    if (!options.connect || optind != argc)
        die(EXIT_USAGE, "usage: h2_load --connect HOST:PORT [options]; see bench/README.md");
}

int main(int argc, char **argv)
{
    struct spent first = {0}, last = {0};
    char stream[64];
    pace.ops = &ops;
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1ul); /* calls of the open loop leave when they are due, not up to 50 us later */
    body_init();
    snprintf(stream, sizeof stream, "/org.meshfast.bench.Echo/Stream_%u_%u", options.messages, options.payload);
    const char *path = options.path ? options.path : options.messages ? stream : "/org.meshfast.bench.Echo/Echo";
    call_init(&self.call, path, "org.meshfast.bench.Echo", options.extra, options.n_extra);
    open_connections();
    pace_run(&first, &last);
    if (!pace.calls && !pace.n_wrong)
        blame(WRONG_STALL, "no call was answered in the window");
    report(&first, &last);
    return pace.n_wrong ? EXIT_FAILED : 0;
}
