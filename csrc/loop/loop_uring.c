#include "base/mem.h"
#include "loop/loop_uring.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Operations are one of each kind per socket: a multishot receive into the ring's buffers, or one of the first bytes
 * behind a long frame, or one of what is missing of a long frame into the socket's own block; one send (so that order
 * holds), a poll while it connects. `_ops` has a bit for each one under way, until its last completion, and one for its
 * cancel; a socket is gone when no bit is left. An operation that finds no room in the submission ring leaves its socket
 * on the again list, where the state says what to ask for. */

enum { ENTRIES = 1024, BUFFERS_BYTES = 4 * 1024 * 1024, ROUNDS = 8 };
enum {
    OP_RECV = 1 << KIND_RECV,
    OP_SEND = 1 << KIND_SEND,
    OP_CONNECT = 1 << KIND_CONNECT,
    OP_ACCEPT = 1 << KIND_ACCEPT,
};
enum { OP_DIRECT = MF_OP_DIRECT };
/* How much of a long frame must be missing for a receive of its own: two more trips through the ring cost as much as
 * copying about this. */
enum { DIRECT_FROM = 32 * 1024 };
enum { BY_HAND = 256 * 1024 }; /* frames behind a long one that are shorter than this get no trip of their own */
enum { CANCEL = 8, OPS = (1 << CANCEL) - 1 }; /* an op's bit, shifted: its cancel is on the way */

static int init(struct mf_loop *loop, const struct mf_loop_options *options, const char **why)
{
    struct uring *uring = mf_zalloc(sizeof *uring);
    if (!uring)
        return -ENOMEM;
    mf_list_init(&uring->polls);
    mf_list_init(&uring->todo);
    uint32_t count = 1;
    while (count < BUFFERS_BYTES / loop->read_size && count < 1024)
        count *= 2;
    int rc = mf_uring_open(&uring->ring, options->ring_entries ? options->ring_entries : ENTRIES, why);
    if (rc == 0) {
        rc = mf_uring_buffers_open(&uring->ring, &uring->buffers, count, MF_READ_FRONT, loop->read_size);
        if (rc < 0) {
            *why = "io_uring receive buffers cannot be registered";
            mf_uring_close(&uring->ring);
        }
    }
    if (rc < 0) {
        mf_free(uring);
        return rc;
    }
    loop->backend = uring;
    return 0;
}

/* Cancels all and waits for the last completions, so that the kernel reads none of our memory afterwards. Only the
 * ring's owner can; when that thread has ended, the kernel did it then. */
static void cancel_all(struct uring *uring)
{
    struct io_uring_sqe *sqe = mf_uring_sqe(&uring->ring);
    if (sqe) {
        sqe->opcode = IORING_OP_ASYNC_CANCEL;
        sqe->fd = -1;
        sqe->cancel_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
        sqe->user_data = KIND_NONE;
    }
    for (int i = 0; i < 100 && uring->under_way > 0; i++) {
        struct io_uring_cqe cqe;
        mf_uring_enter(&uring->ring, 1, 10 * 1000 * 1000);
        while (mf_uring_peek(&uring->ring, &cqe)) {
            unsigned kind = cqe.user_data & KIND_MASK;
            if (kind == KIND_ACCEPT && cqe.res >= 0)
                close(cqe.res);
            if (kind != KIND_NONE && !(cqe.flags & IORING_CQE_F_MORE))
                uring->under_way--;
        }
    }
}

static void dispose(struct mf_loop *loop)
{
    struct uring *uring = of(loop);
    if (uring->enabled && uring->owner == gettid())
        cancel_all(uring);
    mf_uring_close(&uring->ring);
    mf_uring_buffers_close(&uring->buffers);
    mf_uring_watches_dispose(uring);
    mf_free(uring);
    loop->backend = NULL;
}

static int fd(const struct mf_loop *loop)
{
    return of(loop)->ring.fd;
}

/* sockets */

static void sock_read(struct mf_sock *sock);

