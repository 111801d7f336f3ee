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
#include "window.h"

#include <getopt.h>
#include <sys/prctl.h>

enum { OUT_HIGH = 1 << 20, ERRORS_MAX = 100, INFLIGHT_MAX = 65536, REQUEST_SIZE = 100 };

/* What can be wrong with an answer, or with its absence. */
enum wrong { WRONG_STATUS, WRONG_BODY, WRONG_ID, WRONG_RESET, WRONG_FRAME, WRONG_CLOSED, WRONG_STALL, WRONG_KINDS };
static const char *const wrong_names[WRONG_KINDS] = {"status", "body", "id", "reset", "frame", "closed", "stall"};

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
    uint32_t connections, inflight, payload, messages;
    double warmup, seconds, rate;
    uint64_t stall, calls;
    struct watch watch;
    char *extra[CALL_EXTRA_MOST];
    uint32_t n_extra;
} options = {.connections = 1, .inflight = 1, .warmup = 0.5, .seconds = 2, .stall = 10000 * MS, .payload = 100};

static struct {
    int epoll;
    struct conn *conns;
    struct call call;
    uint32_t mask;
    uint64_t start, begin, end; /* of the schedule; of the window, as planned until it is reached */
    bool counting, over, failed; /* inside the window; past it; give up */
    uint64_t calls, begun, ended, in_flight, unsent, goaways, now;
    uint64_t wrong[WRONG_KINDS], n_wrong;
    char first_wrong[200];
    struct hist latency, lag;
} self;

__attribute__((format(printf, 2, 3))) static void blame(enum wrong kind, const char *format, ...)
{
    if (!self.n_wrong) {
        va_list args;
        va_start(args, format);
        vsnprintf(self.first_wrong, sizeof self.first_wrong, format, args);
        va_end(args);
    }
    self.wrong[kind]++;
    if (++self.n_wrong >= ERRORS_MAX || kind >= WRONG_FRAME)
        self.failed = true;
}

/* When call `sequence` of a connection is due in the open loop: calls go round the connections in turn. */
static uint64_t due_at(const struct conn *conn, uint64_t sequence)
{
    double number = (double)(sequence * options.connections + conn->number);
    return self.start + (uint64_t)(number / options.rate * 1e9);
}

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
    self.begun++;
    self.in_flight++;
    conn->in_flight++;
    if (options.rate > 0 && self.counting)
        hist_add(&self.lag, now - due);
}

static bool may_begin(const struct conn *conn)
{
    uint32_t most = conn->h2.streams_most < options.inflight ? conn->h2.streams_most : options.inflight;
    return !self.over && conn->h2.greeted && conn->in_flight < most;
}

