#include "table/level.h"

#include "base/mem.h"
#include "table/spare.h"

#include <errno.h>
#include <stdlib.h>

struct mf_policy_locality *mf_levels_copy(const struct mf_policy_locality *policy)
{
    size_t places = policy->n * sizeof *policy->places, shares = policy->n_shares * sizeof *policy->shares;
    struct mf_policy_locality *copy = mf_alloc(sizeof *copy + places + shares);
    if (!copy)
        return NULL;
    *copy = *policy;
    struct mf_place *at = (struct mf_place *)(copy + 1);
    if (places)
        memcpy(at, policy->places, places);
    copy->places = at;
    uint32_t *behind = (uint32_t *)(at + policy->n);
    if (shares)
        memcpy(behind, policy->shares, shares);
    copy->shares = behind;
    return copy;
}

/* --- a view is made */

struct member {
    uint32_t level, part, at; /* in the group */
    const struct mf_place *place;
};

static int by_level(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static uint64_t weight_of(const struct mf_group *group, uint32_t at)
{
    const uint64_t *sums = mf_group_sums(group);
    return sums[at] - (at ? sums[at - 1] : 0);
}

/* Those that give way come last; those that stand in for them stand where the first of them stood. Returns where, or
 * UINT32_MAX: one of the two has no member here, so nothing moves. */
static uint32_t move_members(struct member *members, uint32_t n)
{
    uint32_t best = UINT32_MAX;
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        any |= members[i].place->to;
        if (members[i].place->from && members[i].level < best)
            best = members[i].level;
    }
    if (!any)
        return UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (members[i].place->from)
            members[i].level = UINT32_MAX;
        else if (members[i].place->to && members[i].level > best)
            members[i].level = best;
    }
    return best;
}

static struct mf_view *view_alloc(uint32_t n, uint32_t n_levels, uint32_t n_parts)
{
    size_t loads = (n_levels + 7) / 8 * sizeof(mf_atom64), levels = (n_levels * sizeof(struct mf_level) + 7) & ~(size_t)7;
    size_t parts = n_parts * sizeof(struct mf_part), each = sizeof(struct mf_peer *) + sizeof(uint64_t);
    struct mf_view *view = mf_zalloc_line(sizeof *view + loads + parts + levels + n * each);
    if (!view)
        return NULL;
    view->n_levels = n_levels;
    view->n_parts = n_parts;
    view->loads = (mf_atom64 *)(view + 1);
    view->parts = (struct mf_part *)((uintptr_t)view->loads + loads);
    view->levels = (struct mf_level *)((uintptr_t)view->parts + parts);
    view->peers = (struct mf_peer **)((uintptr_t)view->levels + levels);
    view->sums = (uint64_t *)(view->peers + n);
    return view;
}

/* Whether a member begins a level, or a part. */
static bool begins_level(const struct member *members, uint32_t i)
{
    return i == 0 || members[i].level != members[i - 1].level;
}

static bool begins_part(const struct member *members, uint32_t i)
{
    return begins_level(members, i) || members[i].part != members[i - 1].part;
}

static void fill_view(struct mf_view *view, const struct mf_group *group, const struct member *members, uint32_t n)
{
    struct mf_level *level = view->levels - 1;
    struct mf_part *part = view->parts - 1;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t weight = weight_of(group, members[i].at);
        if (begins_part(members, i))
            *++part = (struct mf_part){.from = i, .number = members[i].part, .local = members[i].place->local};
        if (begins_level(members, i))
            *++level = (struct mf_level){.from = i, .first = (uint32_t)(part - view->parts)};
        view->peers[i] = group->peers[members[i].at];
        view->sums[i] = sum += weight;
        level->upto = part->upto = i + 1;
        level->end = (uint32_t)(part - view->parts) + 1;
        part->weight += (double)weight;
    }
}

/* What a distribution gives each locality: its part, rounded up, of what all those have that the same is written for. False:
 * no memory. */
