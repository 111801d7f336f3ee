#pragma once
/* pick: one available instance of a group, by weight. Private. */
#include "table/compiled.h"
#include "table/plan.h"
#include "table/spare.h"

enum { PICK_TRIES = 4 };

static __attribute__((noinline, unused)) bool avoided(const struct mf_query *query, const struct mf_peer *peer)
{
    for (uint32_t i = 0; i < (query->n_avoid & ~(uint32_t)MF_SPARING); i++)
        if (query->avoid[i] == peer)
            return true;
    return query->n_avoid & MF_SPARING && mf_outlier_out(mf_spare_outlier(query), peer, query->now);
}

MF_ALWAYS_INLINE bool usable(const struct mf_peer *peer, const struct mf_query *query)
{
    if (!mf_peer_available(peer, query->now) && !(query->last_resort && mf_peer_takes(peer, query->now)))
        return false;
    return !(query->n_avoid && avoided(query, peer));
}

/* Exact and fair among those available, however many are not: two walks. Out of line: rarely needed. */
static __attribute__((noinline, unused)) struct mf_peer *pick_slowly(const struct mf_group *group,
                                                                     const struct mf_query *query,
                                                                     uint64_t random)
{
    struct mf_peer *const *peers = group->peers, *last = NULL;
    const uint64_t *sums = mf_group_sums(group);
    uint64_t total = 0, before = 0;
    for (uint32_t i = 0; i < group->n; before = sums[i++]) {
        if (usable(peers[i], query)) {
            total += sums[i] - before;
            last = peers[i];
        }
    }
    if (!last)
        return NULL;
    uint64_t point = mf_hash_below(random, total);
    before = 0;
    for (uint32_t i = 0; i < group->n; before = sums[i++]) {
        uint64_t weight = sums[i] - before;
        if (!usable(peers[i], query))
            continue;
        if (point < weight)
            return peers[i];
        point -= weight;
    }
    return last; /* some went down between the walks */
}

/* A member by its weight. `random` is moved on, so that another call picks anew. */
MF_ALWAYS_INLINE struct mf_peer *pick_member(const struct mf_group *group, uint64_t *random)
{
    if (group->n == 1)
        return group->peers[0];
    *random = mf_hash_mix(*random ^ MF_HASH_A, MF_HASH_B);
    if (group->each)
        return group->peers[mf_hash_below(*random, group->n)];
    const uint64_t *sums = mf_group_sums(group);
    uint64_t point = mf_hash_below(*random, mf_group_total(group)), at = 0, end = group->n;
    while (at < end) { /* the first whose sum is > point */
        uint64_t middle = (at + end) / 2;
        if (sums[middle] > point)
            end = middle;
        else
            at = middle + 1;
    }
    return group->peers[at];
}

MF_ALWAYS_INLINE struct mf_peer *pick_weighted(const struct mf_group *group, const struct mf_query *query)
{
    uint64_t random = query->random;
    for (int i = 0; i < PICK_TRIES; i++) {
        struct mf_peer *peer = pick_member(group, &random);
        if (usable(peer, query))
            return peer;
    }
    return pick_slowly(group, query, random);
}

/* Whether the target wants an instance of the own region, and none of the group is well. */
static inline bool pick_too_far(const struct mf_group *group, const struct mf_query *query,
                                const struct mf_ctarget *target)
{
    return target->on == MF_FALLBACK_NO_LOCAL && !(query->past_levels & MF_ANYWHERE) && !mf_plan_near(group, query->now);
}

static __attribute__((noinline, unused)) struct mf_peer *pick_planned(const struct mf_group *group,
                                                                      const struct mf_query *query,
                                                                      const struct mf_ctarget *target,
                                                                      struct mf_route *out)
{
    if (pick_too_far(group, query, target))
        return NULL;
    struct mf_peer *peer = mf_plan_pick(group, query);
    if (peer) {
        out->plan = mf_group_plan(group);
        out->governed = true;
    }
    return peer;
}

/* The two that a quick pick draws by one number: the same each time for a query. */
MF_ALWAYS_INLINE void pick_two(const struct mf_group *group, const struct mf_query *query, struct mf_peer *two[2])
{
    uint64_t random = mf_hash_mix(query->random ^ MF_HASH_A, MF_HASH_B), n = group->n;
    two[0] = group->peers[(random >> 32) * n >> 32];
    two[1] = group->quick == MF_QUICK_RANDOM ? two[0] : group->peers[(random & UINT32_MAX) * n >> 32];
}

/* Asks for what a pick by plan will read. True: it goes by a header's hash. That it says so keeps compilers from leaving
 * out calls that change nothing. */
static __attribute__((noinline, unused)) bool pick_fetch(const struct mf_group *group, const struct mf_query *query)
{
    struct mf_peer *two[2];
    if (group->quick == MF_QUICK_HASH) {
        __builtin_prefetch(&mf_group_plan(group)->hashing);
        return true;
    }
    __builtin_prefetch(mf_group_plan_place(group));
    if (group->quick == MF_QUICK_NOT)
        return false;
    pick_two(group, query, two);
    __builtin_prefetch(&two[0]->down_until);
    __builtin_prefetch(&two[1]->down_until);
    return false;
}

/* Whose place the hash is, as nearly always. */
static __attribute__((noinline, unused)) struct mf_peer *pick_hashed(const struct mf_group *group,
                                                                     const struct mf_query *query,
                                                                     const struct mf_ctarget *target,
                                                                     struct mf_route *out)
{
    const struct mf_plan *plan = mf_group_plan(group);
    uint64_t hash;
    struct mf_peer *peer = mf_affinity_plain(plan->hashing, query, &hash) ? mf_spread_hashed(plan->spread, hash) : NULL;
    if (!peer || !usable(peer, query))
        return pick_planned(group, query, target, out);
    out->plan = plan;
    out->governed = true;
    return peer;
}

/* Out of line, so that a group without a plan pays for no more than the question. */
static __attribute__((noinline, unused)) struct mf_peer *pick_by_plan(const struct mf_group *group,
                                                                      const struct mf_query *query,
                                                                      const struct mf_ctarget *target,
                                                                      struct mf_route *out)
{
    struct mf_peer *two[2];
    if (group->quick == MF_QUICK_HASH)
        return pick_hashed(group, query, target, out);
    if (group->quick == MF_QUICK_NOT)
        return pick_planned(group, query, target, out);
    pick_two(group, query, two);
    if (!usable(two[0], query) || !usable(two[1], query))
        return pick_planned(group, query, target, out);
    out->plan = mf_group_plan(group);
    out->governed = true;
    return two[mf_load_relaxed(&two[1]->in_flight) < mf_load_relaxed(&two[0]->in_flight)];
}

MF_ALWAYS_INLINE struct mf_peer *pick(const struct mf_group *group, const struct mf_query *query,
                                      const struct mf_ctarget *target, struct mf_route *out)
{
    if (__builtin_expect(group->planned, 0))
        return pick_by_plan(group, query, target, out);
    return pick_weighted(group, query);
}
