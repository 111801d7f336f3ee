#include "call/pool.h"

#include "base/err.h"
#include "base/mem.h"

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
    mf_list_init(&pool->links);
    mf_list_init(&pool->watchers);
    mf_queue_init(&pool->queue);
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

struct mf_pool *mf_pool_of_peer(struct mf_pools *pools, struct mf_dialer *dialer, struct mf_peer *peer)
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
    pool->peer = peer;
    pool->down_until = &peer->down_until;
    pool->next = pools->by_peer[peer->id];
    pools->by_peer[peer->id] = pool;
    return pool;
}

struct mf_pool *mf_pool_of_addr(struct mf_pools *pools, struct mf_dialer *dialer, const struct mf_addr *addr)
{
    for (struct mf_list *node = pools->all.next; node != &pools->all; node = node->next) {
        struct mf_pool *pool = MF_CONTAINER(node, struct mf_pool, node);
        if (!pool->peer && pool->dialer == dialer && mf_addr_eq(&pool->addr, addr))
            return pool;
    }
    return make(pools, dialer, addr);
}

static void free_pool(struct mf_pool *pool)
{
    assert(mf_list_empty(&pool->links) && mf_list_empty(&pool->queue.calls));
    mf_list_remove(&pool->node);
    if (pool->peer) {
        struct mf_pool **at = &pool->pools->by_peer[pool->peer->id];
        while (*at != pool)
            at = &(*at)->next;
        *at = pool->next;
        mf_peer_give(pool->pools->local->table, pool->peer);
    }
    mf_free(pool);
}

void mf_pools_init(struct mf_pools *pools, struct mf_local *local)
{
    *pools = (struct mf_pools){.local = local};
    mf_list_init(&pools->all);
}

void mf_pools_dispose(struct mf_pools *pools)
{
    while (!mf_list_empty(&pools->all))
        free_pool(MF_CONTAINER(pools->all.next, struct mf_pool, node));
    mf_free(pools->by_peer);
    pools->by_peer = NULL;
}

/* --- which connection */

static void peer_failed(struct mf_pool *pool, int rc)
{
    struct mf_local *local = pool->pools->local;
    if (pool->health.failures == 0)
        local->report(local, MF_EVENT_PEER_DOWN, rc, &pool->addr);
    mf_store_relaxed(pool->down_until, mf_health_failed(&pool->health, mf_local_now(local), local->limits));
}

static void connect_failed(struct mf_pool *pool, int rc)
{
    MF_COUNT(pool->pools->local, upstream_connect_failed);
    peer_failed(pool, rc);
}

void mf_pool_silent(struct mf_pool *pool)
{
    peer_failed(pool, -ETIMEDOUT);
}

/* Our own want of memory or descriptors says nothing of the peer. */
static bool peers_fault(int rc)
{
    return rc != -ENOMEM && rc != -EMFILE && rc != -ENFILE && rc != -ENOBUFS;
}

static int dial(struct mf_pool *pool)
{
    int rc = 0;
    struct mf_link *link = pool->dialer->ops->dial(pool->dialer, pool, &rc);
    if (!link) {
        if (peers_fault(rc))
            connect_failed(pool, rc);
        return rc;
    }
    mf_list_push(&pool->links, &link->node);
    pool->n_links++;
    pool->n_connecting++;
    return 0;
}

struct mf_link *mf_pool_pick(struct mf_pool *pool, int *rc)
{
    struct mf_local *local = pool->pools->local;
    struct mf_link *best = NULL;
    bool full = false;
    uint64_t now = mf_local_now(local);
    pool->last_used = now;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        /* The application beside us has no other instance: its READONLY is passed on to the callers instead. */
        if (!link->conn->ready || link->conn->doomed || (link->readonly && pool->peer))
            continue;
        if (!mf_sock_writable(&link->conn->sock)) /* found dead in this turn: what is sent now would be lost with it */
            continue;
        if (mf_conn_full(link->conn)) {
            full = true;
            continue;
        }
        if (!best || link->callee.n_calls < best->callee.n_calls)
            best = link;
    }
    *rc = 0;
    bool may = pool->n_connecting == 0 && pool->n_links < local->limits->upstream_connections + (best || full ? 0 : 1);
    if (may && (!best || pool->dialer->ops->room(best) == 0)) {
        if (!best && !pool->peer && mf_load_relaxed(pool->down_until) > now)
            *rc = -ECONNREFUSED; /* just refused: not once per call */
        else
            *rc = dial(pool);
        if (*rc < 0)
            return best;
    }
    if (!best && pool->n_connecting == 0)
        *rc = full ? MF_EROUTE_FULL : MF_EROUTE_DOWN; /* what there is asked for no new calls */
    else if (!best && pool->queue.bytes > local->limits->upstream_output_high && mf_conn_too_much(local, pool->queue.bytes))
        *rc = MF_EROUTE_FULL;
    else if (pool->health.failures && pool->peer)
        mf_store_relaxed(pool->down_until, mf_health_tried(&pool->health, now, local->limits));
    return best;
}

uint32_t mf_pool_calls(const struct mf_pool *pool)
{
    uint32_t n = pool->queue.n_calls;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next)
        n += MF_CONTAINER(node, struct mf_link, node)->callee.n_calls;
    return n;
}

void mf_pool_alive(struct mf_pool *pool)
{
    if (!mf_health_alive(&pool->health))
        return;
    struct mf_local *local = pool->pools->local;
    mf_store_relaxed(pool->down_until, 0);
    local->report(local, MF_EVENT_PEER_UP, 0, &pool->addr);
}

