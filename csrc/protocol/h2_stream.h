#pragma once
/* h2_stream: one stream of an HTTP/2 connection, what comes of it and what a role does with it (h2_conn.h). */
#include "base/mem.h"
#include "codec/h2_fields.h"
#include "codec/h2_frame.h"
#include "loop/sock.h"

struct mf_h2_conn;
struct mf_h2_chunk;
struct mf_block;
struct mf_h2_like;

struct mf_h2_stream {
    struct mf_h2_conn *conn;
    struct mf_h2_stream *_next;       /* with the same hash */
    struct mf_list _turn;             /* on its connection's `_turns` while it has DATA and a window */
    struct mf_h2_chunk *_first, *_last; /* DATA that waits */
    struct mf_block *_late;           /* trailers that wait behind it (h2_frozen.h) */
    uint64_t _got;                    /* content so far */
    int64_t _length;                  /* what it is to be, or MF_H2_NO_LENGTH */
    uint64_t _moved;                  /* when some of what waits went last, or began to wait */
    uint32_t id;
    uint32_t queued;                  /* bytes that wait for windows, or for the socket */
    uint32_t _cut;                    /* of those, so many go before a frame may hold others; 0: any may */
    uint32_t _held, _window;          /* given to the role and not credited; the window that was given last */
    int32_t _out_window, _in_window;
    uint32_t _due;                    /* server: of the answer, what may come before it is asked for more */
    uint8_t state;                    /* enum mf_h2_state */
    bool head_in;                     /* the request, or an answer that is not interim, has come */
    bool _no_content;                 /* client: asked with HEAD */
    bool _end_queued;                 /* nothing more may be put */
    bool _grown;                      /* it was given more than it began with */
    uint16_t _empties;                /* DATA frames without content or end, in a row */
};

enum mf_h2_kind { MF_H2_REQUEST, MF_H2_INTERIM, MF_H2_RESPONSE, MF_H2_TRAILERS };

/* A whole block of fields that is well-formed. */
struct mf_h2_head_in {
    uint8_t kind; /* enum mf_h2_kind */
    bool ended;   /* the other side of the stream ends with it */
    bool over;    /* REQUEST only: more than h2HeaderList or h2Fields; `request` is not filled, and the role refuses it */
    uint32_t n;
    const struct mf_pair *fields;
    const struct mf_h2_mark *marks;
    struct mf_h2_request request;   /* REQUEST */
    struct mf_h2_response response; /* RESPONSE, INTERIM */
    struct mf_slice block;          /* as it came */
    uint64_t generation;            /* of the decoder's table before it */
    bool recalled;                  /* the same bytes came before, and were not decoded again */
    const struct mf_h2_like *like;  /* REQUEST: it is like this one that came before (h2_like.h); `request` and `note` are of
                                       that; or NULL */
    void **note;                    /* NULL, or a place where the role may keep what it makes of just these fields, as long
                                       as they are recalled: until on_forget */
};

enum mf_h2_why {
    MF_H2_WHOLE,   /* both sides have ended */
    MF_H2_BY_PEER, /* it reset the stream, or its GOAWAY left it out */
    MF_H2_BY_RULE, /* what it sent was an error of this stream: reset here */
    MF_H2_BY_ROLE, /* mf_h2_stream_reset */
    MF_H2_LOST,    /* the connection is gone, or about to be */
};
struct mf_h2_end {
    uint8_t why;    /* enum mf_h2_why */
    bool untouched; /* the peer certainly has not processed it: it may be asked elsewhere */
    uint32_t code;  /* enum mf_h2_code, or whatever the peer said */
    int rc;         /* BY_RULE, LOST: an error of ours, or 0 */
};

/* A block that was put, to be put again without being encoded, while the connection's table is as it was then. The role's,
 * zeroed at first, and kept with what the fields were made of: whoever passes it says that they are the same again, but for
 * the values of the fields at `holes`, which the role names in their order before it passes it first. Those stay out of the
 * table. */
enum { MF_H2_HOLES = 4 };
struct mf_h2_again {
    uint64_t conn, generation; /* which one's, and what its table was */
    uint32_t len;
    uint8_t *bytes;            /* without the holes */
    uint32_t n_holes;
    struct {
        uint32_t field, at;    /* which field; the bytes before it */
    } holes[MF_H2_HOLES];
};
/* What was put; its holes stay. */
static inline void mf_h2_stream_forget(struct mf_h2_again *again)
{
    mf_free(again->bytes);
    again->bytes = NULL;
    again->conn = again->len = 0;
}

/* In all that follows `again` may be NULL, and so may `marks`: then they are made.
 * Client: asks. NULL: no room (*rc MF_ELIMIT: on_room tells; MF_ECLOSED: on this connection never again), or no
 * memory. */
struct mf_h2_stream *mf_h2_stream_open(struct mf_h2_conn *h2, const struct mf_pair *fields,
                                       const struct mf_h2_mark *marks, uint32_t n, bool end,
                                       struct mf_h2_again *again, int *rc);
/* Server: an answer, interim or not; with `end` it has no content. 0, or an error: the connection is doomed. */
int mf_h2_stream_head(struct mf_h2_stream *stream, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                      uint32_t n, bool end, struct mf_h2_again *again);
/* Content. How many bytes went at once, or an error; on_sent tells of the rest. `source`: in whose input they lie, during
 * its on_read, so that long ones need not be copied; NULL: they are copied. */
long mf_h2_stream_data(struct mf_h2_stream *stream, struct mf_slice data, struct mf_sock *source, bool end);
/* The same from a block, of which it takes its own reference. */
long mf_h2_stream_block(struct mf_h2_stream *stream, struct mf_block *block, struct mf_slice data, bool end);
/* No frame holds content that was put before this and content behind. Of several such places the last counts, among what
 * waits. */
static inline void mf_h2_stream_cut(struct mf_h2_stream *stream)
{
    stream->_cut = stream->queued;
}
/* The end, behind the content. */
int mf_h2_stream_trailers(struct mf_h2_stream *stream, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                          uint32_t n, struct mf_h2_again *again);
/* Ends it; what waited is dropped. */
void mf_h2_stream_reset(struct mf_h2_stream *stream, uint32_t code);
/* The role has got rid of `len` bytes of what on_data gave. `room`: as many as may come before the next credit, where they
 * go: mf_h2_conn_share of the connection that they are put on, or mf_h2_due_offer. How many may come now, where it was given
 * more than it began with; else 0. */
size_t mf_h2_stream_credit(struct mf_h2_stream *stream, size_t len, size_t room);
