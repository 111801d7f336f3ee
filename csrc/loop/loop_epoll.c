#include "base/mem.h"
#include "loop/backend.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Sockets are registered once, edge-triggered for all, so that no call changes a registration: what an edge said is
 * kept in the socket's state until a read or write that fell short shows it used up. Listeners and watches are
 * level-triggered.
 *
 * A watch is named by slot and generation, not by pointer: a descriptor that was closed while another process holds a
 * copy goes on reporting, and nothing can take it off any more. */

enum { READ_BYTES = 512 * 1024 }; /* how much of one socket is read before the others', besides mf_sock_reads */
enum { EVENTS = 256, ACCEPTS = 64, WRITES = 4 };
enum { KIND_SOCK, KIND_LISTENER, KIND_WATCH, KIND_MASK = 3 };

struct slot {
    struct mf_watch *watch; /* NULL: free */
    uint32_t gen, next;
};

struct epoll {
    int fd;
    int ready, at; /* of events: how many came, which is delivered */
    uint32_t events_cap, slots_cap, slots_free, watches;
    bool no_pwait2;
    struct epoll_event *events;
    struct slot *slots;
    uint8_t buffer[]; /* MF_READ_FRONT, then read_size */
};

static struct epoll *of(const struct mf_loop *loop)
{
    return loop->backend;
}

static int control(struct mf_loop *loop, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    mf_count(&loop->counts.syscalls, 1);
    return epoll_ctl(of(loop)->fd, op, fd, &event) < 0 ? -errno : 0;
}

static int init(struct mf_loop *loop, const struct mf_loop_options *options, const char **why)
{
    (void)options;
    (void)why;
    struct epoll *epoll = mf_alloc(sizeof *epoll + MF_READ_FRONT + loop->read_size);
    if (!epoll)
        return -ENOMEM;
    *epoll = (struct epoll){.fd = -1, .events_cap = EVENTS};
    loop->backend = epoll;
    epoll->events = mf_alloc(EVENTS * sizeof *epoll->events);
    if (!epoll->events)
        return -ENOMEM;
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll->fd < 0 ? -errno : 0;
}

static void dispose(struct mf_loop *loop)
{
    struct epoll *epoll = of(loop);
    if (epoll->fd >= 0)
        close(epoll->fd);
    mf_free(epoll->events);
    mf_free(epoll->slots);
    mf_free(epoll);
    loop->backend = NULL;
}

static int fd(const struct mf_loop *loop)
{
    return of(loop)->fd;
}

static int wait(struct mf_loop *loop, int64_t ns)
{
    struct epoll *epoll = of(loop);
    int n = -1;
    mf_count(&loop->counts.waits, 1);
    mf_count(&loop->counts.syscalls, 1);
    if (ns > 0 && !epoll->no_pwait2) {
        struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
        n = (int)syscall(SYS_epoll_pwait2, epoll->fd, epoll->events, (int)epoll->events_cap, &time, NULL, 0);
        if (n < 0 && (errno == ENOSYS || errno == EPERM))
            epoll->no_pwait2 = true; /* before Linux 5.11, or a filter that does not know it */
    }
    if (ns <= 0 || epoll->no_pwait2) {
        int64_t ms = ns < 0 ? -1 : ns / 1000000 + (ns % 1000000 != 0);
        n = epoll_wait(epoll->fd, epoll->events, (int)epoll->events_cap, ms > 1000000000 ? 1000000000 : (int)ms);
    }
    epoll->ready = n < 0 ? 0 : n;
    return n < 0 ? -errno : 0;
}

/* sockets */

static int sock_add(struct mf_sock *sock)
{
    if (!(sock->_state & MF_S_STREAM_TCP))
        sock->_state |= MF_S_DRAIN;
    return control(sock->loop, EPOLL_CTL_ADD, sock->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                   (uint64_t)(uintptr_t)sock | KIND_SOCK);
}

/* One read: behind a long frame's bytes, else into the shared buffer. Returns what read returned; `*full`: as much as
 * was asked for, so there may be more. */
static ssize_t read_once(struct mf_sock *sock, bool *full)
{
    struct mf_loop *loop = sock->loop;
    uint8_t *shared = of(loop)->buffer + MF_READ_FRONT, *at = NULL;
    size_t space = mf_sock_space(sock, &at), asked = space ? space : mf_sock_shared(sock);
    mf_count(&loop->counts.syscalls, 1);
    ssize_t n = read(sock->fd, space ? at : shared, asked);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    mf_count(&loop->counts.reads, 1);
    *full = (size_t)n == asked;
    if (space)
        mf_sock_filled(sock, (size_t)n);
    else
        mf_sock_feed(sock, shared, (size_t)n, MF_READ_FRONT);
    return n;
}

