#include "protocol/h2_stream.h"

#include "protocol/h2_send.h"

#include <assert.h>
#include <errno.h>

struct mf_h2_stream *mf_h2_stream_open(struct mf_h2_conn *h2, const struct mf_pair *fields,
                                       const struct mf_h2_mark *marks, uint32_t n, bool end,
                                       struct mf_h2_again *again, int *rc)
{
    assert(!h2->server);
    if (mf_h2_conn_room(h2) == 0) {
        *rc = h2->leaving || h2->next_id > INT32_MAX || !mf_conn_open(&h2->conn) ? MF_ECLOSED : MF_ELIMIT;
        h2->_full = true;
        return NULL;
    }
    struct mf_h2_stream *stream = mf_h2_core_add(h2, h2->next_id);
    if (!stream) {
        *rc = -ENOMEM;
        return NULL;
    }
    h2->next_id += 2;
    for (uint32_t i = 0; i < n && fields[i].key.len && fields[i].key.ptr[0] == ':'; i++)
        if (mf_slice_eq(fields[i].key, MF_SLICE(":method")))
            stream->_no_content = mf_slice_eq(fields[i].value, MF_SLICE("HEAD"));
    MF_COUNT(h2->conn.local, h2_streams_out);
    mf_h2_core_step(stream, MF_H2_OUT_HEADERS);
    if (end) {
        stream->_end_queued = true;
        mf_h2_core_step(stream, MF_H2_OUT_END);
    }
    (void)mf_h2_send_fields(h2, stream->id, fields, marks, n, end, again); /* or the connection's end is the stream's, too */
    return stream;
}

int mf_h2_stream_head(struct mf_h2_stream *stream, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                      uint32_t n, bool end, struct mf_h2_again *again)
{
    assert(!stream->_end_queued && stream->conn->server);
    if (end)
        return mf_h2_send_trailers(stream, fields, marks, n, again);
    mf_h2_core_step(stream, MF_H2_OUT_HEADERS);
    return mf_h2_send_fields(stream->conn, stream->id, fields, marks, n, false, again);
}

long mf_h2_stream_data(struct mf_h2_stream *stream, struct mf_slice data, struct mf_sock *source, bool end)
{
    return mf_h2_send_data(stream, data, NULL, source, end);
}

long mf_h2_stream_block(struct mf_h2_stream *stream, struct mf_block *block, struct mf_slice data, bool end)
{
    return mf_h2_send_data(stream, data, block, NULL, end);
}

int mf_h2_stream_trailers(struct mf_h2_stream *stream, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                          uint32_t n, struct mf_h2_again *again)
{
    return mf_h2_send_trailers(stream, fields, marks, n, again);
}

void mf_h2_stream_reset(struct mf_h2_stream *stream, uint32_t code)
{
    struct mf_h2_conn *h2 = stream->conn;
    uint32_t id = stream->id;
    if (mf_conn_open(&h2->conn)) {
        mf_h2_core_step(stream, MF_H2_OUT_RESET);
        if (stream->state == MF_H2_RESET)
            mf_h2_core_remember(h2, id);
        mf_h2_core_give_up(h2, id, code);
    }
    mf_h2_core_finish(stream, &(struct mf_h2_end){.why = MF_H2_BY_ROLE, .code = code});
}

size_t mf_h2_stream_credit(struct mf_h2_stream *stream, size_t len, size_t room)
{
    struct mf_h2_conn *h2 = stream->conn;
    size_t due;
    assert(len <= stream->_held);
    stream->_held -= (uint32_t)len;
    h2->_held -= (int64_t)len;
    room = room > MF_H2_PART_LEAST ? room : MF_H2_PART_LEAST; /* or it would stand still for ever */
    due = mf_h2_core_refill(stream, room < MF_H2_WINDOW_MOST ? room : MF_H2_WINDOW_MOST);
    if (h2->server && !h2->_failed)
        mf_h2_core_credit(h2);
    return due;
}