static bool distribute(struct mf_view *view, const struct member *members, const struct mf_policy_locality *policy)
{
    double *totals = mf_zalloc((policy->n_shares + 1) * sizeof *totals);
    if (!totals)
        return false;
    for (uint32_t p = 0; p < view->n_parts; p++) {
        uint16_t share = members[view->parts[p].from].place->share;
        if (share < policy->n_shares)
            totals[share] += view->parts[p].weight;
    }
    for (uint32_t p = 0; p < view->n_parts; p++) {
        struct mf_part *part = &view->parts[p];
        uint16_t share = members[part->from].place->share;
        uint64_t own = (uint64_t)part->weight;
        uint64_t total = share < policy->n_shares ? (uint64_t)totals[share] : 1;
        part->weight = share < policy->n_shares ? (double)((own * policy->shares[share] + total - 1) / total) : 0;
    }
    mf_free(totals);
    return true;
}

static double own_weight(const struct mf_view *view, const struct mf_part *part)
{
    return (double)(view->sums[part->upto - 1] - (part->from ? view->sums[part->from - 1] : 0));
}

/* Those that stand in at the level `best` of the unmoved order take over the weight of those there that gave way, each its
 * share of it; what they had there before they keep. */
static void move_weights(struct mf_view *view, const struct member *members, uint32_t best)
{
    double given = 0, own = 0;
    bool others = false;
    for (uint32_t p = 0; p < view->n_parts; p++) {
        const struct mf_part *part = &view->parts[p];
        const struct mf_place *place = members[part->from].place;
        if (place->from && place->level == best)
            given += part->weight;
        else if (place->to && members[part->from].level == best)
            own += own_weight(view, part);
        else if (!place->from && place->level == best)
            others = true;
    }
    for (uint32_t p = 0; own > 0 && p < view->n_parts; p++) {
        struct mf_part *part = &view->parts[p];
        const struct mf_place *place = members[part->from].place;
        if (!place->to || members[part->from].level != best)
            continue;
        part->weight = (place->level == best ? part->weight : 0) + given * own_weight(view, part) / own;
    }
    view->weighted |= others;
}

static struct mf_spread *spread_of(const struct mf_view *view, const struct mf_policy_balancer *balancer, uint32_t from,
                                   uint32_t upto)
{
    static const struct mf_policy_balancer chance = {.kind = MF_BALANCER_WEIGHTED};
    return mf_spread_new(balancer ? balancer : &chance, view->peers + from, view->sums + from,
                         from ? view->sums[from - 1] : 0, upto - from);
}

/* Of each level, and where a locality is drawn in it, of each of those. 0 or -ENOMEM. */
static int add_spreads(struct mf_view *view, const struct mf_policy_balancer *balancer)
{
    for (uint32_t l = 0; l < view->n_levels; l++) {
        struct mf_level *level = &view->levels[l];
        level->spread = spread_of(view, balancer, level->from, level->upto);
        if (!level->spread)
            return -ENOMEM;
        level->quick = level->spread->even && (!view->weighted || level->end - level->first == 1);
        for (uint32_t p = level->first; view->weighted && level->end - level->first > 1 && p < level->end; p++) {
            struct mf_part *part = &view->parts[p];
            part->spread = spread_of(view, balancer, part->from, part->upto);
            if (!part->spread)
                return -ENOMEM;
        }
    }
    return 0;
}

/* Of more levels than a word has, of moved calls and of those that are hashed or counted out it is not quickly told. */
static uint32_t quick_of(const struct mf_levels *levels)
{
    const struct mf_view *view = levels->views[0];
    if (levels->moved || view->n_levels == 0 || view->n_levels > 8 || view->levels[0].spread->warms)
        return MF_QUICK_NOT;
    switch ((enum mf_balancer)view->levels[0].spread->balancer) {
    case MF_BALANCER_WEIGHTED:
    case MF_BALANCER_RANDOM:
        return MF_QUICK_RANDOM;
    case MF_BALANCER_LEAST_REQUEST:
        return MF_QUICK_LEAST_REQUEST;
    case MF_BALANCER_ROUND_ROBIN:
    case MF_BALANCER_HASH:
        break;
    }
    return MF_QUICK_NOT;
}

