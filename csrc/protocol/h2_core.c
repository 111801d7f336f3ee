#include "protocol/h2_core.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

enum { REMEMBERED = 16, FEW = 4 };

/* --- streams by id */

static uint32_t slot(const struct mf_h2_conn *h2, uint32_t id)
{
    return (id >> 1) & h2->_mask;
}

struct mf_h2_stream *mf_h2_core_find(const struct mf_h2_conn *h2, uint32_t id)
{
    struct mf_h2_stream *stream = h2->_slots[slot(h2, id)];
    while (stream && stream->id != id)
        stream = stream->_next;
    return stream;
}

static void move(struct mf_h2_conn *h2, struct mf_h2_stream **slots, uint32_t n)
{
    struct mf_h2_stream **old = h2->_slots;
    uint32_t n_old = h2->_mask + 1;
    h2->_slots = slots;
    h2->_mask = n - 1;
    for (uint32_t i = 0; i < n_old; i++) {
        for (struct mf_h2_stream *stream = old[i], *next; stream; stream = next) {
            next = stream->_next;
            stream->_next = slots[slot(h2, stream->id)];
            slots[slot(h2, stream->id)] = stream;
        }
    }
    if (old != h2->_few)
        mf_free(old);
}

struct mf_h2_stream *mf_h2_core_add(struct mf_h2_conn *h2, uint32_t id)
{
    if (h2->n_streams > h2->_mask) { /* without memory the chains are longer */
        struct mf_h2_stream **slots = mf_zalloc(2 * (h2->_mask + 1) * sizeof *slots);
        if (slots)
            move(h2, slots, 2 * (h2->_mask + 1));
    }
    struct mf_h2_stream *stream = mf_h2_share_take(h2->share, h2->server, h2->ops->stream_size, h2->ops->stream_zeroed);
    if (!stream)
        return NULL;
    stream->conn = h2;
    stream->id = id;
    stream->_length = MF_H2_NO_LENGTH;
    stream->_out_window = (int32_t)h2->peer.window;
    stream->_window = h2->_acked ? (uint32_t)h2->conn.local->limits->h2_first_window : MF_H2_WINDOW;
    stream->_in_window = (int32_t)stream->_window;
    mf_list_init(&stream->_turn);
    stream->_next = h2->_slots[slot(h2, id)];
    h2->_slots[slot(h2, id)] = stream;
    h2->n_streams++;
    return stream;
}

/* The last stream has ended. */
static void rest(struct mf_h2_conn *h2)
{
    if (h2->leaving) {
        mf_h2_core_leave(h2);
        return;
    }
    h2->_quiet_since = mf_local_now(h2->conn.local);
    if (h2->_tables && !h2->_tables->packed && mf_conn_open(&h2->conn))
        mf_conn_wait(&h2->conn, h2->_quiet_since + MF_H2_CORE_QUIET_NS);
}

void mf_h2_core_finish(struct mf_h2_stream *stream, const struct mf_h2_end *end)
{
    struct mf_h2_conn *h2 = stream->conn;
    struct mf_h2_stream **at = &h2->_slots[slot(h2, stream->id)];
    while (*at != stream)
        at = &(*at)->_next;
    *at = stream->_next;
    h2->n_streams--;
    mf_list_remove(&stream->_turn);
    for (struct mf_h2_chunk *chunk = stream->_first, *next; chunk; chunk = next) {
        next = chunk->next;
        mf_block_give(chunk->block);
        mf_free(chunk);
    }
    h2->_held -= stream->_held;
    h2->_due -= stream->_due;
    mf_h2_core_queue(h2, -(int64_t)stream->queued - mf_h2_core_late(stream));
    mf_block_give(stream->_late);
    if (h2->_now == stream)
        h2->_now = NULL;
    if (h2->_putting == stream)
        h2->_putting = NULL;
    h2->ops->on_end(stream, end);
    mf_h2_share_give(h2->share, h2->server, h2->ops->stream_size, stream);
    if (h2->conn.closed || h2->_failed)
        return;
    if (h2->server)
        mf_h2_core_credit(h2);
    if (h2->n_streams == 0)
        rest(h2);
    if (h2->_full && mf_h2_conn_room(h2)) {
        h2->_full = false;
        if (h2->ops->on_room)
            h2->ops->on_room(h2);
    }
}

