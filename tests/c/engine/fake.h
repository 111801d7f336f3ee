#pragma once
/* fake: a loop without a kernel, so that an engine runs between peers of the test's making: bytes move in memory, in
 * the cuts that the test chooses, and time passes only when the engine waits for it. Everything is as it was the last
 * time the same steps were taken.
 *
 * The loop is the epoll one with the functions that move bytes replaced. Its sockets are real descriptors that are never
 * connected; the few libc functions that would notice are defined here. */
#include "fake_loop.h"

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
