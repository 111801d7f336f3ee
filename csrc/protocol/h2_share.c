#include "protocol/h2_share.h"

#include "base/mem.h"
#include "codec/h2_shown.h"

#include <errno.h>

/* A stream is asked for so many before its turn to be taken. */
enum { AHEAD = 4, ENCODED_KEPT = 65536 };

int mf_h2_share_init(struct mf_h2_share *share, const struct mf_dialer_ops *ops, uint32_t index, struct mf_local *local,
                     struct mf_calls *calls)
{
    const struct mf_limits *limits = local->limits;
    *share = (struct mf_h2_share){.dialer = {ops, index}, .local = local, .calls = calls, .secret = local->random};
    mf_pages_init(&share->tables, mf_hpack_decoder_room(MF_HPACK_TABLE) + mf_hpack_encoder_room(MF_HPACK_TABLE));
    struct mf_hpack_room *room = &share->room;
    room->max_fields = (uint32_t)limits->h2_fields;
    room->max_size = (uint32_t)limits->h2_header_list;
    room->scratch_len = room->max_size;
    room->fields = mf_alloc(room->max_fields * sizeof *room->fields);
    room->marks = mf_alloc(room->max_fields * sizeof *room->marks);
    room->scratch = mf_alloc(room->scratch_len);
    share->joined = mf_alloc((size_t)limits->h2_block);
    share->shown = mf_alloc(MF_H2_SHOWN_ROOM(room->max_fields + MF_H2_ADDED) * sizeof *share->shown);
    share->fields = mf_alloc((room->max_fields + MF_H2_ADDED) * sizeof *share->fields);
    share->marks = mf_alloc((room->max_fields + MF_H2_ADDED) * sizeof *share->marks);
    bool reads = room->fields && room->marks && room->scratch && share->joined;
    return reads && share->shown && share->fields && share->marks ? 0 : -ENOMEM;
}

static void trim(struct mf_h2_share *share, uint32_t most)
{
    for (int i = 0; i < 2; i++)
        while (share->spare[i].n > most)
            mf_free(share->spare[i].of[--share->spare[i].n]);
}

void mf_h2_share_quiet(struct mf_h2_share *share)
{
    trim(share, MF_H2_SPARES_QUIET);
}

void mf_h2_share_dispose(struct mf_h2_share *share)
{
    trim(share, 0);
    mf_free(share->spare[0].of);
    mf_free(share->spare[1].of);
    mf_pages_dispose(&share->tables);
    mf_free(share->shown);
    mf_free(share->fields);
    mf_free(share->marks);
    mf_free(share->room.fields);
    mf_free(share->room.marks);
    mf_free(share->room.scratch);
    mf_free(share->joined);
    mf_free(share->encoded);
    mf_free(share->path);
}

uint8_t *mf_h2_share_encoded(struct mf_h2_share *share, size_t len)
{
    bool shrink = share->encoded_len > ENCODED_KEPT && len <= ENCODED_KEPT; /* one giant is not kept for all to come */
    if (len > share->encoded_len || shrink) {
        mf_free(share->encoded);
        share->encoded_len = len > ENCODED_KEPT ? len : ENCODED_KEPT;
        share->encoded = mf_alloc(share->encoded_len);
        if (!share->encoded)
            share->encoded_len = 0;
    }
    return share->encoded;
}

void *mf_h2_share_take(struct mf_h2_share *share, bool server, size_t size, size_t zeroed)
{
    uint32_t n = share->spare[server].n;
    if (n == 0 || share->spare[server].size != size)
        return mf_zalloc(size);
    void *stream = share->spare[server].of[--share->spare[server].n];
    if (n > AHEAD)
        mf_fetch(share->spare[server].of[n - 1 - AHEAD], size);
    memset(stream, 0, zeroed);
    return stream;
}

void mf_h2_share_give(struct mf_h2_share *share, bool server, size_t size, void *stream)
{
    if (!share->spare[server].of)
        share->spare[server].of = mf_alloc(MF_H2_SPARES * sizeof(void *));
    bool other = share->spare[server].n && share->spare[server].size != size;
    if (!share->spare[server].of || other || share->spare[server].n == MF_H2_SPARES) {
        mf_free(stream);
        return;
    }
    share->spare[server].of[share->spare[server].n++] = stream;
    share->spare[server].size = (uint32_t)size;
}
