#include "protocol/h2_read.h"

#include "protocol/h2_block.h"
#include "protocol/h2_send.h"

#include <errno.h>

static void fail(struct mf_h2_conn *h2, int rc)
{
    mf_h2_core_fail(h2, mf_h2_frame_code(rc), rc);
}

/* --- DATA */

/* What a stream that is there has been sent. Its errors end it alone. */
static int take_data(struct mf_h2_stream *stream, const struct mf_h2_head *head, size_t len)
{
    bool ended = head->flags & MF_H2_END_STREAM;
    /* A first frame of the size that all must take is taken, also where h2FirstWindow is less: some test for that. */
    bool first = stream->_got == 0 && stream->_in_window > 0 && head->len <= MF_H2_FRAME_LEAST;
    if ((int64_t)head->len > stream->_in_window && !first) {
        struct mf_local *local = stream->conn->conn.local;
        if (stream->_window > local->limits->h2_first_window)
            MF_COUNT(local, limit_h2_stream_window);
        else
            MF_COUNT(local, limit_h2_first_window);
        return MF_EH2_WINDOW;
    }
    stream->_in_window -= (int32_t)head->len;
    stream->_got += len;
    if (!stream->head_in)
        return MF_EH2_ORDER;
    return mf_h2_fields_content(stream->_length, stream->_got, ended);
}

static void give_data(struct mf_h2_stream *stream, const struct mf_h2_head *head, struct mf_slice data)
{
    struct mf_h2_conn *h2 = stream->conn;
    bool ended = head->flags & MF_H2_END_STREAM;
    h2->_now = stream;
    if (ended)
        mf_h2_core_step(stream, MF_H2_IN_END);
    stream->_held += (uint32_t)data.len;
    h2->_held += (int64_t)data.len;
    if (head->len > data.len) /* padding is passed on to nobody */
        mf_h2_core_refill(stream, MF_H2_PART_LEAST);
    if (!h2->_now)
        return;
    if (data.len || ended)
        h2->ops->on_data(stream, data, ended);
    if (h2->_now && stream->state == MF_H2_ENDED)
        mf_h2_core_finish(stream, &(struct mf_h2_end){.why = MF_H2_WHOLE});
    h2->_now = NULL;
}

/* In a row on one stream, which is all that they say something of: others' come between them, and are none of its doing. A
 * caller's end its connection, a provider's its one answer: others have calls on that connection. */
static bool too_many_empty(struct mf_h2_conn *h2, struct mf_h2_stream *stream, bool empty)
{
    if (!stream && !h2->server)
        return false;
    uint16_t *n = stream ? &stream->_empties : &h2->_empties;
    *n = empty ? (uint16_t)(*n + (*n < UINT16_MAX)) : 0;
    if (*n <= h2->conn.local->limits->h2_empty_frames)
        return false;
    MF_COUNT(h2->conn.local, limit_h2_empty_frames);
    if (h2->server)
        mf_h2_core_fail(h2, MF_H2_ENHANCE_YOUR_CALM, MF_ELIMIT);
    else
        mf_h2_core_refuse(stream, MF_H2_ENHANCE_YOUR_CALM, MF_ELIMIT);
    return true;
}

static void on_data(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    struct mf_h2_data data;
    int rc = mf_h2_frame_data(head, payload, &data);
    if (rc == 0 && (int64_t)head->len > h2->_in_window) {
        MF_COUNT(h2->conn.local, limit_h2_connection_window);
        rc = MF_EH2_WINDOW;
    }
    if (rc < 0) {
        fail(h2, rc);
        return;
    }
    h2->_in_window -= (int64_t)head->len;
    struct mf_h2_stream *stream;
    struct mf_h2_step step = mf_h2_state_step(mf_h2_core_state(h2, head->stream, &stream), MF_H2_IN_DATA);
    if (too_many_empty(h2, stream, data.data.len == 0 && !(head->flags & MF_H2_END_STREAM)))
        return;
    if (step.verdict == MF_H2_PROTOCOL)
        fail(h2, MF_EH2_ORDER);
    else if (step.verdict == MF_H2_CLOSED && stream)
        mf_h2_core_refuse(stream, MF_H2_STREAM_CLOSED, MF_EH2_CLOSED);
    else if (step.verdict == MF_H2_CLOSED)
        mf_h2_core_refuse_id(h2, head->stream, MF_H2_STREAM_CLOSED);
    else if (step.verdict == MF_H2_TAKE && (rc = take_data(stream, head, data.data.len)) < 0)
        mf_h2_core_refuse(stream, mf_h2_frame_code(rc), rc);
    else if (step.verdict == MF_H2_TAKE)
        give_data(stream, head, data.data);
    if (!h2->_failed && !h2->conn.closed)
        mf_h2_core_credit(h2);
}