/* Queues what is due now, and what waited. */
static void fill(struct conn *conn, uint64_t now)
{
    for (uint32_t i = 0; conn->waiting && i <= self.mask; i++)
        if (conn->slots[i].waits)
            put_body(conn, &conn->slots[i]);
    while (may_begin(conn) && bytes_held(&conn->h2.out) < OUT_HIGH) {
        uint64_t due = options.rate > 0 ? due_at(conn, conn->sequence) : now;
        if (due > now || due >= self.end || (options.calls && self.begun == options.calls))
            break;
        send_call(conn, due, now);
    }
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

static bool in_window(const struct slot *slot)
{
    return options.rate > 0 ? slot->due >= self.begin && slot->due < self.end : self.counting;
}

/* The answer is over; it is right when `wrong` is NULL. */
static void call_ended(struct conn *conn, struct slot *slot, enum wrong kind, const char *wrong, int what)
{
    if (wrong)
        blame(kind, "connection %u, stream %u: %s (%d)", conn->number, slot->id, wrong, what);
    else if (in_window(slot))
        hist_add(&self.latency, self.now - slot->due);
    self.calls += !wrong && !options.messages && self.counting;
    self.ended++;
    conn->waiting -= slot->waits;
    slot->id = 0;
    slot->waits = false;
    conn->in_flight--;
    self.in_flight--;
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
    self.calls += options.messages && self.counting ? slot->answer.done - before : 0;
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
    for (uint32_t c = 0; c < options.connections; c++) {
        struct conn *conn = &self.conns[c];
        if (!conn->h2.greeted && now - self.start > options.stall)
            blame(WRONG_STALL, "connection %u: no SETTINGS", c);
        for (uint32_t s = 0; s <= self.mask && conn->in_flight; s++)
            if (conn->slots[s].id && now > conn->slots[s].moved && now - conn->slots[s].moved > options.stall)
                blame(WRONG_STALL, "connection %u: stream %u is still after %llu ms", c, conn->slots[s].id,
                      (unsigned long long)((now - conn->slots[s].moved) / MS));
    }
}

static void open_connections(void)
{
    struct addrinfo *to = net_resolve(options.connect);
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    self.conns = must_alloc(options.connections * sizeof *self.conns);
    for (self.mask = 3; self.mask < 2 * options.inflight; self.mask = self.mask * 2 + 1)
        ;
    for (uint32_t i = 0; i < options.connections; i++) {
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

/* How long to sleep at most: until the window's next edge, the next call due, or the next look for stalls. */
static uint64_t wake_at(uint64_t now)
{
    uint64_t at = now + 100 * MS;
    if (!self.over) {
        uint64_t edge = self.counting ? self.end : self.begin;
        at = edge < at ? edge : at;
    }
    for (uint32_t i = 0; options.rate > 0 && !self.over && i < options.connections; i++) {
        struct conn *conn = &self.conns[i];
        if (!may_begin(conn))
            continue;
        uint64_t due = due_at(conn, conn->sequence);
        if (due < self.end && due < at)
            at = due;
    }
    return at > now ? at - now : 0;
}

/* Calls that were due in the window and never sent have waited at least until its end. */
static void count_unsent(void)
{
    for (uint32_t i = 0; options.rate > 0 && i < options.connections; i++) {
        struct conn *conn = &self.conns[i];
        for (uint64_t n = conn->sequence, due; (due = due_at(conn, n)) < self.end; n++)
            if (due >= self.begin) {
                self.unsent++;
                hist_add(&self.latency, self.end - due);
            }
    }
}

static void turn(uint64_t wait)
{
    struct epoll_event events[256];
    struct timespec timeout = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
    int n = epoll_pwait2(self.epoll, events, 256, &timeout, NULL);
    for (int i = 0; i < n && !self.failed; i++) {
        struct conn *conn = events[i].data.ptr;
        h2_borrow(&conn->h2.out);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            on_readable(conn);
        if (self.failed)
            break;
        fill(conn, now_ns());
        flush(conn);
    }
}

/* The whole run; the two looks are those at the window's edges. */
static void run(struct spent *first, struct spent *last)
{
    uint64_t now = self.start = now_ns(), next_stalls = now + 100 * MS;
    self.begin = now + (uint64_t)(options.warmup * 1e9);
    self.end = self.begin + (uint64_t)(options.seconds * 1e9);
    if (options.calls) {
        *first = window_look(&options.watch);
        self.counting = true;
    }
    for (uint32_t i = 0; i < options.connections; i++)
        flush(&self.conns[i]);
    while (!self.failed && !(self.over && !self.in_flight)) {
        turn(wake_at(now));
        now = now_ns();
        for (uint32_t i = 0; options.rate > 0 && i < options.connections; i++) {
            fill(&self.conns[i], now);
            flush(&self.conns[i]);
        }
        if (!self.counting && !self.over && now >= self.begin) {
            *first = window_look(&options.watch);
            self.begin = first->at;
            self.end = self.begin + (uint64_t)(options.seconds * 1e9);
            self.counting = true;
        } else if (self.counting && (now >= self.end || (options.calls && self.ended == options.calls))) {
            *last = window_look(&options.watch);
            self.counting = false;
            self.over = true;
            count_unsent();
        }
        if (now >= next_stalls) {
            find_stalls(now);
            next_stalls = now + 100 * MS;
        }
    }
    if (!self.over) {
        *last = window_look(&options.watch);
        if (!self.counting)
            *first = *last;
    }
}

static void report(const struct spent *first, const struct spent *last)
{
    double seconds = (double)(last->at - first->at) / 1e9;
    printf("{\"calls\": %llu, \"seconds\": %.6f, \"calls_per_s\": %.1f, \"loop\": \"%s\", \"rate\": %.1f, ",
           (unsigned long long)self.calls, seconds, seconds > 0 ? (double)self.calls / seconds : 0.0,
           options.rate > 0 ? "open" : "closed", options.rate);
    printf("\"connections\": %u, \"inflight\": %u, \"payload\": %u, \"messages\": %u, \"header_bytes\": %zu, ",
           options.connections, options.inflight, options.payload, options.messages, self.call.steady.len);
    window_put_quantiles("latency_us", &self.latency);
    if (options.rate > 0)
        window_put_quantiles("lag_us", &self.lag);
    printf("\"unsent\": %llu, \"goaways\": %llu, ", (unsigned long long)self.unsent, (unsigned long long)self.goaways);
    window_put_spent(&options.watch, first, last);
    printf("\"errors\": %llu, \"wrong\": {", (unsigned long long)self.n_wrong);
    for (int i = 0; i < WRONG_KINDS; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", wrong_names[i], (unsigned long long)self.wrong[i]);
    printf("}, \"first_error\": ");
    window_put_text(self.first_wrong);
    printf("}\n");
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"connect", 1, NULL, 'C'}, {"connections", 1, NULL, 'c'}, {"inflight", 1, NULL, 'i'}, {"payload", 1, NULL, 'p'},
        {"warmup", 1, NULL, 'w'},  {"seconds", 1, NULL, 's'},     {"rate", 1, NULL, 'r'},     {"calls", 1, NULL, 'N'},
        {"stall", 1, NULL, 'S'},   {"watch", 1, NULL, 'W'},       {"path", 1, NULL, 'n'},     {"header", 1, NULL, 'a'},
        {"trace", 1, NULL, 't'},   {"messages", 1, NULL, 'm'},    {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'c': options.connections = (uint32_t)window_number(optarg, 1, 60000); break;
        case 'i': options.inflight = (uint32_t)window_number(optarg, 1, INFLIGHT_MAX); break;
        case 'p': options.payload = (uint32_t)window_number(optarg, BODY_HEAD, 16 << 20); break;
        case 'm': options.messages = (uint32_t)window_number(optarg, 1, 1e9); break;
        case 'w': options.warmup = window_number(optarg, 0, 3600); break;
        case 's': options.seconds = window_number(optarg, 0.01, 86400); break;
        case 'r': options.rate = window_number(optarg, 0, 1e8); break;
        case 'N': options.calls = (uint64_t)window_number(optarg, 1, 1e12); break;
        case 'S': options.stall = (uint64_t)window_number(optarg, 10, 3600e3) * MS; break;
        case 'n': options.path = optarg; break;
        case 'W': window_watch(&options.watch, optarg); break;
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
    if (options.calls && options.rate > 0)
        die(EXIT_USAGE, "--calls is for the closed loop; leave --rate out");
    if (options.calls)
        options.warmup = 0, options.seconds = 86400;
    if (!options.connect || optind != argc)
        die(EXIT_USAGE, "usage: h2_load --connect HOST:PORT [options]; see bench/README.md");
}

int main(int argc, char **argv)
{
    struct spent first = {0}, last = {0};
    char stream[64];
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1ul); /* calls of the open loop leave when they are due, not up to 50 us later */
    body_init();
    snprintf(stream, sizeof stream, "/org.meshfast.bench.Echo/Stream_%u_%u", options.messages, options.payload);
    const char *path = options.path ? options.path : options.messages ? stream : "/org.meshfast.bench.Echo/Echo";
    call_init(&self.call, path, "org.meshfast.bench.Echo", options.extra, options.n_extra);
    open_connections();
    run(&first, &last);
    if (!self.calls && !self.n_wrong)
        blame(WRONG_STALL, "no call was answered in the window");
    report(&first, &last);
    return self.n_wrong ? EXIT_FAILED : 0;
}
