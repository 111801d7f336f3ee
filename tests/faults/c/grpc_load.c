/* grpc_load: as load, of gRPC: a caller that never gives up and counts what became of every call.
 *
 * The commands, options and counts are those of load. An error's status is its grpc-status; 99 for another HTTP status
 * than 200; 100 and the code for RST_STREAM. `readonly` counts GOAWAYs: no new calls on that connection; streams that
 * they leave out count as 107. Beside load's options:
 *   --answer N   answers have N bytes, not those of their call
 *   --shut N     a stream's window is N bytes, and never more
 *   --abandon    each call is reset as soon as it is sent */
#include "caller.h"
#include "grpc_ask.h"
#include "h2_body.h"
#include "h2_frames.h"

enum { OUT_HIGH = 1 << 20 };
enum { STATUS_HTTP = 99, STATUS_RESET = 100, REFUSED_STREAM = 7, CANCEL = 8, CANCELLED = 1 };

struct slot {
    uint32_t id, expect, from; /* the stream, 0: none; who is to answer, and who does */
    uint32_t received;
    uint64_t at; /* sent, or rests until */
    int64_t credit;
    struct body request, answer;
    uint16_t phase;
    uint8_t state;
    bool headed, bad;
};

struct conn {
    struct h2_conn h2;
    struct mf_hpack_encoder encoder;
    void *encoder_memory;
    bool open, connecting, limited, leaves, halved; /* `limited`: the encoder knows the peer's table */
    uint64_t dial_at;
    uint32_t also_left, streams, next;
    struct slot *slots;   /* of the calls that are kept going, then of those of `also` */
    uint32_t *places;     /* by stream: a slot's number and one */
};

static struct {
    const char *service, *timeout, *also, *also_timeout, *extra[ASK_EXTRA_MOST];
    uint32_t payload, also_payload, answer, shut, n_extra;
    bool abandon;
} options = {.payload = 200, .also_payload = 200,
             .service = "org.meshfast.faults.Busy", .also = "org.meshfast.faults.Slow",
             .timeout = "3000", .also_timeout = "3000"};

static struct {
    struct addrinfo *to;
    struct conn *conns;
    struct ask asks[2]; /* the calls that are kept going, and `also` */
    uint32_t mask, expect;
    uint64_t random, now;
} self;

static struct phase *phase_of(const struct slot *slot)
{
    return phases.all[slot->phase];
}

/* --- connections */

static void leave(struct conn *conn, struct slot *slot, uint64_t rest)
{
    caller.busy -= slot->state == SENT;
    if (slot->id) {
        conn->places[slot->id / 2 & self.mask] = 0;
        conn->streams--;
    }
    slot->id = 0;
    slot->state = rest || caller.pace ? RESTING : FREE;
    slot->at = caller.pace ? slot->at + caller.pace : self.now + rest;
}

static void hang_up(struct conn *conn)
{
    if (!conn->open)
        return;
    if (conn->connecting)
        phases.now->refused++;
    else
        phases.now->ends++;
    h2_conn_dispose(&conn->h2);
    conn->open = false;
    conn->dial_at = self.now + DIAL_REST;
    for (uint32_t i = 0; i < n_slots(); i++) {
        struct slot *slot = &conn->slots[i];
        phase_of(slot)->cut += slot->state == SENT;
        if (slot->id)
            leave(conn, slot, ERROR_REST);
    }
}

