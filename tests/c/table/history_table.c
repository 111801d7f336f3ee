/* table, recorded: one thread publishes and removes services by name and by pattern, two look up.
 *
 * Keys: 0 and 1 are names, 2 the prefix that holds both, 3 the one for any. The version is the rule's timeout. */
#include "base/err.h"
#include "table/history.h"
#include "table/mesh.h"

enum { READERS = 2, KEYS = 4, NAMES = 2 };

static struct mf_table *table;
static struct mf_cluster *cluster;
static mf_atom32 running;
static uint64_t lookups;
static const char *const names[KEYS] = {"a.S", "a.T", "a.", ""};
static const enum mf_service_pattern patterns[KEYS] = {MF_SERVICE_EXACT, MF_SERVICE_EXACT, MF_SERVICE_PREFIX,
                                                       MF_SERVICE_ANY};

static long long look_up(uint64_t key, bool batch)
{
    struct mf_query query = {.service = S(names[key]), .method = S("m"), .random = 1};
    struct mf_route route;
    int rc;
    if (batch)
        mf_route_lookup_batch(table, &query, 1, &route, &rc);
    else
        rc = mf_route_lookup(table, &query, &route);
    MUST(rc == 0 || rc == MF_EROUTE_SERVICE);
    return rc == 0 ? route.timeout_ms : 0;
}

static void *read_all(void *arg)
{
    uint64_t me = (uintptr_t)arg, random = me;
    struct mf_epoch *epoch = mf_table_epoch(table);
    int reader = mf_epoch_join(epoch);
    for (uint64_t i = 0; i < lookups; i++) {
        uint64_t r = next_random(&random), key = r % NAMES;
        if (i == 0 || (r >> 8 & 15) == 0) {
            mf_epoch_offline(epoch, reader);
            mf_epoch_online(epoch, reader);
        }
        RECORD(&histories[me], "lookup", key, 0, look_up(key, r >> 16 & 1));
        mf_epoch_quiesce(epoch, reader);
    }
    mf_epoch_leave(epoch, reader);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static int publish(uint64_t key, uint32_t version)
{
    struct mf_service *service;
    MUST(mf_service_new(table, S(names[key]), patterns[key], &service) == 0);
    MUST(mf_service_rule(service, version) == 0);
    MUST(mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, S(""), 1, MF_FALLBACK_NO_AVAILABLE,
                           MF_NO_TARGET) == 0);
    return mf_table_publish(table, service);
}

int main(int argc, char **argv)
{
    pthread_t threads[READERS];
    uint64_t random = 5, n = operations(argc, argv, 40000);
    poison_what_is_freed();
    lookups = n / READERS;
    if (mf_table_new(&table) != 0 || make_cluster(table, "h", &BOX("10.0.0.1:1", 1), 1, &cluster) != 0 ||
        mf_cluster_seal(table, cluster) != 0)
        return 1;
    history_room(&histories[0], n);
    atomic_store(&running, READERS);
    for (uintptr_t i = 1; i <= READERS; i++) {
        history_room(&histories[i], lookups);
        start(&threads[i - 1], read_all, (void *)i);
    }
    while (atomic_load(&running) && histories[0].n < n) {
        uint64_t r = next_random(&random), key = r % KEYS;
        uint32_t version = (uint32_t)histories[0].n + 1;
        if (r >> 32 & 1)
            RECORD(&histories[0], "publish", key, version, publish(key, version));
        else
            RECORD(&histories[0], "remove", key, 0, mf_table_remove(table, S(names[key]), patterns[key]) == 0);
        if ((r >> 40 & 3) == 0)
            mf_table_reclaim(table);
    }
    for (int i = 0; i < READERS; i++)
        join(threads[i]);
    mf_cluster_give(table, cluster);
    mf_table_free(table);
    return history_end("table");
}
