#pragma once
/* h2_frozen: fields that outlive what they were read from: in one block, with what they were encoded to. */
#include "protocol/h2_stream.h"

struct mf_h2_frozen {
    uint32_t n, size;         /* fields; bytes of all of it */
    int32_t timeout_ms;       /* what it says of its own time, the least; 0: nothing */
    bool noted;               /* a note keeps it, and what it was encoded to last */
    struct mf_h2_again again;
    struct mf_h2_mark *marks;
    struct mf_pair fields[];
};

/* A block with one reference, the caller's; NULL: no memory. */
struct mf_block *mf_h2_freeze(struct mf_loop *loop, const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n);
/* A note lets go of it: nobody but calls that are under way has it from here on. */
void mf_h2_frozen_drop(struct mf_block *block);

static inline struct mf_h2_frozen *mf_h2_frozen_of(struct mf_block *block)
{
    return (struct mf_h2_frozen *)(void *)block->data;
}
