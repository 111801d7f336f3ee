/* load: a Dubbo2 caller that never gives up and counts what became of every call, whatever happens around it.
 *
 * Each connection keeps --inflight calls going; a slot rests --rest microseconds after an answer, and a while after an
 * error; with --pace it begins a call every so many milliseconds instead, answered well or not. A connection that ends is made again. Commands on stdin, each answered by a line that begins with "ok":
 *   phase NAME   calls that begin from now on are counted there
 *   expect NAME  they must be answered by the provider of that name (see --named); * is any
 *   pause        no more calls; answered when none is in flight
 *   resume
 *   half         every connection sends FIN, and goes on when its answers are in and the other side has closed
 *   count        answers: ok SENT RIGHT ERRORS CUT LOST of this phase; `count also`: of those below
 *   also         every connection sends --also-calls calls more, at once, to --also; they are a phase of their own, `also`
 *   quit         waits for what is in flight, prints the counts as JSON and ends
 * What can become of a call: right; an error (by status); crossed (a body that is not the call's own, or an answer to
 * no call); misrouted (right, from another provider than expected); cut (in flight when its connection ended); lost (no
 * answer within --deadline on a connection that is there). */
#include "caller.h"
#include "request.h"

enum { OUT_ROOM = 256 << 10, IN_ROOM = 256 << 10 };

struct slot {
    uint64_t id, at, nonce; /* `at`: sent, or rests until */
    uint16_t phase;
    uint8_t state;
    char expect[NAME_ROOM];
};

struct conn {
    int fd; /* -1: to be made at `dial_at` */
    uint32_t events;
    bool connecting, readonly, halved;
    uint64_t dial_at, sequence;
    uint32_t also_left;
    struct slot *slots; /* of the calls that are kept going, then of those of `also` */
    uint8_t *in, *out;
    size_t in_end, in_cap, out_begin, out_end, out_cap;
};

static struct {
    struct request_options request, also;
} options = {.request = {.service = "org.meshfast.faults.Busy", .version = "1.0.0", .method = "echo", .payload = 200},
             .also = {.service = "org.meshfast.faults.Slow", .version = "1.0.0", .method = "echo", .payload = 200}};

static struct {
    struct addrinfo *to;
    struct conn *conns;
    struct request request, also;
    char expect[NAME_ROOM];
} self;

static struct phase *phase_of(const struct slot *slot)
{
    return phases.all[slot->phase]; /* the first is `also`, where there are such calls */
}

/* --- connections */

static void leave(struct slot *slot, uint64_t rest, uint64_t now)
{
    if (slot->state == SENT)
        caller.busy--;
    slot->state = rest || caller.pace ? RESTING : FREE;
    slot->at = caller.pace ? slot->at + caller.pace : now + rest;
}

static void hang_up(struct conn *conn, uint64_t now)
{
    close(conn->fd);
    conn->fd = -1;
    conn->dial_at = now + DIAL_REST;
    if (conn->connecting)
        phases.now->refused++;
    else
        phases.now->ends++;
    for (uint32_t i = 0; i < n_slots(); i++) {
        struct slot *slot = &conn->slots[i];
        if (slot->state == SENT)
            phase_of(slot)->cut++;
        if (slot->state == SENT || slot->state == LOST)
            leave(slot, ERROR_REST, now);
    }
}

