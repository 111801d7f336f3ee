#include "loop/backend.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

static void drop(struct mf_sock *sock)
{
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

static void linger_over(struct mf_timer *timer)
{
    struct mf_loop *loop = MF_CONTAINER(timer, struct mf_loop, linger_timer);
    while (!mf_list_empty(&loop->lingering)) {
        struct mf_sock *sock = MF_CONTAINER(loop->lingering.next, struct mf_sock, _dirty);
        if (sock->_linger > loop->now) {
            mf_timer_set(&loop->timers, timer, sock->_linger, linger_over);
            return;
        }
        mf_sock_close(sock, MF_CLOSE_NOW);
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
    sock->_linger = loop->now + MF_LINGER_NS;
    mf_list_remove(&sock->_dirty);
    mf_list_push(&loop->lingering, &sock->_dirty);
    if (!loop->linger_timer.at)
        mf_timer_set(&loop->timers, &loop->linger_timer, sock->_linger, linger_over);
}

void mf_sock_write_fail(struct mf_sock *sock, int rc)
{
    if (sock->_state & MF_S_CLOSING)
        return;
    if ((sock->_state & (MF_S_EOF | MF_S_PAUSED | MF_S_FLUSHING))) {
        mf_sock_fail(sock, rc);
        return;
    }
    /* The kernel still hands out what had come before the connection broke: an answer may be in it. */
    sock->_error = rc;
    sock->_state |= MF_S_BROKEN | MF_S_READABLE | MF_S_DRAIN;
    mf_sock_drop_output(sock);
    mf_sock_again(sock);
}

static void tell_eof(struct mf_sock *sock)
{
    if ((sock->_state & (MF_S_EOF | MF_S_EOF_TOLD | MF_S_PAUSED | MF_S_SILENT)) != MF_S_EOF)
        return;
    sock->_state |= MF_S_EOF_TOLD;
    if (sock->events->on_eof)
        sock->events->on_eof(sock);
    else
        mf_sock_close(sock, MF_CLOSE_FLUSH);
}

void mf_sock_at_eof(struct mf_sock *sock)
{
    sock->_state |= MF_S_EOF;
    if (sock->_state & MF_S_BROKEN)
        mf_sock_fail(sock, sock->_error);
    else if (sock->_linger)
        mf_sock_close(sock, MF_CLOSE_NOW);
    else
        tell_eof(sock);
}

void mf_sock_look(struct mf_sock *sock)
{
    if (sock->_state & MF_S_CLOSING) {
        sock->loop->ops->sock_drop(sock);
        return;
    }
    if (sock->_state & MF_S_PAUSED && !(sock->_state & MF_S_SILENT))
        return;
    if (sock->_state & MF_S_RETELL) {
        sock->_state &= (uint16_t)~MF_S_RETELL;
        mf_sock_retell(sock);
    }
    if (!(sock->_state & MF_S_CLOSING) && !(sock->_state & MF_S_EOF))
        sock->loop->ops->sock_read(sock);
    if (!(sock->_state & MF_S_CLOSING))
        tell_eof(sock);
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

void mf_sock_bury(struct mf_sock *sock)
{
    mf_list_remove(&sock->_node);
    mf_list_remove(&sock->_dirty);
    mf_list_remove(&sock->_dead);
    mf_sock_drop_output(sock);
    mf_sock_drop_input(sock);
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
