#include "proxy/pool.h"

#include "base/err.h"
#include "base/mem.h"
#include "proxy/conn.h"
#include "proxy/dubbo_conn.h"
#include "proxy/worker.h"

#include <assert.h>
#include <errno.h>

/* A connection this busy is worth another beside it, up to upstreamConnections. */
enum { BUSY_CALLS = 64 };

static struct mf_pool *make(struct mf_worker *worker, const struct mf_addr *addr)
{
    struct mf_pool *pool = mf_zalloc(sizeof *pool);
    if (!pool)
        return NULL;
    pool->worker = worker;
    pool->addr = *addr;
    pool->last_used = mf_worker_now(worker);
    mf_list_init(&pool->conns);
    mf_list_init(&pool->queue);
    mf_list_push(&worker->pools, &pool->node);
    return pool;
}

struct mf_pool *mf_pool_of_peer(struct mf_worker *worker, struct mf_peer *peer)
{
    if (peer->id < worker->n_by_peer && worker->by_peer[peer->id])
        return worker->by_peer[peer->id]; /* its reference keeps the id from being used again */
    if (peer->id >= worker->n_by_peer) {
        uint32_t n = peer->id + 64;
        struct mf_pool **grown = mf_resize(worker->by_peer, n * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + worker->n_by_peer, 0, (n - worker->n_by_peer) * sizeof *grown);
        worker->by_peer = grown;
        worker->n_by_peer = n;
    }
    struct mf_pool *pool = make(worker, &peer->addr);
    if (!pool)
        return NULL;
    mf_peer_take(peer);
    pool->peer = peer;
    worker->by_peer[peer->id] = pool;
    return pool;
}

struct mf_pool *mf_pool_of_addr(struct mf_worker *worker, const struct mf_addr *addr)
{
    for (struct mf_list *node = worker->pools.next; node != &worker->pools; node = node->next) {
        struct mf_pool *pool = MF_CONTAINER(node, struct mf_pool, node);
        if (!pool->peer && mf_addr_eq(&pool->addr, addr))
            return pool;
    }
    return make(worker, addr);
}

void mf_pool_free(struct mf_pool *pool)
{
    assert(mf_list_empty(&pool->conns) && mf_list_empty(&pool->queue));
    mf_list_remove(&pool->node);
    if (pool->peer) {
        pool->worker->by_peer[pool->peer->id] = NULL;
        mf_peer_give(pool->worker->table, pool->peer);
    }
    mf_free(pool);
}

/* --- which connection */

static void set_down(struct mf_pool *pool, uint64_t until)
{
    if (pool->peer)
        mf_peer_set_down(pool->peer, until);
    pool->down_until = until;
}

static void rest(struct mf_pool *pool)
{
    struct mf_worker *worker = pool->worker;
    set_down(pool, mf_worker_now(worker) + mf_policy_backoff(pool->failures, worker->limits));
}

static void peer_failed(struct mf_pool *pool, int rc)
{
    if (pool->failures++ == 0)
        mf_worker_report(pool->worker, MF_EVENT_PEER_DOWN, rc, &pool->addr);
    rest(pool);
}

static void connect_failed(struct mf_pool *pool, int rc)
{
    MF_COUNT(pool->worker, upstream_connect_failed);
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
    struct mf_conn *conn = mf_conn_dial(pool->worker, &pool->addr, &mf_dubbo_up_ops, &rc);
    if (!conn) {
        if (peers_fault(rc))
            connect_failed(pool, rc);
        return rc;
    }
    conn->pool = pool;
    mf_list_remove(&conn->node);
    mf_list_push(&pool->conns, &conn->node);
    pool->n_conns++;
    pool->n_connecting++;
    return 0;
}

struct mf_conn *mf_pool_pick(struct mf_pool *pool, int *rc)
{
    struct mf_worker *worker = pool->worker;
    struct mf_conn *best = NULL;
    uint64_t now = mf_worker_now(worker);
    pool->last_used = now;
    for (struct mf_list *node = pool->conns.next; node != &pool->conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, node);
        /* The application beside us has no other instance: its READONLY is passed on to the callers instead. */
        if (!conn->ready || conn->doomed || (conn->readonly && pool->peer))
            continue;
        if (!mf_sock_writable(&conn->sock)) /* found dead in this turn: what is sent now would be lost with it */
            continue;
        if (!best || conn->n_calls < best->n_calls)
            best = conn;
    }
    *rc = 0;
    bool more = !best || best->n_calls >= BUSY_CALLS;
    if (more && pool->n_connecting == 0 && pool->n_conns < worker->limits->upstream_connections + (best ? 0 : 1)) {
        if (!best && !pool->peer && pool->down_until > now)
            *rc = -ECONNREFUSED; /* just refused: not once per call */
        else
            *rc = dial(pool);
        if (*rc < 0)
            return best;
    }
    if (!best && pool->n_connecting == 0)
        *rc = MF_EROUTE_DOWN; /* what there is asked for no new calls */
    else if (pool->failures && pool->peer)
        rest(pool); /* one call tries it, and the others go elsewhere until it speaks */
    return best;
}

void mf_pool_alive(struct mf_pool *pool)
{
    if (!pool->failures)
        return;
    pool->failures = 0;
    pool->down_until = 0;
    if (pool->peer)
        mf_peer_set_up(pool->peer);
    mf_worker_report(pool->worker, MF_EVENT_PEER_UP, 0, &pool->addr);
}

void mf_pool_check_queue(struct mf_pool *pool, struct mf_conn *down)
{
    if (pool->queued <= pool->worker->limits->upstream_output_high)
        return;
    for (struct mf_list *node = pool->conns.next; node != &pool->conns; node = node->next) {
        struct mf_conn *conn = MF_CONTAINER(node, struct mf_conn, node);
        if (!conn->ready) {
            mf_conn_pause_for(down, conn);
            return;
        }
    }
}