static void view_free(struct mf_view *view)
{
    for (uint32_t l = 0; view && l < view->n_levels; l++)
        mf_spread_free(view->levels[l].spread);
    for (uint32_t p = 0; view && p < view->n_parts; p++)
        mf_spread_free(view->parts[p].spread);
    mf_free_line(view);
}

static struct mf_view *view_new(const struct mf_policy_locality *policy, const struct mf_policy_balancer *balancer,
                                const struct mf_group *group, const uint32_t *places, bool moved)
{
    struct member *members = mf_zalloc((group->n + 1) * sizeof *members);
    if (!members)
        return NULL;
    for (uint32_t i = 0; i < group->n; i++) {
        const struct mf_place *place = &policy->places[places[i]];
        members[i] = (struct member){place->level, place->part, i, place};
    }
    uint32_t best = moved ? move_members(members, group->n) : UINT32_MAX, n_levels = 0, n_parts = 0;
    qsort(members, group->n, sizeof *members, by_level);
    for (uint32_t i = 0; i < group->n; i++) {
        n_levels += begins_level(members, i);
        n_parts += begins_part(members, i);
    }
    struct mf_view *view = view_alloc(group->n, n_levels, n_parts);
    if (view) {
        view->weighted = policy->weighted;
        view->panic = policy->panic;
        fill_view(view, group, members, group->n);
        bool good = !policy->n_shares || distribute(view, members, policy);
        if (good && best != UINT32_MAX)
            move_weights(view, members, best);
        if (!good || add_spreads(view, balancer) != 0) {
            view_free(view);
            view = NULL;
        }
    }
    mf_free(members);
    return view;
}

/* --- shares by live health */

static uint32_t members_of(const struct mf_view *view, uint32_t level)
{
    return view->levels[level].upto - view->levels[level].from;
}

static uint32_t well_of(const struct mf_view *view, uint32_t level)
{
    uint32_t well = 0;
    for (uint32_t p = view->levels[level].first; p < view->levels[level].end; p++)
        well += mf_load_relaxed(&view->parts[p].well);
    return well;
}

static uint32_t health_of(const struct mf_view *view, uint32_t level)
{
    uint64_t health = (uint64_t)140 * well_of(view, level) / members_of(view, level);
    return health < 100 ? (uint32_t)health : 100;
}

static bool below(const struct mf_view *view, uint32_t level)
{
    return (uint64_t)100 * well_of(view, level) < (uint64_t)view->panic * members_of(view, level);
}

/* Until when no call goes to it. */
static uint64_t rest_of(const struct mf_levels *levels, const struct mf_peer *peer, uint64_t now)
{
    uint64_t down = mf_load_relaxed(&peer->down_until);
    uint64_t out = levels->outlier ? mf_outlier_until(levels->outlier, peer, now) : 0;
    return down > out ? down : out;
}

/* Counts who is well; returns when that changes next by itself. */
static uint64_t count_well(const struct mf_levels *levels, struct mf_view *view, uint64_t now, uint64_t until)
{
    for (uint32_t p = 0; p < view->n_parts; p++) {
        struct mf_part *part = &view->parts[p];
        uint32_t well = 0, n = part->upto - part->from;
        for (uint32_t i = part->from; i < part->upto; i++) {
            uint64_t rests = rest_of(levels, view->peers[i], now);
            well += rests <= now;
            if (rests > now && rests < until)
                until = rests;
        }
        double live = part->weight * (140.0 * well < 100.0 * n ? 1.4 * well / n : 1) * 65536;
        mf_store_relaxed(&part->well, well);
        mf_store_relaxed(&part->live, (uint64_t)live);
    }
    return until;
}