void mf_h2_core_step(struct mf_h2_stream *stream, enum mf_h2_event event)
{
    struct mf_h2_step step = mf_h2_state_step(stream->state, event);
    assert(step.verdict == MF_H2_TAKE);
    stream->state = step.next;
}

void mf_h2_core_remember(struct mf_h2_conn *h2, uint32_t id)
{
    uint32_t *place = &h2->_reset[h2->_n_reset++ % REMEMBERED];
    if (*place > h2->_reset_below)
        h2->_reset_below = *place;
    *place = id;
}

static bool was_reset(const struct mf_h2_conn *h2, uint32_t id)
{
    if (id <= h2->_reset_below)
        return true;
    for (int i = 0; i < REMEMBERED; i++)
        if (h2->_reset[i] == id)
            return true;
    return false;
}

enum mf_h2_state mf_h2_core_state(const struct mf_h2_conn *h2, uint32_t id, struct mf_h2_stream **stream)
{
    *stream = mf_h2_core_find(h2, id);
    if (*stream)
        return (*stream)->state;
    bool asked = id & 1; /* by the client */
    if (!asked)
        return !h2->server && id <= h2->last_in ? MF_H2_RESET : MF_H2_IDLE;
    if (h2->server ? id > h2->last_in : id >= h2->next_id)
        return h2->_goaway_final && h2->server ? MF_H2_BEYOND : MF_H2_IDLE;
    return was_reset(h2, id) ? MF_H2_RESET : MF_H2_ENDED;
}

/* --- control frames and errors */

static void put(struct mf_h2_conn *h2, const uint8_t *frame, size_t len)
{
    if (mf_sock_write(&h2->conn.sock, mf_slice_of(frame, len)) < 0)
        mf_conn_unwritten(&h2->conn);
}

void mf_h2_core_put(struct mf_h2_conn *h2, const uint8_t *frame, size_t len)
{
    if (!mf_conn_open(&h2->conn) || h2->_failed)
        return;
    const struct mf_sock *sock = &h2->conn.sock;
    if (sock->bytes_out >= h2->_controls_mark) { /* what waited when it was looked at last has gone */
        h2->_controls_mark = sock->bytes_out + mf_sock_pending(sock);
        h2->_controls = 0;
    }
    if (++h2->_controls > h2->conn.local->limits->h2_controls) {
        MF_H2_CORE_CALM(h2, limit_h2_controls);
        return;
    }
    put(h2, frame, len);
}

static void put_goaway(struct mf_h2_conn *h2, uint32_t last, enum mf_h2_code code, const char *why)
{
    uint8_t frame[MF_H2_GOAWAY_ROOM];
    struct mf_slice text = mf_slice_str(why);
    size_t len = mf_h2_put_goaway(frame, last, code, (uint32_t)text.len);
    if (mf_sock_write(&h2->conn.sock, mf_slice_of(frame, len)) < 0 || mf_sock_write(&h2->conn.sock, text) < 0)
        mf_conn_unwritten(&h2->conn);
    MF_COUNT(h2->conn.local, h2_goaways_out);
    h2->_goaway_sent = true;
}

/* What we have looked at of what the peer opened. */
static void put_last_goaway(struct mf_h2_conn *h2, enum mf_h2_code code, const char *why)
{
    put_goaway(h2, h2->server ? h2->last_in : 0, code, why);
    h2->_goaway_final = true;
}