static void start(struct mf_sock *sock)
{
    if (!(sock->_state & MF_S_CONNECTING)) {
        sock_read(sock);
        return;
    }
    struct io_uring_sqe *sqe = ask(of(sock->loop), IORING_OP_POLL_ADD, sock->fd, sock, KIND_CONNECT);
    if (!sqe) {
        mf_sock_again(sock);
        return;
    }
    sqe->poll32_events = poll_word(POLLOUT);
    sock->_ops |= OP_CONNECT;
}

static int sock_add(struct mf_sock *sock)
{
    if (of(sock->loop)->enabled) /* else with the first turn, on the thread that owns the ring from then on */
        start(sock);
    return 0;
}

static void try_cancel(struct mf_sock *sock, unsigned kind)
{
    unsigned bit = 1u << kind;
    if (!(sock->_ops & bit) || (sock->_ops & (bit << CANCEL)))
        return;
    if (cancel(of(sock->loop), sock, kind))
        sock->_ops |= (uint16_t)(bit << CANCEL);
    else
        mf_sock_again(sock);
}

/* After a failed write: what the peer had sent, by hand, because a receive under way might wait for ever. */
static void read_rest(struct mf_sock *sock)
{
    uint8_t bytes[16 * 1024];
    while (!(sock->_state & (MF_S_CLOSING | MF_S_PAUSED))) {
        ssize_t n = recv(sock->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n <= 0) {
            mf_sock_fail(sock, sock->_error);
            return;
        }
        mf_sock_feed(sock, bytes, (size_t)n, 0);
    }
}

/* What has come of frames that are long, but not so long that a trip through the ring for each costs nothing. */
static void read_long(struct mf_sock *sock)
{
    int most = sock->_heavy ? mf_sock_reads(sock) : MF_READS;
    for (int i = 0; i < most && sock->_want < BY_HAND; i++) {
        if (sock->_state & (MF_S_CLOSING | MF_S_EOF | MF_S_BROKEN))
            return;
        uint8_t *at;
        size_t space = mf_sock_space(sock, &at);
        if (space == 0)
            return;
        mf_count(&sock->loop->counts.syscalls, 1);
        ssize_t n = recv(sock->fd, at, space, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
            mf_sock_fail(sock, -errno);
        if (n <= 0)
            return; /* an end is seen again by the operation that is asked for next */
        mf_count(&sock->loop->counts.reads, 1);
        mf_sock_filled(sock, (size_t)n);
        if ((size_t)n < space)
            return;
    }
}

static void sock_read(struct mf_sock *sock)
{
    if (sock->_state & MF_S_CONNECTING) {
        if (!(sock->_ops & OP_CONNECT))
            start(sock);
        return;
    }
    if (sock->_state & MF_S_BROKEN) {
        if (sock->_ops & OP_RECV)
            try_cancel(sock, KIND_RECV);
        else
            read_rest(sock);
        return;
    }
    if ((sock->_ops & OP_DIRECT) && (sock->_state & MF_S_RETELL))
        try_cancel(sock, KIND_RECV);
    if ((sock->_ops & OP_RECV) || (sock->_state & (MF_S_CLOSING | MF_S_EOF)))
        return;
    if ((sock->_state & MF_S_PAUSED) && !(sock->_state & MF_S_SILENT))
        return;
    if (sock->_heavy && of(sock->loop)->asked >= MF_TURN_BYTES) {
        mf_sock_later(sock);
        return;
    }
    uint8_t *at = NULL;
    size_t space = (sock->_heavy & MF_H_PEEK) || mf_sock_missing(sock) >= DIRECT_FROM ? mf_sock_space(sock, &at) : 0;
    struct io_uring_sqe *sqe = ask(of(sock->loop), IORING_OP_RECV, sock->fd, sock, KIND_RECV);
    if (!sqe) {
        mf_sock_again(sock);
        return;
    }
    if (sock->_heavy)
        of(sock->loop)->asked += space ? space : mf_sock_shared(sock);
    if (space) {
        sqe->addr = (uint64_t)(uintptr_t)at;
        sqe->len = space > INT32_MAX ? INT32_MAX : (uint32_t)space;
        sock->_ops |= OP_RECV | OP_DIRECT;
        return;
    }
    sqe->flags = IOSQE_BUFFER_SELECT;
    sock->_ops |= OP_RECV;
    if (sock->_heavy)
        sqe->len = (uint32_t)mf_sock_shared(sock); /* once: then the frame itself, or others */
    else
        sqe->ioprio = IORING_RECV_MULTISHOT;
}

static void sock_flush(struct mf_sock *sock)
{
    if ((sock->_ops & OP_SEND) || (sock->_state & (MF_S_CONNECTING | MF_S_CLOSING | MF_S_BROKEN)))
        return;
    struct iovec iov[MF_IOV_MAX];
    size_t len;
    int runs = mf_sock_iov(sock, iov, MF_IOV_MAX, &len);
    if (runs > 1) {
        /* Many runs at once by hand: an operation would need their list to stay until the kernel has taken it. What
         * does not fit waits as an operation. */
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)runs};
        mf_count(&sock->loop->counts.syscalls, 1);
        ssize_t n = sendmsg(sock->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM) {
            mf_sock_write_fail(sock, -errno);
            return;
        }
        if (n > 0) {
            mf_count(&sock->loop->counts.writes, 1);
            mf_sock_sent(sock, (size_t)n);
            if (sock->_state & MF_S_CLOSING)
                return;
            runs = mf_sock_iov(sock, iov, 1, &len);
        }
    }
    if (runs == 0) {
        mf_sock_sent(sock, 0);
        return;
    }
    struct io_uring_sqe *sqe = ask(of(sock->loop), IORING_OP_SEND, sock->fd, sock, KIND_SEND);
    if (!sqe) {
        mf_sock_dirty(sock);
        return;
    }
    sqe->addr = (uint64_t)(uintptr_t)iov[0].iov_base;
    sqe->len = iov[0].iov_len > INT32_MAX ? INT32_MAX : (uint32_t)iov[0].iov_len;
    sqe->msg_flags = MSG_NOSIGNAL;
    sock->_ops |= OP_SEND;
}

