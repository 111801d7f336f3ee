/* ask: many Dubbo2 callers in one thread that compare every answer with its question.
 *
 * Each connection keeps --inflight calls going, under ids that mean nothing or worse (--ids), of several sizes, some of
 * them one-way or heartbeats; connections may be short-lived, die with calls in flight, or read slowly. Counted are:
 * crossed (an answer that belongs to another call), twice (to a call that was answered), lost (none within --stall, or the
 * connection ended first), errors by status. Prints one JSON object; exit code 1 when any is not 0, or a status was not
 * --allowed. */
#include "asked.h"

#include <getopt.h>
#include <signal.h>

enum { OUT_HIGH = 512 << 10, READ_ROOM = 128 << 10, SLOW_ROOM = 4096, KEPT = 64 << 10, SIZES_MAX = 32, ATTACH_MAX = 16 };

#define MS UINT64_C(1000000)

struct conn {
    int fd; /* -1: to be opened again */
    uint16_t number;
    enum ids ids;
    bool slow, dying;
    uint32_t events, n_free, life;
    uint16_t *free;
    struct slot *slots;
    uint64_t sequence, read_again;
    struct bytes in, out;
};

static struct {
    struct addrinfo *to;
    const char *service, *label;
    const char *values[ATTACH_MAX]; /* of the label; "-": none */
    uint32_t n_values, connections, inflight, n_sizes, n_ids, one_way, heartbeat, life, die, slow;
    uint32_t sizes[SIZES_MAX];
    enum ids ids[IDS_KINDS];
    uint64_t calls, seconds, stall, timeout;
    uint16_t who;
    bool allowed[256], progress;
} options = {.service = "org.meshfast.calls.Echo", .connections = 64, .inflight = 16, .stall = 15000 * MS,
             .timeout = 10000};

static struct {
    int epoll;
    struct conn *conns;
    uint64_t random, begun, in_flight, right, crossed, twice, lost, abandoned, one_way, heartbeats, opened, refused;
    uint64_t errors, status[256], not_allowed;
    bool over;
    char first[240];
} self;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

__attribute__((format(printf, 1, 2))) static void blame(const char *format, ...)
{
    va_list args;
    if (self.first[0])
        return;
    va_start(args, format);
    vsnprintf(self.first, sizeof self.first, format, args);
    va_end(args);
}

static uint64_t chance(void)
{
    return self.random = mix(self.random);
}

/* --- asking */

static uint8_t *put_text(uint8_t *p, const char *text)
{
    return wire_put_string(p, text, strlen(text));
}

static void put_call(struct conn *conn, const struct slot *slot, bool two_way)
{
    const char *value = options.n_values ? options.values[chance() % options.n_values] : "-";
    char timeout[24];
    snprintf(timeout, sizeof timeout, "%llu", (unsigned long long)options.timeout);
    uint8_t *frame = bytes_reserve(&conn->out, slot->size + 1024), *p = frame + WIRE_HEAD;
    p = put_text(p, "2.0.2");
    p = put_text(p, options.service);
    p = put_text(p, "0.0.0");
    p = put_text(p, "echo");
    p = put_text(p, "Ljava/lang/String;");
    p = asked_put(p, slot);
    *p++ = 'H';
    p = put_text(put_text(p, "path"), options.service);
    p = put_text(put_text(p, "timeout"), timeout);
    if (strcmp(value, "-"))
        p = put_text(put_text(p, options.label), value);
    *p++ = 'Z';
    wire_put_head(frame, (uint8_t)(WIRE_REQUEST | WIRE_HESSIAN2 | (two_way ? WIRE_TWO_WAY : 0)), 0, slot->id,
                  (uint32_t)(p - frame - WIRE_HEAD));
    conn->out.end += (size_t)(p - frame);
}

static void put_heartbeat(struct conn *conn, uint64_t id)
{
    uint8_t *frame = bytes_reserve(&conn->out, WIRE_HEAD + 1);
    wire_put_head(frame, WIRE_REQUEST | WIRE_TWO_WAY | WIRE_EVENT | WIRE_HESSIAN2, 0, id, 1);
    frame[WIRE_HEAD] = 'N';
    conn->out.end += WIRE_HEAD + 1;
}

