#pragma once
/* pick: one available instance of a group, by weight. Private. */
#include "table/compiled.h"

enum { PICK_TRIES = 4 };

/* Exact and fair among those available, however many are not: two walks. Out of line: rarely needed. */
static __attribute__((noinline, unused)) struct mf_peer *pick_slowly(const struct mf_group *group, uint64_t random,
                                                                     uint64_t now)
{
    uint64_t total = 0, before = 0;
    struct mf_peer *last = NULL;
    for (uint32_t i = 0; i < group->n; before = group->members[i++].upto) {
        if (mf_peer_available(group->members[i].peer, now)) {
            total += group->members[i].upto - before;
            last = group->members[i].peer;
        }
    }
    if (!last)
        return NULL;
    uint64_t point = mf_hash_below(random, total);
    before = 0;
    for (uint32_t i = 0; i < group->n; before = group->members[i++].upto) {
        uint64_t weight = group->members[i].upto - before;
        if (!mf_peer_available(group->members[i].peer, now))
            continue;
        if (point < weight)
            return group->members[i].peer;
        point -= weight;
    }
    return last; /* some went down between the walks */
}

/* A member by its weight. `random` is moved on, so that another call picks anew. */
MF_ALWAYS_INLINE uint64_t pick_member(const struct mf_group *group, uint64_t *random)
{
    *random = mf_hash_mix(*random ^ MF_HASH_A, MF_HASH_B);
    if (group->each)
        return mf_hash_below(*random, group->n);
    uint64_t point = mf_hash_below(*random, group->total), at = 0, end = group->n;
    while (at < end) { /* the first with upto > point */
        uint64_t middle = (at + end) / 2;
        if (group->members[middle].upto > point)
            end = middle;
        else
            at = middle + 1;
    }
    return at;
}

MF_ALWAYS_INLINE struct mf_peer *pick(const struct mf_group *group, uint64_t random, uint64_t now)
{
    for (int i = 0; i < PICK_TRIES; i++) {
        struct mf_peer *peer = group->members[pick_member(group, &random)].peer;
        if (mf_peer_available(peer, now))
            return peer;
    }
    return pick_slowly(group, random, now);
}
