#pragma once
/* h2_held: what has come of a request behind its head, kept while it waits for a provider, and until one has answered:
 * whoever has not looked at it does not get the only copy. */
#include "call/call.h"
#include "protocol/h2_stream.h"

enum { MF_H2_HELD_FEW = 128 };

struct mf_h2_held {
    struct mf_block *block;    /* where it is more than a few bytes */
    struct mf_block *trailers; /* frozen */
    uint32_t len;
    uint8_t few[MF_H2_HELD_FEW]; /* last: nothing of it counts before it is written */
};

/* `must`: it has not been sent yet; else what is too much to keep is let go of, and with it the call's frame. 0 or
 * -ENOMEM. */
int mf_h2_held_add(struct mf_h2_held *held, struct mf_call *call, struct mf_slice data, bool must);
int mf_h2_held_trailers(struct mf_h2_held *held, struct mf_call *call, const struct mf_h2_head_in *head, bool must);
/* It is not needed any more, nor is the call's frame. */
void mf_h2_held_let_go(struct mf_h2_held *held, struct mf_call *call);

static inline struct mf_slice mf_h2_held_data(const struct mf_h2_held *held)
{
    return mf_slice_of(held->block ? held->block->data : held->few, held->len);
}