static bool wants_more(const struct conn *conn)
{
    return !self.over && !conn->dying && conn->n_free && bytes_held(&conn->out) < OUT_HIGH &&
           (!options.calls || self.begun < options.calls) && (!options.life || conn->life < options.life);
}

static void fill(struct conn *conn, uint64_t now)
{
    while (wants_more(conn)) {
        uint16_t at = conn->free[conn->n_free - 1];
        struct slot *slot = &conn->slots[at];
        slot->id = asked_id(conn->ids, conn->sequence++);
        slot->nonce = (uint64_t)conn->number << 48 | (uint64_t)at << 32 | slot->uses++;
        slot->size = options.sizes[chance() % options.n_sizes];
        slot->kind = chance() % 100 < options.heartbeat ? ASKED_HEARTBEAT : ASKED_CALL;
        self.begun++;
        conn->life++;
        if (slot->kind == ASKED_CALL && chance() % 100 < options.one_way) {
            put_call(conn, slot, false);
            self.one_way++;
            continue;
        }
        if (slot->kind == ASKED_HEARTBEAT)
            put_heartbeat(conn, slot->id);
        else
            put_call(conn, slot, true);
        slot->sent = now;
        conn->n_free--;
        self.in_flight++;
    }
}

/* --- the life of a connection */

static void let_go(struct conn *conn, struct slot *slot)
{
    slot->sent = 0;
    conn->free[conn->n_free++] = (uint16_t)(slot - conn->slots);
    self.in_flight--;
}

/* `tally` counts the calls that were in flight: lost, or abandoned when it was us who hung up. */
static void hang_up(struct conn *conn, uint64_t *tally)
{
    close(conn->fd);
    conn->fd = -1;
    conn->events = 0;
    bytes_free(&conn->in);
    bytes_free(&conn->out);
    for (uint32_t i = 0; i < options.inflight; i++)
        if (conn->slots[i].sent) {
            let_go(conn, &conn->slots[i]);
            ++*tally;
        }
}

static bool open_one(struct conn *conn)
{
    conn->fd = net_connect(options.to);
    if (conn->fd < 0) {
        self.refused++;
        return false;
    }
    int small = 16384;
    if (conn->slow)
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    conn->life = 0;
    conn->read_again = 0;
    conn->dying = false;
    self.opened++;
    net_watch(self.epoll, EPOLL_CTL_ADD, conn->fd, conn->events = EPOLLIN, conn);
    return true;
}

static void flush(struct conn *conn)
{
    if (bytes_send(&conn->out, conn->fd)) {
        blame("connection %u: send: %s", conn->number, strerror(errno));
        hang_up(conn, &self.lost);
        return;
    }
    bytes_trim(&conn->out, KEPT);
    uint32_t events = (conn->read_again ? 0u : EPOLLIN) | (bytes_held(&conn->out) ? EPOLLOUT : 0u);
    if (events != conn->events)
        net_watch(self.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = events, conn);
}

/* --- answers */

static void on_event(struct conn *conn, const uint8_t *frame, size_t body)
{
    if (frame[2] & WIRE_REQUEST) { /* the proxy's own heartbeat, or READONLY */
        if (!(frame[2] & WIRE_TWO_WAY))
            return;
        conn->out.end += wire_answer_event(bytes_reserve(&conn->out, WIRE_HEAD + body), frame, body);
        return;
    }
    struct slot *slot = asked_by_id(conn->slots, options.inflight, wire_get64(frame + 4), ASKED_HEARTBEAT, false);
    if (!slot) {
        self.twice++;
        blame("connection %u: a heartbeat's answer that nobody waits for", conn->number);
        return;
    }
    self.heartbeats++;
    let_go(conn, slot);
}