static void sock_drop(struct mf_sock *sock)
{
    if (sock->_state & MF_S_DEAD)
        return;
    if (!(sock->_ops & OPS)) {
        close(sock->fd);
        mf_sock_gone(sock);
        return;
    }
    try_cancel(sock, KIND_RECV);
    try_cancel(sock, KIND_SEND);
    try_cancel(sock, KIND_CONNECT);
}

static int sock_detach(struct mf_sock *sock)
{
    if (!(sock->_ops & OPS))
        return 0;
    try_cancel(sock, KIND_RECV); /* what it may have read by then is kept, as the socket is paused */
    return -EAGAIN;
}

/* An operation had its last completion. False: the socket is closing and has no use for it. */
static bool ended(struct mf_sock *sock, unsigned kind, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        sock->_ops &= (uint16_t) ~((1u << kind) | (1u << kind << CANCEL));
    if (!(sock->_state & MF_S_CLOSING))
        return true;
    sock_drop(sock);
    return false;
}

static void recv_done(struct mf_sock *sock, const struct io_uring_cqe *cqe)
{
    struct uring *uring = of(sock->loop);
    uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    bool direct = sock->_ops & OP_DIRECT;
    bool full = !direct && cqe->res >= (int32_t)sock->loop->read_size;
    sock->_ops &= (uint16_t)~OP_DIRECT;
    bool use = ended(sock, KIND_RECV, cqe);
    if (use && cqe->res > 0)
        mf_count(&sock->loop->counts.reads, 1);
    if (use && cqe->res > 0 && direct) {
        mf_sock_filled(sock, (size_t)cqe->res);
    } else if (use && cqe->res > 0) {
        mf_sock_feed(sock, mf_uring_buffer(&uring->buffers, id), (size_t)cqe->res, MF_READ_FRONT);
    }
    if (cqe->flags & IORING_CQE_F_BUFFER)
        mf_uring_buffers_give(&uring->buffers, id);
    if (!use || (sock->_state & MF_S_CLOSING))
        return;
    if (cqe->res == 0) {
        mf_sock_at_eof(sock);
        return;
    }
    if (full ? mf_loop_sated(sock->loop) : sock->_heavy && cqe->res > 0)
        mf_sock_set_heavy(sock, MF_H_MORE, full);
    if (cqe->res > 0 && !(sock->_ops & OP_RECV))
        read_long(sock);
    if (sock->_state & (MF_S_CLOSING | MF_S_EOF))
        return;
    switch (cqe->res < 0 ? -cqe->res : 0) {
    case 0:
    case ECANCELED: /* by a pause that may be over */
    case ENOBUFS:   /* the buffers are given back by the end of the turn */
    case ENOMEM:
    case EAGAIN:
    case EINTR:
        break;
    default:
        mf_sock_fail(sock, cqe->res);
        return;
    }
    if ((sock->_state & MF_S_PAUSED) && !(sock->_state & MF_S_SILENT))
        try_cancel(sock, KIND_RECV); /* not at the pause: most are over before bytes come */
    else if (direct && (sock->_state & MF_S_RETELL))
        mf_sock_again(sock);
    else if (direct || (sock->_heavy && !(sock->_ops & OP_RECV)))
        sock_read(sock);
    else if (!(sock->_ops & OP_RECV))
        mf_sock_again(sock);
    else if (sock->_heavy || mf_sock_missing(sock) >= DIRECT_FROM)
        try_cancel(sock, KIND_RECV);
}

