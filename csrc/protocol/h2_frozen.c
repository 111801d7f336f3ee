#include "protocol/h2_frozen.h"

#include "base/block.h"

_Static_assert(offsetof(struct mf_block, data) % _Alignof(struct mf_h2_frozen) == 0, "a block may begin with one");

static struct mf_slice put(uint8_t **to, struct mf_slice text)
{
    uint8_t *at = *to;
    if (text.len)
        memcpy(at, text.ptr, text.len);
    *to += text.len;
    return mf_slice_of(at, text.len);
}

struct mf_block *mf_h2_freeze(struct mf_loop *loop, const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n)
{
    size_t size = sizeof(struct mf_h2_frozen) + n * (sizeof *fields + sizeof *marks);
    for (uint32_t i = 0; i < n; i++)
        size += fields[i].key.len + fields[i].value.len;
    struct mf_block *block = mf_loop_block(loop, size);
    if (!block)
        return NULL;
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(block);
    *frozen = (struct mf_h2_frozen){.n = n, .size = (uint32_t)size};
    frozen->marks = (struct mf_h2_mark *)(void *)(frozen->fields + n);
    uint8_t *to = (uint8_t *)(frozen->marks + n);
    for (uint32_t i = 0; i < n; i++) {
        frozen->marks[i] = marks ? marks[i] : mf_h2_mark_of(fields[i]);
        frozen->fields[i].key = put(&to, fields[i].key);
        frozen->fields[i].value = put(&to, fields[i].value);
    }
    return block;
}

struct mf_block *mf_h2_freeze_like(struct mf_loop *loop, struct mf_block *of, const struct mf_pair holes[MF_H2_HOLES])
{
    struct mf_h2_frozen *all = mf_h2_frozen_of(of);
    uint32_t n = all->again.n_holes;
    size_t size = sizeof(struct mf_h2_frozen) + n * sizeof *holes;
    for (uint32_t i = 0; i < n; i++)
        size += holes[i].value.len;
    struct mf_block *block = mf_loop_block(loop, size);
    if (!block)
        return NULL;
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(block);
    frozen->n = n;
    frozen->size = all->size + (uint32_t)size;
    frozen->timeout_ms = all->timeout_ms;
    frozen->noted = false;
    frozen->of = all;
    block->of = mf_block_take(of);
    uint8_t *to = (uint8_t *)(frozen->fields + n);
    for (uint32_t i = 0; i < n; i++) {
        frozen->fields[i].key = all->fields[all->again.holes[i].field].key;
        frozen->fields[i].value = put(&to, holes[i].value);
    }
    return block;
}

struct mf_h2_list mf_h2_frozen_list(const struct mf_h2_frozen *frozen, const struct mf_h2_share *share)
{
    const struct mf_h2_frozen *all = frozen->of;
    if (!all)
        return (struct mf_h2_list){frozen->fields, frozen->marks, frozen->n};
    memcpy(share->fields, all->fields, all->n * sizeof *all->fields);
    memcpy(share->marks, all->marks, all->n * sizeof *all->marks);
    for (uint32_t i = 0; i < frozen->n; i++)
        share->fields[all->again.holes[i].field] = frozen->fields[i];
    return (struct mf_h2_list){share->fields, share->marks, all->n};
}

void mf_h2_frozen_drop(struct mf_block *block)
{
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(block);
    mf_h2_stream_forget(&frozen->again);
    frozen->noted = false;
    mf_block_give(block);
}
