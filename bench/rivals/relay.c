/* relay: a layer-4 relay of one thread and epoll: the least that a proxy which never looks inside can cost.
 *
 * relay LISTEN UPSTREAM: every connection accepted gets one of its own to UPSTREAM; bytes are read into one shared
 * buffer and written at once; only what the other side does not take is kept. */
#include "../load/net.h"

enum { ROOM = 64 << 10 };

struct side {
    int fd;
    uint32_t events;
    uint8_t *kept; /* what this side has still to write */
    size_t kept_len;
    struct pair *pair;
};

struct pair {
    struct side side[2];
    struct pair *next_dead;
    int dead;
};

static int epoll;
static struct pair *dead;

/* Reads from a side while the other has nothing kept. */
static void want(struct side *side)
{
    struct side *other = &side->pair->side[side == &side->pair->side[0]];
    uint32_t events = (side->kept_len ? EPOLLOUT : 0u) | (other->kept_len ? 0u : EPOLLIN);
    if (events != side->events)
        net_watch(epoll, EPOLL_CTL_MOD, side->fd, side->events = events, side);
}

static int keep(struct side *side, const uint8_t *from, size_t len)
{
    uint8_t *kept = NULL;
    if (len) {
        kept = must_alloc(len);
        memcpy(kept, from, len);
    }
    free(side->kept);
    side->kept = kept;
    side->kept_len = len;
    want(&side->pair->side[0]);
    want(&side->pair->side[1]);
    return 0;
}

/* Writes what the other side takes and keeps the rest there. */
static int pass(struct side *to, const uint8_t *from, size_t len)
{
    ssize_t n = send(to->fd, from, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return -errno;
    size_t sent = n > 0 ? (size_t)n : 0;
    return sent == len && !to->kept_len ? 0 : keep(to, from + sent, len - sent);
}

static int on_event(struct side *side, uint32_t events)
{
    static uint8_t room[ROOM];
    struct side *other = &side->pair->side[side == &side->pair->side[0]];
    if (side->kept_len && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        int rc = pass(side, side->kept, side->kept_len);
        if (rc)
            return rc;
    }
    if (other->kept_len)
        return events & (EPOLLERR | EPOLLHUP) ? -EPIPE : 0;
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        return 0;
    ssize_t n = recv(side->fd, room, sizeof room, 0);
    if (n > 0)
        return pass(other, room, (size_t)n);
    return n == 0 ? -ECONNRESET : errno == EAGAIN ? 0 : -errno;
}

static void accept_all(int listener, const struct addrinfo *upstream)
{
    int fd;
    while ((fd = net_accept(listener)) >= 0) {
        int up = net_connect(upstream);
        if (up < 0) {
            close(fd);
            continue;
        }
        struct pair *pair = must_alloc(sizeof *pair);
        pair->side[0] = (struct side){.fd = fd, .events = EPOLLIN, .pair = pair};
        pair->side[1] = (struct side){.fd = up, .events = EPOLLIN, .pair = pair};
        net_watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, &pair->side[0]);
        net_watch(epoll, EPOLL_CTL_ADD, up, EPOLLIN, &pair->side[1]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        die(EXIT_USAGE, "usage: relay LISTEN UPSTREAM, each host:port");
    struct addrinfo *upstream = net_resolve(argv[2]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die(EXIT_FAILED, "epoll_create1: %s", strerror(errno));
    int listener = net_listen(argv[1]);
    net_watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct side *side = events[i].data.ptr;
            if (!side) {
                accept_all(listener, upstream);
            } else if (!side->pair->dead && on_event(side, events[i].events) < 0) {
                /* Freed after the turn: the other side may have an event in this one. */
                side->pair->dead = 1;
                side->pair->next_dead = dead;
                dead = side->pair;
            }
        }
        while (dead) {
            struct pair *pair = dead;
            dead = pair->next_dead;
            for (int i = 0; i < 2; i++) {
                close(pair->side[i].fd);
                free(pair->side[i].kept);
            }
            free(pair);
        }
    }
}
