/* relay: a TCP relay that does to its connections what networks and dying peers do, on command.
 *
 * `up` are bytes from who dialled the relay to whom it dials, `down` the others. A command holds for all connections,
 * those that are there and those that come, until the next one:
 *   pass                     as if it were not there
 *   delay UP|DOWN|both MS    what is read goes on so much later
 *   throttle WAY N           N bytes a second
 *   trickle WAY              each byte is a send of its own
 *   stall WAY                nothing is read any more
 *   swallow WAY              what is read is thrown away
 *   reset WAY N              after N bytes both ends get RST
 *   fin WAY N                after N bytes both ends get FIN, and the rest is dropped
 *   half WAY                 the receiver gets FIN; the other way goes on
 *   cut                      RST for all connections there are; then pass
 *   refuse                   RST for all, and nobody listens
 *   count                    answers: ok OPEN ACCEPTED ENDED SINGLE, the last: bytes that were a send of their own
 * Every command is answered with a line that begins with "ok". */
#include "server.h"

#include <getopt.h>

enum { ROOM = 64 << 10, UP = 0, DOWN = 1, TRICKLE = 256, TURN = 16 };

#define MS UINT64_C(1000000)

enum act { PASS, DELAY, THROTTLE, ONE_BYTE, STALL, SWALLOW, RESET, FIN, HALF, ACTS };
static const char *const act_names[ACTS] = {"pass",    "delay", "throttle", "trickle", "stall",
                                            "swallow", "reset", "fin",      "half"};

struct way {
    size_t begin, end;
    uint64_t passed, due; /* bytes since the command; when what is held may go */
    bool eof, shut, full; /* the sender has finished; the receiver was told; the receiver takes no more now */
    uint8_t bytes[ROOM];
};

struct pair {
    struct pair *next;
    int fds[2];           /* who dialled, whom we dialled */
    uint32_t events[2];
    bool connecting, dead;
    struct way ways[2];   /* ways[UP] goes from fds[0] to fds[1] */
};

static struct {
    const char *listen_at;
    struct addrinfo *to;
    struct sockaddr_storage at; /* where we listen, once known */
    socklen_t at_len;
    struct pair *pairs;
    enum act act[2];
    uint64_t amount[2], since;
    uint64_t open, accepted, ended, single;
} self = {.listen_at = "127.0.0.1:0"};

