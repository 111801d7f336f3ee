#include "protocol/tcp.h"

#include "base/err.h"

#include <errno.h>

/* Silence that is longer was no cut in the middle of something, as far as can be told. */
#define QUIET_NS UINT64_C(500000000)
enum { PROBES = 4, LONGEST_S = 32767 };

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
    mf_store_relaxed(&tcp_of(conn)->traffic->last, conn->sock.last_read);
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

/* A peer that is gone without a word is found, and a relay that nobody uses ends. */
static void stay(struct mf_conn *conn)
{
    const struct mf_limits *limits = conn->local->limits;
    uint64_t idle = (limits->tcp_keepalive + 999) / 1000;
    int idle_s = (int)(idle < LONGEST_S ? idle : LONGEST_S);
    if (idle_s > 0) /* where it cannot be set it is as it was: no reason to end it */
        (void)mf_sock_keepalive(&conn->sock, idle_s, idle_s > PROBES ? idle_s / PROBES : 1, PROBES);
    if (limits->relay_idle_timeout)
        mf_conn_wait(conn, mf_local_now(conn->local) + limits->relay_idle_timeout * 1000000);
}

/* When a byte came last, from either side. */
static uint64_t last_byte(const struct mf_conn *conn)
{
    const struct mf_conn *other = ((const struct mf_tcp *)(const void *)conn)->other;
    uint64_t last = conn->sock.last_read;
    return other && other->sock.last_read > last ? other->sock.last_read : last;
}

static void on_ready(struct mf_conn *conn)
{
    stay(conn); /* bytes written before are already on their way */
}

/* Whatever is not its end must not look like one: to the other side it is a reset, too. */
static void on_lost(struct mf_conn *conn, int rc)
{
    struct mf_conn *other = tcp_of(conn)->other;
    tcp_of(conn)->other = NULL;
    if (rc == -ETIMEDOUT && (conn->ready || !conn->up))
        MF_COUNT(conn->local, limit_tcp_keepalive);
    if (other) {
        tcp_of(other)->other = NULL;
        mf_conn_doom(other, rc);
    }
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    uint64_t idle = conn->local->limits->relay_idle_timeout * 1000000;
    uint64_t due = last_byte(conn) + idle;
    if (!idle)
        return;
    if (now < due) {
        mf_conn_wait(conn, due);
        return;
    }
    MF_COUNT(conn->local, limit_relay_idle_timeout);
    mf_conn_close(conn, MF_CLOSE_FLUSH, 0);
}

/* Whether an end of what comes from it would be ours and not its own. */
static bool cut_short(struct mf_conn *from, const struct mf_conn *to)
{
    bool moves = mf_sock_pending(&to->sock) || mf_local_now(from->local) - from->sock.last_read < QUIET_NS;
    return moves && !tcp_of(from)->ended;
}

static int on_stop(struct mf_conn *conn)
{
    struct mf_conn *other = tcp_of(conn)->other;
    return other && (cut_short(conn, other) || cut_short(other, conn)) ? MF_ECLOSED : 0;
}

const struct mf_conn_ops mf_tcp_ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
    .on_stop = on_stop,
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
    mf_conn_set_alone(up);
    conn->ops = &mf_tcp_ops;
    conn->sock.cut_resets = up->sock.cut_resets = true;
    tcp_of(conn)->traffic = tcp_of(up)->traffic = &conn->local->traffic[inlet->options->direction];
    tcp_of(up)->other = conn;
    tcp_of(conn)->other = up;
    tcp_of(conn)->ended = false;
    MF_COUNT(conn->local, opaque_connections);
    stay(conn);
    return 0;
}
