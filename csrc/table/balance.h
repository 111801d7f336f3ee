#pragma once
/* balance: which of some members of a group takes a call, as a policy says: by chance, in turn, by calls in flight, by what
 * the call says. Of those alone that can be used; who has just come gets less (warm-up). What is chosen from is fixed; only
 * whose turn it is changes, and that all workers share. */
#include "table/affinity.h"
#include "table/maglev.h"
#include "table/peer.h"
#include "table/balancer.h"

/* One choice on its way: made by mf_draw_begin. */
struct mf_draw {
    const struct mf_query *query;
    uint64_t random; /* moved on by each use */
    uint64_t hash;
    bool hashed;     /* `hash` is what the call says: equal calls go to one member */
};

/* Some members of a group, which lie together there. Mostly one cache line is read of it. */
struct mf_spread {
    _Alignas(MF_CACHE_LINE) uint8_t balancer; /* enum mf_balancer */
    bool even;                                /* all weigh the same, or weights do not count */
    bool warms;                               /* the policy has a warm-up */
    uint32_t n;
    struct mf_peer *const *peers;
    const uint64_t *sums; /* of weights, as in the group */
    uint64_t before;      /* the sum before the first */
    uint64_t total;
    union {
        struct mf_maglev *maglev; /* HASH */
        uint16_t *turns;          /* ROUND_ROBIN: whose turn it is, `period` of them; or NULL */
    };
    union {
        uint64_t period;
        uint64_t stride; /* where there is no `turns` */
        struct {
            uint32_t places, width; /* as in `maglev`, which is a line of its own */
        };
    };
    const struct mf_policy_balancer *policy;
    _Alignas(MF_CACHE_LINE) mf_atom64 turn;
};

/* `policy`, `peers` and `sums` (of these members, which go on from `before`) are kept. NULL: no memory. */
struct mf_spread *mf_spread_new(const struct mf_policy_balancer *policy, struct mf_peer *const *peers,
                                const uint64_t *sums, uint64_t before, uint32_t n);
void mf_spread_free(struct mf_spread *spread); /* NULL: nothing */

/* One of them that can be used, or NULL. */
struct mf_peer *mf_spread_pick(const struct mf_spread *spread, struct mf_draw *draw);

/* inline */

/* Of HASH, with more than one: the place that this hash has, and whose it is. */
static inline const void *mf_spread_place(const struct mf_spread *spread, uint64_t hash)
{
    return spread->maglev->_places + mf_hash_below(hash, spread->places) * spread->width;
}

static inline struct mf_peer *mf_spread_at(const struct mf_spread *spread, const void *place)
{
    return spread->peers[mf_maglev_of(place, spread->width)];
}

static inline struct mf_peer *mf_spread_hashed(const struct mf_spread *spread, uint64_t hash)
{
    return mf_spread_at(spread, mf_spread_place(spread, hash));
}

/* `policy`: NULL: nothing is hashed. */
static inline struct mf_draw mf_draw_begin(const struct mf_policy_balancer *policy, const struct mf_query *query)
{
    uint64_t hash = 0;
    bool hashed = policy && policy->kind == MF_BALANCER_HASH && mf_affinity_find(policy, query, &hash, NULL);
    return (struct mf_draw){.query = query, .random = query->random, .hash = hash, .hashed = hashed};
}
