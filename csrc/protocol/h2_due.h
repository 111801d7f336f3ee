#pragma once
/* h2_due: what may still come of the answers that go out on a caller's connection, so that all of it has room there. */
#include "protocol/h2_conn.h"

/* How much may come of this stream's answer: a part of what neither waits on its connection nor is due to others there. */
static inline size_t mf_h2_due_offer(const struct mf_h2_stream *stream);
/* So much is due to it now, and nothing once its end is put. */
static inline void mf_h2_due_set(struct mf_h2_stream *stream, size_t due);


/* inline */

static inline size_t mf_h2_due_offer(const struct mf_h2_stream *stream)
{
    const struct mf_h2_conn *h2 = stream->conn;
    size_t offer = mf_h2_conn_part(h2, h2->_queued + h2->_due - stream->_due, MF_H2_HALF);
    size_t least = 2 * (size_t)h2->conn.local->limits->h2_first_window;
    if (offer >= least)
        return offer;
    size_t share = mf_h2_conn_share(h2);
    least = least < share ? least : share; /* or streams that are quiet would leave nothing for others */
    return offer > least ? offer : least;
}

static inline void mf_h2_due_set(struct mf_h2_stream *stream, size_t due)
{
    stream->conn->_due += (int64_t)due - (int64_t)stream->_due;
    stream->_due = (uint32_t)due;
}
