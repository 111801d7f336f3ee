#include "engine/door.h"

#include "base/err.h"
#include "codec/sniff.h"
#include "protocol/dubbo_down.h"
#include "protocol/dubbo_frame.h"
#include "protocol/h2_down.h"
#include "protocol/http1.h"
#include "protocol/tcp.h"

#include <errno.h>
#include <unistd.h>

/* What a connection is at first, and what it may become: it has room for each. */
union accepted {
    struct mf_stranger stranger;
    struct mf_dubbo_down dubbo;
    struct mf_h2_down h2;
    struct mf_relay relay;
    struct mf_http1 http1;
};

static struct mf_stranger *stranger_of(struct mf_conn *conn)
{
    return (struct mf_stranger *)(void *)conn;
}

static struct mf_door *door_of(struct mf_conn *conn)
{
    return MF_CONTAINER(stranger_of(conn)->silent, struct mf_door, silent);
}

static void refuse(struct mf_conn *conn, int rc)
{
    if (rc != -ENOMEM) { /* that is not the caller's doing */
        MF_COUNT(conn->local, bad_connections);
        mf_conn_bad(conn, rc);
    }
    mf_conn_close(conn, MF_CLOSE_NOW, rc);
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_door *door = door_of(conn);
    enum mf_protocol protocol = mf_sniff(view);
    if (protocol == MF_PROTOCOL_MORE) {
        mf_silent_end(stranger_of(conn));
        mf_conn_expect(conn, 0);
        return 0;
    }
    conn->frame_by = 0;
    if (protocol == MF_PROTOCOL_OPAQUE && door->protocol == MF_LISTEN_AUTO && mf_silent_join(stranger_of(conn)))
        return conn->ops->on_read(conn, view);
    mf_silent_end(stranger_of(conn));
    if (protocol == MF_PROTOCOL_DUBBO && door->protocol != MF_LISTEN_HTTP2) {
        mf_dubbo_down_start(conn, &door->protocols->dubbo, &door->inlet);
        if (door->inlet.readonly && door->protocol != MF_LISTEN_DUBBO) /* else it was told when it came */
            conn->ops->on_readonly(conn, true);
        return conn->ops->on_read(conn, view);
    }
    bool http2 = door->protocol == MF_LISTEN_HTTP2;
    if (protocol == MF_PROTOCOL_HTTP1 && http2) {
        mf_http1_refuse(conn, &door->inlet, view);
        return view.len;
    }
    if (http2 || (protocol == MF_PROTOCOL_HTTP2 && door->protocol == MF_LISTEN_AUTO)) {
        mf_h2_down_start(conn, &door->protocols->h2, &door->inlet);
        return conn->ops->on_read(conn, view);
    }
    if (protocol == MF_PROTOCOL_HTTP1 && door->protocol == MF_LISTEN_AUTO) {
        mf_http1_start(conn, &door->inlet);
        return conn->ops->on_read(conn, view);
    }
    int rc = door->protocol == MF_LISTEN_DUBBO ? MF_EDUBBO_MAGIC : mf_tcp_start(conn, &door->inlet);
    if (rc < 0) {
        refuse(conn, rc);
        return view.len;
    }
    return conn->ops->on_read(conn, view);
}

static void on_eof(struct mf_conn *conn)
{
    mf_conn_close(conn, MF_CLOSE_NOW, 0);
}

static void on_lost(struct mf_conn *conn, int rc)
{
    (void)rc;
    mf_silent_end(stranger_of(conn));
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    uint64_t due = stranger_of(conn)->came + conn->local->limits->idle_timeout * 1000000;
    if (now < due) {
        uint64_t at = door_of(conn)->protocol == MF_LISTEN_AUTO ? mf_silent_look(stranger_of(conn), now) : 0;
        mf_conn_wait(conn, at && at < due ? at : due);
        return;
    }
    MF_COUNT(conn->local, limit_idle_timeout);
    mf_conn_close(conn, MF_CLOSE_NOW, -ETIMEDOUT);
}

/* Where nothing else may be spoken it can be told before it has said a word. */
static void on_readonly(struct mf_conn *conn, bool readonly)
{
    if (door_of(conn)->protocol == MF_LISTEN_DUBBO)
        mf_dubbo_frame_readonly(conn, readonly);
}

/* Whatever it has said by now goes along. One that was told READONLY here would not hear that this is over. */
static int on_pass(const struct mf_conn *conn, struct mf_passed *out)
{
    const struct mf_stranger *stranger = (const struct mf_stranger *)(const void *)conn;
    const struct mf_door *door = MF_CONTAINER(stranger->silent, struct mf_door, silent);
    (void)out;
    if (door->protocol == MF_LISTEN_DUBBO)
        return door->inlet.readonly ? MF_ECLOSED : 1;
    return door->protocol == MF_LISTEN_AUTO ? 1 : MF_ECLOSED;
}

static const struct mf_conn_ops ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_lost = on_lost,
    .on_timer = on_timer,
    .on_readonly = on_readonly,
    .on_pass = on_pass,
};

