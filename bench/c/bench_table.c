/* bench_table: what a lookup and a publish cost, in ns, at 1,000 and 100,000 services.
 *
 * Services belong to applications of 20 interfaces with 8 instances each; a rule has one target by label and its
 * baseline, as the configuration compiles label routing. Queries come in random order: the memory is cold. */
#include "base/mem.h"
#include "table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { APP = 20, INSTANCES = 8, BATCH = 16, LOOKUPS = 2000000, PUBLISHES = 2000, ROUNDS = 5 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "failed: %d\n", rc);
        exit(1);
    }
}

static size_t name_of(uint32_t i, char out[64])
{
    return (size_t)snprintf(out, 64, "com.example.app%u.api.Service%u", i / APP, i);
}

static struct mf_cluster *new_cluster(struct mf_table *table, uint32_t app)
{
    struct mf_cluster *cluster;
    char text[64];
    snprintf(text, sizeof text, "app%u", app);
    must(mf_cluster_new(table, mf_slice_str(text), &cluster));
    for (uint32_t i = 0; i < INSTANCES; i++) {
        snprintf(text, sizeof text, "10.%u.%u.%u:20880", app / 200, app % 200, i + 1);
        struct mf_pair env = {MF_SLICE("env"), i % 2 ? MF_SLICE("red") : MF_SLICE("blue")};
        must(mf_cluster_add(table, cluster, mf_slice_str(text), &env, i >= 6, 1));
    }
    must(mf_cluster_seal(table, cluster));
    return cluster;
}

static void publish(struct mf_table *table, struct mf_cluster *cluster, uint32_t i)
{
    char name[64];
    struct mf_service *service;
    must(mf_service_new(table, mf_slice_of(name, name_of(i, name)), MF_SERVICE_EXACT, &service));
    must(mf_service_rule(service, 0));
    must(mf_service_target(table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("env"), 100,
                           MF_FALLBACK_NO_AVAILABLE, 1));
    must(mf_service_target(table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("env"), 0,
                           MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET));
    must(mf_table_publish(table, service));
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 31;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *rounds)
{
    qsort(rounds, ROUNDS, sizeof *rounds, by_number);
    return rounds[ROUNDS / 2];
}

/* Queries lie ready in the cache, as they do when a request has just been parsed; only the lookups are timed. */
static double lookups(struct mf_table *table, char (*names)[64], uint32_t n, bool batched)
{
    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    struct mf_query queries[BATCH];
    struct mf_route routes[BATCH];
    char near[BATCH][64];
    uint64_t random = 1, sum = 0, took = 0;
    int rcs[BATCH];
    labels[mf_label_intern(table, MF_SLICE("env"))] = MF_SLICE("red");
    for (uint32_t done = 0; done < LOOKUPS; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            uint64_t r = next_random(&random);
            memcpy(near[i], names[r % n], sizeof near[i]);
            queries[i] = (struct mf_query){.service = mf_slice_str(near[i]),
                                           .method = MF_SLICE("sayHello"),
                                           .labels = r >> 63 ? labels : NULL,
                                           .random = r};
        }
        uint64_t start = now_ns();
        if (batched)
            mf_route_lookup_batch(table, queries, BATCH, routes, rcs);
        else
            for (uint32_t i = 0; i < BATCH; i++)
                rcs[i] = mf_route_lookup(table, &queries[i], &routes[i]);
        took += now_ns() - start;
        for (uint32_t i = 0; i < BATCH; i++) {
            must(rcs[i]);
            sum += routes[i].peer->id;
        }
    }
    if (sum == 0)
        puts("?");
    return (double)took / LOOKUPS;
}

static void run(uint32_t n)
{
    struct mf_table *table;
    struct mf_cluster *cluster = NULL, **clusters = mf_zalloc((n / APP + 1) * sizeof *clusters);
    char(*names)[64] = mf_zalloc(n * sizeof *names);
    double single[ROUNDS], batch[ROUNDS];
    must(mf_table_new(&table));
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < n; i++) {
        if (i % APP == 0)
            clusters[i / APP] = cluster = new_cluster(table, i / APP);
        publish(table, cluster, i);
        name_of(i, names[i]);
    }
    mf_table_reclaim(table);
    printf("%7u services  built in %.0f ms\n", n, (double)(now_ns() - start) / 1e6);
    for (int round = 0; round < ROUNDS; round++) {
        single[round] = lookups(table, names, n, false);
        batch[round] = lookups(table, names, n, true);
    }
    printf("%7u services  lookup %.1f ns, in batches of %d %.1f ns\n", n, median(single), BATCH, median(batch));

    uint64_t random = 7, worst = 0, sum = 0;
    for (int i = 0; i < PUBLISHES; i++) {
        uint32_t which = (uint32_t)(next_random(&random) % n);
        uint64_t from = now_ns();
        publish(table, clusters[which / APP], which);
        mf_table_reclaim(table);
        uint64_t took = now_ns() - from;
        sum += took;
        worst = took > worst ? took : worst;
    }
    printf("%7u services  publish of one and reclaim %.0f ns, worst of %d %.0f ns\n", n, (double)sum / PUBLISHES,
           PUBLISHES, (double)worst);
    for (uint32_t i = 0; i <= n / APP; i++)
        if (clusters[i])
            mf_cluster_give(table, clusters[i]);
    mf_table_free(table);
    mf_free(clusters);
    mf_free(names);
}

int main(void)
{
    run(1000);
    run(100000);
    return 0;
}
