#pragma once
/* h2_core: what all parts of an HTTP/2 connection do: look a stream up, begin and end one, write a frame that waits for
 * nothing, give windows back, and end the connection for what the peer did. */
#include "protocol/h2_conn.h"
#include "protocol/h2_frozen.h"
#include "protocol/h2_like.h"
#include "protocol/h2_memo.h"

/* The state of the stream `id`, and itself where it is alive, else NULL. */
enum mf_h2_state mf_h2_core_state(const struct mf_h2_conn *h2, uint32_t id, struct mf_h2_stream **stream);
struct mf_h2_stream *mf_h2_core_find(const struct mf_h2_conn *h2, uint32_t id);
/* Alive, and idle; NULL: no memory. */
struct mf_h2_stream *mf_h2_core_add(struct mf_h2_conn *h2, uint32_t id);
/* Its memory is gone after this. */
void mf_h2_core_finish(struct mf_h2_stream *stream, const struct mf_h2_end *end);
/* One of our own events, in a state that allows it. */
void mf_h2_core_step(struct mf_h2_stream *stream, enum mf_h2_event event);
/* The stream `id` was reset by us before its peer ended. */
void mf_h2_core_remember(struct mf_h2_conn *h2, uint32_t id);

/* A control frame: waits for no window. */
void mf_h2_core_put(struct mf_h2_conn *h2, const uint8_t *frame, size_t len);
/* The connection ends: GOAWAY, an end for each stream, and a moment later the socket. */
void mf_h2_core_fail(struct mf_h2_conn *h2, enum mf_h2_code code, int rc);
/* A limit bit: the same with ENHANCE_YOUR_CALM. */
#define MF_H2_CORE_CALM(h2, limit)                                                                                     \
    (MF_COUNT((h2)->conn.local, limit), mf_h2_core_fail(h2, MF_H2_ENHANCE_YOUR_CALM, MF_ELIMIT))
/* RST_STREAM for what the peer did on a stream that is alive, or on another: either is taken off h2Resets. */
void mf_h2_core_refuse(struct mf_h2_stream *stream, enum mf_h2_code code, int rc);
/* Its reader takes nothing of what waits for it. */
void mf_h2_core_shed(struct mf_h2_stream *stream);
void mf_h2_core_refuse_id(struct mf_h2_conn *h2, uint32_t id, enum mf_h2_code code);
void mf_h2_core_rst(struct mf_h2_conn *h2, uint32_t id, uint32_t code);
/* It ends in good order: its last word, as all streams have had their end. */
void mf_h2_core_farewell(struct mf_h2_conn *h2);
/* RST_STREAM that is not the peer's doing: a thousand calls may time out in one moment, and h2Controls is not for those. */
void mf_h2_core_give_up(struct mf_h2_conn *h2, uint32_t id, uint32_t code);
/* One reset that the peer caused. False: one too many, and the connection has failed. */
bool mf_h2_core_spend(struct mf_h2_conn *h2);
/* As mf_h2_conn_goaway. */
void mf_h2_core_goaway(struct mf_h2_conn *h2, bool final);
/* The PING behind a first GOAWAY: whoever answers it has seen that. */
#define MF_H2_CORE_GOAWAY_PING UINT64_C(0x6d657368676f6177)
/* From so many streams on they are asked for ahead. */
enum { MF_H2_CORE_MANY = 64 };
/* A table of fields that nobody used for so long is kept packed. */
#define MF_H2_CORE_QUIET_NS UINT64_C(1000000000)
/* No more streams: the connection ends when there is none. */
void mf_h2_core_leave(struct mf_h2_conn *h2);

/* Answers mostly come in the order of their requests, whose streams are in the far cache where there are thousands. */
static inline void mf_h2_core_fetch(const struct mf_h2_conn *h2, uint32_t id)
{
    if (h2->n_streams < MF_H2_CORE_MANY || !h2->ops->fetch)
        return;
    const struct mf_h2_stream *next = h2->_slots[(id / 2 + 1) & h2->_mask], *soon = h2->_slots[(id / 2 + 2) & h2->_mask];
    if (next)
        h2->ops->fetch(next, true);
    if (soon)
        h2->ops->fetch(soon, false);
    mf_fetch(h2->_slots[(id / 2 + 4) & h2->_mask], sizeof *next);
}

/* From now on it is to be seen whether a window that is low is given back. */
static inline void mf_h2_core_low(struct mf_h2_conn *h2)
{
    h2->_low_since = mf_local_now(h2->conn.local);
    h2->_given = 0;
}

/* The connection's window, as far as it is to be given back. */
void mf_h2_core_credit(struct mf_h2_conn *h2);
/* A stream's window, once half of it is used and passed on: `room` at most are to be under way or held, and twice the last. */
size_t mf_h2_core_refill(struct mf_h2_stream *stream, size_t room);
/* The peer has acknowledged our settings. */
void mf_h2_core_acked(struct mf_h2_conn *h2);
/* Both tables of fields. */
struct mf_h2_tables {
    struct mf_hpack_decoder decoder;
    struct mf_hpack_encoder encoder;
    struct mf_pages_piece room;
    void *packed; /* both, while nothing happens; NULL: they are in `room` */
    struct mf_h2_memos memos;
    struct mf_h2_likes likes; /* of requests */
};
int mf_h2_core_make_tables(struct mf_h2_conn *h2);
/* They are there and unpacked: 0 or -ENOMEM. */
static inline int mf_h2_core_tables(struct mf_h2_conn *h2)
{
    return h2->_tables && !h2->_tables->packed ? 0 : mf_h2_core_make_tables(h2);
}
/* Nothing happens: only what they hold is kept. Without memory they stay as they are. */
void mf_h2_core_pack(struct mf_h2_conn *h2);
void mf_h2_core_drop_tables(struct mf_h2_conn *h2);

/* DATA that waits: a part of a block. */
struct mf_h2_chunk {
    struct mf_h2_chunk *next;
    struct mf_block *block;
    const uint8_t *at;
    uint32_t len;
    bool own; /* made for small pieces: what is behind them is free */
};

/* Bytes of trailers that wait behind its content. */
static inline int64_t mf_h2_core_late(const struct mf_h2_stream *stream)
{
    return stream->_late ? mf_h2_frozen_of(stream->_late)->size : 0;
}

/* Content, or trailers behind it, waits for the peer, so much more or less. */
static inline void mf_h2_core_queue(struct mf_h2_conn *h2, int64_t change)
{
    h2->_queued += change;
    mf_conn_keep(&h2->conn, change);
}
