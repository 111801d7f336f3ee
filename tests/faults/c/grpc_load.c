/* grpc_load: as load, of gRPC: a caller that never gives up and counts what became of every call.
 *
 * The commands, options and counts are those of load. An error's status is its grpc-status; 99 for another HTTP status
 * than 200; 100 and the code for RST_STREAM. `readonly` counts GOAWAYs: no new calls on that connection; streams that
 * they leave out count as 107. Beside load's options:
 *   --answer N   answers have N bytes, not those of their call
 *   --shut N     a stream's window is N bytes, and never more
 *   --abandon    each call is reset as soon as it is sent */
#include "grpc_ask.h"
#include "h2_body.h"
#include "h2_frames.h"
#include "phases.h"

#include <getopt.h>

enum { CONNS_MAX = 1024, INFLIGHT_MAX = 8192, ALSO_MAX = 4 << 20, OUT_HIGH = 1 << 20 };
enum { STATUS_HTTP = 99, STATUS_RESET = 100, REFUSED_STREAM = 7, CANCEL = 8, CANCELLED = 1 };

#define MS UINT64_C(1000000)
#define ERROR_REST (10 * MS)
#define DIAL_REST (50 * MS)

enum state { FREE, RESTING, SENT, LOST };

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
    const char *connect, *service, *timeout, *also, *also_timeout, *extra[ASK_EXTRA_MOST];
    uint32_t connections, inflight, also_calls, payload, also_payload, answer, shut, n_extra;
    uint64_t rest, pace, deadline;
    bool named, abandon;
} options = {.connections = 8, .inflight = 50, .deadline = 10000 * MS, .payload = 200, .also_payload = 200,
             .service = "org.meshfast.faults.Busy", .also = "org.meshfast.faults.Slow",
             .timeout = "3000", .also_timeout = "3000"};

static struct {
    int epoll;
    struct addrinfo *to;
    struct conn *conns;
    struct ask asks[2]; /* the calls that are kept going, and `also` */
    uint32_t mask, expect, busy;
    uint64_t random, now;
    bool paused, pause_told, over;
    struct commands commands;
} self;

static char stdin_mark;

static struct phase *phase_of(const struct slot *slot)
{
    return phases.all[slot->phase];
}

static uint32_t n_slots(void)
{
    return options.inflight + options.also_calls;
}

/* --- connections */

static void leave(struct conn *conn, struct slot *slot, uint64_t rest)
{
    self.busy -= slot->state == SENT;
    if (slot->id) {
        conn->places[slot->id / 2 & self.mask] = 0;
        conn->streams--;
    }
    slot->id = 0;
    slot->state = rest || options.pace ? RESTING : FREE;
    slot->at = options.pace ? slot->at + options.pace : self.now + rest;
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
    net_watch(self.epoll, EPOLL_CTL_ADD, fd, conn->h2.events = EPOLLIN | EPOLLOUT, conn);
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
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->h2.fd, conn->h2.events = events, conn);
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
    bool also = i >= options.inflight;
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
    self.busy++;
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
    else if (options.named && slot->expect && slot->from != slot->expect)
        phase->misrouted++;
    else
        phase->right++;
    if (slot->state != LOST)
        hist_add(&phase->latency, self.now - slot->at);
    leave(conn, slot, options.rest);
}

