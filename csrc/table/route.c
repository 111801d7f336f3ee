#include "table/decide.h"

enum { BATCH = 16, LINE = MF_CACHE_LINE, SERVICE_LINES = 3 };

int mf_route_lookup(const struct mf_table *table, const struct mf_query *query, struct mf_route *out)
{
    return decide(find(table, query->service), query, out, NULL);
}

static void prefetch(const void *at, int lines)
{
    for (int i = 0; i < lines; i++)
        __builtin_prefetch((const char *)at + i * LINE);
}

/* What the walk's target is resolved with: a value's place, or the group. */
static const void *next_of(const struct walk *walk)
{
    const struct mf_ctarget *target = &walk->rule->targets[walk->t];
    return target->kind == MF_TARGET_LABEL ? (const void *)value_place(target, walk->hash, 0) : target->group;
}

/* Each step asks for the memory of the next one for all queries, so that sixteen misses cost little more than one. */
static void lookup_some(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                        struct mf_route *outs, int *rcs)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_index *index = mf_load_acquire(&live->index); /* as in find */
    const struct mf_group *groups[BATCH];
    struct mf_stat *stats[BATCH];
    struct walk walks[BATCH];
    uint64_t hashes[BATCH];
    uint32_t on_way[BATCH], n_on_way = 0; /* the queries that have a target */
    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = mf_hash(queries[i].service, 0);
        prefetch(&index->places[hashes[i] & index->mask], 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        /* Only a hint: the search in the next step looks for itself. */
        const struct mf_compiled *service = mf_load_relaxed(&index->places[hashes[i] & index->mask].service);
        if (service)
            prefetch(&service->stat, SERVICE_LINES);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct mf_compiled *service = find_hashed(table, queries[i].service, hashes[i]);
        if (enter(&walks[i], service, &queries[i], &outs[i], NULL)) {
            prefetch(next_of(&walks[i]), 1);
            on_way[n_on_way++] = i;
        } else {
            rcs[i] = end(&walks[i], &outs[i]);
        }
    }
    for (uint32_t j = 0; j < n_on_way; j++) {
        const struct mf_ctarget *target = &walks[on_way[j]].rule->targets[walks[on_way[j]].t];
        if (target->kind == MF_TARGET_LABEL)
            prefetch(value_place(target, walks[on_way[j]].hash, 0)->group, 1);
    }
    for (uint32_t j = 0; j < n_on_way; j++) {
        uint32_t i = on_way[j];
        uint64_t random = queries[i].random;
        groups[i] = resolve(&walks[i], &queries[i], &stats[i], NULL);
        if (groups[i] && groups[i]->n)
            prefetch(&pick_member(groups[i], &random)->down_until, 1);
    }
    for (uint32_t j = 0; j < n_on_way; j++) {
        uint32_t i = on_way[j];
        rcs[i] = follow(&walks[i], groups[i], stats[i], &queries[i], &outs[i], NULL);
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