/* --- what is about a stream */

static void on_reset(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    struct mf_h2_stream *stream;
    struct mf_h2_step step = mf_h2_state_step(mf_h2_core_state(h2, head->stream, &stream), MF_H2_IN_RESET);
    if (step.verdict == MF_H2_PROTOCOL) {
        fail(h2, MF_EH2_ORDER);
        return;
    }
    MF_COUNT(h2->conn.local, h2_resets_in);
    if (!stream)
        return;
    uint32_t code = mf_h2_frame_rst_stream(payload);
    stream->state = step.next;
    if (h2->server)
        mf_h2_cancels_add(&h2->_cancels, mf_local_now(h2->conn.local), h2->conn.local->limits);
    if (h2->server && !mf_h2_core_spend(h2)) /* a provider may refuse as much as it likes */
        return;
    struct mf_h2_end end = {MF_H2_BY_PEER, !h2->server && code == MF_H2_REFUSED_STREAM, code, 0};
    mf_h2_core_finish(stream, &end);
}

static void on_priority(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    struct mf_h2_priority ignored;
    int rc = mf_h2_frame_priority(head, payload, &ignored);
    if (rc == 0)
        return;
    struct mf_h2_stream *stream;
    enum mf_h2_state state = mf_h2_core_state(h2, head->stream, &stream);
    if (stream)
        mf_h2_core_refuse(stream, mf_h2_frame_code(rc), rc);
    else if (state == MF_H2_IDLE) /* an RST_STREAM of ours would be on a stream that is not there */
        fail(h2, rc);
    else
        mf_h2_core_refuse_id(h2, head->stream, mf_h2_frame_code(rc));
}

static void on_window(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    uint32_t more = 0;
    int rc = mf_h2_frame_window(head, payload, &more);
    if (head->stream == 0) {
        if (rc == 0 && h2->_out_window + more > MF_H2_WINDOW_MOST)
            rc = MF_EH2_WINDOW;
        if (rc < 0) {
            fail(h2, rc);
            return;
        }
        h2->_out_window += more;
        h2->_given += more;
        if (!mf_h2_conn_low(h2) || h2->_given >= MF_H2_CONN_LOW)
            mf_h2_core_low(h2);
        if (h2->ops->on_credit)
            h2->ops->on_credit(h2, more);
        if (!h2->_failed && mf_conn_open(&h2->conn))
            mf_h2_send_pump(h2);
        return;
    }
    struct mf_h2_stream *stream;
    struct mf_h2_step step = mf_h2_state_step(mf_h2_core_state(h2, head->stream, &stream), MF_H2_IN_CREDIT);
    if (step.verdict == MF_H2_PROTOCOL) {
        fail(h2, MF_EH2_ORDER);
        return;
    }
    if (!stream)
        return;
    if (rc == 0 && (int64_t)stream->_out_window + more > MF_H2_WINDOW_MOST)
        rc = MF_EH2_WINDOW;
    if (rc < 0) {
        mf_h2_core_refuse(stream, mf_h2_frame_code(rc), rc);
        return;
    }
    stream->_out_window += (int32_t)more;
    mf_h2_send_turn(stream);
    mf_h2_send_pump(h2);
}

/* --- what is about the connection */

/* A new initial window moves those of all streams (6.9.2). */
static int set_window(struct mf_h2_conn *h2, uint32_t window)
{
    int64_t change = (int64_t)window - h2->peer.window;
    h2->peer.window = window;
    for (uint32_t i = 0; i <= h2->_mask && change; i++) {
        for (struct mf_h2_stream *stream = h2->_slots[i]; stream; stream = stream->_next) {
            int64_t now = stream->_out_window + change;
            if (now > MF_H2_WINDOW_MOST || now < -(int64_t)MF_H2_WINDOW_MOST)
                return MF_EH2_WINDOW;
            stream->_out_window = (int32_t)now;
            mf_h2_send_turn(stream);
        }
    }
    return 0;
}