/* Begins what can be begun, and looks for what should have ended. */
static void tend(struct conn *conn)
{
    bool may_call = conn->open && conn->h2.greeted && !conn->leaves && !conn->halved && !self.paused;
    for (uint32_t i = 0; i < n_slots(); i++) {
        struct slot *slot = &conn->slots[i];
        bool also = i >= options.inflight;
        if (slot->state == SENT && self.now - slot->at > options.deadline) {
            slot->state = LOST; /* still known, should its answer come late */
            self.busy--;
            phase_of(slot)->lost++;
        }
        if (slot->id && conn->open)
            put_body(conn, slot);
        if (slot->state == RESTING && self.now >= slot->at)
            slot->state = FREE;
        if (slot->state != FREE || !may_call || (also && !conn->also_left) ||
            conn->streams + (also ? options.inflight : 0) >= conn->h2.streams_most || bytes_held(&conn->h2.out) >= OUT_HIGH)
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

static void on_event(struct conn *conn, uint32_t events)
{
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

/* With --pace: not all in one moment, again and again. */
static void spread(void)
{
    uint64_t n = (uint64_t)options.connections * options.inflight;
    for (uint64_t i = 0; i < n && options.pace; i++) {
        struct slot *slot = &self.conns[i / options.inflight].slots[i % options.inflight];
        if (slot->state != FREE)
            continue;
        slot->state = RESTING;
        slot->at = self.now + options.pace * i / n;
    }
}

/* --- commands and the end */

static void obey(char *line)
{
    char *verb = strtok(line, " "), *word = strtok(NULL, " ");
    if (verb && !strcmp(verb, "phase") && word) {
        phase_begin(word);
        reply("ok");
    } else if (verb && !strcmp(verb, "expect") && word) {
        self.expect = word[0] == '*' ? 0 : ask_hash(mf_slice_str(word));
        reply("ok");
    } else if (verb && !strcmp(verb, "pause")) {
        self.paused = true;
        self.pause_told = false;
    } else if (verb && !strcmp(verb, "resume")) {
        self.paused = false;
        spread();
        reply("ok");
    } else if (verb && !strcmp(verb, "half")) {
        for (uint32_t i = 0; i < options.connections; i++)
            self.conns[i].halved = self.conns[i].open && !self.conns[i].connecting;
        reply("ok");
    } else if (verb && !strcmp(verb, "also")) {
        for (uint32_t i = 0; i < options.connections; i++)
            self.conns[i].also_left = options.also_calls;
        reply("ok");
    } else if (verb && !strcmp(verb, "count")) {
        phase_count(word ? phases.all[0] : phases.now);
    } else if (verb && !strcmp(verb, "quit")) {
        self.over = self.paused = self.pause_told = true;
    } else {
        die(EXIT_USAGE, "'%s' is not a command", verb ? verb : "");
    }
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"connect", 1, NULL, 'C'}, {"connections", 1, NULL, 'c'}, {"inflight", 1, NULL, 'i'},
        {"payload", 1, NULL, 'p'}, {"rest", 1, NULL, 'r'}, {"deadline", 1, NULL, 'd'}, {"service", 1, NULL, 'n'},
        {"attach", 1, NULL, 'a'}, {"named", 0, NULL, 'N'}, {"also", 1, NULL, 'A'}, {"also-calls", 1, NULL, 'K'},
        {"also-payload", 1, NULL, 'P'}, {"also-timeout", 1, NULL, 'T'}, {"pace", 1, NULL, 'e'},
        {"answer", 1, NULL, 'w'}, {"shut", 1, NULL, 's'}, {"abandon", 0, NULL, 'x'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'c': options.connections = (uint32_t)number(optarg, 1, CONNS_MAX); break;
        case 'i': options.inflight = (uint32_t)number(optarg, 1, INFLIGHT_MAX); break;
        case 'p': options.payload = (uint32_t)number(optarg, BODY_HEAD, ALSO_MAX); break;
        case 'w': options.answer = (uint32_t)number(optarg, BODY_HEAD, ALSO_MAX); break;
        case 'r': options.rest = number(optarg, 0, 10000000) * 1000; break;
        case 'd': options.deadline = number(optarg, 1, 3600000) * MS; break;
        case 'n': options.service = optarg; break;
        case 'N': options.named = true; break;
        case 'A': options.also = optarg; break;
        case 'K': options.also_calls = (uint32_t)number(optarg, 1, INFLIGHT_MAX); break;
        case 'P': options.also_payload = (uint32_t)number(optarg, BODY_HEAD, ALSO_MAX); break;
        case 'T': options.also_timeout = optarg; break; /* empty: it names none */
        case 'e': options.pace = number(optarg, 1, 10000) * MS; break;
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
    if (!options.connect || optind != argc)
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
    self.to = net_resolve(options.connect);
    self.conns = must_alloc(options.connections * sizeof *self.conns);
    for (self.mask = 3; self.mask < 2 * n_slots(); self.mask = self.mask * 2 + 1)
        ;
    for (uint32_t i = 0; i < options.connections; i++) {
        struct conn *conn = &self.conns[i];
        conn->slots = must_alloc(n_slots() * sizeof *conn->slots);
        conn->places = must_alloc((self.mask + 1) * sizeof *conn->places);
        conn->encoder_memory = must_alloc(mf_hpack_encoder_room(H2_TABLE));
    }
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    body_init();
    init_asks();
    self.random = now_ns();
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    net_nonblocking(STDIN_FILENO);
    net_watch(self.epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &stdin_mark);
    if (options.also_calls)
        phase_begin("also");
    phase_begin("start");
    self.paused = self.pause_told = true; /* until `resume` */
    init_conns();
    while (!(self.over && !self.busy)) {
        struct epoll_event events[256];
        int n = epoll_wait(self.epoll, events, 256, 1);
        self.now = now_ns();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr != &stdin_mark)
                on_event(events[i].data.ptr, events[i].events);
            else if (!commands_read(&self.commands, obey))
                exit(EXIT_FAILED); /* who would read the counts is gone */
        }
        for (uint32_t i = 0; i < options.connections; i++) {
            struct conn *conn = &self.conns[i];
            if (!conn->open && self.now >= conn->dial_at && !self.over)
                dial(conn);
            tend(conn);
        }
        if (self.paused && !self.pause_told && !self.busy) {
            self.pause_told = true;
            reply("ok");
        }
    }
    phases_report();
    return 0;
}