void mf_h2_core_fail(struct mf_h2_conn *h2, enum mf_h2_code code, int rc)
{
    if (h2->_failed || !mf_conn_open(&h2->conn))
        return;
    put_last_goaway(h2, code, rc < 0 ? mf_err_text(rc) : "");
    h2->_failed = h2->leaving = true;
    h2->_rc = rc;
    h2->conn.hasty = code == MF_H2_ENHANCE_YOUR_CALM; /* or a flood goes on to be read, as it is not answered any more */
    MF_COUNT(h2->conn.local, bad_connections);
    struct mf_h2_end end = {MF_H2_LOST, false, code, rc};
    for (uint32_t i = 0; i <= h2->_mask; i++) /* none is added any more */
        while (h2->_slots[i])
            mf_h2_core_finish(h2->_slots[i], &end);
    mf_conn_doom(&h2->conn, 0); /* what was said is still to be read */
}

void mf_h2_core_leave(struct mf_h2_conn *h2)
{
    h2->leaving = true;
    if (h2->n_streams || h2->_failed || !mf_conn_open(&h2->conn))
        return;
    if (!h2->_goaway_final)
        put_last_goaway(h2, MF_H2_NO_ERROR, "");
    mf_conn_doom(&h2->conn, 0);
}

void mf_h2_core_goaway(struct mf_h2_conn *h2, bool final)
{
    if (!mf_conn_open(&h2->conn) || h2->_goaway_final)
        return;
    if (h2->server && !final) {
        uint8_t ping[MF_H2_PING_ROOM];
        if (!h2->_goaway_sent) {
            put_goaway(h2, INT32_MAX, MF_H2_NO_ERROR, "");
            mf_h2_core_put(h2, ping, mf_h2_put_ping(ping, MF_H2_CORE_GOAWAY_PING, false));
        }
        return;
    }
    put_last_goaway(h2, MF_H2_NO_ERROR, "");
    mf_h2_core_leave(h2);
}

void mf_h2_core_farewell(struct mf_h2_conn *h2)
{
    if (!h2->_goaway_final && mf_sock_writable(&h2->conn.sock))
        put_last_goaway(h2, MF_H2_NO_ERROR, "");
}

bool mf_h2_core_spend(struct mf_h2_conn *h2)
{
    const struct mf_limits *limits = h2->conn.local->limits;
    uint64_t now = mf_local_now(h2->conn.local), passed = now - h2->_tokens_at;
    uint64_t most = UINT64_C(1000000000) * limits->h2_resets; /* in which even one a second fills it */
    uint64_t gained = (passed < most ? passed : most) / 1000 * limits->h2_reset_rate / 1000000;
    if (gained) {
        h2->_tokens = (uint32_t)(h2->_tokens + gained < limits->h2_resets ? h2->_tokens + gained : limits->h2_resets);
        h2->_tokens_at = now;
    }
    if (h2->_tokens > 1) {
        h2->_tokens--;
        return true;
    }
    MF_H2_CORE_CALM(h2, limit_h2_resets);
    return false;
}

void mf_h2_core_rst(struct mf_h2_conn *h2, uint32_t id, uint32_t code)
{
    uint8_t frame[MF_H2_RST_ROOM];
    mf_h2_core_put(h2, frame, mf_h2_put_rst_stream(frame, id, code));
    MF_COUNT(h2->conn.local, h2_resets_out);
}

void mf_h2_core_give_up(struct mf_h2_conn *h2, uint32_t id, uint32_t code)
{
    uint8_t frame[MF_H2_RST_ROOM];
    if (!mf_conn_open(&h2->conn) || h2->_failed)
        return;
    put(h2, frame, mf_h2_put_rst_stream(frame, id, code));
    MF_COUNT(h2->conn.local, h2_resets_out);
}

/* Whose answers are wrong was asked for each of them: that is not the flood of a caller. */
void mf_h2_core_refuse_id(struct mf_h2_conn *h2, uint32_t id, enum mf_h2_code code)
{
    if (!h2->server)
        mf_h2_core_give_up(h2, id, code);
    else if (mf_h2_core_spend(h2))
        mf_h2_core_rst(h2, id, code);
}

