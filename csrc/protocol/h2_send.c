#include "protocol/h2_send.h"

#include "base/mem.h"
#include "protocol/h2_due.h"
#include "protocol/h2_frozen.h"

#include <assert.h>
#include <errno.h>

/* From HOLD on content is sent from where it lies. A frame is up to LONG where no other stream waits, else SHARE. */
enum { HOLD = 8192, LONG = 65536, SHARE = 16384 };
/* DATA that may lie in the socket, where what is more urgent waits behind it: a frame, or more where the peer takes all
 * at once. */
enum { QUOTA_LEAST = 16384, QUOTA_MOST = 1048576, QUICK_TURNS = 2 };
enum { OWN_FIRST = 512, OWN_MORE = 4096 };
enum { AGAIN = 4096 }; /* no longer block is kept to be put again */

/* --- blocks of fields */

/* A caller that does not read its answers is not read either. */
static void check_output(struct mf_h2_conn *h2)
{
    struct mf_conn *conn = &h2->conn;
    if (conn->up || mf_sock_pending(&conn->sock) <= conn->local->limits->output_high || (conn->pauses & MF_PAUSE_OUTPUT))
        return;
    MF_COUNT(conn->local, limit_output_high);
    mf_conn_pause(conn, MF_PAUSE_OUTPUT);
}

/* Fields that are to be put. */
struct list {
    const struct mf_pair *fields;
    const struct mf_h2_mark *marks; /* NULL: they are made */
    uint32_t n;
    struct mf_h2_again *again;      /* or NULL */
};

static struct mf_h2_mark mark_at(const struct list *list, uint32_t i)
{
    return list->marks ? list->marks[i] : mf_h2_mark_of(list->fields[i]);
}

/* `holes`: how long each of them is here. */
static size_t encode(struct mf_h2_conn *h2, uint8_t *to, const struct list *list, size_t holes[MF_H2_HOLES])
{
    struct mf_hpack_encoder *encoder = &h2->_tables->encoder;
    struct mf_h2_again *again = list->again;
    size_t len = mf_hpack_put_begin(encoder, to);
    uint32_t hole = 0;
    if (again) /* its holes are where they are in this one from here on, whether that is kept or not */
        again->conn = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        bool is_hole = again && hole < again->n_holes && again->holes[hole].field == i;
        size_t put = is_hole ? mf_hpack_put_raw(encoder, to + len, list->fields[i], mark_at(list, i))
                             : mf_hpack_put(encoder, to + len, list->fields[i], mark_at(list, i));
        if (is_hole) {
            again->holes[hole].at = (uint32_t)len;
            holes[hole++] = put;
        }
        len += put;
    }
    return len;
}

static int put_split(struct mf_h2_conn *h2, struct mf_slice block, uint32_t id, uint8_t flags)
{
    uint8_t type = MF_H2_HEADERS;
    while (block.len) {
        uint32_t len = block.len < h2->peer.frame ? (uint32_t)block.len : h2->peer.frame;
        if (len == block.len)
            flags |= MF_H2_END_HEADERS;
        uint8_t *to = mf_sock_reserve(&h2->conn.sock, MF_H2_HEAD_LEN + len);
        if (!to)
            return -ENOMEM;
        mf_h2_put_head(to, &(struct mf_h2_head){len, id, type, flags});
        memcpy(to + MF_H2_HEAD_LEN, block.ptr, len);
        mf_sock_commit(&h2->conn.sock, MF_H2_HEAD_LEN + len);
        block = mf_slice_of(block.ptr + len, block.len - len);
        type = MF_H2_CONTINUATION;
        flags = 0;
    }
    return 0;
}

/* How long it may be with its holes; 0: it is not to be put again now. */
static size_t room_again(const struct mf_h2_conn *h2, const struct list *list)
{
    const struct mf_h2_again *again = list->again;
    if (!again || again->conn != h2->serial || again->generation != h2->_tables->encoder.table.generation)
        return 0;
    size_t room = again->len;
    for (uint32_t i = 0; i < again->n_holes; i++)
        room += MF_HPACK_PUT_ROOM(list->fields[again->holes[i].field]);
    return room <= h2->peer.frame ? room : 0;
}

