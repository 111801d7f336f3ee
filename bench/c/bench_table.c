/* bench_table: what a lookup, a publish and an explain cost, and what publishes cost those who look up. One JSON object
 * a line (bench.h).
 *
 * Names end in the number of services. Lookups come in random order over all of them: at 100,000 the memory is cold.
 * `batch` is 16 calls at a time, as the proxy asks. */
#include "world.h"

#include "base/mem.h"

#include <pthread.h>

enum { BATCH = 16, PUBLISHES_A_SECOND = 1000 };

static void explain(void *arg, uint64_t n)
{
    struct world_job *job = arg;
    struct mf_route_step room[64];
    world_ask(job->world, job->mix);
    for (uint64_t i = 0; i < n; i++) {
        struct mf_route_steps steps = {.steps = room, .room = 64};
        struct mf_route route;
        bench_must(mf_route_explain(job->world->table, &job->world->near.queries[i % WORLD_NEAR], &route, &steps),
                   "an explain");
        bench_sink += steps.n;
    }
}

static void publish(void *arg, uint64_t n)
{
    struct world *world = arg;
    for (uint64_t i = 0; i < n; i++) {
        world_publish(world, (uint32_t)(world_random(world) % world->size.services));
        mf_table_reclaim(world->table);
    }
}

static double build(void *arg)
{
    uint32_t services = *(uint32_t *)arg;
    double start = bench_cpu_now();
    struct world *world = world_new(WORLD_USUAL(services));
    double took = bench_cpu_now() - start;
    world_free(world);
    return took;
}

/* --- readers beside a writer: windows with publishes and without, in turn */

struct writer {
    struct world *world;
    atomic_bool works, ends;
    atomic_ullong published;
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    struct world *world = writer->world;
    uint64_t random = 99;
    struct timespec next;
    bench_pin(bench.other);
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (!atomic_load_explicit(&writer->ends, memory_order_relaxed)) {
        next.tv_nsec += 1000000000 / PUBLISHES_A_SECOND;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        if (!atomic_load_explicit(&writer->works, memory_order_relaxed))
            continue;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        world_publish(world, (uint32_t)(random >> 33) % world->size.services);
        mf_table_reclaim(world->table);
        atomic_fetch_add_explicit(&writer->published, 1, memory_order_relaxed);
    }
    return NULL;
}

static double window(struct world_job *job, int reader)
{
    static double spans[WORLD_SPANS];
    struct mf_epoch *epoch = mf_table_epoch(job->world->table);
    size_t n = 0;
    for (double end = bench_now() + 10 * bench.ms * 1e6; n == 0 || (n < WORLD_SPANS && bench_now() < end); n++) {
        world_ask(job->world, job->mix);
        double start = bench_now();
        for (uint32_t i = 0; i < WORLD_NEAR; i += BATCH) {
            mf_route_lookup_batch(job->world->table, job->world->near.queries + i, BATCH, job->world->near.routes + i,
                                  job->world->near.rcs + i);
            mf_epoch_quiesce(epoch, reader);
        }
        spans[n] = bench_now() - start;
        for (uint32_t i = 0; i < WORLD_NEAR; i++)
            bench_must(job->world->near.rcs[i], "a lookup");
    }
    return bench_settled(spans, n) / WORLD_NEAR;
}

static void readers(struct world_job *job)
{
    double quiet[BENCH_ROUNDS], busy[BENCH_ROUNDS], slower[BENCH_ROUNDS], rate[BENCH_ROUNDS];
    struct writer writer = {.world = job->world};
    pthread_t thread;
    if (!bench_wanted("table.readers"))
        return;
    int reader = mf_epoch_join(mf_table_epoch(job->world->table));
    bench_must(reader, "a reader");
    mf_epoch_online(mf_table_epoch(job->world->table), reader);
    if (pthread_create(&thread, NULL, write_on, &writer))
        exit(1);
    for (int i = 0; i < bench.rounds; i++)
        for (int k = 0; k < 2; k++) {
            bool works = (i + k) % 2; /* who is first changes */
            atomic_store_explicit(&writer.works, works, memory_order_relaxed);
            unsigned long long before = atomic_load_explicit(&writer.published, memory_order_relaxed);
            double start = bench_now(), took = window(job, reader);
            *(works ? &busy[i] : &quiet[i]) = took;
            if (works)
                rate[i] = (double)(atomic_load_explicit(&writer.published, memory_order_relaxed) - before) /
                          (bench_now() - start) * 1e9;
        }
    atomic_store_explicit(&writer.ends, true, memory_order_relaxed);
    pthread_join(thread, NULL);
    mf_epoch_leave(mf_table_epoch(job->world->table), reader);
    for (int i = 0; i < bench.rounds; i++)
        slower[i] = (busy[i] / quiet[i] - 1) * 100;
    bench_print("table.readers_quiet/100000", "ns", quiet, bench.rounds);
    bench_print("table.readers_published/100000", "ns", busy, bench.rounds);
    bench_print("table.readers_slower/100000", "%", slower, bench.rounds);
    bench_print("table.publishes_a_second/100000", "1/s", rate, bench.rounds);
    if (bench.other == bench.cpu)
        fprintf(stderr, "one core only: the writer took the reader's\n");
}

static void at(uint32_t services)
{
    static const struct {
        const char *name;
        enum world_mix mix;
        uint32_t batch;
    } lookups[] = {
        {"table.lookup", WORLD_HALF, 1},           {"table.lookup_batch", WORLD_HALF, BATCH},
        {"table.lookup_label", WORLD_HIT, 1},      {"table.lookup_no_label", WORLD_NO_LABEL, 1},
        {"table.lookup_fallback", WORLD_FALLBACK, 1},
    };
    char name[64];
    struct world *world = world_new(WORLD_USUAL(services));
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++) {
        struct world_job job = {world, lookups[i].mix, lookups[i].batch};
        snprintf(name, sizeof name, "%s/%u", lookups[i].name, services);
        bench_rounds(name, world_look, &job);
    }
    snprintf(name, sizeof name, "table.explain/%u", services);
    bench_op(name, explain, &(struct world_job){.world = world});
    snprintf(name, sizeof name, "table.publish/%u", services);
    bench_op(name, publish, world);
    if (services == 100000)
        readers(&(struct world_job){.world = world});
    world_free(world);
}

int main(int argc, char **argv)
{
    uint32_t services = 1000;
    bench_begin(argc, argv);
    bench_rounds("table.build/1000", build, &services);
    at(1000);
    at(100000);
    return 0;
}
