#pragma once
/* h2_conn: an HTTP/2 connection and its streams, RFC 9113, either end: frames, states, windows, tables of fields, and what
 * a peer may not do. Knows no call.
 *
 * A role is a struct that begins with an mf_h2_conn, with streams that begin with an mf_h2_stream, and a table of
 * functions. What it must know:
 * 1. Each stream gets one on_end, always and last; after it the stream is gone. Any function here that ends a stream
 *    calls it before it returns: what puts the end of what we send where the peer has ended, a reset, a lost connection.
 * 2. DATA that a role was given counts against its stream until the role says that it has got rid of it
 *    (mf_h2_stream_credit): so a slow reader slows its own stream down. A stream begins with little (h2FirstWindow) and gets
 *    more as it is passed on and as there is room. The connection's window is given back as bytes arrive where we asked, so
 *    that no stream takes it from others; where we were asked, what is not passed on counts against it.
 * 3. What is put may be kept until windows allow it; on_sent says when it has gone.
 * 4. Slices that a role is given end with the call; the data lies in the socket's input (mf_sock_hold).
 * 5. No function here may be called once the connection is lost, and streams are not to be kept by pointer beyond
 *    on_end. */
#include "call/conn.h"
#include "protocol/h2_cancels.h"
#include "protocol/h2_share.h"
#include "protocol/h2_state.h"
#include "protocol/h2_stream.h"

enum { MF_H2_PART_LEAST = 4096 };
/* What one stream may take of what is left: where that is all that others have, too; and where what each may still bring
 * is taken off before. */
enum { MF_H2_EIGHTH = 8, MF_H2_HALF = 2 };

struct mf_h2_tables;

struct mf_h2_ops {
    size_t stream_size, stream_zeroed; /* of the role's struct; and how much of it is zeroed before it is used */
    void (*on_head)(struct mf_h2_stream *stream, const struct mf_h2_head_in *head);
    /* `data` may be empty where it is the end. */
    void (*on_data)(struct mf_h2_stream *stream, struct mf_slice data, bool ended);
    void (*on_sent)(struct mf_h2_stream *stream, size_t len); /* of what had to wait, so much has gone */
    void (*on_end)(struct mf_h2_stream *stream, const struct mf_h2_end *end);
    /* The rest may be NULL. */
    void (*fetch)(const struct mf_h2_stream *stream, bool next); /* it will be spoken of soon, or next */
    void (*on_ready)(struct mf_h2_conn *h2);  /* the peer's SETTINGS are known: streams may be opened */
    void (*on_room)(struct mf_h2_conn *h2);   /* mf_h2_stream_open had no room, and has */
    void (*on_credit)(struct mf_h2_conn *h2, uint32_t more); /* the connection's window has grown, and nothing has gone yet */
    void (*on_goaway)(struct mf_h2_conn *h2, const struct mf_h2_goaway *goaway); /* no more streams; those left out have
                                                                                   had their on_end */
    void (*on_pong)(struct mf_h2_conn *h2);   /* the answer to mf_h2_conn_ping */
    void (*on_lost)(struct mf_h2_conn *h2, int rc); /* streams have had their on_end */
    void (*on_forget)(struct mf_h2_conn *h2, void *note); /* what was kept at `note` of a head, and is not recalled any more */
    void (*on_timer)(struct mf_h2_conn *h2, uint64_t now);
    void (*on_readonly)(struct mf_h2_conn *h2, bool readonly); /* as mf_conn_ops */
};

/* What the peer has announced. */
struct mf_h2_peer {
    uint32_t max_streams, window, frame, header_list;
};

struct mf_h2_conn {
    struct mf_conn conn; /* first */
    const struct mf_h2_ops *ops;
    struct mf_h2_share *share;
    struct mf_h2_peer peer;
    bool server;            /* they ask, we answer */
    bool ready;             /* the peer's SETTINGS have come */
    bool leaving;           /* GOAWAY, theirs or the last of ours: no more streams, and the end with the last of them */
    uint64_t serial;        /* of a worker's HTTP/2 connections, from 1 on */
    uint32_t n_streams;     /* alive */
    uint32_t next_id;       /* client: of the next stream */
    uint32_t _left_out;     /* client: from which id on its peer's GOAWAY left out all; 0: none */
    uint32_t last_in;       /* server: the highest that was opened; client: that was promised */

    bool _preface, _acked, _failed, _goaway_sent, _goaway_final, _full, _filled, _pumping, _eof;
    uint8_t _n_reset;
    int _rc;                /* why it failed */
    uint32_t _reset[16];    /* streams that we reset before their peer ended: the latest, ... */
    uint32_t _reset_below;  /* ... and the highest of those that had no place there any more */
    uint64_t _used;         /* server: which of the 64 ids up to last_in were opened */
    struct mf_h2_stream **_slots; /* by id; `_mask` + 1, a power of two */
    uint32_t _mask;
    struct mf_h2_stream *_few[4];
    struct mf_h2_stream *_now; /* whose frame is being heeded; NULL once it has ended */
    struct mf_h2_stream *_putting;
    size_t _put;            /* bytes of it that went at once */

    struct mf_list _turns;  /* streams that have DATA to send and a window for it, who is next first */
    int64_t _out_window, _in_window, _in_most, _held, _queued, _due;
    uint64_t _low_since;    /* since when so little is left of `_out_window`, or as much was given back last, ... */
    uint64_t _given;        /* ... and what was since then */
    size_t _quota;          /* DATA that may lie in the socket */
    uint64_t _filled_turn;