void mf_pool_check_queue(struct mf_pool *pool, struct mf_conn *conn)
{
    if (pool->queue.bytes <= pool->pools->local->limits->upstream_output_high)
        return;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (!link->conn->ready) {
            mf_conn_pause_for(conn, link->conn);
            return;
        }
    }
}

/* --- what became of it */

void mf_pool_connected(struct mf_pool *pool, struct mf_link *link)
{
    pool->n_connecting--;
    struct mf_list *node;
    while ((node = mf_list_shift(&pool->queue.calls))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        bool two_way = call->two_way;
        int rc = pool->dialer->ops->send(link, call);
        if (rc < 0) {
            struct mf_fault fault = {MF_OUTCOME_OVERLOAD, mf_err_text(rc)};
            if (rc == -ENOMEM)
                MF_COUNT(pool->pools->local, out_of_memory);
            mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
        } else {
            mf_call_step(call, two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT,
                         &(struct mf_call_input){.callee = &link->callee});
        }
    }
    if (!mf_sock_full(&link->conn->sock)) /* else they go on when it drains */
        mf_conn_release(link->conn);
}

/* The calls that waited go to another peer where the table chose this one, else back to their callers. */
static void empty_queue(struct mf_pool *pool)
{
    struct mf_list waiting;
    mf_list_init(&waiting);
    mf_list_splice(&waiting, &pool->queue.calls);
    struct mf_list *node;
    while ((node = mf_list_shift(&waiting))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        if (call->by_table) {
            mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){0});
            continue;
        }
        struct mf_fault fault = {MF_OUTCOME_NONE_UP,
                                 "meshfast: the address that this listener forwards to refused the connection"};
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    }
}

static void learn(struct mf_pool *pool, const struct mf_link *link, int rc)
{
    struct mf_local *local = pool->pools->local;
    if (!link->conn->ready) {
        pool->n_connecting--;
        if (rc < 0 && peers_fault(rc))
            connect_failed(pool, rc);
    } else if (link->conn->sock.bytes_in == 0 && !mf_list_empty(&link->callee.calls) && peers_fault(rc)) {
        connect_failed(pool, rc < 0 ? rc : -ECONNRESET); /* it was let in and hung up on: a relay without a backend */
    } else if (rc == -ETIMEDOUT) {
        mf_pool_silent(pool);
    } else if (link->readonly) { /* it has stopped: the next connect finds out whether it is back */
        mf_store_relaxed(pool->down_until, mf_health_rest(mf_local_now(local), local->limits));
    }
}

void mf_pool_lost(struct mf_pool *pool, struct mf_link *link, int rc)
{
    struct mf_local *local = pool->pools->local;
    mf_list_remove(&link->node);
    pool->n_links--;
    learn(pool, link, rc);
    if (!mf_list_empty(&link->callee.calls)) {
        MF_COUNT(local, upstream_reset);
        local->report(local, MF_EVENT_UPSTREAM_LOST, rc, &pool->addr);
    }
    /* Whatever ended it, a silent peer too. */
    struct mf_fault fault = {MF_OUTCOME_LOST, "meshfast: the connection to the provider was lost before it answered"};
    mf_callee_gone(&link->callee, &fault);
    if (!link->conn->ready)
        empty_queue(pool);
}

void mf_pool_readonly(struct mf_pool *pool, struct mf_link *link, bool readonly)
{
    struct mf_local *local = pool->pools->local;
    link->readonly = readonly;
    if (readonly) {
        MF_COUNT(local, readonly_in);
        local->report(local, MF_EVENT_PEER_READONLY, 0, &pool->addr);
    }
    if (pool->peer)
        mf_store_relaxed(pool->down_until,
                         readonly ? mf_local_now(local) + local->limits->heartbeat_timeout * 1000000 : 0);
    for (struct mf_list *node = pool->watchers.next; node != &pool->watchers; node = node->next) {
        struct mf_watcher *watcher = MF_CONTAINER(node, struct mf_watcher, node);
        watcher->on_readonly(watcher, readonly);
    }
}

uint32_t mf_pool_stop(struct mf_pool *pool, const struct mf_fault *fault)
{
    struct mf_list *node;
    uint32_t n = 0;
    for (; (node = mf_list_shift(&pool->queue.calls)); n++)
        mf_call_step(MF_CONTAINER(node, struct mf_call, place), MF_CALL_ON_FAULT,
                     &(struct mf_call_input){.fault = fault});
    for (struct mf_list *at = pool->links.next; at != &pool->links; at = at->next) {
        struct mf_link *link = MF_CONTAINER(at, struct mf_link, node);
        for (; (node = mf_list_shift(&link->callee.calls)); n++)
            mf_call_step(MF_CONTAINER(node, struct mf_call, place), MF_CALL_ON_FAULT,
                         &(struct mf_call_input){.fault = fault});
        mf_conn_doom(link->conn, 0);
    }
    return n;
}

void mf_pools_sweep(struct mf_pools *pools)
{
    uint64_t now = mf_local_now(pools->local);
    uint64_t idle = pools->local->limits->idle_timeout * 1000000;
    struct mf_list *next;
    for (struct mf_list *node = pools->all.next; node != &pools->all; node = next) {
        next = node->next;
        struct mf_pool *pool = MF_CONTAINER(node, struct mf_pool, node);
        bool wanted = pool->peer ? mf_peer_listed(pool->peer) : pool->users || now - pool->last_used < idle;
        if (wanted || !mf_list_empty(&pool->queue.calls))
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
