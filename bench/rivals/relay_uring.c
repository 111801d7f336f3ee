/* relay_uring: the relay of relay.c on io_uring: multishot accept and receive into shared buffers, one send a side.
 *
 * relay_uring LISTEN UPSTREAM. What arrives is sent from the very buffer that the kernel put it into; what arrives while
 * a send is under way waits behind it and goes out by one sendmsg of many buffers. A side that falls far behind is not
 * read for until it has caught up. Raw system calls: no library to install. */
#include "../load/net.h"

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum {
    ENTRIES = 1024,
    BUFFERS = 512, /* shared by all connections; a power of two */
    ROOM = 32 << 10,
    RUNS = 64,     /* buffers of one sendmsg */
    HIGH = 16,     /* buffers waiting for a side, from which on its other side is not read */
    NONE = 0xffff,
};
enum kind { ACCEPT, RECV, SEND, CANCEL, KINDS };

struct side {
    int fd;
    struct pair *pair;
    uint16_t first, last, sending; /* buffers to write, linked by next_of; how many the send under way has */
    uint32_t waiting;
    bool receiving, cancelled, starved;
    struct msghdr message;
    struct iovec runs[RUNS];
};

struct pair {
    struct side side[2];
    struct pair *next_starved;
    uint32_t under_way; /* operations whose last completion is still to come */
    bool ending, listed;
};

static struct {
    int fd;
    uint32_t sq_mask, cq_mask, tail, queued;
    _Atomic(uint32_t) *sq_tail, *cq_head, *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    struct io_uring_buf_ring *free; /* what the kernel may receive into */
    uint16_t free_tail;
    uint32_t n_free;
    uint8_t *base;
} ring;

static struct { uint32_t off, len; uint16_t next; } buffer[BUFFERS];
static struct pair *starved; /* their receive ended because every buffer was in use */

static struct side *other(struct side *side)
{
    return &side->pair->side[side == &side->pair->side[0]];
}

static void *map(size_t len, int flags, int fd, off_t at)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, at);
    if (p == MAP_FAILED)
        die(EXIT_FAILED, "mmap: %s", strerror(errno));
    return p;
}

static void give(uint16_t id)
{
    struct io_uring_buf *to = &ring.free->bufs[ring.free_tail & (BUFFERS - 1)];
    to->addr = (uint64_t)(uintptr_t)(ring.base + (size_t)id * ROOM);
    to->len = ROOM;
    to->bid = id;
    atomic_store_explicit((_Atomic(uint16_t) *)&ring.free->tail, ++ring.free_tail, memory_order_release);
    ring.n_free++;
}

static void open_ring(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                         IORING_SETUP_CQSIZE,
                                .cq_entries = 8 * ENTRIES};
    ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
    if (ring.fd < 0)
        die(EXIT_FAILED, "io_uring_setup: %s", strerror(errno));
    size_t sq = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
    size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    uint8_t *at = map(sq > cq ? sq : cq, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
    ring.sqes = map(p.sq_entries * sizeof *ring.sqes, MAP_SHARED, ring.fd, IORING_OFF_SQES);
    ring.sq_mask = p.sq_entries - 1;
    ring.cq_mask = p.cq_entries - 1;
    ring.sq_tail = (void *)(at + p.sq_off.tail);
    ring.cq_head = (void *)(at + p.cq_off.head);
    ring.cq_tail = (void *)(at + p.cq_off.tail);
    ring.cqes = (void *)(at + p.cq_off.cqes);
    for (uint32_t i = 0; i < p.sq_entries; i++)
        ((uint32_t *)(void *)(at + p.sq_off.array))[i] = i;

    ring.free = map(BUFFERS * sizeof(struct io_uring_buf), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ring.base = map((size_t)BUFFERS * ROOM, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)ring.free, .ring_entries = BUFFERS};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, &reg, 1))
        die(EXIT_FAILED, "receive buffers: %s", strerror(errno));
    for (uint16_t i = 0; i < BUFFERS; i++)
        give(i);
}