static int put_again(struct mf_h2_conn *h2, uint32_t id, uint8_t flags, const struct list *list, size_t room)
{
    const struct mf_h2_again *again = list->again;
    uint8_t *to = mf_sock_reserve(&h2->conn.sock, MF_H2_HEAD_LEN + room), *at = to + MF_H2_HEAD_LEN;
    if (!to)
        return -ENOMEM;
    size_t from = 0;
    for (uint32_t i = 0; i < again->n_holes; i++) {
        uint32_t field = again->holes[i].field, until = again->holes[i].at;
        memcpy(at, again->bytes + from, until - from);
        at += until - from;
        at += mf_hpack_put_raw_again(&h2->_tables->encoder, at, list->fields[field], mark_at(list, field));
        from = until;
    }
    memcpy(at, again->bytes + from, again->len - from);
    at += again->len - from;
    uint32_t len = (uint32_t)(at - to - MF_H2_HEAD_LEN);
    mf_h2_put_head(to, &(struct mf_h2_head){len, id, MF_H2_HEADERS, (uint8_t)(flags | MF_H2_END_HEADERS)});
    mf_sock_commit(&h2->conn.sock, MF_H2_HEAD_LEN + len);
    return 0;
}

/* A block that changed nothing in the table means the same as long as nobody else does. Without memory it is forgotten. */
static void note_again(const struct mf_h2_conn *h2, struct mf_h2_again *again, uint64_t before, struct mf_slice block,
                       const size_t holes[MF_H2_HOLES])
{
    if (h2->_tables->encoder.table.generation != before || block.len == 0 || block.len > AGAIN)
        return;
    uint8_t *bytes = mf_resize(again->bytes, block.len);
    if (!bytes)
        return;
    size_t from = 0, len = 0;
    for (uint32_t i = 0; i < again->n_holes; i++) {
        size_t until = again->holes[i].at;
        memcpy(bytes + len, block.ptr + from, until - from);
        len += until - from;
        from = until + holes[i];
        again->holes[i].at = (uint32_t)len;
    }
    memcpy(bytes + len, block.ptr + from, block.len - from);
    again->conn = h2->serial;
    again->generation = before;
    again->len = (uint32_t)(len + block.len - from);
    again->bytes = bytes;
}

static int put_new(struct mf_h2_conn *h2, uint32_t id, uint8_t flags, const struct list *list)
{
    size_t room = MF_HPACK_BEGIN_ROOM, holes[MF_H2_HOLES];
    for (uint32_t i = 0; i < list->n; i++)
        room += MF_HPACK_PUT_ROOM(list->fields[i]);
    bool one = room <= h2->peer.frame;
    uint64_t before = h2->_tables->encoder.table.generation;
    uint8_t *to = one ? mf_sock_reserve(&h2->conn.sock, MF_H2_HEAD_LEN + room) : mf_h2_share_encoded(h2->share, room);
    if (!to)
        return -ENOMEM;
    if (!one)
        return put_split(h2, mf_slice_of(to, encode(h2, to, list, holes)), id, flags);
    uint32_t len = (uint32_t)encode(h2, to + MF_H2_HEAD_LEN, list, holes);
    mf_h2_put_head(to, &(struct mf_h2_head){len, id, MF_H2_HEADERS, (uint8_t)(flags | MF_H2_END_HEADERS)});
    mf_sock_commit(&h2->conn.sock, MF_H2_HEAD_LEN + len);
    if (list->again)
        note_again(h2, list->again, before, mf_slice_of(to + MF_H2_HEAD_LEN, len), holes);
    return 0;
}

int mf_h2_send_fields(struct mf_h2_conn *h2, uint32_t id, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                      uint32_t n, bool end, struct mf_h2_again *again)
{
    if (!mf_conn_open(&h2->conn))
        return MF_ECLOSED;
    uint8_t flags = end ? MF_H2_END_STREAM : 0;
    struct list list = {fields, marks, n, again};
    int rc = mf_h2_core_tables(h2);
    size_t room = rc == 0 ? room_again(h2, &list) : 0;
    if (rc == 0)
        rc = room ? put_again(h2, id, flags, &list, room) : put_new(h2, id, flags, &list);
    if (rc < 0)
        mf_conn_unwritten(&h2->conn);
    else
        check_output(h2);
    return rc;
}