static void on_error(struct conn *conn, const uint8_t *frame, size_t body)
{
    struct slot *slot = asked_by_id(conn->slots, options.inflight, wire_get64(frame + 4), ASKED_CALL, false);
    self.errors++;
    self.status[frame[3]]++;
    if (!options.allowed[frame[3]]) {
        self.not_allowed++;
        blame("connection %u: status %u: %.*s", conn->number, frame[3], body < 150 ? (int)body : 150,
              (const char *)frame + WIRE_HEAD);
    }
    if (slot) {
        let_go(conn, slot);
    } else {
        self.twice++;
        blame("connection %u: an error for a call that nobody waits for", conn->number);
    }
}

static void on_answer(struct conn *conn, const uint8_t *frame, size_t body)
{
    uint64_t id = wire_get64(frame + 4);
    struct slot *slot;
    if (frame[3] != WIRE_OK) {
        on_error(conn, frame, body);
        return;
    }
    switch (asked_judge(conn->slots, options.inflight, conn->number, id, frame + WIRE_HEAD, body, &slot)) {
    case RIGHT:
        self.right++;
        break;
    case CROSSED:
        self.crossed++;
        blame("connection %u: the answer with id %#llx belongs to another call", conn->number, (unsigned long long)id);
        break;
    case TWICE:
        self.twice++;
        blame("connection %u: a second answer with id %#llx", conn->number, (unsigned long long)id);
        break;
    }
    if (slot)
        let_go(conn, slot);
}

static void on_readable(struct conn *conn, uint64_t now)
{
    size_t room = conn->slow ? SLOW_ROOM : READ_ROOM;
    ssize_t n = recv(conn->fd, bytes_reserve(&conn->in, room), room, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        blame("connection %u: %s", conn->number, n ? strerror(errno) : "closed by the other side");
        hang_up(conn, &self.lost);
        return;
    }
    if (conn->slow)
        conn->read_again = now + 5 * MS;
    conn->in.end += (size_t)n;
    size_t body;
    int whole;
    while ((whole = wire_frame(conn->in.base + conn->in.begin, bytes_held(&conn->in), WIRE_MAX_BODY, &body)) == 1) {
        const uint8_t *frame = conn->in.base + conn->in.begin;
        if (frame[2] & WIRE_EVENT)
            on_event(conn, frame, body);
        else
            on_answer(conn, frame, body);
        bytes_consume(&conn->in, WIRE_HEAD + body);
    }
    bytes_trim(&conn->in, KEPT);
    if (whole < 0) {
        blame("connection %u: no Dubbo2 head", conn->number);
        self.crossed++;
        hang_up(conn, &self.lost);
    }
}

/* --- turns */

/* A life that is over: `die` of a hundred end with calls in flight, the others with their last answer. */
static void end_life(struct conn *conn)
{
    if (!options.life || conn->life < options.life)
        return;
    if (!conn->dying && chance() % 100 < options.die) {
        hang_up(conn, &self.abandoned);
        return;
    }
    conn->dying = true;
    if (conn->n_free == options.inflight && !bytes_held(&conn->out)) {
        shutdown(conn->fd, SHUT_WR);
        hang_up(conn, &self.lost);
    }
}

static void serve(struct conn *conn, uint32_t events, uint64_t now)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(conn, now);
    if (conn->fd < 0)
        return;
    fill(conn, now);
    flush(conn);
    if (conn->fd >= 0)
        end_life(conn);
}

/* Ten times a second: closed connections are opened, slow ones read on, calls without an answer are found. */
static void look_round(uint64_t now)
{
    for (uint32_t c = 0; c < options.connections; c++) {
        struct conn *conn = &self.conns[c];
        if (conn->fd < 0) {
            if (self.over || (options.calls && self.begun >= options.calls) || !open_one(conn))
                continue;
            serve(conn, 0, now);
            continue;
        }
        for (uint32_t s = 0; s < options.inflight; s++) {
            struct slot *slot = &conn->slots[s];
            if (!slot->sent || now - slot->sent < options.stall)
                continue;
            blame("connection %u: no answer to id %#llx within %llu ms", c, (unsigned long long)slot->id,
                  (unsigned long long)(options.stall / MS));
            self.lost++;
            let_go(conn, slot);
        }
    }
}