/* Submits what is queued and, with `wait`, sleeps until something is done. */
static void enter(bool wait)
{
    atomic_store_explicit(ring.sq_tail, ring.tail, memory_order_release);
    long n = syscall(SYS_io_uring_enter, ring.fd, ring.queued, wait ? 1 : 0, IORING_ENTER_GETEVENTS, NULL, 0);
    if (n < 0 && errno != EINTR && errno != EBUSY && errno != EAGAIN)
        die(EXIT_FAILED, "io_uring_enter: %s", strerror(errno));
    ring.queued -= n > 0 ? (uint32_t)n : 0;
}

/* An operation of a side, or, for ACCEPT, of none. */
static struct io_uring_sqe *ask(enum kind kind, uint8_t opcode, int fd, struct side *side)
{
    while (ring.queued > ring.sq_mask)
        enter(false);
    struct io_uring_sqe *sqe = &ring.sqes[ring.tail++ & ring.sq_mask];
    ring.queued++;
    *sqe = (struct io_uring_sqe){.opcode = opcode, .fd = fd, .user_data = (uint64_t)(uintptr_t)side | kind};
    if (side)
        side->pair->under_way++;
    return sqe;
}

static void receive(struct side *side)
{
    if (side->receiving || side->pair->ending || other(side)->waiting >= HIGH)
        return;
    struct io_uring_sqe *sqe = ask(RECV, IORING_OP_RECV, side->fd, side);
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
    side->receiving = true;
    side->cancelled = side->starved = false;
}

static void stop_receiving(struct side *side)
{
    if (!side->receiving || side->cancelled)
        return;
    struct io_uring_sqe *sqe = ask(CANCEL, IORING_OP_ASYNC_CANCEL, -1, side);
    sqe->addr = (uint64_t)(uintptr_t)side | RECV;
    side->cancelled = true;
}

/* Sends what waits, unless a send is under way: order holds by there being one. */
static void send_on(struct side *side)
{
    if (side->sending || side->first == NONE || side->pair->ending)
        return;
    for (uint16_t id = side->first; id != NONE && side->sending < RUNS; id = buffer[id].next)
        side->runs[side->sending++] =
            (struct iovec){ring.base + (size_t)id * ROOM + buffer[id].off, buffer[id].len};
    struct io_uring_sqe *sqe = ask(SEND, side->sending == 1 ? IORING_OP_SEND : IORING_OP_SENDMSG, side->fd, side);
    sqe->msg_flags = MSG_NOSIGNAL;
    if (side->sending == 1) {
        sqe->addr = (uint64_t)(uintptr_t)side->runs[0].iov_base;
        sqe->len = (uint32_t)side->runs[0].iov_len;
    } else {
        side->message = (struct msghdr){.msg_iov = side->runs, .msg_iovlen = side->sending};
        sqe->addr = (uint64_t)(uintptr_t)&side->message;
        sqe->len = 1;
    }
}

static void drop_first(struct side *side)
{
    uint16_t id = side->first;
    side->first = buffer[id].next;
    side->waiting--;
    give(id);
}

/* Ends both sides: the kernel then completes all that is under way, and the last completion frees the pair. */
static void end(struct pair *pair)
{
    if (pair->ending)
        return;
    pair->ending = true;
    for (int i = 0; i < 2; i++) {
        shutdown(pair->side[i].fd, SHUT_RDWR);
        stop_receiving(&pair->side[i]);
    }
}

static void free_if_over(struct pair *pair)
{
    if (!pair->ending || pair->under_way || pair->listed)
        return;
    for (int i = 0; i < 2; i++) {
        while (pair->side[i].first != NONE)
            drop_first(&pair->side[i]);
        close(pair->side[i].fd);
    }
    free(pair);
}

