#pragma once
/* share: from half of a limit on nobody gets more than callShare times what is left of it, so that there is always something
 * left for the others, however many take as much as they can. */
#include "call/pool.h"

/* Not counting this call. */
int mf_share_ask(struct mf_call *call, const struct mf_pool *pool, uint32_t own, uint32_t all);

/* Whether a call may go there. 0; MF_EROUTE_FULL: another peer may help; MF_ELIMIT: none would. */
static inline int mf_share_check(struct mf_call *call, const struct mf_pool *pool)
{
    uint32_t own = call->caller ? call->caller->n_calls - 1 : 0, all = call->calls->n_live - 1;
    if (all <= call->calls->half && own <= call->calls->half_own) /* nearly always */
        return 0;
    return mf_share_ask(call, pool, own, all);
}