/* Below what we use the next block has to say so; above, nothing changes. */
static int set_table(struct mf_h2_conn *h2, uint32_t size)
{
    if (size >= MF_HPACK_TABLE && !h2->_tables)
        return 0;
    int rc = mf_h2_core_tables(h2);
    if (rc == 0)
        mf_hpack_encoder_limit(&h2->_tables->encoder, size);
    return rc;
}

static int set(struct mf_h2_conn *h2, uint16_t id, uint32_t value, uint32_t *window)
{
    switch (id) {
    case MF_H2_HEADER_TABLE_SIZE:
        return set_table(h2, value);
    case MF_H2_ENABLE_PUSH: /* a server has nothing to allow (6.5.2) */
        return value && !h2->server ? MF_EH2_SETTING : 0;
    case MF_H2_MAX_CONCURRENT_STREAMS:
        h2->peer.max_streams = value;
        return 0;
    case MF_H2_INITIAL_WINDOW_SIZE:
        *window = value;
        return 0;
    case MF_H2_MAX_FRAME_SIZE:
        h2->peer.frame = value;
        return 0;
    case MF_H2_MAX_HEADER_LIST_SIZE:
        h2->peer.header_list = value;
    }
    return 0;
}

static void on_settings(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    if (head->flags & MF_H2_ACK) {
        mf_h2_core_acked(h2);
        return;
    }
    if (head->len / MF_H2_SETTING_LEN > h2->conn.local->limits->h2_settings) {
        MF_H2_CORE_CALM(h2, limit_h2_settings);
        return;
    }
    size_t at = 0;
    uint16_t id;
    uint32_t value, window = h2->peer.window; /* the last of a frame: each would be a walk over thousands of streams */
    int rc;
    while ((rc = mf_h2_frame_settings(payload, &at, &id, &value)) > 0) {
        rc = set(h2, id, value, &window);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        rc = set_window(h2, window);
    if (rc < 0) {
        fail(h2, rc);
        return;
    }
    uint8_t ack[MF_H2_HEAD_LEN];
    mf_h2_core_put(h2, ack, mf_h2_put_settings_ack(ack));
    bool first = !h2->ready;
    h2->ready = true;
    if (first && h2->ops->on_ready && !h2->_failed)
        h2->ops->on_ready(h2);
    if (h2->_full && mf_h2_conn_room(h2)) {
        h2->_full = false;
        if (h2->ops->on_room)
            h2->ops->on_room(h2);
    }
    mf_h2_send_pump(h2);
}

static void on_ping(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    uint64_t opaque = mf_h2_frame_ping(payload);
    if (!(head->flags & MF_H2_ACK)) {
        uint8_t frame[MF_H2_PING_ROOM];
        mf_h2_core_put(h2, frame, mf_h2_put_ping(frame, opaque, true));
        MF_COUNT(h2->conn.local, heartbeats_in);
    } else if (opaque == MF_H2_CORE_GOAWAY_PING) {
        if (h2->_goaway_sent)
            mf_h2_core_goaway(h2, true);
    } else if (opaque == h2->_pings && h2->ops->on_pong) {
        h2->ops->on_pong(h2);
    }
}

/* Streams above the last id were not looked at (6.8): a later GOAWAY that says more does not bring them back. */
static void leave_out(struct mf_h2_conn *h2, const struct mf_h2_goaway *goaway)
{
    if (goaway->last >= (h2->_left_out ? h2->_left_out : h2->next_id) - 1) /* none, or they have been already */
        return;
    h2->_left_out = goaway->last + 1;
    struct mf_h2_end end = {MF_H2_BY_PEER, true, MF_H2_REFUSED_STREAM, 0};
    for (uint32_t i = 0; i <= h2->_mask;) {
        struct mf_h2_stream *stream = h2->_slots[i];
        while (stream && stream->id <= goaway->last)
            stream = stream->_next;
        if (!stream) {
            i++;
            continue;
        }
        if (stream->state != MF_H2_REMOTE)
            mf_h2_core_remember(h2, stream->id);
        uint32_t mask = h2->_mask;
        mf_h2_core_finish(stream, &end);
        i = h2->_mask == mask ? i : 0; /* else the table is another one now */
    }
}

static void on_goaway(struct mf_h2_conn *h2, struct mf_slice payload)
{
    struct mf_h2_goaway goaway;
    mf_h2_frame_goaway(payload, &goaway);
    MF_COUNT(h2->conn.local, h2_goaways_in);
    if (!h2->server) { /* a client's speaks of streams that we would open */
        h2->leaving = true;
        leave_out(h2, &goaway);
    }
    if (h2->ops->on_goaway)
        h2->ops->on_goaway(h2, &goaway);
    if (!h2->server)
        mf_h2_core_leave(h2);
}

/* --- one after the other */

static void take(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice payload)
{
    switch (head->type) {
    case MF_H2_DATA:
        on_data(h2, head, payload);
        return;
    case MF_H2_PRIORITY:
        on_priority(h2, head, payload);
        return;
    case MF_H2_RST_STREAM:
        on_reset(h2, head, payload);
        return;
    case MF_H2_SETTINGS:
        on_settings(h2, head, payload);
        return;
    case MF_H2_PING:
        on_ping(h2, head, payload);
        return;
    case MF_H2_GOAWAY:
        on_goaway(h2, payload);
        return;
    case MF_H2_WINDOW_UPDATE:
        on_window(h2, head, payload);
        return;
    case MF_H2_CONTINUATION: /* of nothing */
        fail(h2, MF_EH2_ORDER);
    }
}

/* The frame at the front of `rest`: how many bytes it took, with the rest of its block; MF_EMORE, and `*missing` where
 * that is known; 0: the connection has failed. */
static long frame(struct mf_h2_conn *h2, struct mf_slice rest, uint64_t *missing)
{
    struct mf_h2_head head;
    int rc = mf_h2_frame_head(rest, (uint32_t)h2->conn.local->limits->h2_frame, &head);
    if (rc == MF_EMORE)
        return MF_EMORE;
    if (!h2->ready && (head.type != MF_H2_SETTINGS || (head.flags & MF_H2_ACK))) /* 3.4: the first frame of either side */
        rc = h2->server ? MF_EH2_ORDER : MF_EH2_PREFACE;
    if (rc == MF_EH2_FRAME_SIZE)
        MF_COUNT(h2->conn.local, limit_h2_frame);
    if (rc < 0) {
        fail(h2, rc);
        return 0;
    }
    size_t len = (size_t)MF_H2_HEAD_LEN + head.len;
    if (rest.len < len) {
        *missing = len - rest.len;
        mf_sock_want(&h2->conn.sock, len);
        return MF_EMORE;
    }
    if (head.type == MF_H2_HEADERS || head.type == MF_H2_PUSH_PROMISE)
        return mf_h2_block_in(h2, &head, rest);
    take(h2, &head, mf_slice_of(rest.ptr + MF_H2_HEAD_LEN, head.len));
    return (long)len;
}

size_t mf_h2_read(struct mf_conn *conn, struct mf_slice view)
{
    struct mf_h2_conn *h2 = (struct mf_h2_conn *)(void *)conn;
    size_t at = 0;
    uint64_t missing = 0;
    while (at < view.len && mf_conn_reading(conn)) {
        struct mf_slice rest = mf_slice_of(view.ptr + at, view.len - at);
        long took = h2->_preface ? frame(h2, rest, &missing) : mf_h2_frame_preface(rest);
        if (took == MF_EMORE)
            break;
        if (!h2->_preface && took < 0)
            fail(h2, (int)took);
        if (took <= 0)
            return view.len;
        h2->_preface = true;
        mf_conn_whole(conn);
        at += (size_t)took;
    }
    if (conn->closed || h2->_failed)
        return view.len;
    /* A provider is asked by PING whether it is there; a caller does not hold memory for as long as it likes. */
    if (at < view.len && mf_conn_reading(conn) && !conn->up)
        mf_conn_expect(conn, missing);
    else
        mf_conn_whole(conn);
    return at;
}