static void on_received(struct side *side, int res, uint32_t flags)
{
    struct side *to = other(side);
    if (!(flags & IORING_CQE_F_MORE))
        side->receiving = false;
    if (flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        ring.n_free--;
        if (res <= 0 || side->pair->ending) {
            give(id);
        } else {
            buffer[id].off = 0;
            buffer[id].len = (uint32_t)res;
            buffer[id].next = NONE;
            if (to->first == NONE)
                to->first = id;
            else
                buffer[to->last].next = id;
            to->last = id;
            to->waiting++;
        }
    }
    if (res == -ENOBUFS) {
        side->starved = true;
        if (!side->pair->listed) {
            side->pair->listed = true;
            side->pair->next_starved = starved;
            starved = side->pair;
        }
        return;
    }
    if (res == 0 || (res < 0 && res != -ECANCELED)) {
        end(side->pair);
        return;
    }
    send_on(to);
    if (to->waiting >= HIGH)
        stop_receiving(side);
    else
        receive(side);
}

static void on_sent(struct side *side, int res)
{
    side->sending = 0;
    if (res < 0) {
        end(side->pair);
        return;
    }
    for (size_t left = (size_t)res; left;) {
        uint16_t id = side->first;
        if (buffer[id].len > left) {
            buffer[id].off += (uint32_t)left;
            buffer[id].len -= (uint32_t)left;
            break;
        }
        left -= buffer[id].len;
        drop_first(side);
    }
    send_on(side);
    if (!other(side)->starved)
        receive(other(side));
}

static void on_accepted(int fd, const struct addrinfo *upstream)
{
    int up = net_connect(upstream);
    if (up < 0) {
        close(fd);
        return;
    }
    net_nodelay(fd);
    struct pair *pair = must_alloc(sizeof *pair);
    pair->side[0] = (struct side){.fd = fd, .pair = pair, .first = NONE};
    pair->side[1] = (struct side){.fd = up, .pair = pair, .first = NONE};
    receive(&pair->side[0]);
    receive(&pair->side[1]);
}

static void on_done(const struct io_uring_cqe *cqe, int listener, const struct addrinfo *upstream)
{
    enum kind kind = cqe->user_data & (KINDS - 1);
    struct side *side = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)(KINDS - 1));
    if (kind == ACCEPT) {
        if (cqe->res >= 0)
            on_accepted(cqe->res, upstream);
        if (!(cqe->flags & IORING_CQE_F_MORE))
            ask(ACCEPT, IORING_OP_ACCEPT, listener, NULL)->ioprio = IORING_ACCEPT_MULTISHOT;
        return;
    }
    struct pair *pair = side->pair;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        pair->under_way--;
    if (kind == RECV)
        on_received(side, cqe->res, cqe->flags);
    else if (kind == SEND)
        on_sent(side, cqe->res);
    free_if_over(pair);
}

/* Receives again where a receive had found no buffer, once some are free. */
static void feed_starved(void)
{
    if (ring.n_free < HIGH)
        return;
    struct pair *list = starved;
    starved = NULL;
    while (list) {
        struct pair *pair = list;
        list = pair->next_starved;
        pair->listed = false;
        for (int i = 0; i < 2; i++)
            if (pair->side[i].starved && !pair->ending) {
                pair->side[i].starved = false;
                receive(&pair->side[i]);
            }
        free_if_over(pair);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        die(EXIT_USAGE, "usage: relay_uring LISTEN UPSTREAM, each host:port");
    struct addrinfo *upstream = net_resolve(argv[2]);
    open_ring();
    int listener = net_listen(argv[1]);
    ask(ACCEPT, IORING_OP_ACCEPT, listener, NULL)->ioprio = IORING_ACCEPT_MULTISHOT;
    for (;;) {
        enter(true);
        uint32_t head = atomic_load_explicit(ring.cq_head, memory_order_relaxed);
        while (head != atomic_load_explicit(ring.cq_tail, memory_order_acquire)) {
            struct io_uring_cqe cqe = ring.cqes[head & ring.cq_mask];
            atomic_store_explicit(ring.cq_head, ++head, memory_order_release);
            on_done(&cqe, listener, upstream);
        }
        feed_starved();
    }
}
