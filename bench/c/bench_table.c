/* bench_table: what a lookup, a publish and an explain cost, and what publishes cost those who look up. One JSON object
 * a line (bench.h).
 *
 * Names end in the number of services. Lookups come in random order over all of them: at 100,000 the memory is cold.
 * `batch` is 16 calls at a time, as the proxy asks. */
#include "world_policy.h"
#include "world_time.h"

#include "base/mem.h"
#include "table/maglev.h"

#include <errno.h>
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

/* All of them, of so many and with that policy. */
static double build(void *arg)
{
    const struct world_size *size = arg;
    double start = bench_cpu_now();
    struct world *world = world_new(*size);
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

static struct world_policy own;

/* Chance by weight, without a policy, each balancer, and localities: of usual applications, and of one with a thousand
 * instances. */
static void picks(struct world_size size, const char *what)
{
    static const char *const names[] = {"plain", "random", "round_robin", "least_request", "hash", "levels"};
    char name[64];
    for (int kind = MF_BALANCER_WEIGHTED; kind <= MF_BALANCER_HASH + 1; kind++) {
        size.policy = kind > MF_BALANCER_HASH ? world_levels(&own, size) : world_balance(&own, kind);
        snprintf(name, sizeof name, "table.pick_%s/%s", names[kind], what);
        if (!bench_wanted(name))
            continue;
        struct world *world = world_new(size);
        bench_rounds(name, world_look, &(struct world_job){world, WORLD_NO_LABEL, BATCH});
        world_free(world);
    }
}

/* Bytes of the places that a group of a thousand is hashed to, where nobody says how many. */
static void places(void)
{
    static char text[WORLD_PLACES][24];
    static struct mf_maglev_member members[WORLD_PLACES];
    uint32_t n = 1000;
    if (!bench_wanted("table.maglev_bytes/of_1000"))
        return;
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "10.0.%u.%u:20880", i / 250, i % 250 + 1);
        members[i] = (struct mf_maglev_member){mf_slice_str(text[i]), 1};
    }
    struct mf_maglev *maglev = mf_maglev_new(members, n, mf_maglev_size(n));
    bench_must(maglev ? 0 : -ENOMEM, "a table of places");
    double bytes = (double)mf_maglev_bytes(maglev);
    bench_print("table.maglev_bytes/of_1000", "bytes", &bytes, 1);
    mf_maglev_free(maglev);
}

int main(int argc, char **argv)
{
    struct world_size usual = WORLD_USUAL(1000), full = usual, large = {.services = 1, .baseline = 1000, .labelled = 1};
    bench_begin(argc, argv);
    full.policy = world_full(&own, full);
    bench_rounds("table.build/1000", build, &usual);
    bench_rounds("table.build_full/1000", build, &full);
    at(1000);
    picks(usual, "1000");
    picks(large, "of_1000");
    places();
    at(100000);
    return 0;
}
