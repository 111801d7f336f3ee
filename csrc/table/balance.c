#include "table/balance.h"

#include "base/mem.h"
#include "table/pick.h"

#include <errno.h>
#include <time.h>

enum {
    TRIES = 4,      /* draws before all are looked at */
    HASHES = 16,    /* places that are tried where who is hashed to cannot be used */
    WALK = 16,      /* members of unequal weights that are weighed one by one; of more two are drawn by weight */
    TURNS = 1024,   /* the longest round that is written down */
    STEPS = 65536,  /* and how much work that may be */
    AHEAD = 64,     /* how far who cannot be used is passed over in a round that is not */
    FULL = 65535,
};

/* --- what is made of a policy */

static uint64_t weight_of(const struct mf_spread *spread, uint32_t i)
{
    return spread->sums[i] - (i ? spread->sums[i - 1] : spread->before);
}

static uint64_t common(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Whoever is due first, and after a turn again 1/weight later: of those that are due at once, who waited longer. */
static void write_turns(struct mf_spread *spread, uint16_t *turns, uint64_t *had, uint64_t *last)
{
    for (uint32_t t = 0; t < spread->period; t++) {
        uint32_t first = 0;
        for (uint32_t i = 1; i < spread->n; i++) {
            uint64_t mine = (had[i] + 1) * weight_of(spread, first), its = (had[first] + 1) * weight_of(spread, i);
            if (mine < its || (mine == its && last[i] < last[first]))
                first = i;
        }
        turns[t] = (uint16_t)first;
        had[first]++;
        last[first] = t + 1;
    }
}

/* Short rounds are written down; of long ones each turn is reckoned, so that turns are spread and all come in a round. */
static int make_round(struct mf_spread *spread)
{
    uint64_t unit = 0;
    for (uint32_t i = 0; i < spread->n; i++)
        unit = common(weight_of(spread, i), unit);
    uint64_t period = spread->total / unit;
    if (period > TURNS || period * spread->n > STEPS) {
        spread->stride = (uint64_t)((double)spread->total * 0.6180339887498949);
        while (common(spread->stride, spread->total) != 1)
            spread->stride++;
        return 0;
    }
    uint64_t *room = mf_zalloc(2 * spread->n * sizeof *room);
    spread->turns = mf_alloc(period * sizeof *spread->turns);
    spread->period = period;
    if (room && spread->turns)
        write_turns(spread, spread->turns, room, room + spread->n);
    mf_free(room);
    return room && spread->turns ? 0 : -ENOMEM;
}

static int make_places(struct mf_spread *spread)
{
    uint32_t size = spread->policy->places ? spread->policy->places : mf_maglev_size(spread->n);
    struct mf_maglev_member *members = mf_alloc(spread->n * sizeof *members);
    for (uint32_t i = 0; members && i < spread->n; i++)
        members[i] = (struct mf_maglev_member){mf_slice_str(spread->peers[i]->text), (uint32_t)weight_of(spread, i)};
    spread->maglev = members ? mf_maglev_new(members, spread->n, size) : NULL;
    mf_free(members);
    if (!spread->maglev)
        return -ENOMEM;
    spread->places = spread->maglev->size;
    spread->width = spread->maglev->width;
    return 0;
}

/* Not all sidecars are to begin with the same one. */
static uint64_t first_turn(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return mf_hash_mix((uint64_t)now.tv_nsec ^ MF_HASH_A, MF_HASH_B) >> 32;
}

struct mf_spread *mf_spread_new(const struct mf_policy_balancer *policy, struct mf_peer *const *peers,
                                const uint64_t *sums, uint64_t before, uint32_t n)
{
    struct mf_spread *spread = mf_zalloc_line(sizeof *spread);
    if (!spread)
        return NULL;
    spread->balancer = policy->kind;
    spread->n = n;
    spread->peers = peers;
    spread->sums = sums;
    spread->before = before;
    spread->total = n ? sums[n - 1] - before : 0;
    spread->policy = policy;
    spread->warms = policy->warmup_ns != 0;
    spread->even = true;
    mf_store_relaxed(&spread->turn, first_turn());
    for (uint32_t i = 1; i < n && policy->kind != MF_BALANCER_RANDOM; i++)
        spread->even &= weight_of(spread, i) == weight_of(spread, 0);
    int rc = 0;
    if (n > 1 && policy->kind == MF_BALANCER_HASH)
        rc = make_places(spread);
    else if (policy->kind == MF_BALANCER_ROUND_ROBIN && !spread->even)
        rc = make_round(spread);
    if (rc == 0)
        return spread;
    mf_spread_free(spread);
    return NULL;
}

void mf_spread_free(struct mf_spread *spread)
{
    if (!spread)
        return;
    if (spread->balancer == MF_BALANCER_HASH)
        mf_maglev_free(spread->maglev);
    else
        mf_free(spread->turns);
    mf_free_line(spread);
}

/* --- one choice */

static inline uint64_t next_random(struct mf_draw *draw)
{
    return draw->random = mf_hash_mix(draw->random ^ MF_HASH_A, MF_HASH_B);
}

static inline bool fits(const struct mf_draw *draw, const struct mf_peer *peer)
{
    return usable(peer, draw->query);
}

/* The share of its weight that it has, of FULL. */
static inline uint32_t warmth(const struct mf_spread *spread, const struct mf_draw *draw, const struct mf_peer *peer)
{
    if (__builtin_expect(!spread->warms, 1))
        return FULL;
    uint64_t whole = spread->policy->warmup_ns;
    uint64_t since = mf_peer_well_since(peer), now = draw->query->now, passed = now > since ? now - since : 0;
    return passed >= whole ? FULL : spread->policy->warmth[mf_hash_below(passed * (UINT64_MAX / whole), MF_WARMUP_STEPS)];
}

/* The first member up to whom the weights are more than `point`. */
static uint32_t at_point(const struct mf_spread *spread, uint64_t point)
{
    uint32_t at = 0, end = spread->n;
    point += spread->before;
    while (at < end) {
        uint32_t middle = (at + end) / 2;
        if (spread->sums[middle] > point)
            end = middle;
        else
            at = middle + 1;
    }
    return at;
}

static uint32_t by_weight(const struct mf_spread *spread, uint64_t random)
{
    return spread->even ? (uint32_t)mf_hash_below(random, spread->n)
                        : at_point(spread, mf_hash_below(random, spread->total));
}

/* Draws again where who was drawn is warming up and has had its share. */
static inline bool takes_part(const struct mf_spread *spread, struct mf_draw *draw, const struct mf_peer *peer)
{
    uint32_t warm = warmth(spread, draw, peer);
    return __builtin_expect(warm == FULL, 1) || mf_hash_below(next_random(draw), FULL) < warm;
}

/* --- those that can be used, weighed one by one: exact, whoever cannot be */

/* Its share in this choice; more than 0 where it can be used. */
static inline uint64_t score(const struct mf_spread *spread, const struct mf_draw *draw, const struct mf_peer *peer,
                             uint64_t weight)
{
    if (!fits(draw, peer))
        return 0;
    uint64_t share = weight << 16;
    if (spread->warms)
        share = share * warmth(spread, draw, peer) / FULL;
    if (spread->balancer == MF_BALANCER_LEAST_REQUEST) {
        uint32_t busy = mf_load_relaxed(&peer->in_flight);
        share = busy == 0 ? share : busy == 1 ? share / 2 : share / (busy + 1);
    }
    return share + (share == 0);
}

static __attribute__((noinline)) struct mf_peer *weigh_few(const struct mf_spread *spread, struct mf_draw *draw)
{
    uint64_t upto[WALK], total = 0;
    for (uint32_t i = 0; i < spread->n; i++)
        upto[i] = total += score(spread, draw, spread->peers[i], spread->even ? 1 : weight_of(spread, i));
    uint64_t point = mf_hash_below(next_random(draw), total);
    uint32_t at = 0;
    for (uint32_t i = 0; i < spread->n; i++)
        at += upto[i] <= point;
    return total ? spread->peers[at] : NULL;
}

static __attribute__((noinline)) struct mf_peer *weigh_all(const struct mf_spread *spread, struct mf_draw *draw)
{
    struct mf_peer *chosen = NULL;
    uint64_t total = 0;
    if (spread->n <= WALK)
        return weigh_few(spread, draw);
    for (uint32_t i = 0; i < spread->n; i++) {
        uint64_t share = score(spread, draw, spread->peers[i], spread->even ? 1 : weight_of(spread, i));
        total += share;
        if (share && mf_hash_below(next_random(draw), total) < share)
            chosen = spread->peers[i];
    }
    return chosen;
}

/* --- the balancers */

/* The number of one that can be used; `n`: none was found. */
static inline uint32_t by_chance(const struct mf_spread *spread, struct mf_draw *draw)
{
    for (int k = 0; k < TRIES; k++) {
        uint32_t i = by_weight(spread, next_random(draw));
        if (fits(draw, spread->peers[i]) && takes_part(spread, draw, spread->peers[i]))
            return i;
    }
    return spread->n;
}

static struct mf_peer *drawn(const struct mf_spread *spread, struct mf_draw *draw)
{
    uint32_t i = by_chance(spread, draw);
    return i < spread->n ? spread->peers[i] : NULL;
}

static inline uint32_t whose_turn(const struct mf_spread *spread, uint64_t turn)
{
    if (spread->even)
        return (uint32_t)turn % spread->n;
    if (spread->turns)
        return spread->turns[(uint32_t)turn % (uint32_t)spread->period];
    return at_point(spread, turn % spread->total * spread->stride % spread->total);
}

/* Who cannot be used has had its turn. */
static struct mf_peer *in_turn(const struct mf_spread *spread, struct mf_draw *draw)
{
    mf_atom64 *place = (mf_atom64 *)(uintptr_t)&spread->turn;
    bool peek = draw->query->peek;
    uint64_t turn = peek ? mf_load_relaxed(place) : atomic_fetch_add_explicit(place, 1, memory_order_relaxed);
    uint32_t round = spread->even ? spread->n : spread->turns ? (uint32_t)spread->period : AHEAD;
    for (uint32_t i = 0; i < round; i++) {
        struct mf_peer *peer = spread->peers[whose_turn(spread, turn + i)];
        if (!fits(draw, peer) || !takes_part(spread, draw, peer))
            continue;
        if (i && !peek)
            atomic_fetch_add_explicit(place, i, memory_order_relaxed);
        return peer;
    }
    return NULL;
}

static struct mf_peer *least_busy(const struct mf_spread *spread, struct mf_draw *draw)
{
    if (spread->even && !spread->warms) { /* as nearly always: two by one draw */
        uint64_t random = next_random(draw), n = spread->n;
        struct mf_peer *a = spread->peers[(random >> 32) * n >> 32], *b = spread->peers[(random & UINT32_MAX) * n >> 32];
        if (__builtin_expect(fits(draw, a) && fits(draw, b), 1))
            return mf_load_relaxed(&b->in_flight) < mf_load_relaxed(&a->in_flight) ? b : a;
    }
    if (!spread->even && spread->n <= WALK)
        return weigh_few(spread, draw);
    uint32_t one = by_chance(spread, draw), other = by_chance(spread, draw);
    if (one == spread->n || other == spread->n)
        return one < spread->n ? spread->peers[one] : NULL;
    uint64_t busy = mf_load_relaxed(&spread->peers[one]->in_flight);
    uint64_t rival = mf_load_relaxed(&spread->peers[other]->in_flight);
    if (!spread->even) { /* for their weights; who has none wins by chance alone */
        busy *= weight_of(spread, other);
        rival *= weight_of(spread, one);
    }
    return spread->peers[rival < busy ? other : one];
}

/* Where who is hashed to cannot be used, the call is hashed anew: others keep theirs, and its own are spread over all. */
static struct mf_peer *by_hash(const struct mf_spread *spread, struct mf_draw *draw)
{
    uint64_t hash = draw->hashed ? draw->hash : next_random(draw);
    for (uint64_t i = 0; i < HASHES; i++, hash = mf_hash_mix(hash ^ MF_HASH_A, MF_HASH_B)) {
        struct mf_peer *peer = mf_spread_hashed(spread, hash);
        if (fits(draw, peer))
            return peer;
    }
    draw->random = hash; /* the same for equal calls */
    return NULL;
}

struct mf_peer *mf_spread_pick(const struct mf_spread *spread, struct mf_draw *draw)
{
    struct mf_peer *peer = NULL;
    if (spread->n <= 1)
        return spread->n && fits(draw, spread->peers[0]) ? spread->peers[0] : NULL;
    switch ((enum mf_balancer)spread->balancer) {
    case MF_BALANCER_WEIGHTED:
    case MF_BALANCER_RANDOM:
        peer = drawn(spread, draw);
        break;
    case MF_BALANCER_ROUND_ROBIN:
        peer = in_turn(spread, draw);
        break;
    case MF_BALANCER_LEAST_REQUEST:
        peer = least_busy(spread, draw);
        break;
    case MF_BALANCER_HASH:
        peer = by_hash(spread, draw);
        break;
    }
    return peer ? peer : weigh_all(spread, draw);
}
