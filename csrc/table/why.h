#pragma once
/* why: what is said of a group that a decision comes to: why it is passed over, and by what an instance of it is chosen.
 * Private. */
#include "table/pick.h"
#include "table/rule.h"

/* Why a group without a usable peer is passed over. */
MF_ALWAYS_INLINE enum mf_route_step_kind lack_of(const struct mf_group *group, const struct mf_query *query,
                                                 const struct mf_http_view *http, const struct mf_ctarget *target)
{
    const struct mf_group *others = http ? mf_group_dubbo(group) : mf_group_http(group);
    if (group->n && pick_too_far(group, query, target))
        return MF_STEP_FAR;
    return group->n ? MF_STEP_DOWN : others->n ? MF_STEP_NO_PORT : MF_STEP_EMPTY;
}

/* By which text its instance is chosen, where it is by one. */
MF_ALWAYS_INLINE void note_hash(const struct mf_group *group, const struct mf_query *query, uint32_t r, uint32_t t,
                                struct mf_route_steps *steps)
{
    if (!steps || !group->planned)
        return;
    const struct mf_policy_balancer *balancer = mf_group_plan(group)->balancer;
    struct mf_slice text;
    uint64_t hash;
    if (!balancer || balancer->kind != MF_BALANCER_HASH || mf_affinity_asks(balancer))
        return;
    if (balancer->by == MF_HASH_ARGUMENT && !query->argument) /* nobody said what it has */
        return;
    bool found = mf_affinity_find(balancer, query, &hash, &text);
    note(steps, found ? MF_STEP_HASH : MF_STEP_NO_HASH, r, 0, 0, t, text);
}
