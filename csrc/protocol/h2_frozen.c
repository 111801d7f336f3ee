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
        frozen->marks[i] = marks[i];
        frozen->fields[i].key = put(&to, fields[i].key);
        frozen->fields[i].value = put(&to, fields[i].value);
    }
    return block;
}

void mf_h2_frozen_drop(struct mf_block *block)
{
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(block);
    mf_h2_stream_forget(&frozen->again);
    frozen->noted = false;
    mf_block_give(block);
}
