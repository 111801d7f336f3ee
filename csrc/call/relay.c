#include "call/relay.h"

#include "base/err.h"

#include <errno.h>

/* Silence that is longer was no cut in the middle of something, as far as can be told. */
#define QUIET_NS UINT64_C(500000000)

static struct mf_relay *relay_of(struct mf_conn *conn)
{
    return (struct mf_relay *)(void *)conn;
}

static size_t on_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_conn *other = relay_of(conn)->other;
    if (!other)
        return view.len;
    int rc = mf_sock_write(&other->sock, view);
    if (rc < 0) {
        mf_conn_doom(conn, rc);
        return view.len;
    }
    mf_count(relay_of(conn)->bytes, view.len);
    relay_of(conn)->moved += view.len;
    if (relay_of(conn)->own)
        mf_count(relay_of(conn)->own, view.len);
    mf_store_relaxed(&relay_of(conn)->traffic->last, conn->sock.last_read);
    if (mf_sock_full(&other->sock))
        mf_conn_pause_for(conn, other);
    return view.len;
}

/* Each direction ends by itself: `telnet` half-closes and still reads. */
static void on_eof(struct mf_conn *conn)
{
    struct mf_conn *other = relay_of(conn)->other;
    if (!other) {
        mf_conn_close(conn, MF_CLOSE_NOW, 0);
        return;
    }
    relay_of(conn)->ended = true;
    mf_sock_shutdown(&other->sock);
    if (relay_of(other)->ended) /* both have ended: what is queued still goes */
        mf_conn_close(conn, MF_CLOSE_FLUSH, 0);
}

/* A peer that is gone without a word is found, and a relay that nobody uses ends. */
static void stay(struct mf_conn *conn)
{
    const struct mf_limits *limits = conn->local->limits;
    mf_conn_keepalive(conn);
    if (limits->relay_idle_timeout)
        mf_conn_wait(conn, mf_local_now(conn->local) + limits->relay_idle_timeout * 1000000);
}

/* When a byte came last, from either side. */
static uint64_t last_byte(const struct mf_conn *conn)
{
    const struct mf_conn *other = ((const struct mf_relay *)(const void *)conn)->other;
    uint64_t last = conn->sock.last_read;
    return other && other->sock.last_read > last ? other->sock.last_read : last;
}

static void on_ready(struct mf_conn *conn)
{
    struct mf_conn *other = relay_of(conn)->other;
    stay(conn); /* bytes written before are already on their way */
    if (other && relay_of(conn)->on_dialled) /* who waited may have gone in this very turn */
        relay_of(conn)->on_dialled(other, 0);
}

static void tell_ended(struct mf_relay *down, const struct mf_relay *up, int rc)
{
    mf_relay_ended_fn on_ended = down->on_ended;
    down->on_ended = NULL;
    if (on_ended)
        on_ended(&down->conn, rc, down->moved, up ? up->moved : 0);
}

/* Whatever is not its end must not look like one: to the other side it is a reset, too. */
static void on_lost(struct mf_conn *conn, int rc)
{
    struct mf_relay *own = relay_of(conn), *other = own->other ? relay_of(own->other) : NULL;
    mf_conn_count_gone(conn, rc);
    tell_ended(own, other, rc);
    if (other)
        tell_ended(other, own, rc);
    mf_relay_part(conn, rc);
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
    return moves && !relay_of(from)->ended;
}

static int on_stop(struct mf_conn *conn)
{
    struct mf_conn *other = relay_of(conn)->other;
    return other && (cut_short(conn, other) || cut_short(other, conn)) ? MF_ECLOSED : 0;
}

const struct mf_conn_ops mf_relay_ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
    .on_stop = on_stop,
};

void mf_relay_part(struct mf_conn *conn, int rc)
{
    struct mf_conn *other = relay_of(conn)->other;
    relay_of(conn)->other = NULL;
    if (!other)
        return;
    relay_of(other)->other = NULL;
    if (relay_of(conn)->on_dialled && !conn->ready)
        relay_of(conn)->on_dialled(other, rc < 0 ? rc : MF_ECLOSED);
    else
        mf_conn_doom(other, rc);
}

int mf_relay_dial(struct mf_conn *conn, const struct mf_inlet *inlet, const struct mf_addr *to, mf_atom64 *bytes,
                  mf_relay_dialled_fn on_dialled)
{
    int rc;
    struct mf_conn *up = mf_conn_dial(conn->local, to, sizeof(struct mf_relay), &mf_relay_ops, &rc);
    if (!up)
        return rc;
    mf_conn_set_alone(up);
    relay_of(conn)->traffic = relay_of(up)->traffic = &conn->local->traffic[inlet->options->direction];
    relay_of(conn)->bytes = relay_of(up)->bytes = bytes;
    relay_of(up)->on_dialled = on_dialled;
    relay_of(conn)->own = relay_of(up)->own = NULL;
    relay_of(conn)->moved = relay_of(up)->moved = 0;
    relay_of(conn)->on_ended = relay_of(up)->on_ended = NULL;
    relay_of(up)->other = conn;
    relay_of(conn)->other = up;
    return 0;
}

void mf_relay_join(struct mf_conn *conn)
{
    conn->ops = &mf_relay_ops;
    conn->sock.cut_resets = relay_of(conn)->other->sock.cut_resets = true;
    relay_of(conn)->ended = false;
    relay_of(conn)->on_dialled = NULL;
    stay(conn);
}
