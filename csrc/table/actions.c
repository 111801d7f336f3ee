#include "table/actions.h"

#include "table/bound.h"
#include "table/mirror.h"

struct mf_actions *mf_actions_new(void)
{
    struct mf_actions *actions = mf_zalloc(sizeof *actions);
    if (actions)
        mf_store_relaxed(&actions->_refs, 1);
    return actions;
}

void *mf_actions_alloc(struct mf_actions *actions, size_t size)
{
    return mf_arena_alloc(&actions->_pieces, size);
}

void mf_actions_take(struct mf_actions *actions)
{
    atomic_fetch_add_explicit(&actions->_refs, 1, memory_order_relaxed);
}

void mf_actions_give(struct mf_actions *actions)
{
    /* All uses of it come before it is freed, by whoever gives the last one back. */
    if (!actions || atomic_fetch_sub_explicit(&actions->_refs, 1, memory_order_acq_rel) != 1)
        return;
    mf_bound_let_go(actions);
    mf_mirror_let_go(actions);
    mf_arena_reset(&actions->_pieces);
    mf_free(actions);
}