struct loads { /* how each level's is worked out */
    uint32_t total; /* of all levels' health, at most 100; where all of them are in panic, of all members */
    bool all;       /* they are */
    uint32_t rest;  /* what rounding leaves: for the first that has any */
};

static uint32_t load_of(const struct mf_view *view, const struct loads *loads, uint32_t level)
{
    uint64_t has = loads->all ? members_of(view, level) : health_of(view, level);
    return loads->total ? (uint32_t)(has * 100 / loads->total) : 0;
}

static struct loads weigh(const struct mf_view *view)
{
    struct loads loads = {.all = true};
    for (uint32_t l = 0; l < view->n_levels; l++) {
        loads.total += health_of(view, l);
        loads.all &= below(view, l);
    }
    loads.total = loads.total < 100 ? loads.total : 100;
    loads.all &= loads.total < 100;
    if (loads.all)
        loads.total = view->levels[view->n_levels - 1].upto;
    uint32_t left = 100;
    for (uint32_t l = 0; l < view->n_levels; l++) {
        uint32_t load = load_of(view, &loads, l);
        left -= load < left ? load : left;
    }
    loads.rest = left;
    return loads;
}

static void share_out(struct mf_view *view)
{
    if (view->n_levels == 0)
        return;
    struct loads loads = weigh(view);
    uint32_t upto = 0;
    uint64_t word = 0;
    for (uint32_t l = 0; l < view->n_levels; l++) {
        uint32_t load = load_of(view, &loads, l);
        if (loads.rest && (load || loads.total == 0)) { /* where nobody is well at all, the first has them */
            load += loads.rest;
            loads.rest = 0;
        }
        upto = upto + load < 100 ? upto + load : 100;
        bool panic = loads.all || (loads.total < 100 && below(view, l));
        word |= (uint64_t)(upto | (panic ? MF_LEVELS_PANIC : 0)) << l % 8 * 8;
        if (l % 8 == 7 || l + 1 == view->n_levels) {
            mf_store_relaxed(&view->loads[l / 8], word);
            word = 0;
        }
    }
}

static void work_out(struct mf_levels *levels, uint64_t now)
{
    uint64_t until = now + MF_LEVELS_AGAIN_NS < now ? UINT64_MAX : now + MF_LEVELS_AGAIN_NS;
    uint32_t local = 0;
    for (int v = 0; v < 2 && levels->views[v]; v++) {
        until = count_well(levels, levels->views[v], now, until);
        share_out(levels->views[v]);
    }
    for (uint32_t p = 0; p < levels->views[0]->n_parts; p++)
        if (levels->views[0]->parts[p].local)
            local += mf_load_relaxed(&levels->views[0]->parts[p].well);
    mf_store_relaxed(&levels->local, local);
    mf_store_relaxed(&levels->until, until);
}

void mf_levels_refresh(struct mf_levels *levels, uint64_t now, uint64_t health)
{
    uint64_t at = mf_load_relaxed(&levels->at);
    if (at && now < at + MF_LEVELS_EVERY_NS)
        return;
    if (!atomic_compare_exchange_strong_explicit(&levels->at, &at, now, memory_order_relaxed, memory_order_relaxed))
        return; /* another one is at it */
    work_out(levels, now);
    /* Release pairs with the acquire in mf_levels_look. */
    mf_store_release(&levels->seen, health);
}

struct mf_levels *mf_levels_new(const mf_atom64 *health, const struct mf_policy *policy, struct mf_outlier *outlier,
                                const struct mf_group *group, const uint32_t *members)
{
    struct mf_levels *levels = mf_zalloc_line(sizeof *levels);
    if (!levels)
        return NULL;
    levels->health = health;
    levels->outlier = outlier;
    levels->moved = policy->locality->moved;
    for (int v = 0; v < 1 + (levels->moved > 0); v++) {
        levels->views[v] = view_new(policy->locality, policy->balancer, group, members, v > 0);
        if (!levels->views[v]) {
            mf_levels_free(levels);
            return NULL;
        }
    }
    levels->quick = quick_of(levels);
    work_out(levels, UINT64_MAX); /* all are well, until the first call looks */
    mf_store_relaxed(&levels->until, 0);
    return levels;
}