static void report(bool whole, double seconds)
{
    printf("{\"seconds\": %.3f, \"begun\": %llu, \"right\": %llu, \"one_way\": %llu, \"heartbeats\": %llu, \"errors\": %llu, ",
           seconds, (unsigned long long)self.begun, (unsigned long long)self.right, (unsigned long long)self.one_way,
           (unsigned long long)self.heartbeats, (unsigned long long)self.errors);
    printf("\"crossed\": %llu, \"twice\": %llu, \"lost\": %llu, \"abandoned\": %llu, \"in_flight\": %llu, \"opened\": %llu, "
           "\"refused\": %llu",
           (unsigned long long)self.crossed, (unsigned long long)self.twice, (unsigned long long)self.lost,
           (unsigned long long)self.abandoned, (unsigned long long)self.in_flight, (unsigned long long)self.opened,
           (unsigned long long)self.refused);
    if (whole) {
        const char *comma = "";
        printf(", \"status\": {");
        for (int i = 0; i < 256; i++)
            if (self.status[i]) {
                printf("%s\"%d\": %llu", comma, i, (unsigned long long)self.status[i]);
                comma = ", ";
            }
        printf("}, \"first\": \"");
        for (const char *p = self.first; *p; p++)
            if (*p >= ' ' && *p < 127 && *p != '"' && *p != '\\')
                putchar(*p);
        printf("\"");
    }
    printf("}\n");
    fflush(stdout);
}

static void run(void)
{
    uint64_t start = now_ns(), now = start, round = 0, told = start;
    while (!(self.over && !self.in_flight)) {
        struct epoll_event events[256];
        if (now - round >= 10 * MS) {
            look_round(now);
            round = now;
            for (uint32_t c = 0; options.slow && c < options.connections; c++)
                if (self.conns[c].fd >= 0 && self.conns[c].read_again && now >= self.conns[c].read_again) {
                    self.conns[c].read_again = 0;
                    serve(&self.conns[c], EPOLLIN, now);
                }
        }
        int n = epoll_wait(self.epoll, events, 256, 10);
        now = now_ns();
        for (int i = 0; i < n; i++)
            if (((struct conn *)events[i].data.ptr)->fd >= 0)
                serve(events[i].data.ptr, events[i].events, now);
        if (options.progress && now - told >= 1000 * MS) {
            report(false, (double)(now - start) / 1e9);
            told = now;
        }
        self.over = stopped || (options.calls && self.begun >= options.calls) ||
                    (options.seconds && now - start >= options.seconds * 1000 * MS);
    }
    for (uint32_t c = 0; c < options.connections; c++) { /* what is queued still has to go: one-way calls are owed nothing */
        struct conn *conn = &self.conns[c];
        for (uint64_t by = now_ns() + 5000 * MS; conn->fd >= 0 && bytes_held(&conn->out) && now_ns() < by;)
            if (bytes_send(&conn->out, conn->fd))
                break;
        if (conn->fd >= 0)
            close(conn->fd);
    }
    report(true, (double)(now_ns() - start) / 1e9);
}

/* --- options */

static void add_ids(const char *name)
{
    for (int i = 0; i < IDS_KINDS; i++)
        if (!strcmp(name, ids_names[i]) && options.n_ids < IDS_KINDS) {
            options.ids[options.n_ids++] = (enum ids)i;
            return;
        }
    die(EXIT_USAGE, "'%s' is none of same, collide, extreme, ours, or is there twice", name);
}

static void add_size(const char *text)
{
    if (options.n_sizes == SIZES_MAX)
        die(EXIT_USAGE, "at most %d sizes", SIZES_MAX);
    options.sizes[options.n_sizes++] = (uint32_t)number(text, 0, SIZE_MAX_);
}

static void add_value(const char *text)
{
    if (options.n_values == ATTACH_MAX)
        die(EXIT_USAGE, "at most %d values", ATTACH_MAX);
    options.values[options.n_values++] = text;
}

static void add_status(const char *text)
{
    options.allowed[number(text, 0, 255)] = true;
}

