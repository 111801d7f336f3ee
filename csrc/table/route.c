#include "table/decide.h"

enum { BATCH = 16, LINE = MF_CACHE_LINE, SERVICE_LINES = 2 };

static __attribute__((noinline)) int lookup_http(const struct mf_table *table, const struct mf_query *query,
                                                 struct mf_route *out)
{
    return decide(find(table, query->service), query, query->http, out, NULL);
}

int mf_route_lookup(const struct mf_table *table, const struct mf_query *query, struct mf_route *out)
{
    if (query->http)
        return lookup_http(table, query, out);
    return decide(find(table, query->service), query, NULL, out, NULL);
}

static void prefetch(const void *at, int lines)
{
    for (int i = 0; i < lines; i++)
        __builtin_prefetch((const char *)at + i * LINE);
}

/* One query of a batch, as far as it has got. */
struct ask {
    uint64_t hash; /* of the service's name */
    struct mf_compiled *service; /* the first one under that hash: nearly always the one */
    struct walk walk;
    const struct mf_group *group; /* NULL: it has ended without one, or must go on to other targets */
    struct mf_stat *stat;
    struct mf_peer *peer; /* the one picked first */
    bool ended;
};

/* Those whose policy goes by a header's hash: whose place it is, step by step for all of them. Where that one cannot be
 * used, the others' way is gone. */
static __attribute__((noinline)) void reach_hashed(struct ask *asks, const struct mf_query *queries, uint32_t n,
                                                   struct mf_route *outs, int *rcs)
{
    const void *places[BATCH];
    for (uint32_t i = 0; i < n; i++) {
        const struct mf_group *group = asks[i].ended ? NULL : asks[i].group;
        const struct mf_plan *plan;
        uint64_t hash;
        places[i] = NULL;
        if (!group || group->quick != MF_QUICK_HASH)
            continue;
        plan = mf_group_plan(group);
        if (!mf_affinity_plain(plan->hashing, &queries[i], &hash))
            continue;
        places[i] = mf_spread_place(plan->spread, hash);
        prefetch(places[i], 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!places[i])
            continue;
        asks[i].peer = mf_spread_at(mf_group_plan(asks[i].group)->spread, places[i]);
        prefetch(&asks[i].peer->down_until, 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!places[i])
            continue;
        if (usable(asks[i].peer, &queries[i])) {
            outs[i].plan = mf_group_plan(asks[i].group);
            outs[i].governed = asks[i].ended = true;
            rcs[i] = reach(&asks[i].walk, asks[i].peer, asks[i].stat, &outs[i]);
        }
        asks[i].peer = NULL;
    }
}

/* Each step asks for the memory of the next one for all queries, so that sixteen misses cost little more than one. */
static void lookup_some(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                        struct mf_route *outs, int *rcs)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_index *index = mf_load_acquire(&live->index); /* as in find */
    struct ask asks[BATCH];
    bool hashed = false;
    for (uint32_t i = 0; i < n; i++) {
        asks[i].hash = mf_hash(queries[i].service, 0);
        prefetch(&index->places[asks[i].hash & index->mask], 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = asks[i].hash;
        asks[i].service = find_hash(index, at, &at);
        if (asks[i].service)
            prefetch(&asks[i].service->name_len, SERVICE_LINES);
    }
    for (uint32_t i = 0; i < n; i++) {
        /* What is in this index was published when the batch began or later; what is not may be in a newer one. */
        const struct mf_compiled *service = asks[i].service;
        if (queries[i].http) {
            asks[i].ended = true;
            rcs[i] = lookup_http(table, &queries[i], &outs[i]);
            continue;
        }
        if (!service || !mf_slice_eq(mf_compiled_name(service), queries[i].service))
            service = find_hashed(table, queries[i].service, asks[i].hash);
        asks[i].ended = !enter(&asks[i].walk, service, &queries[i], NULL, &outs[i], NULL);
        if (asks[i].ended)
            rcs[i] = end(&asks[i].walk, &outs[i]);
        else
            prefetch(asks[i].walk.next, 1);
    }
    for (uint32_t i = 0; i < n; i++)
        if (!asks[i].ended)
            prefetch(*asks[i].walk.next, 1);
    for (uint32_t i = 0; i < n; i++) {
        struct ask *ask = &asks[i];
        uint64_t random = queries[i].random;
        if (ask->ended)
            continue;
        ask->group = resolve(&ask->walk, &queries[i], NULL, &ask->stat, NULL);
        ask->peer = NULL;
        if (!ask->group || !ask->group->n)
            continue;
        if (__builtin_expect(ask->group->planned, 0)) {
            hashed |= pick_fetch(ask->group, &queries[i]);
            continue;
        }
        ask->peer = pick_member(ask->group, &random);
        prefetch(&ask->peer->down_until, 1);
    }
    if (__builtin_expect(hashed, 0))
        reach_hashed(asks, queries, n, outs, rcs);
    for (uint32_t i = 0; i < n; i++) {
        struct ask *ask = &asks[i];
        if (ask->ended)
            continue;
        if (ask->peer && usable(ask->peer, &queries[i]))
            rcs[i] = reach(&ask->walk, ask->peer, ask->stat, &outs[i]);
        else
            rcs[i] = follow(&ask->walk, ask->group, ask->stat, &queries[i], NULL, &outs[i], NULL);
    }
}

void mf_route_lookup_batch(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                           struct mf_route *outs, int *rcs)
{
    for (uint32_t from = 0; from < n; from += BATCH) {
        uint32_t some = n - from < BATCH ? n - from : BATCH;
        lookup_some(table, queries + from, some, outs + from, rcs + from);
    }
}