static void dial(struct conn *conn)
{
    int fd = socket(self.to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die(EXIT_FAILED, "socket: %s", strerror(errno));
    net_nodelay(fd);
    h2_conn_init(&conn->h2, fd, false);
    if (options.shut) {
        uint8_t *at = h2_put_head(bytes_reserve(&conn->h2.out, H2_HEAD + 6), 6, H2_SETTINGS, 0, 0);
        h2_put_setting(at, H2_SET_WINDOW, options.shut);
        conn->h2.out.end += H2_HEAD + 6;
    }
    mf_hpack_encoder_init(&conn->encoder, conn->encoder_memory, H2_TABLE);
    conn->open = conn->connecting = true;
    conn->limited = conn->leaves = conn->halved = false;
    conn->next = UINT32_MAX; /* so that the first stream is 1 */
    if (connect(fd, self.to->ai_addr, self.to->ai_addrlen) && errno != EINPROGRESS) {
        hang_up(conn);
        return;
    }
    net_watch(caller.epoll, EPOLL_CTL_ADD, fd, conn->h2.events = EPOLLIN | EPOLLOUT, conn);
}

static void flush(struct conn *conn)
{
    struct bytes *out = &conn->h2.out;
    if (bytes_send(out, conn->h2.fd))
        bytes_consume(out, bytes_held(out)); /* answers may still be there to be read: the end comes from there */
    if (!bytes_held(out) && conn->halved)
        shutdown(conn->h2.fd, SHUT_WR);
    uint32_t events = EPOLLIN | (bytes_held(out) ? EPOLLOUT : 0u);
    if (events != conn->h2.events)
        net_watch(caller.epoll, EPOLL_CTL_MOD, conn->h2.fd, conn->h2.events = events, conn);
}

/* --- calls */

/* Sends what the windows allow of a request's message. */
static void put_body(struct conn *conn, struct slot *slot)
{
    struct h2_conn *h2 = &conn->h2;
    for (uint64_t left; (left = body_left(&slot->request));) {
        size_t n = bytes_held(&h2->out) < OUT_HIGH ? h2_conn_may_send(h2, slot->credit, left) : 0;
        if (!n)
            return;
        uint8_t *to = bytes_reserve(&h2->out, H2_HEAD + n);
        body_put(&slot->request, h2_put_head(to, n, H2_DATA, n == left ? H2_END_STREAM : 0, slot->id), n);
        h2->out.end += H2_HEAD + n;
        h2->window -= (int64_t)n;
        slot->credit -= (int64_t)n;
    }
}

static void send_call(struct conn *conn, uint32_t i)
{
    struct slot *slot = &conn->slots[i];
    struct h2_conn *h2 = &conn->h2;
    bool also = i >= caller.inflight;
    const struct ask *ask = &self.asks[also];
    uint32_t *place;
    do /* a stream whose place is taken by a slow one is never used: numbers may be left out */
        place = &conn->places[(conn->next += 2) / 2 & self.mask];
    while (*place);
    *place = i + 1;
    self.random = mix(self.random);
    *slot = (struct slot){.id = conn->next, .state = SENT, .at = self.now, .expect = also ? 0 : self.expect,
                          .phase = also ? 0 : (uint16_t)(phases.n - 1),
                          .request = body_of(self.random, ask->payload, 1),
                          .answer = body_of(self.random, ask->answer, 1)};
    uint8_t *to = bytes_reserve(&h2->out, H2_HEAD + ASK_BLOCK_MOST);
    if (!conn->limited)
        mf_hpack_encoder_limit(&conn->encoder, h2->table);
    conn->limited = true;
    size_t len = ask_put(ask, &conn->encoder, to + H2_HEAD);
    h2_put_head(to, len, H2_HEADERS, H2_END_HEADERS, slot->id);
    h2->out.end += H2_HEAD + len;
    put_body(conn, slot);
    caller.busy++;
    conn->streams++;
    phase_of(slot)->sent++;
}

static void call_failed(struct conn *conn, struct slot *slot, uint32_t status)
{
    struct phase *phase = phase_of(slot);
    if (slot->state == LOST) {
        phase->late++;
    } else {
        phase->errors++;
        phase->statuses[status & 255]++;
        hist_add(&phase->failing, self.now - slot->at);
    }
    leave(conn, slot, ERROR_REST);
}

static void call_answered(struct conn *conn, struct slot *slot)
{
    struct phase *phase = phase_of(slot);
    if (slot->state == LOST)
        phase->late++;
    else if (slot->bad || !body_whole(&slot->answer))
        phase->crossed++;
    else if (caller.named && slot->expect && slot->from != slot->expect)
        phase->misrouted++;
    else
        phase->right++;
    if (slot->state != LOST)
        hist_add(&phase->latency, self.now - slot->at);
    leave(conn, slot, caller.rest);
}

/* Begins what can be begun, and looks for what should have ended. */
static void tend(struct conn *conn)
{
    bool may_call = conn->open && conn->h2.greeted && !conn->leaves && !conn->halved && !caller.paused;
    for (uint32_t i = 0; i < n_slots(); i++) {
        struct slot *slot = &conn->slots[i];
        bool also = i >= caller.inflight;
        if (slot->state == SENT && self.now - slot->at > caller.deadline) {
            slot->state = LOST; /* still known, should its answer come late */
            caller.busy--;
            phase_of(slot)->lost++;
        }
        if (slot->id && conn->open)
            put_body(conn, slot);
        if (slot->state == RESTING && self.now >= slot->at)
            slot->state = FREE;
        if (slot->state != FREE || !may_call || (also && !conn->also_left) ||
            conn->streams + (also ? caller.inflight : 0) >= conn->h2.streams_most || bytes_held(&conn->h2.out) >= OUT_HIGH)
            continue;
        conn->also_left -= also;
        send_call(conn, i);
        if (options.abandon) {
            h2_conn_number(&conn->h2, H2_RST, slot->id, CANCEL);
            call_failed(conn, slot, CANCELLED);
        }
    }
    if (conn->open && !conn->connecting)
        flush(conn);
}

/* --- what comes */

static struct slot *find(struct conn *conn, uint32_t id)
{
    uint32_t place = id ? conn->places[id / 2 & self.mask] : 0;
    struct slot *slot = place ? &conn->slots[place - 1] : NULL;
    return slot && slot->id == id ? slot : NULL;
}

/* NULL: an answer to no call. */
static struct slot *answered(struct conn *conn, uint32_t id)
{
    struct slot *slot = find(conn, id);
    phases.now->crossed += !slot && !options.abandon;
    return slot;
}

static int on_headers(struct h2_conn *h2, uint32_t id, const struct h2_seen *seen, bool end)
{
    struct conn *conn = (struct conn *)h2;
    struct slot *slot = answered(conn, id);
    if (!slot || (!slot->headed && seen->status / 100 == 1 && !end))
        return 0;
    if (!slot->headed && (seen->status != 200 || !seen->good))
        call_failed(conn, slot, STATUS_HTTP);
    else if (end && seen->grpc > 0)
        call_failed(conn, slot, (uint32_t)seen->grpc);
    else if (end && (seen->grpc < 0 || (slot->headed && seen->status >= 0)))
        call_failed(conn, slot, STATUS_HTTP);
    else if (end)
        call_answered(conn, slot);
    else {
        slot->bad |= slot->headed;
        slot->headed = true;
        slot->from = seen->count;
    }
    return 0;
}

static int on_data(struct h2_conn *h2, uint32_t id, const uint8_t *p, size_t len, size_t counted, bool end)
{
    struct conn *conn = (struct conn *)h2;
    struct slot *slot = answered(conn, id);
    if (!slot)
        return 0;
    slot->bad |= !slot->headed || end || !body_check(&slot->answer, p, len);
    slot->received += (uint32_t)counted;
    if (end) {
        call_answered(conn, slot);
    } else if (slot->received >= H2_OWN_STREAM / 2 && !options.shut) {
        h2_conn_number(h2, H2_CREDIT, id, slot->received);
        slot->received = 0;
    }
    return 0;
}

static int on_reset(struct h2_conn *h2, uint32_t id, uint32_t code)
{
    struct conn *conn = (struct conn *)h2;
    struct slot *slot = find(conn, id); /* NULL: one that was answered before its request was read to the end */
    if (slot)
        call_failed(conn, slot, STATUS_RESET + (code < 100 ? code : 99));
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
    (void)code;
    phases.now->readonly += !conn->leaves;
    conn->leaves = true;
    for (uint32_t i = 0; i < n_slots(); i++)
        if (conn->slots[i].id > last)
            call_failed(conn, &conn->slots[i], STATUS_RESET + REFUSED_STREAM);
    return 0;
}

static const struct h2_end end = {on_headers, on_data, on_reset, on_credit, on_goaway, ask_see};

static void on_event(void *what, uint32_t events, uint64_t now)
{
    struct conn *conn = what;
    self.now = now;
    if (!conn->open)
        return;
    if (conn->connecting && events & (EPOLLERR | EPOLLHUP)) {
        hang_up(conn);
        return;
    }
    conn->connecting &= !(events & EPOLLOUT);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        bool ended = h2_conn_receive(&conn->h2) < 0;
        int rc = ended ? 0 : h2_conn_frames(&conn->h2, &end);
        phases.now->crossed += rc != 0; /* the stream means nothing from here on */
        if (ended || rc)
            hang_up(conn);
    }
    tend(conn);
}