void mf_h2_core_refuse(struct mf_h2_stream *stream, enum mf_h2_code code, int rc)
{
    struct mf_h2_conn *h2 = stream->conn;
    uint32_t id = stream->id;
    mf_h2_core_step(stream, MF_H2_OUT_RESET);
    if (stream->state == MF_H2_RESET)
        mf_h2_core_remember(h2, id);
    mf_h2_cancels_add(&h2->_cancels, mf_local_now(h2->conn.local), h2->conn.local->limits);
    mf_h2_core_refuse_id(h2, id, code);
    if (h2->_failed) /* that was one too many, and the stream's end as well */
        return;
    struct mf_h2_end end = {MF_H2_BY_RULE, false, code, rc};
    mf_h2_core_finish(stream, &end);
}

void mf_h2_core_shed(struct mf_h2_stream *stream)
{
    struct mf_h2_conn *h2 = stream->conn;
    uint32_t id = stream->id;
    mf_h2_core_step(stream, MF_H2_OUT_RESET);
    if (stream->state == MF_H2_RESET)
        mf_h2_core_remember(h2, id);
    mf_h2_core_give_up(h2, id, MF_H2_ENHANCE_YOUR_CALM);
    struct mf_h2_end end = {MF_H2_BY_RULE, false, MF_H2_ENHANCE_YOUR_CALM, -ETIMEDOUT};
    mf_h2_core_finish(stream, &end);
}

/* --- windows of what comes in */

/* So many times as large a window may be once half of it was passed on. What callers may still send is nowhere taken off. */
enum { ASKED_GROWS = 2, ANSWER_GROWS = 16 };

/* A provider that answers thousands of calls before it reads on has been asked for all of that, and has sent far more than a
 * window is long. A caller sends no more before it has read of one. */
static void put_window(struct mf_h2_conn *h2, uint32_t id, uint32_t increment)
{
    uint8_t frame[MF_H2_WINDOW_ROOM];
    size_t len = mf_h2_put_window(frame, id, increment);
    if (h2->server)
        mf_h2_core_put(h2, frame, len);
    else if (mf_conn_open(&h2->conn) && !h2->_failed)
        put(h2, frame, len);
}

void mf_h2_core_credit(struct mf_h2_conn *h2)
{
    int64_t most = h2->_in_most, give = most - h2->_in_window - (h2->server ? h2->_held : 0);
    bool much = give >= most / 2;
    bool needed = h2->_in_window < most / 4 && give >= h2->_in_window && give >= MF_H2_PART_LEAST;
    if (!much && !needed)
        return;
    h2->_in_window += give;
    put_window(h2, 0, (uint32_t)give);
}

size_t mf_h2_core_refill(struct mf_h2_stream *stream, size_t room)
{
    struct mf_h2_conn *h2 = stream->conn;
    bool comes = stream->state == MF_H2_OPEN || stream->state == MF_H2_LOCAL;
    if (!comes)
        return 0;
    size_t left = stream->_grown && stream->_in_window > 0 ? (size_t)stream->_in_window : 0;
    if (stream->_in_window > (int32_t)(stream->_window / 2) || stream->_held > stream->_window / 2)
        return left;
    int64_t most = (int64_t)(h2->server ? mf_h2_conn_part(h2, h2->_held, MF_H2_EIGHTH) : mf_h2_conn_part(h2, 0, MF_H2_HALF));
    int64_t grown = (h2->server ? ASKED_GROWS : ANSWER_GROWS) * (int64_t)stream->_window;
    most = most < (int64_t)room ? most : (int64_t)room;
    most = most < grown ? most : grown;
    int64_t give = most - stream->_in_window - stream->_held;
    if (give <= 0 || give < most / 4) /* not for a few bytes: it comes again when more has been passed on */
        return left;
    stream->_in_window += (int32_t)give;
    stream->_window = (uint32_t)most;
    stream->_grown = true;
    left = stream->_in_window > 0 ? (size_t)stream->_in_window : 0;
    put_window(h2, stream->id, (uint32_t)give); /* the last: a control frame too many ends all streams */
    return left;
}

