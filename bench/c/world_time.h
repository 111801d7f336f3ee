#pragma once
/* world_time: what questions to a world cost. */
#include "world.h"

enum { WORLD_SPANS = 8192 };

/* ns of one lookup, over about `ms`. Only lookups are on the clock, a block between two readings of it. */
static inline double world_time(struct world *world, enum world_mix mix, uint32_t batch, double ms)
{
    static double spans[WORLD_SPANS];
    size_t n = 0;
    for (double end = bench_now() + ms * 1e6; n == 0 || (n < WORLD_SPANS && bench_now() < end); n++) {
        world_ask(world, mix);
        double start = bench_now();
        world_lookup(world, WORLD_NEAR, batch);
        spans[n] = bench_now() - start;
        world_check(world, WORLD_NEAR);
    }
    return bench_settled(spans, n) / WORLD_NEAR;
}

/* Questions of one kind, so many at once; for bench_rounds. */
struct world_job {
    struct world *world;
    enum world_mix mix;
    uint32_t batch;
};

static inline double world_look(void *arg)
{
    struct world_job *job = arg;
    return world_time(job->world, job->mix, job->batch, bench.ms);
}
