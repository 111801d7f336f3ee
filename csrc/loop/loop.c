#include "base/mem.h"
#include "loop/backend.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SPARES = 32 * 1024 * 1024 };

uint64_t mf_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void woken(struct mf_watch *watch, uint32_t events)
{
    (void)events;
    uint64_t count;
    ssize_t n = read(watch->fd, &count, sizeof count);
    (void)n; /* empty already is fine */
}

static void dispose(struct mf_loop *loop)
{
    if (loop->backend)
        loop->ops->dispose(loop);
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    mf_sock_trim(loop);
    mf_block_spares_free(&loop->blocks);
    mf_free(loop);
}

static int try_new(const struct mf_loop_options *options, const struct mf_loop_ops *ops, struct mf_loop **out,
                   const char **why)
{
    struct mf_loop *loop = mf_zalloc(sizeof *loop);
    if (!loop)
        return -ENOMEM;
    loop->ops = ops;
    loop->read_size = options->read_size ? options->read_size : MF_READ_SIZE;
    loop->blocks.max = SPARES;
    loop->now = mf_clock_ns();
    mf_timers_init(&loop->timers, loop->now);
    struct mf_list *lists[] = {&loop->socks, &loop->listeners, &loop->watches, &loop->again, &loop->later,
                               &loop->dirty, &loop->lingering, &loop->dead,    &loop->dead_listeners,
                               &loop->guests};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        mf_list_init(lists[i]);

    loop->wake = (struct mf_watch){.events = MF_WATCH_READ, .on_ready = woken};
    loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = loop->wake.fd < 0 ? -errno : ops->init(loop, options, why);
    if (rc == 0)
        rc = mf_watch_add(loop, &loop->wake);
    if (rc < 0) {
        dispose(loop);
        return rc;
    }
    *out = loop;
    return 0;
}

int mf_loop_new(const struct mf_loop_options *options, struct mf_loop **out, const char **why)
{
    static const struct mf_loop_options defaults;
    const char *reason = NULL;
    if (!options)
        options = &defaults;
    *out = NULL;
    if (why)
        *why = NULL;
    if (options->backend == MF_LOOP_EPOLL)
        return try_new(options, &mf_loop_epoll, out, &reason);
    int rc = try_new(options, &mf_loop_uring, out, &reason);
    if (why)
        *why = rc < 0 ? reason : NULL;
    if (rc < 0 && options->backend == MF_LOOP_AUTO)
        rc = try_new(options, &mf_loop_epoll, out, &reason);
    return rc;
}

void mf_loop_free(struct mf_loop *loop)
{
    if (!loop)
        return;
    assert(!loop->in_turn);
    loop->ops->dispose(loop);
    loop->backend = NULL;
    struct mf_list *node;
    while ((node = mf_list_shift(&loop->socks))) {
        struct mf_sock *sock = MF_CONTAINER(node, struct mf_sock, _node);
        if (sock->fd >= 0)
            close(sock->fd);
        sock->fd = -1;
        sock->_state |= MF_S_CLOSING;
        mf_sock_bury(sock);
    }
    while ((node = mf_list_shift(&loop->listeners))) {
        struct mf_listener *listener = MF_CONTAINER(node, struct mf_listener, _node);
        if (listener->fd >= 0)
            close(listener->fd);
        listener->fd = -1;
        listener->_state |= MF_L_CLOSING;
    }
    while (mf_list_shift(&loop->guests))
        ;
    while ((node = mf_list_shift(&loop->watches)))
        MF_CONTAINER(node, struct mf_watch, _node)->_loop = NULL;
    dispose(loop);
}

/* Whether a turn has something to do that the kernel knows nothing of. */
static bool pending(const struct mf_loop *loop)
{
    return !mf_list_empty(&loop->again) || !mf_list_empty(&loop->later) || !mf_list_empty(&loop->dirty) || !mf_list_empty(&loop->dead) ||
           !mf_list_empty(&loop->dead_listeners);
}

static int64_t how_long(const struct mf_loop *loop, int64_t most)
{
    if (most == 0 || pending(loop))
        return 0;
    if (loop->timers._count == 0)
        return most;
    int64_t next = mf_timers_next(&loop->timers, mf_clock_ns());
    return most < 0 || next < most ? next : most;
}

static int look_again(struct mf_loop *loop)
{
    struct mf_list now, *node; /* who comes back to the list waits for the next turn */
    int n = 0;
    mf_list_init(&now);
    mf_list_splice(&now, &loop->later);
    mf_list_splice(&now, &loop->again);
    while ((node = mf_list_shift(&now))) {
        mf_sock_look(MF_CONTAINER(node, struct mf_sock, _dead));
        n++;
    }
    return n;
}

static void flush(struct mf_loop *loop)
{
    struct mf_list now, *node; /* on_drain may write: that goes out in the next turn, which does not wait */
    mf_list_init(&now);
    mf_list_splice(&now, &loop->dirty);
    while ((node = mf_list_shift(&now)))
        loop->ops->sock_flush(MF_CONTAINER(node, struct mf_sock, _dirty));
}

static int bury(struct mf_loop *loop)
{
    struct mf_list *node;
    int n = 0;
    while ((node = mf_list_shift(&loop->dead))) {
        struct mf_sock *sock = MF_CONTAINER(node, struct mf_sock, _dead);
        mf_sock_bury(sock);
        if (sock->events->on_close)
            sock->events->on_close(sock, sock->_error); /* may free it */
        n++;
    }
    while ((node = mf_list_shift(&loop->dead_listeners))) {
        struct mf_listener *listener = MF_CONTAINER(node, struct mf_listener, _node);
        if (listener->on_close)
            listener->on_close(listener);
        n++;
    }
    return n;
}