/* Until then streams may have begun with what the standard allows (RFC 9113 6.5.3). */
void mf_h2_core_acked(struct mf_h2_conn *h2)
{
    if (h2->_acked)
        return;
    h2->_acked = true;
    h2->_settings_by = 0;
    uint32_t first = (uint32_t)h2->conn.local->limits->h2_first_window;
    for (uint32_t i = 0; i <= h2->_mask && !h2->_failed; i++) {
        for (struct mf_h2_stream *stream = h2->_slots[i], *next; stream && !h2->_failed; stream = next) {
            next = stream->_next; /* a window given back may be a control frame too many */
            stream->_in_window += (int32_t)first - MF_H2_WINDOW;
            stream->_window = first;
            mf_h2_core_refill(stream, first); /* what it had sent may have been passed on long ago */
        }
    }
}

/* --- tables of fields */

void mf_h2_core_drop_tables(struct mf_h2_conn *h2)
{
    if (!h2->_tables)
        return;
    mf_h2_memo_drop(h2, &h2->_tables->memos);
    mf_h2_like_drop(h2, &h2->_tables->likes);
    mf_pages_give(&h2->share->tables, h2->_tables->room);
    mf_free(h2->_tables->packed);
    mf_free(h2->_tables);
    h2->_tables = NULL;
}

static void settle_in(struct mf_h2_tables *tables, struct mf_pages_piece room)
{
    void *behind = (uint8_t *)room.bytes + mf_hpack_decoder_room(MF_HPACK_TABLE);
    if (tables->packed) {
        mf_hpack_decoder_unpack(&tables->decoder, room.bytes);
        mf_hpack_encoder_unpack(&tables->encoder, behind);
        mf_free(tables->packed);
        tables->packed = NULL;
    } else {
        mf_hpack_decoder_init(&tables->decoder, room.bytes, MF_HPACK_TABLE);
        mf_hpack_encoder_init(&tables->encoder, behind, MF_HPACK_TABLE);
    }
    tables->room = room;
}

int mf_h2_core_make_tables(struct mf_h2_conn *h2)
{
    struct mf_h2_tables *tables = h2->_tables;
    if (!tables)
        tables = mf_zalloc(sizeof *tables);
    struct mf_pages_piece room = {0};
    if (tables)
        room = mf_pages_take(&h2->share->tables);
    if (!room.bytes) {
        if (!h2->_tables)
            mf_free(tables);
        return -ENOMEM;
    }
    settle_in(tables, room);
    h2->_tables = tables;
    return 0;
}

void mf_h2_core_pack(struct mf_h2_conn *h2)
{
    struct mf_h2_tables *tables = h2->_tables;
    mf_h2_share_quiet(h2->share);
    if (h2->_slots != h2->_few) {
        memset(h2->_few, 0, sizeof h2->_few);
        mf_free(h2->_slots);
        h2->_slots = h2->_few;
        h2->_mask = FEW - 1;
    }
    if (!tables || tables->packed)
        return;
    mf_h2_memo_drop(h2, &tables->memos); /* they point into the table */
    mf_h2_like_drop(h2, &tables->likes);
    size_t len = (mf_hpack_decoder_packed(&tables->decoder) + 7) / 8 * 8;
    uint8_t *packed = mf_alloc(len + mf_hpack_encoder_packed(&tables->encoder));
    if (!packed)
        return;
    mf_hpack_decoder_pack(&tables->decoder, packed);
    mf_hpack_encoder_pack(&tables->encoder, packed + len);
    mf_pages_give(&h2->share->tables, tables->room);
    tables->room = (struct mf_pages_piece){0};
    tables->packed = packed;
}