/* Nothing has to be said first on an idle connection; but what has begun must become a protocol. */
static void begin(struct mf_door *door, struct mf_conn *conn)
{
    on_timer(conn, mf_local_now(conn->local));
    if (door->inlet.readonly)
        on_readonly(conn, true);
}

static void on_accept(struct mf_listener *listener, int fd, const struct mf_addr *peer)
{
    (void)peer;
    struct mf_door *door = MF_CONTAINER(listener, struct mf_door, listener);
    struct mf_local *local = door->inlet.local;
    if (door->ended) {
        close(fd);
        return;
    }
    struct mf_conn *conn = mf_conn_accept(local, fd, sizeof(union accepted), &ops);
    if (!conn)
        return;
    mf_silent_begin(stranger_of(conn), &door->silent, &door->inlet);
    mf_inlet_add(&door->inlet, conn);
    if (door->protocol == MF_LISTEN_TCP) {
        int rc = mf_tcp_start(conn, &door->inlet);
        if (rc < 0)
            mf_conn_doom(conn, rc);
        return;
    }
    begin(door, conn);
}

static void on_failed(struct mf_listener *listener, int rc)
{
    struct mf_local *local = MF_CONTAINER(listener, struct mf_door, listener)->inlet.local;
    struct mf_addr at;
    bool known = mf_sock_local(listener->fd, &at) == 0;
    local->report(local, MF_EVENT_ACCEPT_FAILED, rc, known ? &at : NULL);
}

static void on_close(struct mf_listener *listener)
{
    /* Pairs with the acquire of who waits for it: its connections are counted by then. */
    mf_store_release(&MF_CONTAINER(listener, struct mf_door, listener)->open, 0);
}

int mf_door_open(struct mf_door *door, int fd)
{
    door->listener.on_accept = on_accept;
    door->listener.on_close = on_close;
    door->listener.on_failed = on_failed;
    int rc = mf_listener_open(door->inlet.local->loop, &door->listener, fd);
    mf_store_relaxed(&door->open, rc == 0);
    return rc;
}

void mf_door_shut(struct mf_door *door)
{
    if (door->shut || door->left || !mf_load_relaxed(&door->open))
        return;
    door->shut = true;
    (void)mf_listener_shut(&door->listener); /* where it cannot be, its end is as abrupt as any listener's */
}

void mf_door_close(struct mf_door *door)
{
    if (mf_load_relaxed(&door->open))
        mf_listener_close(&door->listener); /* again is harmless */
}

void mf_door_leave(struct mf_door *door, bool take)
{
    door->left = true;
    if (mf_load_relaxed(&door->open))
        mf_listener_leave(&door->listener, take);
}

void mf_door_look(struct mf_door *door, bool shared)
{
    if ((shared || door->shared) && !door->left && !door->shut && mf_load_relaxed(&door->open))
        mf_listener_look(&door->listener);
    door->shared = shared;
}

void mf_door_end(struct mf_door *door)
{
    door->ended = true;
    mf_door_close(door);
}

/* --- connections of another process, and for one */

uint32_t mf_door_pass(struct mf_door *door, struct mf_ring *to, uint32_t listener)
{
    struct mf_list *all = &door->inlet.conns, *next;
    uint32_t left = 0;
    for (struct mf_list *node = all->next; node != all; node = next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, node);
        struct mf_passed passed;
        next = node->next;
        int rc = mf_ring_full(to) ? 0 : mf_conn_pass(conn, &passed);
        if (rc < 0)
            mf_conn_stay(conn);
        left += rc == 0;
        if (rc <= 0)
            continue;
        passed.listener = listener;
        if (mf_ring_push(to, &passed) < 0) /* there was room */
            mf_passed_drop(&passed);
    }
    return left;
}

uint32_t mf_door_keep(struct mf_door *door)
{
    struct mf_passed unused;
    uint32_t kept = 0;
    for (struct mf_list *node = door->inlet.conns.next; node != &door->inlet.conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, node);
        kept += conn->ops->on_pass && conn->ops->on_pass(conn, &unused) >= 0;
        mf_conn_stay(conn);
    }
    return kept;
}

void mf_door_adopt(struct mf_door *door, struct mf_passed *passed)
{
    struct mf_local *local = door->inlet.local;
    if (door->ended) {
        mf_passed_drop(passed);
        return;
    }
    struct mf_conn *conn = mf_conn_adopt(local, passed, sizeof(union accepted), &ops);
    passed->fd = -1;
    if (conn) {
        struct mf_stranger *stranger = stranger_of(conn);
        mf_silent_begin(stranger, &door->silent, &door->inlet);
        stranger->came = conn->sock.last_read;
        mf_inlet_add(&door->inlet, conn);
        if (passed->dubbo)
            mf_dubbo_down_adopt(conn, &door->protocols->dubbo, &door->inlet, passed->discard);
        else
            begin(door, conn);
        int rc = mf_sock_unread(&conn->sock, mf_slice_of(passed->came, passed->came_len));
        if (rc < 0)
            mf_conn_doom(conn, rc);
    }
    mf_passed_drop(passed);
}
