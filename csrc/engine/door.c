#include "engine/door.h"

#include "base/err.h"
#include "codec/sniff.h"
#include "protocol/dubbo_down.h"
#include "protocol/tcp.h"

#include <errno.h>

/* A connection that has not said yet what it is. */
struct stranger {
    struct mf_conn conn; /* first */
    struct mf_door *door;
};

/* What it may become: it has room for each. */
union accepted {
    struct stranger stranger;
    struct mf_dubbo_down dubbo;
    struct mf_tcp tcp;
};

static struct mf_door *door_of(struct mf_conn *conn)
{
    return ((struct stranger *)(void *)conn)->door;
}

static void refuse(struct mf_conn *conn, int rc)
{
    if (rc != -ENOMEM) { /* that is not the caller's doing */
        MF_COUNT(conn->local, bad_connections);
        conn->local->report(conn->local, MF_EVENT_BAD_DOWNSTREAM, rc, NULL);
    }
    mf_conn_close(conn, MF_CLOSE_NOW, rc);
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_door *door = door_of(conn);
    enum mf_protocol protocol = mf_sniff(view);
    if (protocol == MF_PROTOCOL_MORE) {
        mf_conn_expect(conn, 0);
        return 0;
    }
    conn->frame_by = 0;
    if (protocol == MF_PROTOCOL_DUBBO) {
        mf_dubbo_down_start(conn, &door->protocols->dubbo, &door->inlet);
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

static void nothing_lost(struct mf_conn *conn, int rc)
{
    (void)conn;
    (void)rc;
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    (void)now;
    MF_COUNT(conn->local, limit_idle_timeout);
    mf_conn_close(conn, MF_CLOSE_NOW, -ETIMEDOUT);
}

static const struct mf_conn_ops ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_lost = nothing_lost,
    .on_timer = on_timer,
};

static void on_accept(struct mf_listener *listener, int fd, const struct mf_addr *peer)
{
    (void)peer;
    struct mf_door *door = MF_CONTAINER(listener, struct mf_door, listener);
    struct mf_local *local = door->inlet.local;
    struct mf_conn *conn = mf_conn_accept(local, fd, sizeof(union accepted), &ops);
    if (!conn)
        return;
    ((struct stranger *)(void *)conn)->door = door;
    mf_list_push(&door->inlet.conns, &conn->node);
    if (door->protocol == MF_LISTEN_TCP) {
        int rc = mf_tcp_start(conn, &door->inlet);
        if (rc < 0)
            mf_conn_doom(conn, rc);
        return;
    }
    /* Nothing has to be said first on an idle connection; but what has begun must become a protocol. */
    mf_conn_wait(conn, mf_local_now(local) + local->limits->idle_timeout * 1000000);
}

static void on_close(struct mf_listener *listener)
{
    MF_CONTAINER(listener, struct mf_door, listener)->open = false;
}

int mf_door_open(struct mf_door *door, int fd)
{
    door->listener.on_accept = on_accept;
    door->listener.on_close = on_close;
    int rc = mf_listener_open(door->inlet.local->loop, &door->listener, fd);
    door->open = rc == 0;
    return rc;
}

void mf_door_close(struct mf_door *door)
{
    if (door->open)
        mf_listener_close(&door->listener);
}
