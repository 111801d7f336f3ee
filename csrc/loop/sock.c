#include "loop/backend.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { AT_ONCE = 64 * 1024 }; /* so much was taken soon after the end was told, not a moment ago */

/* Life of a socket. What a callback may do: anything, closing itself included; so every step that follows a callback
 * looks at the state again. */

static void init(struct mf_loop *loop, struct mf_sock *sock, int fd)
{
    sock->loop = loop;
    sock->fd = fd;
    mf_list_init(&sock->_node);
    mf_list_init(&sock->_dirty);
    mf_list_init(&sock->_dead);
    sock->last_read = loop->now;
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0) /* the loop itself puts writes together */
        sock->_state |= MF_S_STREAM_TCP;
}

static int add(struct mf_sock *sock)
{
    int rc = sock->loop->ops->sock_add(sock);
    if (rc < 0) {
        close(sock->fd);
        return rc;
    }
    mf_list_push(&sock->loop->socks, &sock->_node);
    return 0;
}

int mf_sock_open(struct mf_loop *loop, struct mf_sock *sock, int fd)
{
    int on = 1;
    if (ioctl(fd, FIONBIO, &on) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    init(loop, sock, fd);
    return add(sock);
}

int mf_sock_connect(struct mf_loop *loop, struct mf_sock *sock, const struct mf_addr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    init(loop, sock, fd);
    if (connect(fd, &addr->sa, addr->len) < 0 && errno != EINPROGRESS) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    sock->_state |= MF_S_CONNECTING; /* also when it is done: on_connect comes from the loop */
    return add(sock);
}

void mf_sock_again(struct mf_sock *sock)
{
    if (mf_list_empty(&sock->_dead))
        mf_list_push(&sock->loop->again, &sock->_dead);
}

void mf_sock_later(struct mf_sock *sock)
{
    if (mf_list_empty(&sock->_dead))
        mf_list_push(&sock->loop->later, &sock->_dead);
}

void mf_sock_connected(struct mf_sock *sock, int rc)
{
    if (rc == 0) {
        int error = 0;
        socklen_t len = sizeof error;
        if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
            error = errno;
        rc = -error;
    }
    sock->_state &= (uint16_t)~MF_S_CONNECTING;
    if (rc == 0 && (sock->_out_len > 0 || (sock->_state & MF_S_SHUT)))
        mf_sock_dirty(sock);
    if (!(sock->_state & MF_S_SILENT) && sock->events->on_connect)
        sock->events->on_connect(sock, rc);
    if (rc < 0)
        mf_sock_fail(sock, rc);
}

/* The next close of the descriptor sends RST in place of what is left and FIN. */
static void no_end(const struct mf_sock *sock)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (sock->_state & MF_S_STREAM_TCP)
        setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void drop(struct mf_sock *sock)
{
    if (sock->cut_resets && sock->_out_len > 0)
        no_end(sock);
    sock->_state |= MF_S_CLOSING;
    mf_list_remove(&sock->_dirty);
    mf_list_remove(&sock->_dead);
    sock->loop->ops->sock_drop(sock);
}

void mf_sock_fail(struct mf_sock *sock, int rc)
{
    if (sock->_state & MF_S_CLOSING)
        return;
    if (!sock->_linger) /* all was sent, and a reset is how some peers answer a FIN */
        sock->_error = sock->_error ? sock->_error : rc;
    drop(sock);
}

static void linger(struct mf_sock *sock)
{
    sock->_linger = sock->loop->now + MF_LINGER_NS;
    mf_list_remove(&sock->_dirty);
    mf_list_push(&sock->loop->lingering, &sock->_dirty);
}

static void linger_over(struct mf_timer *timer)
{
    struct mf_loop *loop = MF_CONTAINER(timer, struct mf_loop, linger_timer);
    while (!mf_list_empty(&loop->lingering)) {
        struct mf_sock *sock = MF_CONTAINER(loop->lingering.next, struct mf_sock, _dirty);
        if (sock->_linger > loop->now) {
            mf_timer_set(&loop->timers, timer, sock->_linger, linger_over);
            return;
        }
        uint32_t had = sock->_left;
        sock->_left = (uint32_t)mf_sock_left(sock);
        sock->_stalls = sock->_left < had ? 0 : (uint8_t)(sock->_stalls + 1);
        if ((sock->_left == 0 && had < AT_ONCE) || sock->_stalls == MF_STALLS)
            mf_sock_close(sock, MF_CLOSE_NOW);
        else
            linger(sock);
    }
}

void mf_sock_flushed(struct mf_sock *sock)
{
    struct mf_loop *loop = sock->loop;
    /* A UNIX socket is not reset: what was sent stays to be read. */
    if ((sock->_state & (MF_S_EOF | MF_S_BROKEN | MF_S_CONNECTING)) || !(sock->_state & MF_S_STREAM_TCP) ||
        shutdown(sock->fd, SHUT_WR) < 0) {
        mf_sock_close(sock, MF_CLOSE_NOW);
        return;
    }
    linger(sock);
    sock->_left = (uint32_t)mf_sock_left(sock);
    sock->_stalls = 0;
    if (!loop->linger_timer.at)
        mf_timer_set(&loop->timers, &loop->linger_timer, sock->_linger, linger_over);
}

void mf_sock_close(struct mf_sock *sock, enum mf_sock_how how)
{
    if (sock->_state & MF_S_CLOSING)
        return;
    if (how == MF_CLOSE_FLUSH) {
        if (sock->_state & MF_S_FLUSHING)
            return;
        sock->_state |= MF_S_FLUSHING;
        if (sock->_state & MF_S_PAUSED)
            mf_sock_resume(sock); /* what comes is dropped from now on */
        if (sock->_out_len == 0 || (sock->_state & MF_S_BROKEN))
            mf_sock_flushed(sock);
        return;
    }
    sock->_error = 0;
    if (how == MF_CLOSE_RESET)
        no_end(sock);
    drop(sock);
}

void mf_sock_gone(struct mf_sock *sock)
{
    assert(sock->_state & MF_S_CLOSING);
    sock->fd = -1;
    sock->_state |= MF_S_DEAD;
    mf_list_remove(&sock->_dead);
    mf_list_push(&sock->loop->dead, &sock->_dead);
}

int mf_sock_detach(struct mf_sock *sock)
{
    if (sock->_state & (MF_S_SILENT | MF_S_CONNECTING | MF_S_EOF | MF_S_SHUT | MF_S_BROKEN))
        return MF_ECLOSED;
    if (!(sock->_state & MF_S_PAUSED) || sock->_out_len > 0)
        return -EAGAIN;
    int rc = sock->loop->ops->sock_detach(sock);
    if (rc < 0)
        return rc;
    int fd = sock->fd;
    sock->_error = 0;
    sock->_state |= MF_S_CLOSING;
    mf_list_remove(&sock->_dirty);
    mf_sock_gone(sock);
    return fd;
}

size_t mf_sock_left(const struct mf_sock *sock)
{
    int queued = 0;
    if (sock->fd < 0 || !(sock->_state & MF_S_STREAM_TCP) || ioctl(sock->fd, TIOCOUTQ, &queued) < 0 || queued < 0)
        queued = 0;
    return sock->_out_len + (size_t)queued;
}

int mf_sock_keepalive(struct mf_sock *sock, int idle_s, int interval_s, int count)
{
    int on = 1, fd = sock->fd;
    if (!(sock->_state & MF_S_STREAM_TCP))
        return 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0)
        return -errno;
    return 0;
}

int mf_sock_arrive_within(struct mf_sock *sock, uint64_t ms)
{
    unsigned within = ms < INT_MAX ? (unsigned)ms : INT_MAX;
    if (!(sock->_state & MF_S_STREAM_TCP))
        return 0;
    return setsockopt(sock->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &within, sizeof within) < 0 ? -errno : 0;
}

bool mf_sock_local_error(int rc)
{
    switch (-rc) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
    case ENETDOWN:
    case EAGAIN:
        return true;
    }
    return false;
}

void mf_sock_pause(struct mf_sock *sock)
{
    sock->_state |= MF_S_PAUSED;
}

void mf_sock_resume(struct mf_sock *sock)
{
    if (!(sock->_state & MF_S_PAUSED) || (sock->_state & MF_S_CLOSING))
        return;
    sock->_state = (uint16_t)((sock->_state & ~MF_S_PAUSED) | MF_S_RETELL);
    if (!(sock->_state & MF_S_CONNECTING))
        mf_sock_again(sock);
}