/* --- as it is told, and the end */

static void expect(const char *name)
{
    self.expect = name[0] == '*' ? 0 : ask_hash(mf_slice_str(name));
}

static void half(uint32_t i)
{
    self.conns[i].halved = self.conns[i].open && !self.conns[i].connecting;
}

static void also(uint32_t i)
{
    self.conns[i].also_left = caller.also_calls;
}

static void rest(uint32_t i, uint32_t n, uint64_t until)
{
    struct slot *slot = &self.conns[i].slots[n];
    if (slot->state != FREE)
        return;
    slot->state = RESTING;
    slot->at = until;
}

static void dial_or_tend(uint32_t i, uint64_t now)
{
    struct conn *conn = &self.conns[i];
    self.now = now;
    if (!conn->open && now >= conn->dial_at && !caller.over)
        dial(conn);
    tend(conn);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        CALLER_OPTIONS,
        {"payload", 1, NULL, 'p'}, {"service", 1, NULL, 'n'}, {"attach", 1, NULL, 'a'}, {"also", 1, NULL, 'A'},
        {"also-payload", 1, NULL, 'P'}, {"also-timeout", 1, NULL, 'T'}, {"answer", 1, NULL, 'w'},
        {"shut", 1, NULL, 's'}, {"abandon", 0, NULL, 'x'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (caller_option(c, optarg))
            continue;
        switch (c) {
        case 'p': options.payload = (uint32_t)number(optarg, BODY_HEAD, ALSO_MAX); break;
        case 'w': options.answer = (uint32_t)number(optarg, BODY_HEAD, ALSO_MAX); break;
        case 'n': options.service = optarg; break;
        case 'A': options.also = optarg; break;
        case 'P': options.also_payload = (uint32_t)number(optarg, BODY_HEAD, ALSO_MAX); break;
        case 'T': options.also_timeout = optarg; break; /* empty: it names none */
        case 's': options.shut = (uint32_t)number(optarg, 1, INT32_MAX); break;
        case 'x': options.abandon = true; break;
        case 'a':
            if (options.n_extra == ASK_EXTRA_MOST || !strchr(optarg, '='))
                die(EXIT_USAGE, "--attach takes NAME=VALUE, at most %d times", ASK_EXTRA_MOST);
            options.extra[options.n_extra++] = optarg;
            break;
        default: die(EXIT_USAGE, "see tests/faults/README.md");
        }
    }
    if (!caller.connect || optind != argc)
        die(EXIT_USAGE, "usage: grpc_load --connect HOST:PORT [options]; see tests/faults/README.md");
}