static void send_done(struct mf_sock *sock, const struct io_uring_cqe *cqe)
{
    if (!ended(sock, KIND_SEND, cqe))
        return;
    if (cqe->res >= 0) {
        mf_count(&sock->loop->counts.writes, 1);
        mf_sock_sent(sock, (size_t)cqe->res);
        if (!(sock->_state & MF_S_CLOSING) && sock->_out_len > 0)
            mf_sock_dirty(sock);
    } else if (cqe->res == -EAGAIN || cqe->res == -EINTR || cqe->res == -ENOBUFS || cqe->res == -ENOMEM) {
        mf_sock_dirty(sock);
    } else {
        mf_sock_write_fail(sock, cqe->res);
    }
}

static void connect_done(struct mf_sock *sock, const struct io_uring_cqe *cqe)
{
    if (!ended(sock, KIND_CONNECT, cqe))
        return;
    mf_sock_connected(sock, cqe->res < 0 ? cqe->res : 0);
    if (!(sock->_state & MF_S_CLOSING))
        sock_read(sock);
}

/* listeners */

static int listener_add(struct mf_listener *listener)
{
    struct uring *uring = of(listener->_loop);
    if (!uring->enabled || (listener->_ops & OP_ACCEPT))
        return 0;
    struct io_uring_sqe *sqe = ask(uring, IORING_OP_ACCEPT, listener->fd, listener, KIND_ACCEPT);
    if (!sqe)
        return -EAGAIN;
    sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    listener->_ops |= OP_ACCEPT;
    return 0;
}

static void listener_rest(struct mf_listener *listener)
{
    (void)listener; /* the error ended the operation */
}

static void listener_drop(struct mf_listener *listener);

static void drop_again(struct mf_timer *timer)
{
    listener_drop(MF_CONTAINER(timer, struct mf_listener, _retry));
}

static void listener_drop(struct mf_listener *listener)
{
    struct mf_loop *loop = listener->_loop;
    if (!(listener->_ops & OP_ACCEPT)) {
        mf_listener_sweep(listener);
        close(listener->fd);
        mf_listener_gone(listener);
    } else if (!cancel(of(loop), listener, KIND_ACCEPT)) {
        mf_timer_set(&loop->timers, &listener->_retry, loop->now, drop_again);
    }
}

