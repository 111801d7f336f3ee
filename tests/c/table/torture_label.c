/* label under threads: names come and go in few numbers, and what a reader found for one name is never taken for another.
 *
 * The label n7 has the value v7 and no other, in requests and in what is remembered of traces. The service asks for one
 * such label: with its own value (version 1), with any other (2: must never be), or not at all (3). */
#include "base/err.h"
#include "table/mesh.h"
#include "table/torture.h"

enum { READERS = 3, TRACES = 8 };

static struct mf_table *table;
static struct mf_trace *trace;
static mf_atom32 running;
static mf_atom64 own, recalled;
static uint64_t lookups; /* of each reader */

static void *look_up(void *arg)
{
    uint64_t random = (uintptr_t)arg, hits = 0, kept = 0;
    struct mf_epoch *epoch = mf_table_epoch(table);
    int reader = mf_epoch_join(epoch);
    static _Thread_local struct mf_label_values values;
    mf_epoch_online(epoch, reader);
    for (uint64_t i = 0; i < lookups; i++) {
        uint64_t r = next_random(&random);
        const struct mf_labels *plan = mf_table_labels(table);
        char value[16] = {0}, id[8];
        if (plan->n_labels) {
            const struct mf_label *label = &plan->labels[0];
            memcpy(value, label->name.ptr, label->name.len);
            value[0] = 'v';
            struct mf_pair headers[] = {{S("t"), mf_slice_of(id, (size_t)snprintf(id, sizeof id, "t%u", (unsigned)(r % TRACES)))},
                                        {label->name, S(value)}};
            struct mf_query query = {.service = S("s"), .headers = headers, .n_headers = r >> 32 & 1 ? 2 : 1, .now = 1,
                                     .labels = values.value};
            struct mf_label_kept counted;
            struct mf_route route;
            mf_label_find(plan, trace, &query, &values);
            struct mf_slice found = values.value[label->index];
            MUST(found.len == 0 || mf_slice_eq(found, S(value)));
            kept += values.kind[label->index] == MF_LABEL_CONTEXT;
            if (mf_route_lookup(table, &query, &route) == 0) {
                MUST(route.timeout_ms != 2);
                hits += route.timeout_ms == 1;
            }
            mf_label_remember(plan, trace, &query, r >> 33 & 1, (uint32_t)reader, &counted);
        }
        if (r >> 16 & 1)
            mf_epoch_quiesce(epoch, reader);
    }
    mf_epoch_leave(epoch, reader);
    atomic_fetch_add(&own, hits);
    atomic_fetch_add(&recalled, kept);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void publish(const char *name, const char *value, struct mf_cluster *cluster)
{
    struct mf_service *service;
    MUST(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service) == 0);
    for (uint16_t r = 0; r < 3; r++) {
        MUST(mf_service_rule(service, r + 1u) == r);
        if (r < 2)
            MUST(mf_service_match(service, r) == 0 &&
                 mf_service_condition(table, service, r, 0, MF_FIELD_LABEL, S(name), r ? MF_OP_PRESENT : MF_OP_EXACT,
                                      S(value)) == 0);
        MUST(mf_service_target(table, service, r, cluster, MF_TARGET_LABEL, S(name), 1, 0, 1) == 0);
        MUST(mf_service_target(table, service, r, cluster, MF_TARGET_BASELINE, S(name), 0, 0, MF_NO_TARGET) == 1);
    }
    int rc = mf_table_publish(table, service);
    MUST(rc == 0);
}

static int publish_plan(const char *name)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    plan.labels[0] = (struct mf_label){.name = S(name), .n_sources = 2};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, 0, S(name)};
    plan.labels[0].sources[1] = (struct mf_label_source){MF_LABEL_CONTEXT, 0, S("t")};
    plan.traces[0] = plan.labels[0].sources[1];
    return mf_table_publish_labels(table, &plan);
}

int main(int argc, char **argv)
{
    pthread_t threads[READERS];
    struct mf_cluster *cluster;
    uint64_t n = operations(argc, argv, 400000), random = 99;
    uint32_t version = 0, published = 0;
    char name[16], value[16];
    poison_what_is_freed();
    if (mf_table_new(&table) != 0 || mf_trace_new(64, 1000, &trace) != 0)
        return 1;
    MUST(make_cluster(table, "app", &BOX("10.0.0.1:1"), 1, &cluster) == 0 && mf_cluster_seal(table, cluster) == 0);
    lookups = n / READERS;
    atomic_store(&running, READERS);
    for (uintptr_t i = 0; i < READERS; i++)
        start(&threads[i], look_up, (void *)(i + 1));
    while (version < n / 100 || atomic_load(&running)) {
        version++;
        snprintf(name, sizeof name, "n%u", version);
        snprintf(value, sizeof value, "v%u", version);
        int rc = publish_plan(name);
        MUST(rc == 0 || rc == MF_ELIMIT); /* readers that stand still keep their numbers */
        published += rc == 0;
        if (rc == 0 && version % 3) /* else only the plan has the name */
            publish(name, value, cluster);
        for (int i = 0; i < 4 && (next_random(&random) & 3); i++)
            sched_yield();
        mf_table_reclaim(table);
    }
    for (int i = 0; i < READERS; i++)
        join(threads[i]);
    MUST(published > MF_LABELS && own > lookups / 100 && recalled > 0);
    mf_table_remove(table, S("s"), MF_SERVICE_EXACT);
    mf_cluster_give(table, cluster);
    mf_table_reclaim(table);
    mf_table_free(table);
    mf_trace_free(trace);
    return torture_end("table/torture_label", READERS * lookups + version);
}