/* A hook may make any guest leave, its own too. */
#define CALL_HOOKS(loop, name)                                                                                         \
    for (struct mf_list *node_ = (loop)->guests.next; node_ != &(loop)->guests; node_ = (loop)->next_guest) {          \
        const struct mf_loop_hooks *hooks_ = &MF_CONTAINER(node_, struct mf_loop_guest, _node)->hooks;                 \
        (loop)->next_guest = node_->next;                                                                              \
        if (hooks_->name)                                                                                              \
            hooks_->name(hooks_->arg);                                                                                 \
    }

int mf_loop_turn(struct mf_loop *loop, int64_t max_wait_ns)
{
    if (loop->in_turn)
        return -EBUSY;
    loop->in_turn = true;
    mf_count(&loop->counts.turns, 1);
    int64_t wait = how_long(loop, max_wait_ns);
    CALL_HOOKS(loop, before_wait);
    int rc = loop->ops->wait(loop, wait);
    if (rc == -EINTR) /* stopped and continued, maybe: what came meanwhile is looked at before any timer */
        rc = loop->ops->wait(loop, 0);
    CALL_HOOKS(loop, after_wait);
    loop->now = mf_clock_ns();
    loop->turn_from = mf_load_relaxed(&loop->counts.bytes_in);

    /* Those that were paused, or broken off for the others' sake, go first: else whoever is never paused would fill
     * the output they wait for, turn after turn. */
    int n = look_again(loop);
    n += rc < 0 ? 0 : loop->ops->deliver(loop);
    n += mf_timers_run(&loop->timers, loop->now);
    CALL_HOOKS(loop, turn_end);
    flush(loop);
    n += bury(loop);
    loop->in_turn = false;
    return rc < 0 && rc != -EINTR ? rc : n;
}

void mf_loop_wake(struct mf_loop *loop)
{
    uint64_t one = 1;
    int keep = errno; /* a signal handler may be the caller */
    ssize_t n = write(loop->wake.fd, &one, sizeof one);
    (void)n; /* full is as good as woken */
    errno = keep;
}

const char *mf_loop_name(const struct mf_loop *loop)
{
    return loop->ops->name;
}

void mf_loop_set_hooks(struct mf_loop *loop, const struct mf_loop_hooks *hooks)
{
    mf_loop_leave(loop, &loop->owner);
    loop->owner.hooks = *hooks;
    mf_loop_join(loop, &loop->owner);
}

void mf_loop_join(struct mf_loop *loop, struct mf_loop_guest *guest)
{
    mf_list_push(&loop->guests, &guest->_node);
}

void mf_loop_leave(struct mf_loop *loop, struct mf_loop_guest *guest)
{
    if (!guest->_node.next)
        return;
    if (loop->next_guest == &guest->_node)
        loop->next_guest = guest->_node.next;
    mf_list_remove(&guest->_node);
}

struct mf_timers *mf_loop_timers(struct mf_loop *loop)
{
    return &loop->timers;
}

void mf_loop_set_spares(struct mf_loop *loop, size_t max)
{
    loop->blocks.max = max;
}

uint64_t mf_loop_trim(struct mf_loop *loop)
{
    uint64_t refused = loop->blocks.refused;
    loop->blocks.refused = 0;
    mf_block_trim(&loop->blocks);
    return refused;
}

size_t mf_loop_memory(const struct mf_loop *loop)
{
    return loop->blocks.used + loop->out_memory;
}

size_t mf_loop_kept(const struct mf_loop *loop)
{
    return loop->blocks._kept;
}

struct mf_block *mf_loop_block(struct mf_loop *loop, size_t cap)
{
    return mf_block_new(cap < MF_BLOCK_SHORT ? MF_BLOCK_SHORT : cap, &loop->blocks);
}

int mf_loop_fd(const struct mf_loop *loop)
{
    return loop->ops->fd(loop);
}

int mf_watch_add(struct mf_loop *loop, struct mf_watch *watch)
{
    struct stat info;
    if (fstat(watch->fd, &info) < 0)
        return -errno;
    if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))
        return -EPERM; /* always ready: epoll refuses it, and the other backend does as epoll */
    watch->_loop = loop;
    watch->_op = NULL;
    watch->_armed = 0;
    mf_list_init(&watch->_node);
    int rc = loop->ops->watch_add(watch);
    if (rc == 0)
        mf_list_push(&loop->watches, &watch->_node);
    return rc;
}

int mf_watch_modify(struct mf_watch *watch, uint32_t events)
{
    int rc = watch->_loop ? watch->_loop->ops->watch_modify(watch, events) : MF_ECLOSED;
    if (rc == 0)
        watch->events = events;
    return rc;
}

void mf_watch_remove(struct mf_watch *watch)
{
    if (!watch->_loop)
        return;
    watch->_loop->ops->watch_remove(watch);
    mf_list_remove(&watch->_node);
    watch->_loop = NULL;
}

void mf_loop_counts(const struct mf_loop *loop, struct mf_loop_counts *out)
{
#define COPY(name) out->name = mf_load_relaxed(&loop->counts.name)
    COPY(turns);
    COPY(waits);
    COPY(syscalls);
    COPY(reads);
    COPY(writes);
    COPY(accepts);
    COPY(accept_failures);
    COPY(bytes_in);
    COPY(bytes_out);
#undef COPY
}