static void sock_read(struct mf_sock *sock)
{
    size_t got = 0;
    int most = sock->_heavy ? mf_sock_reads(sock) : MF_READS;
    for (int i = 0; i < most && got < READ_BYTES; i++) {
        uint16_t state = sock->_state;
        if (!(state & MF_S_READABLE) || (state & (MF_S_CLOSING | MF_S_EOF | MF_S_CONNECTING)))
            return;
        if ((state & MF_S_PAUSED) && !(state & MF_S_SILENT))
            return;
        bool full = false;
        ssize_t n = read_once(sock, &full);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN) {
            sock->_state &= (uint16_t)~MF_S_READABLE;
            if (sock->_state & MF_S_BROKEN)
                mf_sock_fail(sock, sock->_error);
            return;
        }
        got += n > 0 ? (size_t)n : 0;
        if (n == 0)
            mf_sock_at_eof(sock);
        else if (n < 0)
            mf_sock_fail(sock, (int)n);
        else if (full && mf_loop_sated(sock->loop))
            break;
        else if (!full && !(sock->_state & MF_S_DRAIN))
            sock->_state &= (uint16_t)~MF_S_READABLE; /* the next bytes make a new edge */
    }
    bool more = (sock->_state & (MF_S_READABLE | MF_S_CLOSING | MF_S_EOF)) == MF_S_READABLE;
    if (more || sock->_heavy)
        mf_sock_set_heavy(sock, MF_H_MORE, more);
    if (!more)
        return;
    if (most > 0)
        mf_sock_again(sock);
    else
        mf_sock_later(sock);
}

static void sock_flush(struct mf_sock *sock)
{
    struct iovec iov[MF_IOV_MAX];
    size_t len;
    for (int i = 0; i < WRITES; i++) {
        if (sock->_state & (MF_S_BLOCKED | MF_S_CONNECTING | MF_S_CLOSING | MF_S_BROKEN))
            return;
        int runs = mf_sock_iov(sock, iov, MF_IOV_MAX, &len);
        if (runs == 0) {
            mf_sock_sent(sock, 0);
            return;
        }
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)runs};
        mf_count(&sock->loop->counts.syscalls, 1);
        ssize_t n = runs == 1 ? send(sock->fd, iov[0].iov_base, len, MSG_NOSIGNAL)
                              : sendmsg(sock->fd, &message, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN)
                sock->_state |= MF_S_BLOCKED;
            else if (errno == ENOBUFS || errno == ENOMEM)
                break;
            else if (errno != EINTR)
                mf_sock_write_fail(sock, -errno);
            continue;
        }
        mf_count(&sock->loop->counts.writes, 1);
        mf_sock_sent(sock, (size_t)n);
        if (sock->_out_len == 0)
            return;
    }
    if (!(sock->_state & (MF_S_BLOCKED | MF_S_CLOSING)))
        mf_sock_dirty(sock); /* others first */
}

static void sock_drop(struct mf_sock *sock)
{
    if (sock->_state & MF_S_DEAD)
        return;
    /* Not left to close(): while a forked child still has a copy, the registration would outlive the socket. */
    control(sock->loop, EPOLL_CTL_DEL, sock->fd, 0, 0);
    close(sock->fd);
    mf_sock_gone(sock);
}

static int sock_detach(struct mf_sock *sock)
{
    return control(sock->loop, EPOLL_CTL_DEL, sock->fd, 0, 0);
}

static void sock_ready(struct mf_sock *sock, uint32_t events)
{
    if (sock->_state & MF_S_CLOSING)
        return;
    if (sock->_state & MF_S_CONNECTING) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        mf_sock_connected(sock, 0);
    } else if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && (sock->_state & MF_S_BLOCKED)) {
        sock->_state &= (uint16_t)~MF_S_BLOCKED;
        mf_sock_dirty(sock);
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
        sock->_state |= MF_S_DRAIN; /* an end or an urgent mark behind the bytes makes no edge of its own */
    if (events & ~(uint32_t)EPOLLOUT) {
        sock->_state |= MF_S_READABLE;
        sock_read(sock);
    }
}

/* listeners */

static int listener_add(struct mf_listener *listener)
{
    return control(listener->_loop, EPOLL_CTL_ADD, listener->fd, EPOLLIN | EPOLLRDHUP,
                   (uint64_t)(uintptr_t)listener | KIND_LISTENER);
}

static void listener_rest(struct mf_listener *listener)
{
    control(listener->_loop, EPOLL_CTL_DEL, listener->fd, 0, 0);
}

static void listener_drop(struct mf_listener *listener)
{
    if (!(listener->_state & MF_L_RESTING))
        control(listener->_loop, EPOLL_CTL_DEL, listener->fd, 0, 0);
    mf_listener_sweep(listener);
    close(listener->fd);
    mf_listener_gone(listener);
}

static void listener_ready(struct mf_listener *listener, uint32_t events)
{
    for (int i = 0; i < ACCEPTS && !(listener->_state & (MF_L_CLOSING | MF_L_RESTING)); i++) {
        struct mf_addr peer = {.len = sizeof peer.storage};
        mf_count(&listener->_loop->counts.syscalls, 1);
        int got = accept4(listener->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got >= 0)
            mf_listener_accepted(listener, got, &peer);
        else if (errno == EAGAIN && (events & EPOLLRDHUP))
            mf_listener_failed(listener, -EINVAL); /* shut, it may be by a copy of it: it would be ready for ever */
        else if (errno == EAGAIN || !mf_listener_failed(listener, -errno))
            return;
    }
}

