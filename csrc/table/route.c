#include "table/decide.h"

enum { BATCH = 16, LINE = MF_CACHE_LINE };

int mf_route_lookup(const struct mf_table *table, const struct mf_query *query, struct mf_route *out)
{
    return decide(find(table, query->service), query, out, NULL);
}

static void prefetch(const void *at, int lines)
{
    for (int i = 0; i < lines; i++)
        __builtin_prefetch((const char *)at + i * LINE);
}

/* Each step asks for the memory of the next one for all queries, so that sixteen misses cost little more than one. */
static void lookup_some(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                        struct mf_route *outs, int *rcs)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_index *index = mf_load_acquire(&live->index); /* as in find */
    struct mf_compiled *services[BATCH];
    uint64_t hashes[BATCH];
    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = mf_hash(queries[i].service, 0);
        prefetch(&index->places[hashes[i] & index->mask], 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        /* Only a hint: the search in the next step looks for itself. */
        struct mf_slot *slot = mf_load_relaxed(&index->places[hashes[i] & index->mask].slot);
        if (slot)
            prefetch(slot, 2);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct mf_slot *slot = find_slot(index, queries[i].service, hashes[i]);
        services[i] = slot ? mf_load_acquire(&slot->live) : NULL; /* as in find */
        if (services[i])
            prefetch(services[i], 4);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (services[i] && services[i]->n_rules && services[i]->rules->n_targets) {
            const struct mf_ctarget *target = services[i]->rules->targets;
            prefetch(target->by_label ? (const void *)target->by_label : target->group, 2);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!services[i])
            services[i] = find_pattern(table, queries[i].service);
        rcs[i] = decide(services[i], &queries[i], &outs[i], NULL);
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
