#pragma once
/* level: the members of a group by locality: in levels, of which the first has all calls while enough of it is well, and
 * each further one what those before it cannot take. Shares are Envoy's, in whole percent, by live health. Private.
 *
 * A view is one order of the members. There is a second one where part of the calls is moved from a data centre to another.
 * Shares are worked out by a reader that finds them old, at most every MF_LEVELS_EVERY_NS; nobody waits for it. */
#include "table/balance.h"
#include "table/compiled.h"
#include "table/outlier.h"
#include "table/pick.h"

#define MF_LEVELS_EVERY_NS UINT64_C(10000000)
/* However well all are: heals what two readers that worked at once may have left. */
#define MF_LEVELS_AGAIN_NS UINT64_C(1000000000)

enum { MF_LEVELS_PANIC = 128 };

struct mf_part { /* a locality in a level */
    mf_atom64 live; /* its weight, as far as its members are well */
    mf_atom32 well; /* members that are */
    bool local;     /* in the own region */
    double weight;
    uint32_t from, upto;      /* members */
    uint32_t number;          /* its locality's, as in mf_place */
    struct mf_spread *spread; /* or NULL: it is never drawn */
};

struct mf_level {
    uint32_t from, upto; /* members */
    uint32_t first, end; /* parts */
    bool quick;          /* its members are alike, and so are its parts */
    struct mf_spread *spread;
};

struct mf_view {
    uint32_t n_levels, n_parts;
    bool weighted; /* in a level a locality is drawn first, by its weight */
    uint8_t panic; /* percent: below so many well ones, all are used */
    mf_atom64 *loads; /* eight levels in one: the percent of calls up to and with each, and MF_LEVELS_PANIC */
    struct mf_level *levels;
    struct mf_part *parts;
    struct mf_peer **peers;
    uint64_t *sums;
};

struct mf_levels {
    const mf_atom64 *health; /* the table's count of changes */
    struct mf_outlier *outlier; /* or NULL */
    mf_atom64 seen;          /* up to which of them the shares were worked out */
    mf_atom64 until;         /* they hold until then: a rest ends */
    mf_atom64 at;            /* when somebody last began to work them out */
    mf_atom32 local;         /* members in the own region that are well */
    uint32_t moved;          /* percent of calls that take the second view */
    uint32_t quick;          /* enum mf_quick: how a level that is quick is chosen from */
    struct mf_view *views[2];
};

/* Of a group whose n-th member has the policy's place `members[n]`, by its locality and balancer, which are kept. `outlier`
 * (may be NULL) knows who is out. NULL: no memory. */
struct mf_levels *mf_levels_new(const mf_atom64 *health, const struct mf_policy *policy, struct mf_outlier *outlier,
                                const struct mf_group *group, const uint32_t *members);
void mf_levels_free(struct mf_levels *levels); /* NULL: nothing */
/* With all that it points at, in one piece. NULL: no memory. */
struct mf_policy_locality *mf_levels_copy(const struct mf_policy_locality *policy);

/* Works the shares out anew, unless that was done a moment ago. */
void mf_levels_refresh(struct mf_levels *levels, uint64_t now, uint64_t health);
/* A usable member, or NULL where no level has one. What is hashed keeps its level as long as shares stay. */
struct mf_peer *mf_levels_pick(struct mf_levels *levels, struct mf_draw *draw);

/* As mf_cluster_levels. */
uint32_t mf_levels_tell(struct mf_levels *levels, uint64_t now, struct mf_level_told *out, uint32_t room);

/* inline */

MF_ALWAYS_INLINE void mf_levels_look(struct mf_levels *levels, uint64_t now)
{
    /* Acquire pairs with the release in mf_peer_changed: who sees the count sees the health that it counts. */
    uint64_t health = mf_load_acquire(levels->health);
    /* And this one with that in refresh: with the count come the shares. */
    if (__builtin_expect(health != mf_load_acquire(&levels->seen) || now >= mf_load_relaxed(&levels->until), 0))
        mf_levels_refresh(levels, now, health);
}

/* The percent up to and with a level, and MF_LEVELS_PANIC. */
MF_ALWAYS_INLINE uint32_t mf_levels_load(const struct mf_view *view, uint32_t level)
{
    return (uint8_t)(mf_load_relaxed(&view->loads[level / 8]) >> level % 8 * 8);
}

/* A usable member where that is quickly told, as mostly; else NULL. */
MF_ALWAYS_INLINE struct mf_peer *mf_levels_quick(struct mf_levels *levels, const struct mf_query *query)
{
    if (levels->quick == MF_QUICK_NOT || query->past_levels)
        return NULL;
    mf_levels_look(levels, query->now);
    if (levels->outlier && mf_outlier_any(levels->outlier, query->now))
        return NULL;
    const struct mf_view *view = levels->views[0];
    uint64_t key = mf_hash_mix(query->random ^ MF_HASH_B, MF_HASH_B), word = mf_load_relaxed(&view->loads[0]);
    uint32_t percent = (uint32_t)(key % 100) + 1, at = 0;
    while (at + 1 < view->n_levels && (word & 127) < percent) {
        word >>= 8;
        at++;
    }
    const struct mf_level *level = &view->levels[at];
    if ((word & MF_LEVELS_PANIC) || !level->quick)
        return NULL;
    uint64_t random = mf_hash_mix(query->random ^ MF_HASH_A, MF_HASH_B), n = level->upto - level->from;
    struct mf_peer *const *peers = view->peers + level->from;
    struct mf_peer *one = peers[(random >> 32) * n >> 32];
    if (!usable(one, query))
        return NULL;
    if (levels->quick == MF_QUICK_RANDOM)
        return one;
    struct mf_peer *other = peers[(random & UINT32_MAX) * n >> 32];
    if (!usable(other, query))
        return NULL;
    return mf_load_relaxed(&other->in_flight) < mf_load_relaxed(&one->in_flight) ? other : one;
}

/* Whether any member in the own region is well. */
MF_ALWAYS_INLINE bool mf_levels_near(struct mf_levels *levels, uint64_t now)
{
    mf_levels_look(levels, now);
    return mf_load_relaxed(&levels->local) > 0;
}