/* --- what became of it */

void mf_pool_connected(struct mf_pool *pool, struct mf_conn *conn)
{
    pool->n_connecting--;
    struct mf_list *node;
    while ((node = mf_list_shift(&pool->queue))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, up_node);
        bool two_way = call->two_way;
        int rc = conn->ops->send(conn, call);
        if (rc < 0) {
            struct mf_fault fault = mf_fault_of(rc, MF_SIDE_OURS);
            if (rc == -ENOMEM)
                MF_COUNT(pool->worker, out_of_memory);
            mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
        } else {
            mf_call_step(call, two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT, &(struct mf_call_input){.up = conn});
        }
    }
    if (!mf_sock_full(&conn->sock)) /* else they go on when it drains */
        mf_conn_release(conn);
}

/* The calls that waited go to another peer where the table chose this one, else back to their callers. */
static void empty_queue(struct mf_pool *pool, int rc)
{
    struct mf_list waiting;
    mf_list_init(&waiting);
    mf_list_splice(&waiting, &pool->queue);
    struct mf_list *node;
    while ((node = mf_list_shift(&waiting))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, up_node);
        if (call->by_table) {
            mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){0});
            continue;
        }
        struct mf_fault fault = mf_fault_of(rc, MF_SIDE_UPSTREAM);
        fault.status = MF_DUBBO_SERVER_ERROR;
        fault.text = "meshfast: the address that this listener forwards to refused the connection";
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    }
}

void mf_pool_lost(struct mf_pool *pool, struct mf_conn *conn, int rc)
{
    struct mf_worker *worker = pool->worker;
    pool->n_conns--;
    if (!conn->ready) {
        pool->n_connecting--;
        if (rc < 0 && peers_fault(rc))
            connect_failed(pool, rc);
    } else if (conn->sock.bytes_in == 0 && !mf_list_empty(&conn->calls) && peers_fault(rc)) {
        connect_failed(pool, rc < 0 ? rc : -ECONNRESET); /* it was let in and hung up on: a relay without a backend */
    } else if (rc == -ETIMEDOUT) {
        mf_pool_silent(pool);
    } else if (conn->readonly) { /* it has stopped: the next connect finds out whether it is back */
        set_down(pool, mf_worker_now(worker) + mf_policy_backoff(1, worker->limits));
    }
    if (mf_list_empty(&conn->calls) && mf_list_empty(&pool->queue))
        return;
    if (!mf_list_empty(&conn->calls)) {
        MF_COUNT(worker, upstream_reset);
        mf_worker_report(worker, MF_EVENT_UPSTREAM_LOST, rc, &pool->addr);
    }
    struct mf_fault fault = mf_fault_of(rc < 0 ? rc : -ECONNRESET, MF_SIDE_UPSTREAM);
    fault.status = MF_DUBBO_CHANNEL_INACTIVE; /* whatever ended it, a silent peer too */
    fault.text = "meshfast: the connection to the provider was lost before it answered";
    struct mf_list *node;
    while ((node = mf_list_shift(&conn->calls)))
        mf_call_step(MF_CONTAINER(node, struct mf_call, up_node), MF_CALL_ON_UP_LOST,
                     &(struct mf_call_input){.fault = &fault});
    if (!conn->ready)
        empty_queue(pool, rc < 0 ? rc : -ECONNABORTED);
}

/* What the application beside us says to those who call it, to those whose calls come in for it. */
static void tell_callers(const struct mf_pool *pool, bool readonly)
{
    struct mf_worker *worker = pool->worker;
    for (uint32_t i = 0; i < worker->n_doors; i++) {
        struct mf_door *door = &worker->doors[i];
        if (door->front->options.direction != MF_INBOUND)
            continue;
        for (struct mf_list *node = door->downs.next; node != &door->downs; node = node->next) {
            struct mf_conn *down = MF_CONTAINER(node, struct mf_conn, node);
            if (door->forward == pool || down->pool == pool)
                mf_dubbo_tell_readonly(down, readonly);
        }
    }
}

void mf_pool_readonly(struct mf_pool *pool, struct mf_conn *conn, bool readonly)
{
    struct mf_worker *worker = pool->worker;
    conn->readonly = readonly;
    if (readonly) {
        MF_COUNT(worker, readonly_in);
        mf_worker_report(worker, MF_EVENT_PEER_READONLY, 0, &pool->addr);
    }
    if (pool->peer) {
        if (readonly)
            mf_peer_set_down(pool->peer, mf_worker_now(worker) + worker->limits->heartbeat_timeout * 1000000);
        else
            mf_peer_set_up(pool->peer);
    }
    tell_callers(pool, readonly);
}

void mf_pool_sweep(struct mf_worker *worker)
{
    uint64_t now = mf_worker_now(worker);
    uint64_t idle = worker->limits->idle_timeout * 1000000;
    struct mf_list *next;
    for (struct mf_list *node = worker->pools.next; node != &worker->pools; node = next) {
        next = node->next;
        struct mf_pool *pool = MF_CONTAINER(node, struct mf_pool, node);
        bool wanted = pool->peer ? mf_peer_listed(pool->peer) : pool->users || now - pool->last_used < idle;
        if (wanted || !mf_list_empty(&pool->queue))
            continue;
        for (struct mf_list *c = pool->conns.next; c != &pool->conns; c = c->next) {
            struct mf_conn *conn = MF_CONTAINER(c, struct mf_conn, node);
            if (conn->n_calls == 0)
                mf_conn_doom(conn, 0);
        }
        if (mf_list_empty(&pool->conns))
            mf_pool_free(pool);
    }
}
