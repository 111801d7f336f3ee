#pragma once
/* h2_share: what a worker's HTTP/2 connections share: room to decode one block of fields, to change and to encode one, and
 * memory of streams that have ended; and HTTP/2 as a pool's dialer. */
#include "base/pages.h"
#include "call/pool.h"
#include "codec/change.h"
#include "codec/hpack.h"

enum { MF_H2_ADDED = 32 + MF_CHANGE_FIELDS }; /* fields that are added to a message at most: by us, by a rule */
/* Streams of a burst are taken again by the next one; of those that nothing came for, few are kept. */
enum { MF_H2_SPARES = 8192, MF_H2_SPARES_QUIET = 256 };

struct mf_h2_share {
    struct mf_dialer dialer; /* first */
    struct mf_local *local;
    struct mf_calls *calls;
    struct mf_pair *shown;     /* fields of one request as policy looks them up */
    struct mf_pair *fields;    /* of one message as it goes on: room for those that may come, and MF_H2_ADDED */
    struct mf_h2_mark *marks;
    struct mf_hpack_room room; /* one block is read at a time */
    size_t scratch_used;       /* of the last one */
    uint64_t secret;           /* of hashes of what strangers choose */
    uint64_t n_conns;          /* ever */
    uint64_t n_answers;        /* blocks of fields of answers that were numbered, ever (h2_ask.h) */
    uint8_t *joined;           /* h2Block bytes: a block that came in pieces */
    uint8_t *encoded;          /* one that is longer than a frame */
    size_t encoded_len;
    uint8_t *path;             /* of one request, as a rule rewrites it; NULL before the first */
    size_t path_room;
    struct mf_pages tables;    /* of fields, those in use: a decoder's and an encoder's */
    struct {
        void **of;             /* MF_H2_SPARES of them; made with the first one */
        uint32_t size, n;
    } spare[2];                /* of streams, by size: that of the ends that ask, and of those that are asked */
};

/* `ops`: h2_up's, or NULL where nothing is dialled. 0 or -ENOMEM; disposed of in either case. */
int mf_h2_share_init(struct mf_h2_share *share, const struct mf_dialer_ops *ops, uint32_t index, struct mf_local *local,
                     struct mf_calls *calls);
void mf_h2_share_dispose(struct mf_h2_share *share);
/* Room for a block of `len` bytes, until the next call; NULL: no memory. */
uint8_t *mf_h2_share_encoded(struct mf_h2_share *share, size_t len);
/* Memory of a stream, of one of two sizes, whose first `zeroed` bytes are; NULL. */
void *mf_h2_share_take(struct mf_h2_share *share, bool server, size_t size, size_t zeroed);
void mf_h2_share_give(struct mf_h2_share *share, bool server, size_t size, void *stream);
/* A connection has had no stream for a while: what a burst has left is given back. */
void mf_h2_share_quiet(struct mf_h2_share *share);
