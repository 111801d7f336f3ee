#include "protocol/h2_conn.h"

#include "base/mem.h"
#include "protocol/h2_core.h"
#include "protocol/h2_read.h"
#include "protocol/h2_send.h"

#include <errno.h>

#define GONE_NS UINT64_C(100000000)
enum { PAIRS = 5, QUOTA_FIRST = 16384 };

static struct mf_h2_conn *h2_of(struct mf_conn *conn)
{
    return (struct mf_h2_conn *)(void *)conn;
}

static void await_settings(struct mf_h2_conn *h2)
{
    const struct mf_local *local = h2->conn.local;
    h2->_settings_by = mf_local_now(local) + local->limits->settings_timeout * 1000000;
    mf_conn_wait(&h2->conn, h2->_settings_by);
}

/* The first in its bucket of which nothing was taken for so long. With the last stream the table has shrunk. */
static struct mf_h2_stream *stuck(const struct mf_h2_conn *h2, uint32_t bucket, uint64_t now, uint64_t wait)
{
    struct mf_h2_stream *stream = bucket <= h2->_mask ? h2->_slots[bucket] : NULL;
    while (stream && !(stream->queued && stream->_moved + wait <= now))
        stream = stream->_next;
    return stream;
}

/* There may be ten thousand: each is looked at once. */
static void end_stalled(struct mf_h2_conn *h2, uint64_t now)
{
    uint64_t wait = h2->conn.local->limits->stall_timeout * 1000000, at = now + wait;
    struct mf_h2_stream *stream;
    for (uint32_t i = 0; i <= h2->_mask; i++) {
        while (mf_conn_open(&h2->conn) && !h2->_failed && (stream = stuck(h2, i, now, wait))) {
            MF_COUNT(h2->conn.local, limit_stall_timeout);
            mf_h2_core_shed(stream);
        }
        for (stream = i <= h2->_mask ? h2->_slots[i] : NULL; stream; stream = stream->_next)
            if (stream->queued && stream->_moved + wait < at)
                at = stream->_moved + wait;
    }
    if (h2->_queued && !h2->_failed)
        mf_conn_wait(&h2->conn, at);
}

static size_t on_tight(struct mf_conn *conn, size_t excess)
{
    struct mf_h2_conn *h2 = h2_of(conn);
    uint64_t now = mf_local_now(conn->local), wait = conn->local->limits->memory_timeout * 1000000;
    size_t freed = 0;
    for (uint32_t i = 0; i <= h2->_mask; i++) {
        struct mf_h2_stream *stream;
        while (freed < excess && mf_conn_open(conn) && !h2->_failed && (stream = stuck(h2, i, now, wait))) {
            freed += stream->queued + (size_t)mf_h2_core_late(stream);
            MF_COUNT(conn->local, limit_max_memory);
            mf_h2_core_shed(stream);
        }
    }
    return freed;
}

/* --- as the connection knows it */

/* Its caller has ended the connection's side, and cannot end its own any more, or open its window. */
static bool hopeless(const struct mf_h2_stream *stream)
{
    bool waits = stream->queued && (stream->_out_window <= 0 || stream->conn->_out_window <= 0);
    return stream->state != MF_H2_REMOTE || waits;
}

static void sweep(struct mf_h2_conn *h2)
{
    struct mf_h2_end end = {.why = MF_H2_LOST, .code = MF_H2_CANCEL, .rc = MF_ECLOSED};
    for (uint32_t i = 0; i <= h2->_mask && mf_conn_open(&h2->conn);) {
        struct mf_h2_stream *stream = h2->_slots[i];
        while (stream && !hopeless(stream))
            stream = stream->_next;
        if (stream)
            mf_h2_core_finish(stream, &end);
        i = stream ? 0 : i + 1;
    }
    if (mf_conn_open(&h2->conn))
        mf_conn_wait(&h2->conn, mf_local_now(h2->conn.local) + MF_H2_CORE_QUIET_NS);
}

/* A caller that has ended its side still reads the answers to what it had asked in full. */
static void on_eof(struct mf_conn *conn)
{
    struct mf_h2_conn *h2 = h2_of(conn);
    if (!h2->server) {
        mf_conn_close(conn, MF_CLOSE_NOW, -ECONNRESET);
        return;
    }
    h2->_eof = true;
    sweep(h2);
    mf_h2_core_leave(h2);
    if (!mf_conn_open(conn))
        return;
    mf_h2_conn_ping(h2); /* one that is gone as a whole answers with a reset, which the next write finds */
    mf_conn_wait(conn, mf_local_now(conn->local) + GONE_NS);
}

static void on_ready(struct mf_conn *conn)
{
    await_settings(h2_of(conn));
}

static void on_lost(struct mf_conn *conn, int rc)
{
    struct mf_h2_conn *h2 = h2_of(conn);
    if (rc == 0)
        mf_h2_core_farewell(h2);
    rc = h2->_rc ? h2->_rc : rc;
    struct mf_h2_end end = {.why = MF_H2_LOST, .code = MF_H2_INTERNAL_ERROR, .rc = rc};
    for (uint32_t i = 0; i <= h2->_mask; i++)
        while (h2->_slots[i])
            mf_h2_core_finish(h2->_slots[i], &end);
    if (h2->_slots != h2->_few)
        mf_free(h2->_slots);
    h2->_slots = h2->_few;
    h2->_mask = 0;
    mf_h2_core_drop_tables(h2);
    if (h2->ops->on_lost)
        h2->ops->on_lost(h2, rc);
}

