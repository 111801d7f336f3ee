#pragma once
/* pool_rest: whether a pool's address takes calls now, who is told of that, and when it is probed. */
#include "call/pool.h"

#include <errno.h>

#define MF_POOL_MS_NS UINT64_C(1000000)
/* Calls go to a peer that has rested when the probe that was due had time to tell. */
#define MF_POOL_PROBE_SLACK_NS (50 * MF_POOL_MS_NS)
/* Probes are taken this far apart, or farther; as many at once as maxProbes allows. */
#define MF_POOL_PROBES_EVERY_NS (10 * MF_POOL_MS_NS)

/* It takes no calls until then. */
void mf_pool_rest_set(struct mf_pool *pool, uint64_t until);
/* What it says of itself has changed: callers' lookups and watchers hear of it. */
void mf_pool_rest_changed(struct mf_pool *pool);
/* It was there and is not, or is silent: it rests, and is probed. The second: it could not be reached. */
void mf_pool_rest_failed(struct mf_pool *pool, int rc);
void mf_pool_rest_unreached(struct mf_pool *pool, int rc);
void mf_pool_rest_probe_at(struct mf_pool *pool, uint64_t at);
/* All timers of the pool. */
void mf_pool_rest_stop(struct mf_pool *pool);

/* inline */

static inline struct mf_timers *mf_pool_rest_timers(const struct mf_pool *pool)
{
    return mf_loop_timers(pool->pools->local->loop);
}

/* What its watchers should know. */
static inline bool mf_pool_rest_gone(const struct mf_pool *pool)
{
    return pool->readonly || pool->health.failures > 0;
}

/* The latest that a connection being made from now on is there, or has failed. */
static inline uint64_t mf_pool_rest_connected_by(const struct mf_pool *pool, uint64_t now)
{
    return now + pool->pools->local->limits->connect_timeout * MF_POOL_MS_NS + MF_POOL_PROBE_SLACK_NS;
}