static void dial(struct conn *conn, uint64_t now)
{
    conn->fd = socket(self.to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die(EXIT_FAILED, "socket: %s", strerror(errno));
    net_nodelay(conn->fd);
    conn->readonly = conn->halved = false;
    conn->in_end = conn->out_begin = conn->out_end = 0;
    conn->connecting = true;
    if (connect(conn->fd, self.to->ai_addr, self.to->ai_addrlen) && errno != EINPROGRESS) {
        hang_up(conn, now);
        return;
    }
    net_watch(caller.epoll, EPOLL_CTL_ADD, conn->fd, conn->events = EPOLLIN | EPOLLOUT, conn);
}

static void flush(struct conn *conn)
{
    if (conn->fd < 0 || conn->connecting)
        return;
    while (conn->out_end > conn->out_begin) {
        ssize_t n = send(conn->fd, conn->out + conn->out_begin, conn->out_end - conn->out_begin, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) { /* answers may still be there to be read: the end comes from there */
            conn->out_begin = conn->out_end;
            break;
        }
        conn->out_begin += (size_t)n;
    }
    if (conn->out_begin == conn->out_end) {
        conn->out_begin = conn->out_end = 0;
        if (conn->halved)
            shutdown(conn->fd, SHUT_WR);
    }
    uint32_t events = EPOLLIN | (conn->out_end ? EPOLLOUT : 0u);
    if (events != conn->events)
        net_watch(caller.epoll, EPOLL_CTL_MOD, conn->fd, conn->events = events, conn);
}

/* --- calls */

static void send_call(struct conn *conn, uint32_t at, uint64_t now)
{
    bool also = at >= caller.inflight;
    struct request *request = also ? &self.also : &self.request;
    struct slot *slot = &conn->slots[at];
    slot->id = ++conn->sequence << 16 | at;
    slot->state = SENT;
    slot->at = now;
    slot->phase = also ? 0 : (uint16_t)(phases.n - 1);
    memcpy(slot->expect, self.expect, NAME_ROOM);
    slot->nonce = request_put(request, conn->out + conn->out_end, slot->id);
    conn->out_end += request->len;
    caller.busy++;
    phase_of(slot)->sent++;
}

/* Begins what can be begun, and looks for what should have ended. */
static void tend(struct conn *conn, uint64_t now)
{
    bool may_call = conn->fd >= 0 && !conn->connecting && !conn->readonly && !conn->halved && !caller.paused;
    for (uint32_t i = 0; i < n_slots(); i++) {
        struct slot *slot = &conn->slots[i];
        bool also = i >= caller.inflight;
        if (slot->state == SENT && now - slot->at > caller.deadline) {
            slot->state = LOST; /* still known, should its answer come late */
            caller.busy--;
            phase_of(slot)->lost++;
        }
        if (slot->state == RESTING && now >= slot->at)
            slot->state = FREE;
        size_t len = also ? self.also.len : self.request.len;
        if (slot->state != FREE || !may_call || (also && !conn->also_left) || conn->out_cap - conn->out_end < len)
            continue;
        conn->also_left -= also;
        send_call(conn, i, now);
    }
    flush(conn);
}

/* True when the attachment `from` of an answer is `name`. */
static bool is_from(const uint8_t *tail, size_t len, const char *name)
{
    uint8_t wanted[64], *p = wanted;
    *p++ = 'H';
    p = wire_put_string(p, "from", 4);
    p = wire_put_string(p, name, strlen(name));
    *p++ = 'Z';
    return len == (size_t)(p - wanted) && !memcmp(tail, wanted, len);
}

static void on_answer(struct conn *conn, const uint8_t *frame, size_t len, uint64_t now)
{
    uint64_t id = wire_get64(frame + 4), at = id & 0xffff;
    const uint8_t *body = frame + WIRE_HEAD;
    struct slot *slot = at < n_slots() ? &conn->slots[at] : NULL;
    if (!slot || slot->id != id || frame[2] & WIRE_REQUEST || (slot->state != SENT && slot->state != LOST)) {
        phases.now->crossed++;
        return;
    }
    struct phase *phase = phase_of(slot);
    uint64_t took = now - slot->at;
    bool in_time = slot->state == SENT;
    leave(slot, frame[3] == WIRE_OK ? caller.rest : ERROR_REST, now);
    if (!in_time) {
        phase->late++;
    } else if (frame[3] != WIRE_OK) {
        phase->errors++;
        phase->statuses[frame[3]]++;
        hist_add(&phase->failing, took);
    } else {
        const struct request *request = at < caller.inflight ? &self.request : &self.also;
        size_t own = request->answer_len;
        bool named = caller.named && request == &self.request, fits = named ? len > own : len == own;
        if (!fits || !request_check(request, body, own, slot->nonce))
            phase->crossed++;
        else if (named && slot->expect[0] != '*' && !is_from(body + own, len - own, slot->expect))
            phase->misrouted++;
        else
            phase->right++;
        hist_add(&phase->latency, took);
    }
}

/* Heartbeats are answered; READONLY: no new calls on this connection until it is made again. */
static void on_peer_event(struct conn *conn, const uint8_t *frame, size_t len)
{
    if (!(frame[2] & WIRE_REQUEST))
        return;
    if (!(frame[2] & WIRE_TWO_WAY)) {
        conn->readonly = len && frame[WIRE_HEAD + len - 1] == 'R';
        phases.now->readonly++;
        return;
    }
    if (conn->out_cap - conn->out_end < WIRE_HEAD + len)
        return;
    conn->out_end += wire_answer_event(conn->out + conn->out_end, frame, len);
}

static void on_readable(struct conn *conn, uint64_t now)
{
    ssize_t n = recv(conn->fd, conn->in + conn->in_end, conn->in_cap - conn->in_end, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        hang_up(conn, now);
        return;
    }
    conn->in_end += (size_t)n;
    size_t at = 0, len;
    int whole;
    while ((whole = wire_frame(conn->in + at, conn->in_end - at, conn->in_cap - WIRE_HEAD, &len)) == 1) {
        const uint8_t *frame = conn->in + at;
        if (frame[2] & WIRE_EVENT)
            on_peer_event(conn, frame, len);
        else
            on_answer(conn, frame, len, now);
        at += WIRE_HEAD + len;
    }
    if (whole < 0) {
        phases.now->crossed++; /* the stream means nothing from here on */
        hang_up(conn, now);
        return;
    }
    conn->in_end -= at;
    memmove(conn->in, conn->in + at, conn->in_end);
}

static void on_event(void *what, uint32_t events, uint64_t now)
{
    struct conn *conn = what;
    if (conn->fd < 0)
        return;
    if (conn->connecting) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            hang_up(conn, now);
            return;
        }
        conn->connecting = !(events & EPOLLOUT);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(conn, now);
    if (conn->fd >= 0)
        tend(conn, now);
}

