#include "call/pool_rest.h"

/* Watchers hear the first change at once, and then no more often than this, twice as long each time. */
#define TELL_NS (100 * MF_POOL_MS_NS)
#define TELL_LONGEST_NS (800 * MF_POOL_MS_NS)

void mf_pool_rest_stop(struct mf_pool *pool)
{
    mf_list_remove(&pool->due);
    mf_timer_cancel(mf_pool_rest_timers(pool), &pool->tell);
    mf_timer_cancel(mf_pool_rest_timers(pool), &pool->hedge);
    mf_timer_cancel(mf_pool_rest_timers(pool), &pool->late);
    mf_timer_cancel(mf_pool_rest_timers(pool), &pool->probe);
}

static void tell_watchers(struct mf_pool *pool)
{
    uint64_t now = mf_local_now(pool->pools->local);
    pool->tell_gap = now - pool->told_at >= TELL_LONGEST_NS ? TELL_NS
                     : pool->tell_gap < TELL_LONGEST_NS     ? 2 * pool->tell_gap
                                                            : TELL_LONGEST_NS;
    pool->told = mf_pool_rest_gone(pool);
    pool->told_at = now;
    for (struct mf_list *node = pool->watchers.next; node != &pool->watchers; node = node->next) {
        struct mf_watcher *watcher = MF_CONTAINER(node, struct mf_watcher, node);
        watcher->on_readonly(watcher, pool->told);
    }
}

static void on_tell(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, tell);
    if (mf_pool_rest_gone(pool) != pool->told)
        tell_watchers(pool);
}

void mf_pool_rest_changed(struct mf_pool *pool)
{
    uint64_t until = pool->rest_until & ~UINT64_C(1);
    if (pool->peer && pool->readonly && pool->readonly_until > until)
        until = pool->readonly_until | (until <= mf_local_now(pool->pools->local));
    if (until != pool->until) {
        uint64_t now = mf_local_now(pool->pools->local), before = mf_load_relaxed(pool->down_until);
        if (until == 0 && pool->peer)
            mf_store_relaxed(&pool->peer->since, mf_local_now(pool->pools->local));
        pool->until = until;
        mf_store_relaxed(pool->down_until, until);
        /* A rest that grows longer is seen when the one before it ends. */
        if (pool->peer && ((before > now) != (until > now) || until < before))
            mf_peer_changed(pool->peer);
    }
    if (mf_list_empty(&pool->watchers) || mf_pool_rest_gone(pool) == pool->told || pool->tell.at)
        return;
    if (mf_local_now(pool->pools->local) - pool->told_at >= pool->tell_gap)
        tell_watchers(pool);
    else
        mf_timer_set(mf_pool_rest_timers(pool), &pool->tell, pool->told_at + pool->tell_gap, on_tell);
}

void mf_pool_rest_set(struct mf_pool *pool, uint64_t until)
{
    pool->rest_until = until;
    mf_pool_rest_changed(pool);
}

static void on_probe(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, probe);
    struct mf_pools *pools = pool->pools;
    mf_list_push(&pools->due, &pool->due);
    if (!pools->probing.at)
        mf_timer_set(mf_pool_rest_timers(pool), &pools->probing, pools->probed_at + MF_POOL_PROBES_EVERY_NS,
                     pools->on_probing);
}

void mf_pool_rest_probe_at(struct mf_pool *pool, uint64_t at)
{
    if (!pool->stopped)
        mf_timer_set(mf_pool_rest_timers(pool), &pool->probe, at, on_probe);
}

void mf_pool_rest_failed(struct mf_pool *pool, int rc)
{
    if (pool->peer)
        atomic_fetch_add_explicit(&pool->peer->failures, 1, memory_order_relaxed);
    struct mf_local *local = pool->pools->local;
    if (pool->health.failures == 0)
        local->report(local, MF_EVENT_PEER_DOWN, rc, &pool->addr);
    uint64_t until = mf_health_failed(&pool->health, mf_local_now(local), local->limits);
    mf_pool_rest_probe_at(pool, until);
    mf_pool_rest_set(pool, pool->peer ? until + MF_POOL_PROBE_SLACK_NS : until);
}

void mf_pool_rest_unreached(struct mf_pool *pool, int rc)
{
    MF_COUNT(pool->pools->local, upstream_connect_failed);
    mf_pool_rest_failed(pool, rc);
}
