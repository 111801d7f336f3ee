#include "base/block.h"

#include "base/mem.h"

#include <assert.h>

enum { STEPS = 8 };

static struct mf_block *take_short(struct mf_block_spares *spares)
{
    struct mf_block *block = spares->_short;
    spares->_short = block->_next;
    if (--spares->_n_short < spares->_least_short)
        spares->_least_short = spares->_n_short;
    return block;
}

static bool keep_short(struct mf_block_spares *spares, struct mf_block *block)
{
    if (!spares || block->cap != MF_BLOCK_SHORT || spares->_n_short == MF_BLOCK_SHORTS)
        return false;
    block->_next = spares->_short;
    spares->_short = block;
    spares->_n_short++;
    return true;
}

struct mf_block *mf_block_new(size_t cap, struct mf_block_spares *spares)
{
    bool had = cap == MF_BLOCK_SHORT && spares && spares->_short;
    struct mf_block *block = had ? take_short(spares) : mf_alloc(sizeof *block + cap);
    if (block) {
        block->_refs = 1;
        block->_lent = false;
        block->of = NULL;
        block->cap = cap;
        block->_spares = spares;
        if (spares)
            spares->used += cap;
    }
    return block;
}

static size_t size_of(unsigned index)
{
    return ((size_t)MF_BLOCK_LONG + index % STEPS * (MF_BLOCK_LONG / STEPS)) << index / STEPS;
}

/* The longest size that `cap` holds; `cap` is at least MF_BLOCK_LONG. May be too large an index. */
static unsigned index_of(size_t cap)
{
    unsigned doubled = 63 - (unsigned)__builtin_clzll(cap / MF_BLOCK_LONG);
    return doubled * STEPS + (unsigned)(((cap >> doubled) - MF_BLOCK_LONG) / (MF_BLOCK_LONG / STEPS));
}

static unsigned index_for(size_t cap)
{
    if (cap <= MF_BLOCK_LONG)
        return 0;
    unsigned index = index_of(cap);
    return index + (index < MF_BLOCK_SIZES && size_of(index) < cap);
}

size_t mf_block_size(size_t cap)
{
    unsigned index = index_for(cap);
    return cap < MF_BLOCK_LONG || index >= MF_BLOCK_SIZES ? cap : size_of(index);
}

static struct mf_block *take_out(struct mf_block_spares *spares, unsigned index)
{
    struct mf_block *block = spares->_sizes[index].first;
    spares->_sizes[index].first = block->_next;
    if (!block->_next)
        spares->_there &= ~(UINT64_C(1) << index);
    if (--spares->_sizes[index].n < spares->_sizes[index].least)
        spares->_sizes[index].least = spares->_sizes[index].n;
    spares->_kept -= block->cap;
    return block;
}

struct mf_block *mf_block_lend(struct mf_block_spares *spares, size_t cap)
{
    unsigned index = index_for(cap);
    if (index >= MF_BLOCK_SIZES)
        return NULL;
    uint64_t fit = spares->_there >> index & ((UINT64_C(1) << STEPS) - 1);
    if (!fit)
        return NULL;
    struct mf_block *block = take_out(spares, index + (unsigned)__builtin_ctzll(fit));
    block->_refs = 1;
    block->of = NULL;
    block->_lent = true;
    spares->_lent += block->cap;
    spares->used += block->cap;
    return block;
}

void mf_block_filled(struct mf_block *block)
{
    if (!block->_lent)
        return;
    block->_lent = false;
    block->_spares->_lent -= block->cap;
}

void mf_block_trim(struct mf_block_spares *spares)
{
    for (uint32_t n = spares->_least_short; n > 0; n--)
        mf_free(take_short(spares));
    spares->_least_short = spares->_n_short;
    for (unsigned i = 0; i < MF_BLOCK_SIZES; i++) {
        for (uint32_t n = spares->_sizes[i].least; n > 0; n--)
            mf_free(take_out(spares, i));
        spares->_sizes[i].least = spares->_sizes[i].n;
    }
}

void mf_block_spares_free(struct mf_block_spares *spares)
{
    while (spares->_short)
        mf_free(take_short(spares));
    for (unsigned i = 0; i < MF_BLOCK_SIZES; i++)
        while (spares->_sizes[i].first)
            mf_free(take_out(spares, i));
}

struct mf_block *mf_block_grow(struct mf_block *block, size_t cap)
{
    assert(block->_refs == 1);
    mf_block_filled(block);
    struct mf_block *grown = mf_resize(block, sizeof *block + cap);
    if (!grown)
        return NULL;
    if (grown->_spares)
        grown->_spares->used += cap - grown->cap;
    grown->cap = cap;
    return grown;
}

void mf_block_give(struct mf_block *block)
{
    if (!block || --block->_refs > 0)
        return;
    mf_block_filled(block);
    if (block->of)
        mf_block_give(block->of);
    struct mf_block_spares *spares = block->_spares;
    if (spares)
        spares->used -= block->cap;
    unsigned index = block->cap < MF_BLOCK_LONG ? MF_BLOCK_SIZES : index_of(block->cap);
    if (!spares || index >= MF_BLOCK_SIZES) {
        if (!keep_short(spares, block))
            mf_free(block);
        return;
    }
    if (spares->_kept + spares->_lent + block->cap > spares->max) {
        spares->refused++;
        mf_free(block);
        return;
    }
    block->_next = spares->_sizes[index].first;
    spares->_sizes[index].first = block;
    spares->_sizes[index].n++;
    spares->_there |= UINT64_C(1) << index;
    spares->_kept += block->cap;
}