/* --- what waits */

static struct mf_h2_chunk *add_chunk(struct mf_h2_stream *stream)
{
    struct mf_h2_chunk *chunk = mf_zalloc(sizeof *chunk);
    if (!chunk)
        return NULL;
    if (stream->_last)
        stream->_last->next = chunk;
    else
        stream->_first = chunk;
    stream->_last = chunk;
    return chunk;
}

static void drop_first(struct mf_h2_stream *stream)
{
    struct mf_h2_chunk *chunk = stream->_first;
    stream->_first = chunk->next;
    if (!chunk->next)
        stream->_last = NULL;
    mf_block_give(chunk->block);
    mf_free(chunk);
}

/* Small pieces lie together: one byte each must not cost a hundred. */
static int keep_small(struct mf_h2_stream *stream, struct mf_slice data)
{
    struct mf_h2_chunk *chunk = stream->_last;
    bool had = chunk && chunk->own;
    size_t free = had ? chunk->block->cap - (size_t)(chunk->at - chunk->block->data) - chunk->len : 0;
    if (free < data.len) {
        size_t cap = had || data.len > OWN_FIRST ? OWN_MORE : OWN_FIRST;
        struct mf_block *block = mf_loop_block(stream->conn->conn.sock.loop, cap > data.len ? cap : data.len);
        chunk = block ? add_chunk(stream) : NULL;
        if (!chunk) {
            mf_block_give(block);
            return -ENOMEM;
        }
        *chunk = (struct mf_h2_chunk){.block = block, .at = block->data, .own = true};
    }
    memcpy(chunk->block->data + (chunk->at - chunk->block->data) + chunk->len, data.ptr, data.len);
    chunk->len += (uint32_t)data.len;
    return 0;
}

static int keep(struct mf_h2_stream *stream, struct mf_slice data, struct mf_block *block, struct mf_sock *source)
{
    int rc = 0;
    if (data.len < OWN_MORE || (!block && !source)) {
        rc = keep_small(stream, data);
    } else {
        const uint8_t *at = data.ptr;
        struct mf_block *held = block ? mf_block_take(block) : mf_sock_hold(source, data, &at);
        struct mf_h2_chunk *chunk = held ? add_chunk(stream) : NULL;
        if (chunk)
            *chunk = (struct mf_h2_chunk){.block = held, .at = at, .len = (uint32_t)data.len};
        else
            mf_block_give(held);
        rc = chunk ? 0 : -ENOMEM;
    }
    if (rc == 0) {
        if (stream->queued == 0) {
            struct mf_conn *conn = &stream->conn->conn;
            stream->_moved = mf_local_now(conn->local);
            mf_conn_wait(conn, stream->_moved + conn->local->limits->stall_timeout * 1000000);
        }
        stream->queued += (uint32_t)data.len;
        mf_h2_core_queue(stream->conn, (int64_t)data.len);
    }
    return rc;
}

/* --- frames of it */

static bool has_room(const struct mf_h2_conn *h2)
{
    return mf_sock_pending(&h2->conn.sock) < h2->_quota && mf_conn_open(&h2->conn) && !h2->_failed;
}

/* There is more than the socket may have: on_drain tells when that has gone. */
static void fill(struct mf_h2_conn *h2)
{
    struct mf_loop_counts counts;
    mf_loop_counts(h2->conn.sock.loop, &counts);
    mf_sock_tell_drained(&h2->conn.sock);
    h2->_filled = true;
    h2->_filled_turn = counts.turns;
}

void mf_h2_send_drained(struct mf_h2_conn *h2)
{
    if (h2->_filled) {
        struct mf_loop_counts counts;
        mf_loop_counts(h2->conn.sock.loop, &counts);
        bool quick = counts.turns - h2->_filled_turn <= QUICK_TURNS;
        h2->_quota = !quick ? QUOTA_LEAST : h2->_quota < QUOTA_MOST ? 2 * h2->_quota : QUOTA_MOST;
        h2->_filled = false;
    }
    mf_h2_send_pump(h2);
}

