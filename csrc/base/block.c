#include "base/block.h"

#include "base/mem.h"

#include <assert.h>

struct mf_block *mf_block_new(size_t cap, struct mf_block_spares *spares)
{
    struct mf_block *block = mf_alloc(sizeof *block + cap);
    if (block) {
        block->_refs = 1;
        block->cap = cap;
        block->_spares = spares;
    }
    return block;
}

struct mf_block *mf_block_spare(struct mf_block_spares *spares, size_t cap)
{
    for (struct mf_block **at = &spares->_first; *at; at = &(*at)->_next) {
        struct mf_block *block = *at;
        if (block->cap < cap || block->cap / 4 >= cap)
            continue;
        *at = block->_next;
        spares->_bytes -= block->cap;
        block->_refs = 1;
        return block;
    }
    return NULL;
}

void mf_block_spares_free(struct mf_block_spares *spares)
{
    while (spares->_first) {
        struct mf_block *next = spares->_first->_next;
        mf_free(spares->_first);
        spares->_first = next;
    }
    spares->_bytes = 0;
}

struct mf_block *mf_block_grow(struct mf_block *block, size_t cap)
{
    assert(block->_refs == 1);
    struct mf_block *grown = mf_resize(block, sizeof *block + cap);
    if (grown)
        grown->cap = cap;
    return grown;
}

void mf_block_give(struct mf_block *block)
{
    if (!block || --block->_refs > 0)
        return;
    struct mf_block_spares *spares = block->_spares;
    if (!spares || block->cap < MF_BLOCK_LONG || spares->_bytes + block->cap > MF_BLOCK_SPARES) {
        mf_free(block);
        return;
    }
    block->_next = spares->_first;
    spares->_first = block;
    spares->_bytes += block->cap;
}
