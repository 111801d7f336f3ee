#pragma once
/* world: a table of so many services as label routing compiles them, and questions to it that lie ready in the cache
 * while what they ask for does not: as when a request has just been parsed.
 *
 * Services belong to applications of WORLD_APP interfaces each. A rule has one target by label and its baseline. */
#include "bench.h"

#include "table/table.h"

enum { WORLD_APP = 20, WORLD_NEAR = 256, WORLD_NAME = 64 };

struct world_size {
    uint32_t services;
    uint32_t baseline; /* instances of an application that carry no label */
    uint32_t labelled; /* and those that do, each its own value: env0, env1, ... */
    const struct mf_policy *policy; /* of every application, or NULL */
};
#define WORLD_USUAL(n) ((struct world_size){.services = (n), .baseline = 6, .labelled = 2})

enum world_mix {
    WORLD_HALF,     /* half of the questions carry a label that an instance has, half none */
    WORLD_HIT,      /* all carry one that an instance has */
    WORLD_NO_LABEL, /* none does */
    WORLD_FALLBACK, /* all carry one that no instance has */
};

struct world {
    struct world_size size;
    struct mf_table *table;
    struct mf_cluster **clusters;
    uint32_t n_clusters;
    int env; /* the table's number of the label */
    uint64_t random;
    char (*names)[WORLD_NAME];
    struct { /* the questions of one block */
        char names[WORLD_NEAR][WORLD_NAME];
        char values[WORLD_NEAR][16];
        struct mf_pair users[WORLD_NEAR];
        struct mf_slice labels[WORLD_NEAR][MF_PLAN_LABELS]; /* more than there are */
        struct mf_query queries[WORLD_NEAR];
        struct mf_route routes[WORLD_NEAR];
        int rcs[WORLD_NEAR];
    } near;
};

static inline uint64_t world_random(struct world *world)
{
    uint64_t x = world->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 31;
}

static inline size_t world_name(uint32_t i, char out[WORLD_NAME])
{
    return (size_t)snprintf(out, WORLD_NAME, "com.example.app%u.api.Service%u", i / WORLD_APP, i);
}

static inline struct mf_cluster *world_cluster(struct world *world, uint32_t app)
{
    struct mf_cluster *cluster;
    char text[64], value[16];
    snprintf(text, sizeof text, "app%u", app);
    bench_must(mf_cluster_new(world->table, mf_slice_str(text), &cluster), "a cluster");
    for (uint32_t i = 0; i < world->size.baseline + world->size.labelled; i++) {
        bool labelled = i >= world->size.baseline;
        uint32_t port = 20880 + i % 40000;
        snprintf(text, sizeof text, "10.%u.%u.%u:%u", app / 65536, app / 256 % 256, app % 256, port);
        snprintf(value, sizeof value, "env%u", i - world->size.baseline);
        struct mf_pair env = {MF_SLICE("env"), mf_slice_str(value)};
        bench_must(mf_cluster_add(world->table, cluster, mf_slice_str(text), &env, labelled, 1), "an instance");
    }
    if (world->size.policy)
        bench_must(mf_cluster_policy(world->table, cluster, MF_SLICE(""), world->size.policy), "a policy");
    bench_must(mf_cluster_seal(world->table, cluster), "a seal");
    return cluster;
}

/* One service, built and published. */
static inline void world_publish(struct world *world, uint32_t i)
{
    char name[WORLD_NAME];
    struct mf_service *service;
    struct mf_cluster *cluster = world->clusters[i / WORLD_APP];
    struct mf_slice text = mf_slice_of(name, world_name(i, name)), env = MF_SLICE("env");
    bench_must(mf_service_new(world->table, text, MF_SERVICE_EXACT, &service), "a service");
    bench_must(mf_service_rule(service, 0), "a rule");
    bench_must(mf_service_target(world->table, service, 0, cluster, MF_TARGET_LABEL, env, 100,
                                 MF_FALLBACK_NO_AVAILABLE, 1), "a target");
    bench_must(mf_service_target(world->table, service, 0, cluster, MF_TARGET_BASELINE, env, 0,
                                 MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET), "a target");
    bench_must(mf_table_publish(world->table, service), "a publish");
}

