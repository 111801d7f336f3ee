#include "base/block.h"

#include "base/mem.h"

#include <assert.h>

struct mf_block *mf_block_new(size_t cap)
{
    struct mf_block *block = mf_alloc(sizeof *block + cap);
    if (block) {
        block->_refs = 1;
        block->cap = cap;
    }
    return block;
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
    if (block && --block->_refs == 0)
        mf_free(block);
}