    uint32_t _tokens;       /* of h2Resets */
    struct mf_h2_cancels _cancels; /* server */
    uint32_t _controls;
    uint16_t _empties;      /* server: on streams that are not alive */
    uint64_t _controls_mark; /* bytes sent by when all control frames of `_controls` have gone */
    uint64_t _tokens_at, _settings_by, _quiet_since;
    uint64_t _pings;        /* sent, the number of the last */
    struct mf_h2_tables *_tables; /* of fields; NULL: nothing was said yet */
};

/* Takes over an accepted connection, or one that is being made, whose struct is zeroed behind the mf_conn: preface and
 * SETTINGS are queued in one write. */
void mf_h2_conn_begin(struct mf_h2_conn *h2, const struct mf_h2_ops *ops, struct mf_h2_share *share, bool server);
/* What one stream's content may take of the room for all that is put on this connection and waits: the less, the more
 * waits there, so that there is always some for who comes new. */
static inline size_t mf_h2_conn_share(const struct mf_h2_conn *h2);
/* How many more streams may be opened now. */
static inline uint32_t mf_h2_conn_room(const struct mf_h2_conn *h2);
/* Whether one may be. Where not, on_room tells when it may. */
static inline bool mf_h2_conn_takes(struct mf_h2_conn *h2);
/* Whether content that is put now would probably have to wait until the peer has read what others have sent. */
enum mf_h2_window {
    MF_H2_WINDOW_OPEN,
    MF_H2_WINDOW_LOW,     /* it is low, which says nothing yet of a peer that reads */
    MF_H2_WINDOW_USED_UP, /* so it is for h2WindowWait, and not even as much was given back */
};
static inline enum mf_h2_window mf_h2_conn_window(const struct mf_h2_conn *h2);
/* Its windows have room for so much content. */
static inline bool mf_h2_conn_goes(const struct mf_h2_stream *stream, size_t len);
/* Bytes that the role was given and has not got rid of. */
static inline uint64_t mf_h2_conn_held(const struct mf_h2_conn *h2);
/* Server: its peer takes back much of what it asks. */
static inline bool mf_h2_conn_rash(struct mf_h2_conn *h2);
/* Server: a call was worth its while, and makes up for one that was reset. */
static inline void mf_h2_conn_make_up(struct mf_h2_conn *h2);
/* No more streams: at first GOAWAY(2^31-1), and when the peer has seen that (it answers a PING), or with `final`, the last
 * id; then the connection ends with its last stream. A client says 0 at once. */
void mf_h2_conn_goaway(struct mf_h2_conn *h2, bool final);
/* on_pong tells when the peer has answered. */
void mf_h2_conn_ping(struct mf_h2_conn *h2);


/* inline */

static inline uint32_t mf_h2_conn_room(const struct mf_h2_conn *h2)
{
    if (!h2->ready || h2->leaving || h2->n_streams >= h2->peer.max_streams || !mf_conn_open(&h2->conn))
        return 0;
    uint32_t left = h2->peer.max_streams - h2->n_streams, ids = (UINT32_C(0x80000001) - h2->next_id) / 2;
    return left < ids ? left : ids;
}

static inline bool mf_h2_conn_takes(struct mf_h2_conn *h2)
{
    h2->_full = mf_h2_conn_room(h2) == 0;
    return !h2->_full;
}

enum { MF_H2_CONN_LOW = MF_H2_WINDOW / 8 };

static inline bool mf_h2_conn_low(const struct mf_h2_conn *h2)
{
    return h2->_out_window < MF_H2_CONN_LOW;
}

static inline enum mf_h2_window mf_h2_conn_window(const struct mf_h2_conn *h2)
{
    if (!mf_h2_conn_low(h2))
        return MF_H2_WINDOW_OPEN;
    const struct mf_local *local = h2->conn.local;
    bool waited = mf_local_now(local) - h2->_low_since >= local->limits->h2_window_wait * 1000000;
    return waited ? MF_H2_WINDOW_USED_UP : MF_H2_WINDOW_LOW;
}

static inline bool mf_h2_conn_goes(const struct mf_h2_stream *stream, size_t len)
{
    return (int64_t)len <= stream->_out_window && (int64_t)len <= stream->conn->_out_window;
}

static inline uint64_t mf_h2_conn_held(const struct mf_h2_conn *h2)
{
    return (uint64_t)h2->_held;
}

static inline bool mf_h2_conn_rash(struct mf_h2_conn *h2)
{
    return mf_h2_cancels_rash(&h2->_cancels, mf_local_now(h2->conn.local), h2->conn.local->limits);
}

static inline void mf_h2_conn_make_up(struct mf_h2_conn *h2)
{
    h2->_tokens += h2->_tokens < h2->conn.local->limits->h2_resets;
    mf_h2_cancels_answered(&h2->_cancels, mf_local_now(h2->conn.local), h2->conn.local->limits);
}

/* Of what is left of the connection's bound; while the worker is near maxMemory nobody is asked for more than a little. */
static inline size_t mf_h2_conn_part(const struct mf_h2_conn *h2, int64_t used, int64_t divisor)
{
    if (h2->conn.local->budget.since)
        return MF_H2_PART_LEAST;
    int64_t part = (h2->_in_most - used) / divisor, window = (int64_t)h2->conn.local->limits->h2_stream_window;
    part = part < window ? part : window;
    return part > MF_H2_PART_LEAST ? (size_t)part : MF_H2_PART_LEAST;
}

static inline size_t mf_h2_conn_share(const struct mf_h2_conn *h2)
{
    return mf_h2_conn_part(h2, h2->_queued, MF_H2_EIGHTH);
}
