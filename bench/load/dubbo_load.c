/* dubbo_load: a Dubbo2 load generator that checks every answer and measures one window.
 *
 * Closed loop: each connection keeps --inflight calls going; latency is from the moment a call is queued for sending.
 * Open loop (--rate): calls are due at fixed moments whatever became of earlier ones, and latency is from the moment a
 * call was due, so that waiting in this program counts (no coordinated omission).
 * Fixed count (--calls): the closed loop until so many calls are answered, for counting instructions.
 * Prints one JSON object. Exit code 1 when any answer was wrong, missing or late beyond --stall. */
#include "request.h"
#include "window.h"

#include <getopt.h>
#include <sys/prctl.h>

enum { OUT_ROOM = 256 << 10, IN_ROOM = 256 << 10, ERRORS_MAX = 100, INFLIGHT_MAX = 65536 };

/* What can be wrong with an answer, or with its absence. */
enum wrong { WRONG_STATUS, WRONG_BODY, WRONG_ID, WRONG_FRAME, WRONG_CLOSED, WRONG_STALL, WRONG_KINDS };
static const char *const wrong_names[WRONG_KINDS] = {"status", "body", "id", "frame", "closed", "stall"};

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
    uint32_t connections, inflight;
    double warmup, seconds, rate;
    uint64_t stall, calls;
    struct watch watch;
    struct request_options request;
} options = {.connections = 1, .inflight = 1, .warmup = 0.5, .seconds = 2, .stall = 3000 * MS,
             .request = {.service = "org.meshfast.bench.Echo", .version = "1.0.0", .method = "echo", .payload = 200}};

static struct {
    int epoll;
    struct conn *conns;
    struct request request;
    uint64_t start, begin, end; /* of the schedule; of the window, as planned until it is reached */
    bool counting, over, failed; /* inside the window; past it; give up */
    uint64_t calls, begun, in_flight, unsent, heartbeats, readonly;
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

static void send_call(struct conn *conn, uint64_t due, uint64_t now)
{
    uint16_t at = conn->free[--conn->n_free];
    struct slot *slot = &conn->slots[at];
    slot->id = ++conn->sequence << 16 | at;
    slot->due = due;
    slot->sent = now;
    slot->nonce = request_put(&self.request, conn->out + conn->out_end, slot->id);
    conn->out_end += self.request.len;
    self.begun++;
    self.in_flight++;
    if (options.rate > 0 && self.counting)
        hist_add(&self.lag, now - due);
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
    while (!self.over && conn->n_free && out_room(conn, self.request.len)) {
        uint64_t due = options.rate > 0 ? due_at(conn, conn->sequence) : now;
        if (due > now || due >= self.end || (options.calls && self.begun == options.calls))
            break;
        send_call(conn, due, now);
    }
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
    self.in_flight--;
    if (frame[3] != WIRE_OK) {
        blame(WRONG_STATUS, "connection %u: status %u: %.*s", conn->number, frame[3], body < 150 ? (int)body : 150,
              (const char *)frame + WIRE_HEAD);
    } else if (!request_check(&self.request, frame + WIRE_HEAD, body, slot->nonce)) {
        blame(WRONG_BODY, "connection %u: the body of answer %#llx is not what the call sent", conn->number,
              (unsigned long long)id);
    } else {
        self.calls += self.counting;
        if (options.rate > 0 ? slot->due >= self.begin && slot->due < self.end : self.counting)
            hist_add(&self.latency, now - slot->due);
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
    for (uint32_t c = 0; c < options.connections && self.in_flight; c++)
        for (uint32_t s = 0; s < options.inflight; s++) {
            struct slot *slot = &self.conns[c].slots[s];
            if (slot->id && now - slot->sent > options.stall)
                blame(WRONG_STALL, "connection %u: call %#llx has no answer after %llu ms", c,
                      (unsigned long long)slot->id, (unsigned long long)((now - slot->sent) / MS));
        }
}

static void open_connections(void)
{
    struct addrinfo *to = net_resolve(options.connect);
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    self.conns = must_alloc(options.connections * sizeof *self.conns);
    for (uint32_t i = 0; i < options.connections; i++) {
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
        if (!conn->n_free)
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
    for (uint32_t i = 0; i < options.connections; i++) {
        fill(&self.conns[i], now);
        flush(&self.conns[i]);
    }
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
        } else if (self.counting && (now >= self.end || (options.calls && self.calls == options.calls))) {
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
    printf("\"connections\": %u, \"inflight\": %u, \"payload\": %zu, \"request_bytes\": %zu, \"answer_bytes\": %zu, ",
           options.connections, options.inflight, options.request.payload, self.request.len,
           WIRE_HEAD + self.request.answer_len);
    window_put_quantiles("latency_us", &self.latency);
    if (options.rate > 0)
        window_put_quantiles("lag_us", &self.lag);
    printf("\"unsent\": %llu, \"heartbeats\": %llu, \"readonly\": %llu, ", (unsigned long long)self.unsent,
           (unsigned long long)self.heartbeats, (unsigned long long)self.readonly);
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
        {"stall", 1, NULL, 'S'},   {"watch", 1, NULL, 'W'},       {"service", 1, NULL, 'n'},  {"version", 1, NULL, 'v'},
        {"method", 1, NULL, 'm'},  {"attach", 1, NULL, 'a'},      {"trace", 0, NULL, 't'},    {"serialization", 1, NULL, 'z'},
        {0}};
    struct request_options *request = &options.request;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'c': options.connections = (uint32_t)window_number(optarg, 1, 60000); break;
        case 'i': options.inflight = (uint32_t)window_number(optarg, 1, INFLIGHT_MAX); break;
        case 'p': request->payload = (size_t)window_number(optarg, NONCE_LEN, 16 << 20); break;
        case 'w': options.warmup = window_number(optarg, 0, 3600); break;
        case 's': options.seconds = window_number(optarg, 0.01, 86400); break;
        case 'r': options.rate = window_number(optarg, 0, 1e8); break;
        case 'N': options.calls = (uint64_t)window_number(optarg, 1, 1e12); break;
        case 'S': options.stall = (uint64_t)window_number(optarg, 10, 3600e3) * MS; break;
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
        case 'W':
            window_watch(&options.watch, optarg);
            break;
        default: die(EXIT_USAGE, "see bench/README.md");
        }
    }
    if (options.calls && options.rate > 0)
        die(EXIT_USAGE, "--calls is for the closed loop; leave --rate out");
    if (options.calls)
        options.warmup = 0, options.seconds = 86400;
    if (!options.connect || optind != argc)
        die(EXIT_USAGE, "usage: dubbo_load --connect HOST:PORT [options]; see bench/README.md");
}

int main(int argc, char **argv)
{
    struct spent first = {0}, last = {0};
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1ul); /* calls of the open loop leave when they are due, not up to 50 us later */
    request_init(&self.request, &options.request);
    open_connections();
    run(&first, &last);
    if (!self.calls && !self.n_wrong)
        blame(WRONG_STALL, "no call was answered in the window");
    report(&first, &last);
    return self.n_wrong ? EXIT_FAILED : 0;
}
