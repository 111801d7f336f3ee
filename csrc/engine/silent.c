#include "engine/silent.h"

#include "codec/sniff.h"

#define MS_NS UINT64_C(1000000)
/* Who finds all places taken looks again after so long. */
#define AGAIN_NS (1000 * MS_NS)
/* For so long nobody is asked for where one was heard that does not speak first. */
#define QUIET_NS (60000 * MS_NS)

static struct mf_relay *relay_of(struct mf_conn *conn)
{
    return (struct mf_relay *)(void *)conn;
}

/* Whose provider this is; NULL: nobody's any more. */
static struct mf_stranger *stranger_of(struct mf_conn *up)
{
    return (struct mf_stranger *)(void *)relay_of(up)->other;
}

static void end_hearing(struct mf_stranger *stranger)
{
    stranger->heard = false;
    stranger->silent->n--;
}

/* --- the provider's side, as long as nobody has spoken */

static void join(struct mf_stranger *stranger)
{
    struct mf_conn *conn = &stranger->relay.conn, *up = stranger->relay.other;
    end_hearing(stranger);
    up->ops = &mf_relay_ops;
    mf_relay_join(conn);
    if (up->ready)
        up->ops->on_ready(up);
    MF_COUNT(conn->local, opaque_connections);
}

static void learn_quiet(struct mf_stranger *stranger)
{
    struct mf_silent *silent = stranger->silent;
    if (!silent->speaks && !stranger->inlet->options->transparent)
        silent->quiet_until = mf_local_now(stranger->relay.conn.local) + QUIET_NS;
}

static size_t on_read(struct mf_conn *up, struct mf_slice view)
{
    struct mf_stranger *stranger = stranger_of(up);
    enum mf_protocol first = mf_sniff_first(view);
    if (first == MF_PROTOCOL_MORE && stranger)
        return 0;
    if (first != MF_PROTOCOL_OPAQUE || !stranger) {
        if (stranger)
            learn_quiet(stranger);
        mf_conn_close(up, MF_CLOSE_NOW, 0);
        return view.len;
    }
    stranger->silent->speaks = true;
    MF_COUNT(up->local, opaque_silent);
    join(stranger);
    return up->ops->on_read(up, view);
}

static void on_eof(struct mf_conn *up)
{
    mf_conn_close(up, MF_CLOSE_NOW, 0);
}

static void on_ready(struct mf_conn *up)
{
    struct mf_stranger *stranger = stranger_of(up);
    if (!stranger)
        return;
    stranger->until = mf_local_now(up->local) + up->local->limits->greet_timeout * MS_NS;
    mf_conn_wait(up, stranger->until);
}

static void on_lost(struct mf_conn *up, int rc)
{
    struct mf_stranger *stranger = stranger_of(up);
    if (rc < 0 && !up->ready)
        MF_COUNT(up->local, upstream_connect_failed);
    if (!stranger)
        return;
    end_hearing(stranger);
    stranger->relay.other = relay_of(up)->other = NULL;
}

static void on_timer(struct mf_conn *up, uint64_t now)
{
    struct mf_stranger *stranger = stranger_of(up);
    if (!stranger)
        return;
    if (now < stranger->until) {
        mf_conn_wait(up, stranger->until);
        return;
    }
    MF_COUNT(up->local, limit_greet_timeout);
    learn_quiet(stranger);
    mf_conn_close(up, MF_CLOSE_NOW, 0);
}

static const struct mf_conn_ops ops = {
    .on_read = on_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
};

/* --- the caller's */

void mf_silent_begin(struct mf_stranger *stranger, struct mf_silent *silent, const struct mf_inlet *inlet)
{
    stranger->silent = silent;
    stranger->inlet = inlet;
    stranger->came = mf_local_now(inlet->local);
}

static bool worth_it(const struct mf_stranger *stranger, uint64_t now)
{
    const struct mf_inlet *inlet = stranger->inlet;
    return !inlet->draining && (inlet->options->transparent || now >= stranger->silent->quiet_until);
}

uint64_t mf_silent_look(struct mf_stranger *stranger, uint64_t now)
{
    struct mf_conn *conn = &stranger->relay.conn;
    struct mf_local *local = conn->local;
    const struct mf_limits *limits = local->limits;
    struct mf_addr to;
    uint64_t at = stranger->came + limits->detect_timeout * MS_NS;
    if (!limits->detect_timeout || stranger->until || conn->sock.bytes_in)
        return 0;
    if (now < at)
        return at;
    if (stranger->silent->n >= limits->max_silent && worth_it(stranger, now)) {
        MF_COUNT(local, limit_max_silent);
        return now + AGAIN_NS;
    }
    stranger->until = UINT64_MAX; /* once */
    if (!worth_it(stranger, now) || mf_inlet_address(stranger->inlet, conn, &to) < 0 ||
        mf_relay_dial(conn, stranger->inlet, &to, &local->counters.opaque_bytes, NULL) < 0)
        return 0;
    MF_COUNT(local, limit_detect_timeout);
    stranger->relay.other->ops = &ops;
    stranger->heard = true;
    stranger->silent->n++;
    return 0;
}

void mf_silent_end(struct mf_stranger *stranger)
{
    if (!stranger->heard)
        return;
    end_hearing(stranger);
    mf_relay_part(&stranger->relay.conn, 0);
}

bool mf_silent_join(struct mf_stranger *stranger)
{
    if (!stranger->heard)
        return false;
    join(stranger);
    return true;
}
