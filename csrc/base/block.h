#pragma once
/* block: bytes on the heap that several may hold, so that a large body is sent from where it arrived.
 *
 * Counted without atomics: a block never leaves the thread of its loop. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_block_spares;

struct mf_block {
    uint32_t _refs;
    bool _lent; /* counted by its spares until it is filled */
    size_t cap;
    struct mf_block_spares *_spares; /* where it goes when nobody holds it; NULL: freed */
    union {
        struct mf_block *of;    /* held: another one that it needs, given with it; NULL */
        struct mf_block *_next; /* spare */
    };
    uint8_t data[];
};

/* Long blocks that nobody holds, kept for the next long frames, by size: eight sizes between a length and its double, so
 * that a block is at most an eighth longer than what it was made for. `max` bounds all that holds no bytes of anyone:
 * what is kept and what is lent to a frame that has announced its length and not yet come. Zero-initialised keeps
 * nothing. */
enum { MF_BLOCK_LONG = 64 * 1024, MF_BLOCK_SIZES = 64 };
/* Short ones come and go with each call: they have all the same length, and some are kept beside that. */
enum { MF_BLOCK_SHORT = 512, MF_BLOCK_SHORTS = 4096 };
struct mf_block_spares {
    size_t max;
    size_t used;           /* bytes of all blocks that somebody holds */
    size_t _kept, _lent;   /* bytes */
    uint64_t refused;      /* blocks that were freed because of `max` */
    uint64_t _there;       /* a bit for each size of which there is one */
    struct mf_block *_short;
    uint32_t _n_short, _least_short;
    struct {
        struct mf_block *first;
        uint32_t n, least; /* how many are kept; the fewest since the last trim */
    } _sizes[MF_BLOCK_SIZES];
};

/* One reference, the caller's; NULL without memory. With `spares` (or NULL) it goes there when it is given up, so they
 * must outlive it. */
struct mf_block *mf_block_new(size_t cap, struct mf_block_spares *spares);
/* The least size of at least `cap`; `cap` itself where no such block is kept. */
size_t mf_block_size(size_t cap);
/* Lends a spare of at least `cap` and at most about twice that; NULL: there is none. */
struct mf_block *mf_block_lend(struct mf_block_spares *spares, size_t cap);
void mf_block_filled(struct mf_block *block); /* what it was lent for has come; of no effect on other blocks */
/* Frees the spares that were not needed since the last time. */
void mf_block_trim(struct mf_block_spares *spares);
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
