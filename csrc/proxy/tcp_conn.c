#include "proxy/tcp_conn.h"

#include "base/err.h"
#include "proxy/worker.h"

#include <errno.h>

int mf_conn_destination(const struct mf_conn *down, struct mf_addr *out)
{
    const struct mf_front *front = down->door->front;
    if (front->options.transparent && mf_sock_original(down->sock.fd, out) == 0)
        return 0;
    if (!front->options.has_forward)
        return MF_EROUTE_PEER;
    *out = front->options.forward;
    return 0;
}

int mf_tcp_join(struct mf_conn *down)
{
    struct mf_addr to;
    int rc = mf_conn_destination(down, &to);
    if (rc < 0)
        return rc;
    struct mf_conn *up = mf_conn_dial(down->worker, &to, &mf_tcp_ops, &rc);
    if (!up)
        return rc;
    up->other = down;
    down->other = up;
    MF_COUNT(down->worker, opaque_connections);
    return 0;
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_conn *other = conn->other;
    if (!other)
        return view.len;
    int rc = mf_sock_write(&other->sock, view);
    if (rc < 0) {
        mf_conn_doom(conn, rc);
        return view.len;
    }
    MF_COUNT_N(conn->worker, opaque_bytes, view.len);
    if (mf_sock_full(&other->sock))
        mf_conn_pause_for(conn, other);
    return view.len;
}

/* Each direction ends by itself: `telnet` half-closes and still reads. */
static void on_eof(struct mf_conn *conn)
{
    if (!conn->other) {
        mf_conn_close(conn, MF_CLOSE_NOW, 0);
        return;
    }
    conn->ending = true;
    mf_sock_shutdown(&conn->other->sock);
    if (conn->other->ending) /* both have ended: what is queued still goes */
        mf_conn_close(conn, MF_CLOSE_FLUSH, 0);
}

static void on_ready(struct mf_conn *conn)
{
    (void)conn; /* bytes written before are already on their way */
}

static void on_lost(struct mf_conn *conn, int rc)
{
    struct mf_conn *other = conn->other;
    conn->other = NULL;
    if (other) {
        other->other = NULL;
        mf_conn_doom(other, rc);
    }
}

/* Plain TCP may be idle as long as it likes: only its peers know what silence means. */
static void on_timer(struct mf_conn *conn, uint64_t now)
{
    (void)conn;
    (void)now;
}

const struct mf_protocol_ops mf_tcp_ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
};