static void each(char *list, void (*add)(const char *))
{
    for (char *one = strtok(list, ","); one; one = strtok(NULL, ","))
        add(one);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"connect", 1, NULL, 'C'}, {"connections", 1, NULL, 'c'}, {"inflight", 1, NULL, 'i'}, {"calls", 1, NULL, 'N'},
        {"seconds", 1, NULL, 's'}, {"ids", 1, NULL, 'I'},         {"sizes", 1, NULL, 'p'},    {"one-way", 1, NULL, 'o'},
        {"beat", 1, NULL, 'b'},    {"label", 1, NULL, 'l'},       {"life", 1, NULL, 'L'},     {"die", 1, NULL, 'd'},
        {"slow", 1, NULL, 'S'},    {"allow", 1, NULL, 'a'},       {"stall", 1, NULL, 'T'},    {"timeout", 1, NULL, 't'},
        {"who", 1, NULL, 'w'},     {"progress", 0, NULL, 'P'},    {"service", 1, NULL, 'n'},  {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.to = net_resolve(optarg); break;
        case 'c': options.connections = (uint32_t)number(optarg, 0, 4096); break;
        case 'i': options.inflight = (uint32_t)number(optarg, 0, INFLIGHT_MAX); break;
        case 'N': options.calls = number(optarg, 0, UINT64_MAX); break;
        case 's': options.seconds = number(optarg, 0, 1000000); break;
        case 'I': each(optarg, add_ids); break;
        case 'p': each(optarg, add_size); break;
        case 'o': options.one_way = (uint32_t)number(optarg, 0, 100); break;
        case 'b': options.heartbeat = (uint32_t)number(optarg, 0, 100); break;
        case 'l':
            options.label = strtok(optarg, "=");
            each(NULL, add_value);
            break;
        case 'L': options.life = (uint32_t)number(optarg, 0, 1000000000); break;
        case 'd': options.die = (uint32_t)number(optarg, 0, 100); break;
        case 'S': options.slow = (uint32_t)number(optarg, 0, 4096); break;
        case 'a': each(optarg, add_status); break;
        case 'T': options.stall = number(optarg, 0, 3600000) * MS; break;
        case 't': options.timeout = number(optarg, 0, 3600000); break;
        case 'w': options.who = (uint16_t)(number(optarg, 0, 15) << 12); break;
        case 'P': options.progress = true; break;
        case 'n': options.service = optarg; break;
        default: die(EXIT_USAGE, "see tests/calls/README.md");
        }
    }
    if (!options.to || optind != argc || (!options.calls && !options.seconds) || !options.connections || !options.inflight)
        die(EXIT_USAGE, "usage: ask --connect HOST:PORT --calls N|--seconds S [options]; see tests/calls/README.md");
    if (!options.n_ids)
        options.ids[options.n_ids++] = IDS_SAME;
    if (!options.n_sizes)
        options.sizes[options.n_sizes++] = 64;
    for (uint32_t i = 0; i < options.n_sizes; i++)
        if (options.sizes[i] < NONCE && (options.n_ids > 1 || options.ids[0] != IDS_SAME))
            die(EXIT_USAGE, "a size under %d has no room for the nonce: it needs --ids same", NONCE);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    asked_init();
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    self.random = now_ns();
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    self.conns = must_alloc(options.connections * sizeof *self.conns);
    for (uint32_t i = 0; i < options.connections; i++) {
        struct conn *conn = &self.conns[i];
        conn->fd = -1;
        conn->number = (uint16_t)(options.who + i);
        conn->ids = options.ids[i % options.n_ids];
        conn->slow = i < options.slow;
        conn->slots = must_alloc(options.inflight * sizeof *conn->slots);
        conn->free = must_alloc(options.inflight * sizeof *conn->free);
        for (uint32_t s = 0; s < options.inflight; s++)
            conn->free[conn->n_free++] = (uint16_t)s;
    }
    run();
    return self.crossed || self.twice || self.lost || self.not_allowed || !self.right ? EXIT_FAILED : 0;
}