/* One piece behind a head of its own, or of a frame that is longer. */
static int put_piece(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_block *block, struct mf_slice piece)
{
    struct mf_sock *sock = &h2->conn.sock;
    size_t front = head ? MF_H2_HEAD_LEN : 0;
    bool held = block && piece.len >= HOLD;
    uint8_t *to = mf_sock_reserve(sock, front + (held ? 0 : piece.len));
    if (!to)
        return -ENOMEM;
    if (head)
        mf_h2_put_head(to, head);
    if (!held && piece.len)
        memcpy(to + front, piece.ptr, piece.len);
    mf_sock_commit(sock, front + (held ? 0 : piece.len));
    return held ? mf_sock_write_block(sock, block, piece) : 0;
}

static void moved(struct mf_h2_stream *stream, size_t len)
{
    struct mf_h2_conn *h2 = stream->conn;
    bool before = mf_h2_conn_low(h2);
    stream->_out_window -= (int32_t)len;
    h2->_out_window -= (int64_t)len;
    if (!before && mf_h2_conn_low(h2))
        mf_h2_core_low(h2);
}

/* A frame of what waits; all or nothing. */
static int put_queued(struct mf_h2_stream *stream, uint32_t len, uint8_t flags)
{
    struct mf_h2_conn *h2 = stream->conn;
    struct mf_h2_head head = {len, stream->id, MF_H2_DATA, flags};
    const struct mf_h2_head *first = &head;
    int rc = 0;
    for (uint32_t left = len; left && rc == 0;) {
        struct mf_h2_chunk *chunk = stream->_first;
        uint32_t n = chunk->len < left ? chunk->len : left;
        rc = put_piece(h2, first, chunk->block, mf_slice_of(chunk->at, n));
        first = NULL;
        chunk->at += n;
        chunk->len -= n;
        left -= n;
        if (chunk->len == 0)
            drop_first(stream);
    }
    stream->queued -= len;
    stream->_cut -= stream->_cut ? len : 0;
    stream->_moved = mf_local_now(h2->conn.local);
    mf_h2_core_queue(h2, -(int64_t)len);
    moved(stream, len);
    return rc;
}

static void end_out(struct mf_h2_stream *stream)
{
    mf_h2_core_step(stream, MF_H2_OUT_END);
    if (stream->state == MF_H2_ENDED)
        mf_h2_core_finish(stream, &(struct mf_h2_end){.why = MF_H2_WHOLE});
}

/* All content has gone: what is left is the end. */
static int put_late(struct mf_h2_stream *stream)
{
    const struct mf_h2_frozen *late = mf_h2_frozen_of(stream->_late);
    return mf_h2_send_fields(stream->conn, stream->id, late->fields, late->marks, late->n, true, NULL);
}

static size_t may_send(const struct mf_h2_stream *stream)
{
    const struct mf_h2_conn *h2 = stream->conn;
    int64_t len = stream->queued, most = mf_list_empty(&h2->_turns) ? LONG : SHARE;
    len = len < most ? len : most;
    len = stream->_cut && stream->_cut < len ? stream->_cut : len;
    len = len < h2->peer.frame ? len : h2->peer.frame;
    len = len < stream->_out_window ? len : stream->_out_window;
    len = len < h2->_out_window ? len : h2->_out_window;
    return len > 0 ? (size_t)len : 0;
}

void mf_h2_send_turn(struct mf_h2_stream *stream)
{
    if (stream->queued && stream->_out_window > 0) {
        if (mf_list_empty(&stream->_turn))
            mf_list_push(&stream->conn->_turns, &stream->_turn);
    } else {
        mf_list_remove(&stream->_turn);
    }
}

/* The one whose turn it is. */
static void send_one(struct mf_h2_conn *h2)
{
    struct mf_h2_stream *stream = MF_CONTAINER(mf_list_shift(&h2->_turns), struct mf_h2_stream, _turn);
    uint32_t len = (uint32_t)may_send(stream), id = stream->id;
    bool all = len == stream->queued, last = all && stream->_end_queued && !stream->_late;
    int rc = put_queued(stream, len, last ? MF_H2_END_STREAM : 0);
    if (rc == 0 && all && stream->_late)
        rc = put_late(stream);
    if (rc < 0) {
        mf_conn_unwritten(&h2->conn);
        return;
    }
    last = last || (all && stream->_late);
    mf_h2_send_turn(stream);
    if (h2->_putting == stream)
        h2->_put += len;
    else
        h2->ops->on_sent(stream, len);
    if (last && mf_h2_core_find(h2, id) == stream)
        end_out(stream);
}

