#pragma once
/* block: bytes on the heap that several may hold, so that a large body is sent from where it arrived.
 *
 * Counted without atomics: a block never leaves the thread of its loop. */
#include <stddef.h>
#include <stdint.h>

struct mf_block {
    uint32_t _refs;
    uint32_t _pad;
    size_t cap;
    uint8_t data[];
};

/* One reference, the caller's; NULL without memory. */
struct mf_block *mf_block_new(size_t cap);
/* Grows a block that only the caller holds; it may move. NULL: no memory, the old one is untouched. */
struct mf_block *mf_block_grow(struct mf_block *block, size_t cap);
void mf_block_give(struct mf_block *block); /* drops one reference; NULL is fine */

/* inline */

static inline struct mf_block *mf_block_take(struct mf_block *block)
{
    block->_refs++;
    return block;
}

static inline int mf_block_shared(const struct mf_block *block)
{
    return block->_refs > 1;
}