static void on_timer(struct mf_conn *conn, uint64_t now)
{
    struct mf_h2_conn *h2 = h2_of(conn);
    if (h2->_settings_by && now >= h2->_settings_by) {
        MF_COUNT(conn->local, limit_settings_timeout);
        mf_h2_core_fail(h2, MF_H2_SETTINGS_TIMEOUT, MF_EH2_SILENT);
        return;
    }
    if (h2->_eof) {
        sweep(h2);
        if (mf_conn_open(conn))
            mf_h2_conn_ping(h2);
    }
    if (h2->_queued)
        end_stalled(h2, now);
    if (h2->_settings_by)
        mf_conn_wait(conn, h2->_settings_by);
    if (h2->n_streams == 0 && h2->_tables && !h2->_tables->packed) {
        if (now - h2->_quiet_since >= MF_H2_CORE_QUIET_NS)
            mf_h2_core_pack(h2);
        else
            mf_conn_wait(conn, h2->_quiet_since + MF_H2_CORE_QUIET_NS);
    }
    if (h2->ops->on_timer)
        h2->ops->on_timer(h2, now);
}

static void on_readonly(struct mf_conn *conn, bool readonly)
{
    struct mf_h2_conn *h2 = h2_of(conn);
    if (h2->ops->on_readonly)
        h2->ops->on_readonly(h2, readonly);
}

static int on_stop(struct mf_conn *conn)
{
    mf_h2_core_goaway(h2_of(conn), true);
    return 0;
}

static void on_room(struct mf_conn *conn)
{
    mf_h2_send_drained(h2_of(conn));
}

static const struct mf_conn_ops conn_ops = {
    .on_read = mf_h2_read,
    .on_eof = on_eof,
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_timer = on_timer,
    .on_readonly = on_readonly,
    .on_stop = on_stop,
    .on_room = on_room,
    .on_tight = on_tight,
};

/* --- its beginning */

static uint32_t most(uint64_t value, uint32_t bound)
{
    return value < bound ? (uint32_t)value : bound;
}

static void greet(struct mf_h2_conn *h2)
{
    const struct mf_limits *limits = h2->conn.local->limits;
    uint8_t bytes[MF_H2_PREFACE_LEN + MF_H2_HEAD_LEN + PAIRS * MF_H2_SETTING_LEN + MF_H2_WINDOW_ROOM];
    struct mf_h2_pair pairs[PAIRS];
    uint32_t n = 0;
    size_t len = 0;
    if (h2->server) {
        pairs[n++] = (struct mf_h2_pair){MF_H2_MAX_CONCURRENT_STREAMS, most(limits->h2_streams, UINT32_MAX)};
    } else {
        memcpy(bytes, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
        len = MF_H2_PREFACE_LEN;
        pairs[n++] = (struct mf_h2_pair){MF_H2_ENABLE_PUSH, 0};
    }
    pairs[n++] = (struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, most(limits->h2_first_window, MF_H2_WINDOW_MOST)};
    pairs[n++] = (struct mf_h2_pair){MF_H2_MAX_FRAME_SIZE, most(limits->h2_frame, MF_H2_FRAME_MOST)};
    pairs[n++] = (struct mf_h2_pair){MF_H2_MAX_HEADER_LIST_SIZE, most(limits->h2_header_list, UINT32_MAX)};
    len += mf_h2_put_settings(bytes + len, pairs, n);
    if (h2->_in_most > MF_H2_WINDOW)
        len += mf_h2_put_window(bytes + len, 0, (uint32_t)(h2->_in_most - MF_H2_WINDOW));
    if (mf_sock_write(&h2->conn.sock, mf_slice_of(bytes, len)) < 0)
        mf_conn_unwritten(&h2->conn);
}

void mf_h2_conn_begin(struct mf_h2_conn *h2, const struct mf_h2_ops *ops, struct mf_h2_share *share, bool server)
{
    const struct mf_limits *limits = h2->conn.local->limits;
    h2->conn.ops = &conn_ops;
    h2->conn.sock.low = 0; /* more is written when all that was has gone */
    h2->ops = ops;
    h2->share = share;
    h2->server = server;
    h2->serial = ++share->n_conns;
    h2->peer = (struct mf_h2_peer){UINT32_MAX, MF_H2_WINDOW, MF_H2_FRAME_LEAST, UINT32_MAX};
    h2->next_id = 1;
    h2->_preface = !server;
    h2->_slots = h2->_few;
    h2->_mask = sizeof h2->_few / sizeof *h2->_few - 1;
    mf_list_init(&h2->_turns);
    h2->_out_window = MF_H2_WINDOW;
    h2->_in_window = h2->_in_most = most(limits->h2_connection_window, MF_H2_WINDOW_MOST);
    h2->_quota = QUOTA_FIRST;
    h2->_tokens = most(limits->h2_resets, UINT32_MAX);
    h2->_tokens_at = h2->_quiet_since = mf_local_now(h2->conn.local);
    greet(h2);
    if (!h2->conn.up || h2->conn.ready)
        await_settings(h2);
}

void mf_h2_conn_goaway(struct mf_h2_conn *h2, bool final)
{
    mf_h2_core_goaway(h2, final);
}

void mf_h2_conn_ping(struct mf_h2_conn *h2)
{
    uint8_t frame[MF_H2_PING_ROOM];
    mf_h2_core_put(h2, frame, mf_h2_put_ping(frame, ++h2->_pings, false));
    MF_COUNT(h2->conn.local, heartbeats_out);
}
