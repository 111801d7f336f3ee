#include "base/mem.h"
#include "loop/loop_uring.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { LAME_NS = 10 * 1000 * 1000 };

/* One-shot poll of a watch, asked for again at each turn: so it is level-triggered. Outlives a watch that is removed
 * while the kernel has it. */
struct poll_op {
    struct mf_list all, todo; /* todo: to be asked for; or, without a watch, to be cancelled */
    struct mf_watch *watch;   /* NULL: removed */
    struct mf_timer timer;    /* see mf_uring_watch_done */
    bool armed;
};

static struct poll_op *poll_new(struct uring *uring, struct mf_watch *watch)
{
    struct poll_op *op = mf_zalloc(sizeof *op);
    if (!op)
        return NULL;
    op->watch = watch;
    mf_list_push(&uring->polls, &op->all);
    mf_list_init(&op->todo);
    mf_list_push(&uring->todo, &op->todo);
    return op;
}

static void poll_free(struct mf_loop *loop, struct poll_op *op)
{
    mf_timer_cancel(&loop->timers, &op->timer);
    mf_list_remove(&op->all);
    mf_list_remove(&op->todo);
    mf_free(op);
}

static void poll_let_go(struct mf_loop *loop, struct poll_op *op)
{
    op->watch = NULL;
    if (!op->armed)
        poll_free(loop, op);
    else if (!cancel(of(loop), op, KIND_POLL))
        mf_list_push(&of(loop)->todo, &op->todo);
}

static void poll_due(struct mf_timer *timer)
{
    struct poll_op *op = MF_CONTAINER(timer, struct poll_op, timer);
    if (mf_list_empty(&op->todo))
        mf_list_push(&of(op->watch->_loop)->todo, &op->todo);
}

int mf_uring_watch_done(struct mf_loop *loop, struct poll_op *op, const struct io_uring_cqe *cqe)
{
    op->armed = false;
    struct mf_watch *watch = op->watch;
    if (!watch) {
        poll_free(loop, op);
        return 0;
    }
    if (cqe->res == -EBADF)
        return 0; /* closed without a remove: silent from now on, as epoll is */
    uint32_t events = cqe->res < 0 ? 0 : (uint32_t)cqe->res;
    uint32_t ready = (events & (POLLIN | POLLHUP | POLLERR) ? MF_WATCH_READ : 0u) |
                     (events & (POLLOUT | POLLHUP | POLLERR) ? MF_WATCH_WRITE : 0u);
    ready &= watch->events;
    if (events & (POLLERR | POLLHUP))
        ready |= MF_WATCH_ERROR;
    if (!ready) {
        /* The kernel ends a poll for POLLRDHUP too, asked for or not, and would at once again: look later. */
        mf_timer_set(&loop->timers, &op->timer, loop->now + LAME_NS, poll_due);
        return 0;
    }
    mf_list_push(&of(loop)->todo, &op->todo);
    watch->on_ready(watch, ready);
    return 1;
}

void mf_uring_watches_ask(struct mf_loop *loop)
{
    struct uring *uring = of(loop);
    struct mf_list now, *node;
    mf_list_init(&now);
    mf_list_splice(&now, &uring->todo);
    while ((node = mf_list_shift(&now))) {
        struct poll_op *op = MF_CONTAINER(node, struct poll_op, todo);
        if (!op->watch) {
            if (!cancel(uring, op, KIND_POLL))
                mf_list_push(&uring->todo, &op->todo);
            continue;
        }
        struct io_uring_sqe *sqe = ask(uring, IORING_OP_POLL_ADD, op->watch->fd, op, KIND_POLL);
        if (!sqe) {
            mf_list_push(&uring->todo, &op->todo);
            continue;
        }
        uint32_t events = (op->watch->events & MF_WATCH_READ ? POLLIN : 0u) |
                          (op->watch->events & MF_WATCH_WRITE ? POLLOUT : 0u);
        sqe->poll32_events = poll_word(events);
        op->armed = true;
    }
}

int mf_uring_watch_add(struct mf_watch *watch)
{
    watch->_op = poll_new(of(watch->_loop), watch);
    return watch->_op ? 0 : -ENOMEM;
}

/* Between turns a poll that is let go must end now: it holds on to a descriptor that the caller may be about to
 * close, and the other end would not see that before the next turn. */
static void end_now(struct mf_loop *loop)
{
    struct uring *uring = of(loop);
    if (!loop->in_turn && uring->enabled && uring->owner == gettid())
        mf_uring_enter(&uring->ring, 0, 0);
}

int mf_uring_watch_modify(struct mf_watch *watch, uint32_t events)
{
    struct poll_op *op = watch->_op;
    if (!op->armed || events == watch->events)
        return 0;
    struct poll_op *fresh = poll_new(of(watch->_loop), watch);
    if (!fresh)
        return -ENOMEM;
    watch->_op = fresh;
    poll_let_go(watch->_loop, op);
    return 0;
}

void mf_uring_watch_remove(struct mf_watch *watch)
{
    struct poll_op *op = watch->_op;
    bool armed = op->armed;
    poll_let_go(watch->_loop, op);
    if (armed)
        end_now(watch->_loop);
}

void mf_uring_watches_dispose(struct uring *uring)
{
    struct mf_list *node;
    while ((node = mf_list_shift(&uring->polls)))
        mf_free(MF_CONTAINER(node, struct poll_op, all));
}