static void end(struct pair *pair, bool hard)
{
    if (pair->dead)
        return;
    struct linger linger = {1, 0};
    for (int i = 0; i < 2; i++) {
        if (hard)
            setsockopt(pair->fds[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(pair->fds[i]);
    }
    pair->dead = true;
    self.open--;
    self.ended++;
}

static void sweep(void)
{
    for (struct pair **at = &self.pairs; *at;) {
        struct pair *pair = *at;
        if (pair->dead) {
            *at = pair->next;
            free(pair);
        } else {
            at = &pair->next;
        }
    }
}

/* How many of `held` bytes may go now. */
static size_t allowed(struct pair *pair, int d, size_t held, uint64_t now)
{
    struct way *way = &pair->ways[d];
    uint64_t amount = self.amount[d];
    switch (self.act[d]) {
    case STALL:
        return 0;
    case DELAY:
        return now >= way->due ? held : 0;
    case THROTTLE: {
        uint64_t earned = (now - self.since) / 1000 * amount / 1000000;
        uint64_t left = earned > way->passed ? earned - way->passed : 0;
        return held < left ? held : (size_t)left;
    }
    case RESET:
    case FIN:
        return held < amount - way->passed ? held : (size_t)(amount - way->passed);
    default:
        return held;
    }
}

static void push(struct pair *pair, int d, size_t n)
{
    struct way *way = &pair->ways[d];
    int to = pair->fds[!d];
    size_t each = self.act[d] == ONE_BYTE ? 1 : n;
    if (self.act[d] == ONE_BYTE && n > TRICKLE)
        n = TRICKLE;
    while (n) {
        ssize_t sent = send(to, way->bytes + way->begin, each, MSG_NOSIGNAL);
        if (sent < 0) {
            way->full = errno == EAGAIN;
            if (!way->full)
                end(pair, true);
            return;
        }
        way->begin += (size_t)sent;
        way->passed += (uint64_t)sent;
        self.single += self.act[d] == ONE_BYTE;
        n -= (size_t)sent;
        each = each < n ? each : n;
    }
}

static void pump(struct pair *pair, int d, uint64_t now)
{
    struct way *way = &pair->ways[d];
    for (int turn = 0; turn < TURN && !pair->dead; turn++) {
        enum act act = self.act[d];
        if (act == STALL || (d == UP && pair->connecting))
            return;
        if (way->begin == way->end && !way->eof) {
            ssize_t n = recv(pair->fds[d], way->bytes, ROOM, 0);
            if (n < 0 && errno != EAGAIN)
                end(pair, true);
            if (n < 0)
                return;
            way->eof = n == 0;
            way->begin = 0;
            way->end = act == SWALLOW ? 0 : (size_t)n;
            way->due = now + self.amount[d] * MS;
        }
        size_t n = allowed(pair, d, way->end - way->begin, now);
        if (n && !way->shut)
            push(pair, d, n);
        else if (way->shut)
            way->begin = way->end;
        if (pair->dead)
            return;
        if ((act == RESET || act == FIN) && way->passed >= self.amount[d]) {
            end(pair, act == RESET);
            return;
        }
        bool done = way->eof && way->begin == way->end;
        if (!way->shut && (done || act == HALF)) {
            shutdown(pair->fds[!d], SHUT_WR);
            way->shut = true;
        }
        if (pair->ways[UP].eof && pair->ways[UP].shut && pair->ways[DOWN].eof && pair->ways[DOWN].shut) {
            end(pair, false);
            return;
        }
        if (way->eof || way->full || way->begin < way->end)
            return;
    }
}

static void watch(struct pair *pair)
{
    for (int i = 0; i < 2 && !pair->dead; i++) {
        const struct way *in = &pair->ways[i == 0 ? UP : DOWN], *out = &pair->ways[i == 0 ? DOWN : UP];
        bool read = in->begin == in->end && !in->eof && self.act[i == 0 ? UP : DOWN] != STALL;
        bool write = out->full || (i == 1 && pair->connecting);
        uint32_t events = ((read && !pair->connecting) ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u);
        if (events != pair->events[i])
            net_watch(serving.epoll, EPOLL_CTL_MOD, pair->fds[i], pair->events[i] = events, pair);
    }
}

static void pump_all(uint64_t now)
{
    for (struct pair *pair = self.pairs; pair; pair = pair->next) {
        for (int d = 0; d < 2 && !pair->dead; d++)
            pump(pair, d, now);
        watch(pair);
    }
    sweep();
}

/* Held bytes that no event of a descriptor will set free. */
static bool waits_for_time(void)
{
    for (struct pair *pair = self.pairs; pair; pair = pair->next)
        for (int d = 0; d < 2; d++) {
            const struct way *way = &pair->ways[d];
            if (way->begin < way->end && !way->full && !pair->connecting && self.act[d] != STALL)
                return true;
        }
    return false;
}

static void accept_all(void)
{
    int fd;
    while (serving.listener >= 0 && (fd = net_accept(serving.listener)) >= 0) {
        struct pair *pair = must_alloc(sizeof *pair);
        pair->fds[0] = fd;
        pair->fds[1] = socket(self.to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        net_nodelay(pair->fds[1]);
        self.open++;
        self.accepted++;
        pair->next = self.pairs;
        self.pairs = pair;
        if (connect(pair->fds[1], self.to->ai_addr, self.to->ai_addrlen)) {
            if (errno != EINPROGRESS) {
                end(pair, true);
                continue;
            }
            pair->connecting = true;
        }
        net_watch(serving.epoll, EPOLL_CTL_ADD, pair->fds[0], 0, pair);
        net_watch(serving.epoll, EPOLL_CTL_ADD, pair->fds[1], 0, pair);
        watch(pair);
    }
}

static void on_event(struct pair *pair, uint32_t events)
{
    if (pair->dead)
        return;
    int error = 0;
    socklen_t len = sizeof error;
    if (pair->connecting && (events & (EPOLLOUT | EPOLLERR))) {
        getsockopt(pair->fds[1], SOL_SOCKET, SO_ERROR, &error, &len);
        pair->connecting = false;
    }
    if (error || (events & EPOLLERR)) {
        end(pair, true);
        return;
    }
    if (events & EPOLLHUP && !(events & (EPOLLIN | EPOLLOUT))) { /* both ways are over: nothing more can be read */
        end(pair, false);
        return;
    }
    if (events & EPOLLOUT)
        pair->ways[UP].full = pair->ways[DOWN].full = false;
}

static void open_listener(void)
{
    if (serving.listener >= 0)
        return;
    int on = 1;
    if (!self.at_len) {
        serving.listener = net_listen(self.listen_at);
        self.at_len = sizeof self.at;
        getsockname(serving.listener, (struct sockaddr *)&self.at, &self.at_len);
    } else {
        serving.listener = socket(self.at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (serving.listener < 0 || setsockopt(serving.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
            bind(serving.listener, (struct sockaddr *)&self.at, self.at_len) || listen(serving.listener, 4096))
            die(EXIT_FAILED, "cannot listen again: %s", strerror(errno));
    }
    server_watch_listener();
}

static void cut_all(void)
{
    for (struct pair *pair = self.pairs; pair; pair = pair->next)
        end(pair, true);
}

static void set(int d, enum act act, uint64_t amount)
{
    self.act[d] = act;
    self.amount[d] = amount;
    for (struct pair *pair = self.pairs; pair; pair = pair->next)
        pair->ways[d].passed = 0;
}

static void obey(char *line)
{
    char *words[3] = {strtok(line, " "), strtok(NULL, " "), strtok(NULL, " ")};
    if (!words[0])
        die(EXIT_USAGE, "an empty command");
    if (!strcmp(words[0], "count")) {
        reply("ok %llu %llu %llu %llu", (unsigned long long)self.open, (unsigned long long)self.accepted,
              (unsigned long long)self.ended, (unsigned long long)self.single);
        return;
    }
    self.since = now_ns();
    if (!strcmp(words[0], "cut") || !strcmp(words[0], "refuse"))
        cut_all();
    if (!strcmp(words[0], "refuse")) {
        if (serving.listener >= 0)
            close(serving.listener);
        serving.listener = -1;
    } else {
        open_listener();
    }
    if (!words[1]) {
        set(UP, PASS, 0);
        set(DOWN, PASS, 0);
        reply("ok");
        return;
    }
    enum act act = ACTS;
    for (int i = 0; i < ACTS; i++)
        if (!strcmp(words[0], act_names[i]))
            act = (enum act)i;
    bool both = !strcmp(words[1], "both"), up = both || !strcmp(words[1], "up"), down = both || !strcmp(words[1], "down");
    if (act == ACTS || !(up || down))
        die(EXIT_USAGE, "'%s %s' is not a command", words[0], words[1]);
    uint64_t amount = words[2] ? number(words[2], 0, UINT64_MAX / 2) : 0;
    if (up)
        set(UP, act, amount);
    if (down)
        set(DOWN, act, amount);
    reply("ok");
}

static int until_more(void)
{
    return waits_for_time() ? 1 : -1;
}

static void event(void *what, uint32_t events)
{
    on_event(what, events);
}

static void pump_now(void)
{
    pump_all(now_ns());
}

static const struct server_ops ops = {until_more, accept_all, event, obey, pump_now};

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", 1, NULL, 'l'}, {"to", 1, NULL, 't'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'l')
            self.listen_at = optarg;
        else if (c == 't')
            self.to = net_resolve(optarg);
        else
            die(EXIT_USAGE, "usage: relay [--listen HOST:PORT] --to HOST:PORT");
    }
    if (!self.to)
        die(EXIT_USAGE, "usage: relay [--listen HOST:PORT] --to HOST:PORT");
    server_begin();
    open_listener();
    server_run(&ops);
    return 0;
}