/* watches */

static int watch_slot(struct epoll *epoll, uint32_t *out)
{
    if (epoll->watches == epoll->slots_cap) {
        uint32_t cap = epoll->slots_cap ? 2 * epoll->slots_cap : 8;
        struct slot *slots = mf_resize(epoll->slots, cap * sizeof *slots);
        if (!slots)
            return -ENOMEM;
        for (uint32_t i = epoll->slots_cap; i < cap; i++)
            slots[i] = (struct slot){.next = i + 1};
        epoll->slots = slots;
        epoll->slots_free = epoll->slots_cap;
        epoll->slots_cap = cap;
    }
    *out = epoll->slots_free;
    return 0;
}

static uint32_t wanted(uint32_t events)
{
    return (events & MF_WATCH_READ ? EPOLLIN : 0u) | (events & MF_WATCH_WRITE ? EPOLLOUT : 0u);
}

static uint64_t watch_name(const struct epoll *epoll, uint32_t slot)
{
    return (uint64_t)epoll->slots[slot].gen << 32 | (uint64_t)slot << 2 | KIND_WATCH;
}

static int watch_add(struct mf_watch *watch)
{
    struct mf_loop *loop = watch->_loop;
    struct epoll *epoll = of(loop);
    uint32_t slot;
    int rc = watch_slot(epoll, &slot);
    if (rc < 0)
        return rc;
    if (epoll->watches >= epoll->events_cap && !loop->in_turn) { /* all may be ready at once, and a selector says so */
        struct epoll_event *events = mf_resize(epoll->events, 2 * epoll->events_cap * sizeof *events);
        if (events) {
            epoll->events = events;
            epoll->events_cap *= 2;
        }
    }
    rc = control(loop, EPOLL_CTL_ADD, watch->fd, wanted(watch->events), watch_name(epoll, slot));
    if (rc < 0)
        return rc;
    epoll->slots_free = epoll->slots[slot].next;
    epoll->slots[slot].watch = watch;
    epoll->watches++;
    watch->_slot = slot;
    return 0;
}

static int watch_modify(struct mf_watch *watch, uint32_t events)
{
    return control(watch->_loop, EPOLL_CTL_MOD, watch->fd, wanted(events), watch_name(of(watch->_loop), watch->_slot));
}

static void watch_remove(struct mf_watch *watch)
{
    struct epoll *epoll = of(watch->_loop);
    struct slot *slot = &epoll->slots[watch->_slot];
    control(watch->_loop, EPOLL_CTL_DEL, watch->fd, 0, 0); /* it may be closed already */
    slot->watch = NULL;
    slot->gen++;
    slot->next = epoll->slots_free;
    epoll->slots_free = watch->_slot;
    epoll->watches--;
}

static int watch_ready(struct epoll *epoll, uint64_t name, uint32_t events)
{
    const struct slot *slot = &epoll->slots[(uint32_t)name >> 2];
    if (!slot->watch || slot->gen != name >> 32)
        return 0;
    struct mf_watch *watch = slot->watch;
    uint32_t ready = (events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? MF_WATCH_READ : 0u) |
                     (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? MF_WATCH_WRITE : 0u);
    ready &= watch->events;
    if (events & (EPOLLERR | EPOLLHUP))
        ready |= MF_WATCH_ERROR;
    watch->on_ready(watch, ready);
    return 1;
}

static int deliver(struct mf_loop *loop)
{
    struct epoll *epoll = of(loop);
    int n = 0;
    for (int i = 0; i < epoll->ready; i++) {
        uint64_t data = epoll->events[i].data.u64;
        uint32_t events = epoll->events[i].events;
        void *ptr = (void *)(uintptr_t)(data & ~(uint64_t)KIND_MASK);
        switch (data & KIND_MASK) {
        case KIND_SOCK:
            sock_ready(ptr, events);
            n++;
            break;
        case KIND_LISTENER:
            listener_ready(ptr, events);
            n++;
            break;
        default:
            n += watch_ready(epoll, data, events);
        }
    }
    epoll->ready = 0;
    return n;
}

const struct mf_loop_ops mf_loop_epoll = {
    .name = "epoll",
    .init = init,
    .dispose = dispose,
    .wait = wait,
    .deliver = deliver,
    .fd = fd,
    .sock_add = sock_add,
    .sock_read = sock_read,
    .sock_flush = sock_flush,
    .sock_drop = sock_drop,
    .sock_detach = sock_detach,
    .listener_add = listener_add,
    .listener_rest = listener_rest,
    .listener_drop = listener_drop,
    .watch_add = watch_add,
    .watch_modify = watch_modify,
    .watch_remove = watch_remove,
};
