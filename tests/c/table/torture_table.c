/* table under threads: lookups on three readers while the writer publishes, removes and frees.
 *
 * Version v of a service has the timeout v and one instance at port 1000 + v % PORTS: a reader that sees parts of two
 * versions, or of none that is alive, finds a timeout and a port that do not belong together. */
#include "base/err.h"
#include "table/mesh.h"
#include "table/torture.h"

#include <arpa/inet.h>

enum { READERS = 3, SERVICES = 48, PORTS = 16, BATCH = 16 };

static struct mf_table *table;
static mf_atom32 running;
static mf_atom64 reached;
static uint64_t lookups; /* of each reader */
static struct mf_slice names[SERVICES];
static char texts[SERVICES][32];

static struct mf_slice name_of(uint64_t number, char out[32])
{
    return mf_slice_of(out, (size_t)snprintf(out, 32, "%s.S%llu", number % 3 ? "a" : "b", (unsigned long long)number));
}

static struct mf_slice prefix_of(uint64_t number, char out[32])
{
    return mf_slice_of(out, (size_t)snprintf(out, 32, "b.S%llu", (unsigned long long)(number % 10)));
}

/* Whether it was found by its own name, not by a pattern. */
static bool is_own(const struct mf_route *route, struct mf_slice name)
{
    return memcmp(route->stat->service, name.ptr, name.len + 1) == 0;
}

static void check_route(const struct mf_route *route, struct mf_slice name)
{
    const struct sockaddr_in *in = (const void *)&route->peer->addr.sa;
    MUST(ntohs(in->sin_port) == 1000 + route->timeout_ms % PORTS);
    MUST(is_own(route, name) || strchr(route->stat->service, '*'));
    MUST(mf_peer_listed(route->peer));
}

static void *look_up(void *arg)
{
    uint64_t random = (uintptr_t)arg, hits = 0;
    struct mf_epoch *epoch = mf_table_epoch(table);
    int reader = mf_epoch_join(epoch);
    struct mf_peer *pooled = NULL;
    struct mf_stat_shard *open = NULL;
    uint32_t newest[SERVICES] = {0};
    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    labels[0] = S("red");
    mf_epoch_online(epoch, reader);
    for (uint64_t i = 0; i < lookups; i += BATCH) {
        struct mf_query queries[BATCH];
        struct mf_route routes[BATCH];
        int rcs[BATCH];
        uint64_t r = next_random(&random);
        for (int k = 0; k < BATCH; k++) {
            uint64_t number = next_random(&random) % SERVICES;
            queries[k] = (struct mf_query){.service = names[number], .method = S("m"), .labels = labels,
                                           .now = number, .random = next_random(&random)};
        }
        if (r & 1)
            mf_route_lookup_batch(table, queries, BATCH, routes, rcs);
        else
            for (int k = 0; k < BATCH; k++)
                rcs[k] = mf_route_lookup(table, &queries[k], &routes[k]);
        if ((r >> 1 & 15) == 0)
            sched_yield();
        for (int k = 0; k < BATCH; k++) {
            MUST(rcs[k] == 0 || rcs[k] == MF_EROUTE_SERVICE);
            if (rcs[k] != 0)
                continue;
            hits++;
            check_route(&routes[k], queries[k].service);
            if (is_own(&routes[k], queries[k].service))
                MUST(routes[k].timeout_ms >= newest[queries[k].now]); /* never back in time; within a batch there is none */
            if (!pooled && (r >> 8 & 31) == (uint64_t)k) {
                pooled = routes[k].peer;
                mf_peer_take(pooled);
                mf_peer_set_down(pooled, 0);
                open = mf_stat_shard(routes[k].stat, reader);
                mf_count(&open->begun, 1);
            }
        }
        for (int k = 0; k < BATCH; k++)
            if (rcs[k] == 0 && is_own(&routes[k], queries[k].service) && routes[k].timeout_ms > newest[queries[k].now])
                newest[queries[k].now] = routes[k].timeout_ms;
        const struct mf_labels *plan = mf_table_labels(table);
        MUST(plan->n_labels == 0 || plan->labels[0].name.len == plan->n_traces);
        if (r >> 16 & 1) {
            mf_epoch_quiesce(epoch, reader);
        } else if (r >> 17 & 1) {
            mf_epoch_offline(epoch, reader);
            mf_epoch_online(epoch, reader);
        }
        if (pooled && (r >> 20 & 3) == 0) { /* epochs after it was routed to */
            MUST(pooled->text[0] == '1');
            mf_count(&open->done, 1);
            mf_peer_give(table, pooled);
            pooled = NULL;
        }
    }
    if (pooled) {
        mf_count(&open->done, 1);
        mf_peer_give(table, pooled);
    }
    mf_epoch_leave(epoch, reader);
    atomic_fetch_add(&reached, hits);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* By label or all: both compile to the one instance of the version. */
static void publish(struct mf_slice name, enum mf_service_pattern pattern, uint32_t version)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    char addr[32];
    snprintf(addr, sizeof addr, "10.0.%u.%u:%u", version % 3, version % 7, 1000 + version % PORTS);
    MUST(make_cluster(table, version % 2 ? "odd" : "even", &BOX(addr, 1, "env", "red"), 1, &cluster) == 0);
    MUST(mf_cluster_seal(table, cluster) == 0);
    MUST(mf_service_new(table, name, pattern, &service) == 0);
    MUST(mf_service_rule(service, version) == 0);
    MUST(mf_service_target(table, service, 0, cluster, version % 5 ? MF_TARGET_LABEL : MF_TARGET_ALL, S("env"), 1, 0,
                           MF_NO_TARGET) == 0);
    MUST(mf_table_publish(table, service) == 0);
    mf_cluster_give(table, cluster);
}

