#pragma once
/* block: bytes on the heap that several may hold, so that a large body is sent from where it arrived.
 *
 * Counted without atomics: a block never leaves the thread of its loop. */
#include <stddef.h>
#include <stdint.h>

struct mf_block_spares;

struct mf_block {
    uint32_t _refs;
    uint32_t _pad;
    size_t cap;
    struct mf_block_spares *_spares; /* where it goes when nobody holds it; NULL: freed */
    struct mf_block *_next;
    uint8_t data[];
};

/* Long blocks that nobody holds, kept for the next long frame: one that grew into its length was copied
 * once over. Zero-initialised is empty. */
struct mf_block_spares {
    struct mf_block *_first;
    size_t _bytes;
};
enum { MF_BLOCK_LONG = 64 * 1024, MF_BLOCK_SPARES = 8 * 1024 * 1024 }; /* what is kept: from this length on; at most */

/* One reference, the caller's; NULL without memory. With `spares` (or NULL) it goes there when it is given up, so they
 * must outlive it. */
struct mf_block *mf_block_new(size_t cap, struct mf_block_spares *spares);
/* A spare of at least `cap`, but not of four times that; or NULL. */
struct mf_block *mf_block_spare(struct mf_block_spares *spares, size_t cap);
void mf_block_spares_free(struct mf_block_spares *spares);
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
