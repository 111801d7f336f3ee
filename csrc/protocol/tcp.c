#include "protocol/tcp.h"

#include "base/err.h"

static struct mf_tcp *tcp_of(struct mf_conn *conn)
{
    return (struct mf_tcp *)(void *)conn;
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_conn *other = tcp_of(conn)->other;
    if (!other)
        return view.len;
    int rc = mf_sock_write(&other->sock, view);
    if (rc < 0) {
        mf_conn_doom(conn, rc);
        return view.len;
    }
    MF_COUNT_N(conn->local, opaque_bytes, view.len);
    if (mf_sock_full(&other->sock))
        mf_conn_pause_for(conn, other);
    return view.len;
}

/* Each direction ends by itself: `telnet` half-closes and still reads. */
static void on_eof(struct mf_conn *conn)
{
    struct mf_conn *other = tcp_of(conn)->other;
    if (!other) {
        mf_conn_close(conn, MF_CLOSE_NOW, 0);
        return;
    }
    tcp_of(conn)->ended = true;
    mf_sock_shutdown(&other->sock);
    if (tcp_of(other)->ended) /* both have ended: what is queued still goes */
        mf_conn_close(conn, MF_CLOSE_FLUSH, 0);
}

static void on_ready(struct mf_conn *conn)
{
    (void)conn; /* bytes written before are already on their way */
}

static void on_lost(struct mf_conn *conn, int rc)
{
    struct mf_conn *other = tcp_of(conn)->other;
    tcp_of(conn)->other = NULL;
    if (other) {
        tcp_of(other)->other = NULL;
        mf_conn_doom(other, rc);
    }
}

/* Plain TCP may be idle as long as it likes: only its peers know what silence means. */
static void on_timer(struct mf_conn *conn, uint64_t now)
{
    (void)conn;
    (void)now;
}

const struct mf_conn_ops mf_tcp_ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
};

int mf_tcp_start(struct mf_conn *conn, struct mf_inlet *inlet)
{
    struct mf_addr to;
    int rc = mf_inlet_address(inlet, conn, &to);
    if (rc < 0)
        return rc;
    struct mf_conn *up = mf_conn_dial(conn->local, &to, sizeof(struct mf_tcp), &mf_tcp_ops, &rc);
    if (!up)
        return rc;
    up->alone = true;
    conn->ops = &mf_tcp_ops;
    tcp_of(up)->other = conn;
    tcp_of(conn)->other = up;
    tcp_of(conn)->ended = false;
    MF_COUNT(conn->local, opaque_connections);
    return 0;
}