static void publish_plan(uint32_t version)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1 + version % 3};
    static const char *const prefixes[] = {"", "e", "en", "env"};
    plan.labels[0].name = S(prefixes[plan.n_traces]);
    MUST(mf_table_publish_labels(table, &plan) == 0);
}

int main(int argc, char **argv)
{
    pthread_t threads[READERS];
    uint64_t n = operations(argc, argv, 400000);
    uint64_t random = 4711;
    uint32_t version = 0;
    char name[32];
    poison_what_is_freed();
    if (mf_table_new(&table) != 0 || mf_label_intern(table, S("env")) != 0)
        return 1;
    for (uint64_t i = 0; i < SERVICES; i++)
        names[i] = name_of(i, texts[i]);
    lookups = (n / READERS + BATCH - 1) / BATCH * BATCH;
    atomic_store(&running, READERS);
    for (uintptr_t i = 0; i < READERS; i++)
        start(&threads[i], look_up, (void *)(i + 1));
    while (version < n / 50 || atomic_load(&running)) {
        uint64_t r = next_random(&random), number = r % SERVICES;
        version++;
        switch (r >> 32 & 15) {
        case 0: /* may be gone already */
            mf_table_remove(table, name_of(number, name), MF_SERVICE_EXACT);
            break;
        case 1:
            publish(S("a."), MF_SERVICE_PREFIX, version);
            break;
        case 2:
            mf_table_remove(table, S("a."), MF_SERVICE_PREFIX);
            break;
        case 5: /* a prefix more, and one less: their list is replaced */
            publish(prefix_of(number, name), MF_SERVICE_PREFIX, version);
            break;
        case 6:
        case 7:
            mf_table_remove(table, prefix_of(number, name), MF_SERVICE_PREFIX);
            break;
        case 3:
            publish_plan(version);
            break;
        case 4: /* a name never asked for: the index fills and is rebuilt */
            publish(name_of(SERVICES + version, name), MF_SERVICE_EXACT, version);
            mf_table_remove(table, name_of(SERVICES + version, name), MF_SERVICE_EXACT);
            break;
        default:
            publish(name_of(number, name), MF_SERVICE_EXACT, version);
        }
        if (r >> 40 & 1)
            mf_table_reclaim(table);
    }
    for (int i = 0; i < READERS; i++)
        join(threads[i]);
    for (uint64_t i = 0; i < SERVICES; i++)
        mf_table_remove(table, name_of(i, name), MF_SERVICE_EXACT);
    mf_table_remove(table, S("a."), MF_SERVICE_PREFIX);
    for (uint64_t i = 0; i < SERVICES; i++)
        mf_table_remove(table, prefix_of(i, name), MF_SERVICE_PREFIX);
    mf_table_reclaim(table);
    MUST(mf_table_reclaim(table) == 0);
    MUST(n_peers(table) == 0 && n_stats_of(table) == 0 && mf_table_n_services(table) == 0);
    MUST(reached > lookups);
    mf_table_free(table);
    return torture_end("table/torture_table", READERS * lookups + version);
}