static void accept_done(struct mf_listener *listener, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        listener->_ops &= (uint16_t)~OP_ACCEPT;
    if (cqe->res >= 0) {
        struct mf_addr peer;
        mf_count(&listener->_loop->counts.syscalls, 1);
        if (mf_sock_peer(cqe->res, &peer) < 0) /* gone already; its socket will say so */
            peer = (struct mf_addr){.len = sizeof(sa_family_t)};
        mf_listener_accepted(listener, cqe->res, &peer);
    }
    if (listener->_ops & OP_ACCEPT)
        return;
    if (listener->_state & MF_L_CLOSING) {
        if (listener->fd >= 0)
            listener_drop(listener);
        return;
    }
    if (cqe->res < 0 && !mf_listener_failed(listener, cqe->res))
        return;
    if (listener_add(listener) < 0)
        mf_listener_failed(listener, -ENOMEM);
}

/* the turn */

static int enable(struct mf_loop *loop)
{
    struct uring *uring = of(loop);
    int rc = mf_uring_enable(&uring->ring);
    if (rc < 0)
        return rc;
    uring->enabled = true;
    uring->owner = gettid();
    for (struct mf_list *node = loop->socks.next; node != &loop->socks; node = node->next) {
        struct mf_sock *sock = MF_CONTAINER(node, struct mf_sock, _node);
        if (!(sock->_state & MF_S_CLOSING))
            start(sock);
    }
    for (struct mf_list *node = loop->listeners.next; node != &loop->listeners; node = node->next) {
        struct mf_listener *listener = MF_CONTAINER(node, struct mf_listener, _node);
        if (listener_add(listener) < 0)
            mf_listener_failed(listener, -ENOMEM);
    }
    return 0;
}

static int wait(struct mf_loop *loop, int64_t ns)
{
    struct uring *uring = of(loop);
    if (!uring->enabled) {
        int rc = enable(loop);
        if (rc < 0)
            return rc;
    }
    mf_uring_watches_ask(loop);
    if (!mf_list_empty(&uring->todo))
        ns = 0;
    mf_count(&loop->counts.waits, 1);
    int rc = mf_uring_enter(&uring->ring, ns != 0, ns);
    uring->asked = 0;
    return rc == -EINTR || rc == -EEXIST ? rc : 0; /* busy or out of memory: what is there is delivered first */
}

static int handle(struct mf_loop *loop, const struct io_uring_cqe *cqe)
{
    void *owner = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)KIND_MASK);
    unsigned kind = cqe->user_data & KIND_MASK;
    if (kind == KIND_NONE)
        return 0;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        of(loop)->under_way--;
    switch (kind) {
    case KIND_RECV:
        recv_done(owner, cqe);
        return 1;
    case KIND_SEND:
        send_done(owner, cqe);
        return 1;
    case KIND_CONNECT:
        connect_done(owner, cqe);
        return 1;
    case KIND_ACCEPT:
        accept_done(owner, cqe);
        return 1;
    default:
        return mf_uring_watch_done(loop, owner, cqe);
    }
}

static int deliver(struct mf_loop *loop)
{
    struct uring *uring = of(loop);
    struct io_uring_cqe cqe;
    int n = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < uring->ring.cq_entries && mf_uring_peek(&uring->ring, &cqe); i++)
            n += handle(loop, &cqe);
        if (!mf_uring_overflown(&uring->ring))
            break;
        mf_uring_enter(&uring->ring, 0, 0);
    }
    mf_count(&loop->counts.syscalls, uring->ring.enters);
    uring->ring.enters = 0;
    return n;
}

const struct mf_loop_ops mf_loop_uring = {
    .name = "io_uring",
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
    .watch_add = mf_uring_watch_add,
    .watch_modify = mf_uring_watch_modify,
    .watch_remove = mf_uring_watch_remove,
};
