#pragma once
/* fake: a loop without a kernel, so that an engine runs between peers of the test's making: bytes move in memory, in
 * the cuts that the test chooses, and time passes only when the engine waits for it. Everything is as it was the last
 * time the same steps were taken.
 *
 * The loop is the epoll one with the functions that move bytes replaced. Its sockets are real descriptors that are never
 * connected; the few libc functions that would notice are defined here. */
#include "base/mem.h"
#include "loop/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FAKE_CONNS = 32, FAKE_ROOM = 1 << 20, FAKE_ANY = 1 << 30 };

struct fake_bytes {
    uint8_t *ptr;
    size_t len, cap;
};

/* One connection of the engine, and the peer at its other end. */
struct fake_conn {
    struct mf_sock *sock;   /* NULL once the engine has closed it */
    int fd;
    bool up;                /* the engine dialled it */
    bool connecting, answered; /* being made; the peer has let it in or refused it */
    int answer;
    bool fin;               /* the engine has ended its output */
    bool eof, reset;        /* the peer has ended its own, or all */
    size_t window;          /* bytes that the peer still takes */
    struct fake_bytes in;   /* from the peer, not yet read */
    struct fake_bytes out;  /* from the engine */
};

static struct {
    bool on;
    uint64_t now;
    int refuse;             /* errno of the next connects, 0: they go on */
    struct fake_conn conns[FAKE_CONNS];
    int n;
    struct mf_loop *loop;
    struct mf_listener *listener;
    bool knocking;          /* somebody connects in the next turn */
    struct mf_loop_ops ops;
    uint8_t *map, *end;     /* what is read lies before `end`, which must not be touched */
} fake;

#define BROKEN(...)                                                                                                    \
    do {                                                                                                               \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        abort();                                                                                                       \
    } while (0)

static void fake_add(struct fake_bytes *to, const void *bytes, size_t len)
{
    if (to->len + len > to->cap) {
        to->cap = 2 * (to->len + len);
        to->ptr = realloc(to->ptr, to->cap);
    }
    if (len)
        memcpy(to->ptr + to->len, bytes, len);
    to->len += len;
}

static void fake_take(struct fake_bytes *from, size_t len)
{
    from->len -= len;
    if (from->len)
        memmove(from->ptr, from->ptr + len, from->len);
}

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

static void fake_open(void)
{
    struct mf_loop *loop;
    if (!fake.map) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        fake.map = mmap(NULL, FAKE_ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fake.end = fake.map + FAKE_ROOM;
        if (fake.map == MAP_FAILED || mprotect(fake.end, page, PROT_NONE) < 0)
            BROKEN("no memory");
    }
    fake.on = true;
    fake.now = 1000000000000;
    fake.refuse = 0;
    fake.n = 0;
    fake.listener = NULL;
    if (mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL, .read_size = 4096}, &loop, NULL) < 0)
        BROKEN("no loop");
    loop->read_size = FAKE_ROOM - MF_READ_FRONT;
    fake.ops = mf_loop_epoll;
    fake.ops.wait = fake_wait;
    fake.ops.deliver = fake_deliver;
    fake.ops.sock_add = fake_sock_add;
    fake.ops.sock_read = fake_sock_read;
    fake.ops.sock_flush = fake_sock_flush;
    fake.ops.sock_drop = fake_sock_drop;
    fake.ops.listener_add = fake_listener_add;
    fake.ops.listener_rest = fake_listener_rest;
    fake.ops.listener_drop = fake_listener_drop;
    loop->ops = &fake.ops;
    fake.loop = loop;
}

static void fake_close(void)
{
    for (int i = 0; i < fake.n; i++) {
        if (fake.conns[i].sock)
            BROKEN("connection %d is still open", i);
        free(fake.conns[i].in.ptr);
        free(fake.conns[i].out.ptr);
    }
    mf_loop_free(fake.loop);
    fake.on = false;
}

/* --- what a peer does */

static void fake_turn(int64_t ns)
{
    if (mf_loop_turn(fake.loop, ns) < 0)
        BROKEN("a turn failed");
}

/* Somebody connects: NULL when nobody listens or he was let go at once. */
static struct fake_conn *fake_connect(void)
{
    int before = fake.n;
    fake.knocking = true;
    fake_turn(0);
    fake.knocking = false;
    for (int i = before; i < fake.n; i++)
        if (!fake.conns[i].up)
            return &fake.conns[i];
    return NULL;
}

static void fake_answer_connect(struct fake_conn *conn, int rc)
{
    conn->answered = true;
    conn->answer = rc;
}

static void fake_send(struct fake_conn *conn, const void *bytes, size_t len)
{
    if (!conn->eof && !conn->reset)
        fake_add(&conn->in, bytes, len);
}

static void fake_open_window(struct fake_conn *conn, size_t window)
{
    conn->window = window;
    if (conn->sock && window && (conn->sock->_state & MF_S_BLOCKED)) {
        conn->sock->_state &= (uint16_t)~MF_S_BLOCKED;
        mf_sock_dirty(conn->sock);
    }
}
