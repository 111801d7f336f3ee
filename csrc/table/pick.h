#pragma once
/* pick: one available instance of a group, by weight. Private. */
#include "table/compiled.h"
#include "table/route.h"

enum { PICK_TRIES = 4 };

static __attribute__((noinline, unused)) bool avoided(const struct mf_query *query, const struct mf_peer *peer)
{
    for (uint32_t i = 0; i < query->n_avoid; i++)
        if (query->avoid[i] == peer)
            return true;
    return false;
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

MF_ALWAYS_INLINE struct mf_peer *pick(const struct mf_group *group, const struct mf_query *query)
{
    uint64_t random = query->random;
    for (int i = 0; i < PICK_TRIES; i++) {
        struct mf_peer *peer = pick_member(group, &random);
        if (usable(peer, query))
            return peer;
    }
    return pick_slowly(group, query, random);
}