void mf_levels_free(struct mf_levels *levels)
{
    if (!levels)
        return;
    for (int v = 0; v < 2; v++)
        view_free(levels->views[v]);
    mf_free_line(levels);
}

/* --- one is picked */

/* A locality of the level, by its live weight; NULL: none has any. */
static const struct mf_part *draw_part(const struct mf_view *view, const struct mf_level *level, uint64_t key)
{
    uint64_t total = 0;
    for (uint32_t p = level->first; p < level->end; p++)
        total += mf_load_relaxed(&view->parts[p].live);
    if (total == 0)
        return NULL;
    uint64_t point = mf_hash_below(mf_hash_mix(key ^ MF_HASH_B, MF_HASH_A), total);
    const struct mf_part *last = NULL;
    for (uint32_t p = level->first; p < level->end; p++) {
        uint64_t live = mf_load_relaxed(&view->parts[p].live);
        if (live == 0)
            continue;
        last = &view->parts[p];
        if (point < live)
            return last;
        point -= live;
    }
    return last; /* they changed between the walks */
}

/* In the locality that is drawn, else in the others that have a weight. */
static struct mf_peer *pick_by_part(const struct mf_view *view, const struct mf_level *level, struct mf_draw *draw,
                                    uint64_t key)
{
    const struct mf_part *drawn = draw_part(view, level, key);
    struct mf_peer *peer = drawn ? mf_spread_pick(drawn->spread, draw) : NULL;
    for (uint32_t p = level->first; drawn && !peer && p < level->end; p++)
        if (&view->parts[p] != drawn && mf_load_relaxed(&view->parts[p].live) > 0)
            peer = mf_spread_pick(view->parts[p].spread, draw);
    return peer;
}

/* A call on its way: what is asked where all are used, and where those that are out are spared. */
struct way {
    const struct mf_query *all, *spared;
    uint64_t key;
};

static struct mf_peer *pick_in(const struct mf_view *view, uint32_t l, struct mf_draw *draw, const struct way *way)
{
    const struct mf_level *level = &view->levels[l];
    bool panic = mf_levels_load(view, l) & MF_LEVELS_PANIC;
    struct mf_peer *peer = NULL;
    draw->query = panic ? way->all : way->spared;
    if (view->parts[level->first].spread && !panic)
        peer = pick_by_part(view, level, draw, way->key);
    return peer ? peer : mf_spread_pick(level->spread, draw);
}

static const struct mf_view *view_of(const struct mf_levels *levels, uint64_t key)
{
    bool moves = levels->moved && mf_hash_below(mf_hash_mix(key ^ MF_HASH_A, MF_HASH_B), 100) < levels->moved;
    return levels->views[moves];
}

/* The level in place of `level` where so many are left out: the next one that is well, and after all of them the first. */
static __attribute__((noinline)) uint32_t level_past(const struct mf_view *view, uint32_t level, uint32_t past)
{
    uint32_t n = 1;
    for (uint32_t l = 0; l < view->n_levels; l++)
        n += l != level && well_of(view, l) > 0;
    past %= n;
    for (uint32_t l = 0; past > 0 && l < view->n_levels; l++)
        if (l != level && well_of(view, l) > 0 && --past == 0)
            return l;
    return level;
}