/* --- as it is told, and the end */

static void expect(const char *name)
{
    snprintf(self.expect, NAME_ROOM, "%s", name);
}

static void half(uint32_t i)
{
    self.conns[i].halved = self.conns[i].fd >= 0 && !self.conns[i].connecting;
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
    if (conn->fd < 0 && now >= conn->dial_at && !caller.over)
        dial(conn, now);
    tend(conn, now);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        CALLER_OPTIONS,
        {"payload", 1, NULL, 'p'}, {"service", 1, NULL, 'n'}, {"attach", 1, NULL, 'a'}, {"also", 1, NULL, 'A'},
        {"also-payload", 1, NULL, 'P'}, {"also-timeout", 1, NULL, 'T'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (caller_option(c, optarg))
            continue;
        switch (c) {
        case 'p': options.request.payload = number(optarg, NONCE_LEN, 16384); break;
        case 'n': options.request.service = optarg; break;
        case 'A': options.also.service = optarg; break;
        case 'P': options.also.payload = number(optarg, NONCE_LEN, ALSO_MAX); break;
        case 'T': options.also.timeout = optarg; break; /* empty: it names none */
        case 'a':
            if (options.request.n_attach == ATTACH_MAX || !strchr(optarg, '='))
                die(EXIT_USAGE, "--attach takes KEY=VALUE, at most %d times", ATTACH_MAX);
            options.request.attach[options.request.n_attach++] = optarg;
            break;
        default: die(EXIT_USAGE, "see tests/faults/README.md");
        }
    }
    if (!caller.connect || optind != argc)
        die(EXIT_USAGE, "usage: load --connect HOST:PORT [options]; see tests/faults/README.md");
}

static void open_all(void)
{
    self.to = net_resolve(caller.connect);
    self.conns = must_alloc(caller.connections * sizeof *self.conns);
    for (uint32_t i = 0; i < caller.connections; i++) {
        struct conn *conn = &self.conns[i];
        conn->fd = -1;
        conn->slots = must_alloc(n_slots() * sizeof *conn->slots);
        conn->in_cap = IN_ROOM + self.also.answer_len;
        conn->out_cap = OUT_ROOM + caller.inflight * self.request.len + caller.also_calls * self.also.len;
        conn->in = must_alloc(conn->in_cap);
        conn->out = must_alloc(conn->out_cap);
    }
}

static const struct caller_ops ops = {expect, half, also, rest, on_event, dial_or_tend};

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    request_init(&self.request, &options.request);
    self.request.answer[0] = (uint8_t)(caller.named ? 0x94 : 0x91);
    request_init(&self.also, &options.also);
    strcpy(self.expect, "*");
    caller_begin(&ops);
    open_all();
    caller_run();
    return 0;
}
