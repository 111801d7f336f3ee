#pragma once
/* h2_frozen: fields that outlive what they were read from: in one block, with what they were encoded to; or beside one, what
 * differs from it. */
#include "protocol/h2_share.h"
#include "protocol/h2_stream.h"

struct mf_h2_frozen {
    uint32_t n, size;         /* fields; bytes of all of it, and of what it is beside */
    int32_t timeout_ms;       /* what it says of its own time, the least; 0: nothing */
    bool noted;               /* a note keeps it, and what it was encoded to last */
    struct mf_h2_frozen *of;  /* not NULL: this has only the fields for the holes of that, in their order */
    struct mf_h2_again again;
    struct mf_h2_mark *marks;
    struct mf_pair fields[];
};

struct mf_h2_list {
    const struct mf_pair *fields;
    const struct mf_h2_mark *marks;
    uint32_t n;
};

/* A block with one reference, the caller's; NULL: no memory. `marks` may be NULL. */
struct mf_block *mf_h2_freeze(struct mf_loop *loop, const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n);
/* One like `of`, with other fields in its holes. */
struct mf_block *mf_h2_freeze_like(struct mf_loop *loop, struct mf_block *of, const struct mf_pair holes[MF_H2_HOLES]);
/* All fields of it, where they lie or in the share's room. */
struct mf_h2_list mf_h2_frozen_list(const struct mf_h2_frozen *frozen, const struct mf_h2_share *share);
/* A note lets go of it: nobody but calls that are under way has it from here on. */
void mf_h2_frozen_drop(struct mf_block *block);

static inline struct mf_h2_frozen *mf_h2_frozen_of(struct mf_block *block)
{
    return (struct mf_h2_frozen *)(void *)block->data;
}