static struct mf_peer *pick_now(const struct mf_levels *levels, struct mf_draw *draw)
{
    struct mf_spare spare;
    struct way way = {draw->query, draw->query,
                      draw->hashed ? draw->hash : mf_hash_mix(draw->random ^ MF_HASH_B, MF_HASH_B)};
    if (levels->outlier)
        way.spared = mf_spare_out(levels->outlier, draw->query, &spare);
    const struct mf_view *view = view_of(levels, way.key);
    uint32_t percent = (uint32_t)(way.key % 100) + 1, level = 0;
    while (level + 1 < view->n_levels && (mf_levels_load(view, level) & ~(uint32_t)MF_LEVELS_PANIC) < percent)
        level++;
    if (__builtin_expect(draw->query->past_levels & ~(uint32_t)MF_ANYWHERE, 0))
        level = level_past(view, level, draw->query->past_levels & ~(uint32_t)MF_ANYWHERE);
    struct mf_peer *peer = pick_in(view, level, draw, &way);
    for (uint32_t l = 0; !peer && l < view->n_levels; l++) /* it has none for this call: the nearest that has */
        if (l != level)
            peer = pick_in(view, l, draw, &way);
    draw->query = way.all;
    return peer;
}

/* Nobody is left by what was known a moment ago: it is known anew, and perhaps all are used now. */
static __attribute__((noinline, cold)) struct mf_peer *pick_anew(struct mf_levels *levels, struct mf_draw *draw)
{
    uint64_t health = mf_load_acquire(levels->health);
    if (health == mf_load_acquire(&levels->seen))
        return NULL;
    work_out(levels, draw->query->now);
    mf_store_release(&levels->seen, health);
    return pick_now(levels, draw);
}

struct mf_peer *mf_levels_pick(struct mf_levels *levels, struct mf_draw *draw)
{
    mf_levels_look(levels, draw->query->now);
    struct mf_peer *peer = pick_now(levels, draw);
    return __builtin_expect(peer != NULL, 1) ? peer : pick_anew(levels, draw);
}

/* --- told */

/* What a locality has of its level's calls: by its weight, or by those of its members that are used. */
static double part_share(const struct mf_levels *levels, const struct mf_view *view, const struct mf_level *level,
                         const struct mf_part *part, bool panic, uint64_t now)
{
    double own = 0, all = 0;
    for (uint32_t p = level->first; p < level->end; p++) {
        const struct mf_part *one = &view->parts[p];
        double has = view->weighted && !panic ? (double)mf_load_relaxed(&one->live) : 0;
        for (uint32_t i = one->from; (!view->weighted || panic) && i < one->upto; i++)
            if (panic || rest_of(levels, view->peers[i], now) <= now)
                has += (double)(view->sums[i] - (i ? view->sums[i - 1] : 0));
        all += has;
        own += one == part ? has : 0;
    }
    return all > 0 ? own / all : 0;
}

uint32_t mf_levels_tell(struct mf_levels *levels, uint64_t now, struct mf_level_told *out, uint32_t room)
{
    uint32_t n = 0;
    mf_levels_look(levels, now);
    for (uint32_t v = 0; v < 2 && levels->views[v]; v++) {
        const struct mf_view *view = levels->views[v];
        double part_of_calls = v ? levels->moved : 100.0 - levels->moved;
        for (uint32_t l = 0, before = 0; l < view->n_levels; l++) {
            uint32_t word = mf_levels_load(view, l), upto = word & ~(uint32_t)MF_LEVELS_PANIC;
            bool panic = word & MF_LEVELS_PANIC;
            for (uint32_t p = view->levels[l].first; p < view->levels[l].end; p++, n++) {
                const struct mf_part *part = &view->parts[p];
                if (n >= room)
                    continue;
                double part_of_level = part_share(levels, view, &view->levels[l], part, panic, now);
                out[n] = (struct mf_level_told){v, l, part->number, part->upto - part->from,
                                                mf_load_relaxed(&part->well), upto - before, panic,
                                                part_of_level * (upto - before) * part_of_calls / 100};
            }
            before = upto;
        }
    }
    return n;
}
