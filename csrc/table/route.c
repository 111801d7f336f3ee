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

static const void *hot_part(const struct mf_compiled *service)
{
    return service ? &service->stat : NULL;
}

/* The instances that the first rule would choose from, if it matches and they are there: what to have at hand. */
static const struct mf_group *likely_group(const struct mf_compiled *service, const struct mf_query *query)
{
    struct mf_stat *stat;
    if (!service || !service->n_rules || !service->rules->n_targets)
        return NULL;
    const struct mf_crule *rule = service->rules;
    uint32_t t = pick_target(rule, query->random);
    const struct mf_group *group = resolve(rule, query, 0, t, &stat, NULL);
    if (!group && rule->targets[t].fallback != MF_NO_TARGET)
        group = resolve(rule, query, 0, rule->targets[t].fallback, &stat, NULL);
    return group;
}

/* Each step asks for the memory of the next one for all queries, so that sixteen misses cost little more than one. */
static void lookup_some(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                        struct mf_route *outs, int *rcs)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_index *index = mf_load_acquire(&live->index); /* as in find */
    struct mf_compiled *services[BATCH];
    const struct mf_group *groups[BATCH];
    uint64_t hashes[BATCH];
    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = mf_hash(queries[i].service, 0);
        prefetch(&index->places[hashes[i] & index->mask], 1);
    }
    for (uint32_t i = 0; i < n; i++)
        /* Only a hint: the search in the next step looks for itself. */
        prefetch(hot_part(mf_load_relaxed(&index->places[hashes[i] & index->mask].service)), SERVICE_LINES);
    for (uint32_t i = 0; i < n; i++) {
        services[i] = find_hashed(table, queries[i].service, hashes[i]);
        if (services[i] && services[i]->n_rules && services[i]->rules->n_targets)
            prefetch(services[i]->rules->targets->group, 2); /* or by_label */
    }
    for (uint32_t i = 0; i < n; i++) {
        groups[i] = likely_group(services[i], &queries[i]);
        prefetch(groups[i], 2);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t random = queries[i].random;
        if (groups[i] && groups[i]->n)
            prefetch(&groups[i]->members[pick_member(groups[i], &random)].peer->down_until, 1);
    }
    for (uint32_t i = 0; i < n; i++)
        rcs[i] = decide(services[i], &queries[i], &outs[i], NULL);
}

void mf_route_lookup_batch(const struct mf_table *table, const struct mf_query *queries, uint32_t n,
                           struct mf_route *outs, int *rcs)
{
    for (uint32_t from = 0; from < n; from += BATCH) {
        uint32_t some = n - from < BATCH ? n - from : BATCH;
        lookup_some(table, queries + from, some, outs + from, rcs + from);
    }
}
