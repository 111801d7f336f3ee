#include "protocol/h2_held.h"

#include "base/block.h"
#include "call/govern.h"
#include "protocol/h2_frozen.h"

#include <errno.h>

enum { FIRST = 1024 };

static int append(struct mf_h2_held *held, struct mf_loop *loop, struct mf_slice data)
{
    size_t len = held->len + data.len;
    if (held->block ? len > held->block->cap : len > sizeof held->few) {
        size_t cap = FIRST;
        while (cap < len)
            cap *= 2;
        struct mf_block *block = mf_loop_block(loop, cap);
        if (!block)
            return -ENOMEM;
        if (held->len)
            memcpy(block->data, mf_h2_held_data(held).ptr, held->len);
        mf_block_give(held->block);
        held->block = block;
    }
    memcpy((held->block ? held->block->data : held->few) + held->len, data.ptr, data.len);
    held->len = (uint32_t)len;
    return 0;
}

static void count(struct mf_call *call, uint64_t more, uint64_t less)
{
    call->calls->kept += more - less;
    if (call->caller)
        call->caller->kept += more - less;
}

/* What need not be kept is not. */
static int lacking(struct mf_h2_held *held, struct mf_call *call, bool must)
{
    if (must)
        return -ENOMEM;
    MF_COUNT(call->calls->local, out_of_memory);
    mf_h2_held_let_go(held, call);
    return 0;
}

int mf_h2_held_add(struct mf_h2_held *held, struct mf_call *call, struct mf_slice data, bool must)
{
    struct mf_local *local = call->calls->local;
    const struct mf_limits *limits = local->limits;
    if (!must && !call->frame)
        return 0;
    bool much = held->len + data.len > limits->h2_kept, retries = much && mf_govern_keeps(call);
    if (retries)
        much = held->len + data.len > limits->retry_body;
    if (!must && (much || call->calls->kept + data.len > limits->max_kept)) {
        mf_atom64 *counter = retries ? &local->counters.limit_retry_body : &local->counters.limit_h2_kept;
        mf_count(much ? counter : &local->counters.limit_max_kept, 1);
        mf_h2_held_let_go(held, call);
        return 0;
    }
    if (data.len == 0)
        return 0;
    if (append(held, local->loop, data) < 0)
        return lacking(held, call, must);
    count(call, data.len, 0);
    return 0;
}

int mf_h2_held_trailers(struct mf_h2_held *held, struct mf_call *call, const struct mf_h2_head_in *head, bool must)
{
    if (!must && !call->frame)
        return 0;
    if (!must && call->calls->kept + head->block.len > call->calls->local->limits->max_kept) {
        MF_COUNT(call->calls->local, limit_max_kept);
        mf_h2_held_let_go(held, call);
        return 0;
    }
    held->trailers = mf_h2_freeze(call->calls->local->loop, head->fields, head->marks, head->n);
    if (!held->trailers)
        return lacking(held, call, must);
    count(call, mf_h2_frozen_of(held->trailers)->size, 0);
    return 0;
}

void mf_h2_held_let_go(struct mf_h2_held *held, struct mf_call *call)
{
    count(call, 0, held->len);
    if (held->trailers)
        count(call, 0, mf_h2_frozen_of(held->trailers)->size);
    mf_block_give(held->block);
    mf_block_give(held->trailers);
    held->block = held->trailers = NULL;
    held->len = 0;
    mf_call_unkeep(call);
}
