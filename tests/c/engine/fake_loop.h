#pragma once
/* fake_loop: the functions of libc and of the loop that move bytes, replaced (fake.h). */
#include "fake_state.h"

/* --- libc's functions that tell a fake socket from a real one */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!fake.on || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, out);
    *out = (struct timespec){.tv_sec = (time_t)(fake.now / 1000000000), .tv_nsec = (long)(fake.now % 1000000000)};
    return 0;
}

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
    if (!fake.on)
        return syscall(SYS_getrandom, to, len, flags);
    memset(to, 7, len);
    return (ssize_t)len;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (!fake.on)
        return (int)syscall(SYS_connect, fd, addr, len);
    errno = fake.refuse ? fake.refuse : EINPROGRESS;
    return -1;
}

int shutdown(int fd, int how)
{
    if (!fake.on)
        return (int)syscall(SYS_shutdown, fd, how);
    for (int i = 0; i < fake.n; i++)
        if (fake.conns[i].sock && fake.conns[i].fd == fd)
            fake.conns[i].fin = true;
    return 0;
}

/* --- the loop */

static int fake_wait(struct mf_loop *loop, int64_t ns)
{
    (void)loop;
    if (ns < 0)
        BROKEN("the engine would wait for ever");
    fake.now += (uint64_t)ns;
    return 0;
}

static int fake_sock_add(struct mf_sock *sock)
{
    if (fake.n == FAKE_CONNS)
        return -EMFILE;
    struct fake_conn *conn = &fake.conns[fake.n++];
    bool dialled = sock->_state & MF_S_CONNECTING;
    *conn = (struct fake_conn){.sock = sock, .fd = sock->fd, .up = dialled, .connecting = dialled, .window = FAKE_ANY};
    sock->_backend = conn;
    return 0;
}

static void fake_sock_read(struct mf_sock *sock)
{
    struct fake_conn *conn = sock->_backend;
    if ((sock->_state & (MF_S_CLOSING | MF_S_EOF | MF_S_CONNECTING)) ||
        ((sock->_state & MF_S_PAUSED) && !(sock->_state & MF_S_SILENT)))
        return;
    while (conn->in.len && !(sock->_state & (MF_S_CLOSING | MF_S_PAUSED))) {
        uint8_t *at = NULL;
        size_t space = mf_sock_space(sock, &at), len = conn->in.len;
        if (space) {
            len = len < space ? len : space;
            memcpy(at, conn->in.ptr, len);
            fake_take(&conn->in, len);
            mf_sock_filled(sock, len);
            continue;
        }
        len = len < mf_sock_shared(sock) ? len : mf_sock_shared(sock);
        memcpy(fake.end - len, conn->in.ptr, len);
        fake_take(&conn->in, len);
        mf_sock_feed(sock, fake.end - len, len, MF_READ_FRONT);
    }
    if (conn->in.len || (sock->_state & (MF_S_CLOSING | MF_S_PAUSED)))
        return;
    if (conn->reset)
        mf_sock_fail(sock, -ECONNRESET);
    else if (conn->eof)
        mf_sock_at_eof(sock);
    else if (sock->_state & MF_S_BROKEN)
        mf_sock_fail(sock, sock->_error);
}

static void fake_sock_flush(struct mf_sock *sock)
{
    struct fake_conn *conn = sock->_backend;
    struct iovec iov[MF_IOV_MAX];
    size_t len;
    while (!(sock->_state & (MF_S_BLOCKED | MF_S_CONNECTING | MF_S_CLOSING | MF_S_BROKEN))) {
        int runs = mf_sock_iov(sock, iov, MF_IOV_MAX, &len);
        if (runs == 0) {
            mf_sock_sent(sock, 0);
            return;
        }
        if (conn->reset) {
            mf_sock_write_fail(sock, -EPIPE);
            return;
        }
        size_t sent = 0;
        for (int i = 0; i < runs && conn->window; i++) {
            size_t n = iov[i].iov_len < conn->window ? iov[i].iov_len : conn->window;
            fake_add(&conn->out, iov[i].iov_base, n);
            if (conn->window != FAKE_ANY)
                conn->window -= n;
            sent += n;
        }
        if (sent < len)
            sock->_state |= MF_S_BLOCKED;
        mf_sock_sent(sock, sent);
        if (sock->_out_len == 0)
            return;
    }
}

static void fake_sock_drop(struct mf_sock *sock)
{
    if (sock->_state & MF_S_DEAD)
        return;
    struct fake_conn *conn = sock->_backend;
    conn->sock = NULL;
    close(sock->fd);
    mf_sock_gone(sock);
}

static int fake_deliver(struct mf_loop *loop)
{
    int n = 0;
    (void)loop;
    if (fake.knocking && fake.listener) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct mf_addr nobody = {.len = 0};
        fake.knocking = false;
        if (fd < 0)
            BROKEN("no descriptor");
        mf_listener_accepted(fake.listener, fd, &nobody);
    }
    for (int i = 0; i < fake.n; i++) {
        struct fake_conn *conn = &fake.conns[i];
        if (conn->sock && conn->connecting && conn->answered) {
            conn->connecting = false;
            mf_sock_connected(conn->sock, conn->answer);
            n++;
        }
        if (conn->sock && !conn->connecting && (conn->in.len || conn->eof || conn->reset)) {
            fake_sock_read(conn->sock);
            n++;
        }
    }
    return n;
}

static int fake_listener_add(struct mf_listener *listener)
{
    fake.listener = listener;
    return 0;
}

static void fake_listener_rest(struct mf_listener *listener)
{
    (void)listener;
}

static void fake_listener_drop(struct mf_listener *listener)
{
    fake.listener = NULL;
    close(listener->fd);
    mf_listener_gone(listener);
}