void mf_h2_send_pump(struct mf_h2_conn *h2)
{
    if (h2->_pumping)
        return;
    h2->_pumping = true;
    while (!mf_list_empty(&h2->_turns) && h2->_out_window > 0 && has_room(h2))
        send_one(h2);
    h2->_pumping = false;
    if (!mf_list_empty(&h2->_turns) && h2->_out_window > 0 && !h2->_filled && mf_conn_open(&h2->conn) && !h2->_failed)
        fill(h2);
}

/* --- what is put */

/* Nothing waits before it, and windows and socket have room for all of it in one frame. */
static bool goes_at_once(const struct mf_h2_stream *stream, size_t len)
{
    const struct mf_h2_conn *h2 = stream->conn;
    return stream->queued == 0 && mf_list_empty(&h2->_turns) && len <= SHARE && (int64_t)len <= stream->_out_window &&
           (int64_t)len <= h2->_out_window && has_room(h2);
}

static int put_at_once(struct mf_h2_stream *stream, struct mf_slice data, struct mf_block *block,
                       struct mf_sock *source, bool end)
{
    struct mf_h2_conn *h2 = stream->conn;
    struct mf_h2_head head = {(uint32_t)data.len, stream->id, MF_H2_DATA, end ? MF_H2_END_STREAM : 0};
    struct mf_block *held = NULL;
    if (!block && source && data.len >= HOLD) {
        block = held = mf_sock_hold(source, data, &data.ptr);
        if (!held)
            return -ENOMEM;
    }
    int rc = put_piece(h2, &head, block, data);
    mf_block_give(held);
    moved(stream, data.len);
    return rc;
}

long mf_h2_send_data(struct mf_h2_stream *stream, struct mf_slice data, struct mf_block *block, struct mf_sock *source,
                     bool end)
{
    struct mf_h2_conn *h2 = stream->conn;
    assert(!stream->_end_queued);
    stream->_end_queued = end;
    if (end && stream->_due)
        mf_h2_due_set(stream, 0);
    if (!mf_conn_open(&h2->conn))
        return MF_ECLOSED;
    if ((data.len == 0 && stream->queued == 0) || (data.len && goes_at_once(stream, data.len))) {
        int rc = data.len || end ? put_at_once(stream, data, block, source, end) : 0;
        if (rc < 0) {
            mf_conn_unwritten(&h2->conn);
            return rc;
        }
        if (end)
            end_out(stream);
        return (long)data.len;
    }
    int rc = data.len ? keep(stream, data, block, source) : 0;
    if (rc < 0) {
        mf_conn_unwritten(&h2->conn);
        return rc;
    }
    struct mf_h2_stream *before = h2->_putting;
    size_t put_before = h2->_put;
    h2->_putting = stream;
    h2->_put = 0;
    mf_h2_send_turn(stream);
    mf_h2_send_pump(h2);
    size_t put = h2->_put;
    h2->_putting = before;
    h2->_put = put_before;
    return (long)put;
}

int mf_h2_send_trailers(struct mf_h2_stream *stream, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                        uint32_t n, struct mf_h2_again *again)
{
    struct mf_h2_conn *h2 = stream->conn;
    assert(!stream->_end_queued);
    stream->_end_queued = true;
    if (stream->_due)
        mf_h2_due_set(stream, 0);
    if (stream->queued == 0) {
        int rc = mf_h2_send_fields(h2, stream->id, fields, marks, n, true, again);
        if (rc == 0)
            end_out(stream);
        return rc;
    }
    stream->_late = mf_h2_freeze(h2->conn.sock.loop, fields, marks, n); /* the table of fields is as it is when they are sent */
    if (!stream->_late) {
        mf_conn_unwritten(&h2->conn);
        return -ENOMEM;
    }
    mf_h2_core_queue(h2, mf_h2_core_late(stream));
    return 0;
}