static void init_asks(void)
{
    for (int also = 0; also < 2; also++) {
        struct ask *ask = &self.asks[also];
        ask_init(ask, also ? options.also : options.service, also ? options.also_timeout : options.timeout);
        ask->payload = also ? options.also_payload : options.payload;
        ask->answer = options.answer ? options.answer : ask->payload;
    }
    for (uint32_t i = 0; i < options.n_extra; i++) {
        char *equals = strchr(options.extra[i], '=');
        *equals = 0;
        ask_add(&self.asks[0], options.extra[i], equals + 1);
    }
}

static void init_conns(void)
{
    self.to = net_resolve(caller.connect);
    self.conns = must_alloc(caller.connections * sizeof *self.conns);
    for (self.mask = 3; self.mask < 2 * n_slots(); self.mask = self.mask * 2 + 1)
        ;
    for (uint32_t i = 0; i < caller.connections; i++) {
        struct conn *conn = &self.conns[i];
        conn->slots = must_alloc(n_slots() * sizeof *conn->slots);
        conn->places = must_alloc((self.mask + 1) * sizeof *conn->places);
        conn->encoder_memory = must_alloc(mf_hpack_encoder_room(H2_TABLE));
    }
}

static const struct caller_ops ops = {expect, half, also, rest, on_event, dial_or_tend};

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    body_init();
    init_asks();
    self.random = now_ns();
    caller_begin(&ops);
    init_conns();
    caller_run();
    return 0;
}
