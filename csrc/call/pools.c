#include "call/pools.h"

#include "base/mem.h"
#include "call/lane.h"
#include "call/pool_rest.h"

#include <assert.h>
#include <errno.h>

static struct mf_pool *make(struct mf_pools *pools, struct mf_dialer *dialer, const struct mf_addr *addr)
{
    struct mf_pool *pool = mf_zalloc(sizeof *pool);
    if (!pool)
        return NULL;
    pool->pools = pools;
    pool->dialer = dialer;
    pool->addr = *addr;
    pool->last_used = mf_local_now(pools->local);
    pool->down_until = &pool->own;
    mf_list_init(&pool->due);
    mf_list_init(&pool->links);
    mf_list_init(&pool->watchers);
    for (int i = 0; i < MF_LANES; i++) {
        pool->lanes[i].pool = pool;
        pool->lanes[i].trials = i == MF_LANE_TRIAL;
        mf_queue_init(&pool->lanes[i].queue);
    }
    mf_lane_trust(pool);
    mf_list_push(&pools->all, &pool->node);
    return pool;
}

static int widen(struct mf_pools *pools, uint32_t id)
{
    uint32_t n = id + 64;
    struct mf_pool **grown = mf_resize(pools->by_peer, n * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + pools->n_by_peer, 0, (n - pools->n_by_peer) * sizeof *grown);
    pools->by_peer = grown;
    pools->n_by_peer = n;
    return 0;
}

struct mf_pool *mf_pools_of_peer(struct mf_pools *pools, struct mf_dialer *dialer, struct mf_peer *peer)
{
    if (peer->id < pools->n_by_peer) { /* a pool's reference keeps the id from being used again */
        struct mf_pool *pool = pools->by_peer[peer->id];
        while (pool && pool->dialer != dialer)
            pool = pool->next;
        if (pool)
            return pool;
    } else if (widen(pools, peer->id) < 0) {
        return NULL;
    }
    struct mf_pool *pool = make(pools, dialer, &peer->addr);
    if (!pool)
        return NULL;
    mf_peer_take(peer);
    pool->of = peer;
    if (!pools->aside) {
        pool->peer = peer;
        pool->down_until = &peer->down_until;
        pool->until = mf_load_relaxed(pool->down_until);
    }
    pool->next = pools->by_peer[peer->id];
    pools->by_peer[peer->id] = pool;
    return pool;
}

struct mf_pool *mf_pools_of_addr(struct mf_pools *pools, struct mf_dialer *dialer, const struct mf_addr *addr)
{
    for (struct mf_list *node = pools->all.next; node != &pools->all; node = node->next) {
        struct mf_pool *pool = MF_CONTAINER(node, struct mf_pool, node);
        if (!pool->peer && pool->dialer == dialer && mf_addr_eq(&pool->addr, addr))
            return pool;
    }
    return make(pools, dialer, addr);
}

/* Adds what is new to the peer's counts, which other workers add to as well. */
static void tell_counts(struct mf_pool *pool)
{
    if (!pool->peer)
        return;
    uint64_t asked = pool->n_asked, active = 0;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        asked += link->callee.n_asked;
        active += link->callee.n_calls;
    }
    if (asked != pool->told_asked)
        atomic_fetch_add_explicit(&pool->peer->calls, asked - pool->told_asked, memory_order_relaxed);
    if (active != pool->told_active)
        atomic_fetch_add_explicit(&pool->peer->calls_active, active - pool->told_active, memory_order_relaxed);
    pool->told_asked = asked;
    pool->told_active = active;
}

static void free_pool(struct mf_pool *pool)
{
    tell_counts(pool);
    assert(mf_list_empty(&pool->links) && mf_lane_quiet(pool));
    mf_pool_rest_stop(pool);
    mf_list_remove(&pool->node);
    if (pool->of) {
        struct mf_pool **at = &pool->pools->by_peer[pool->of->id];
        while (*at != pool)
            at = &(*at)->next;
        *at = pool->next;
        mf_peer_give(pool->pools->local->table, pool->of);
    }
    mf_free(pool);
}

void mf_pools_init(struct mf_pools *pools, struct mf_local *local)
{
    *pools = (struct mf_pools){.local = local, .on_probing = mf_pool_probing};
    mf_list_init(&pools->all);
    mf_list_init(&pools->due);
}

void mf_pools_dispose(struct mf_pools *pools)
{
    if (pools->local->loop)
        mf_timer_cancel(mf_loop_timers(pools->local->loop), &pools->probing);
    while (!mf_list_empty(&pools->all))
        free_pool(MF_CONTAINER(pools->all.next, struct mf_pool, node));
    mf_free(pools->by_peer);
    pools->by_peer = NULL;
}

void mf_pools_sweep(struct mf_pools *pools)
{
    uint64_t now = mf_local_now(pools->local);
    struct mf_list *next;
    for (struct mf_list *node = pools->all.next; node != &pools->all; node = next) {
        next = node->next;
        struct mf_pool *pool = MF_CONTAINER(node, struct mf_pool, node);
        tell_counts(pool);
        mf_pool_sweep(pool, now);
        if (mf_pool_wanted(pool, now) || !mf_lane_quiet(pool))
            continue;
        for (struct mf_list *at = pool->links.next; at != &pool->links; at = at->next) {
            struct mf_link *link = MF_CONTAINER(at, struct mf_link, node);
            if (link->callee.n_calls == 0)
                mf_conn_doom(link->conn, 0);
        }
        if (mf_list_empty(&pool->links))
            free_pool(pool);
    }
}