/* The instances of one application anew, and all its services: what a registry's news costs. */
static inline void world_rebuild(struct world *world, uint32_t app)
{
    struct mf_cluster *old = world->clusters[app];
    world->clusters[app] = world_cluster(world, app);
    for (uint32_t i = app * WORLD_APP; i < (app + 1) * WORLD_APP && i < world->size.services; i++)
        world_publish(world, i);
    if (old)
        mf_cluster_give(world->table, old);
}

static inline struct world *world_new(struct world_size size)
{
    struct world *world = calloc(1, sizeof *world);
    world->size = size;
    world->random = 1;
    world->n_clusters = (size.services + WORLD_APP - 1) / WORLD_APP;
    world->clusters = calloc(world->n_clusters, sizeof *world->clusters);
    world->names = calloc(size.services, sizeof *world->names);
    bench_must(mf_table_new(&world->table), "a table");
    world->env = mf_label_intern(world->table, MF_SLICE("env"));
    bench_must(world->env, "a label");
    for (uint32_t app = 0; app < world->n_clusters; app++)
        world_rebuild(world, app);
    for (uint32_t i = 0; i < size.services; i++)
        world_name(i, world->names[i]);
    mf_table_reclaim(world->table);
    return world;
}

static inline void world_free(struct world *world)
{
    for (uint32_t i = 0; i < world->n_clusters; i++)
        mf_cluster_give(world->table, world->clusters[i]);
    mf_table_free(world->table);
    free(world->clusters);
    free(world->names);
    free(world);
}

/* Writes a block of questions about services drawn anew, so that each meets memory that was not just read. */
static inline void world_ask(struct world *world, enum world_mix mix)
{
    for (uint32_t i = 0; i < WORLD_NEAR; i++) {
        uint64_t r = world_random(world);
        bool carries = mix == WORLD_HALF ? r >> 63 : mix != WORLD_NO_LABEL;
        char *name = world->near.names[i], *value = world->near.values[i];
        memcpy(name, world->names[r % world->size.services], WORLD_NAME);
        if (mix == WORLD_FALLBACK)
            snprintf(value, sizeof world->near.values[i], "away%u", (uint32_t)(r >> 32) % 100);
        else
            snprintf(value, sizeof world->near.values[i], "env%u", (uint32_t)(r >> 32) % world->size.labelled);
        world->near.labels[i][world->env] = mf_slice_str(value);
        world->near.users[i] = (struct mf_pair){MF_SLICE("x-user"), mf_slice_of(&world->near.queries[i].random, 8)};
        world->near.queries[i] = (struct mf_query){.service = mf_slice_str(name),
                                                   .method = MF_SLICE("sayHello"),
                                                   .labels = carries ? world->near.labels[i] : NULL,
                                                   .headers = &world->near.users[i],
                                                   .n_headers = 1,
                                                   .random = r};
    }
}

/* Answers the first `n` questions, in batches of `batch` (1: singly). */
static inline void world_lookup(struct world *world, uint32_t n, uint32_t batch)
{
    struct mf_query *queries = world->near.queries;
    struct mf_route *routes = world->near.routes;
    int *rcs = world->near.rcs;
    if (batch > 1)
        for (uint32_t i = 0; i < n; i += batch)
            mf_route_lookup_batch(world->table, queries + i, batch, routes + i, rcs + i);
    else
        for (uint32_t i = 0; i < n; i++)
            rcs[i] = mf_route_lookup(world->table, &queries[i], &routes[i]);
}

static inline void world_check(struct world *world, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bench_must(world->near.rcs[i], "a lookup");
        bench_sink += world->near.routes[i].peer->id;
    }
}
