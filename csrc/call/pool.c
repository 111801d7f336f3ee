#include "call/pool.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define MS_NS UINT64_C(1000000)
/* For so long a connection that is new, or whose peer was away, may lead to nobody: a round trip, generously. */
#define DOUBT_NS (1000 * MS_NS)
/* Watchers hear the first change at once, and then no more often than this, twice as long each time. */
#define TELL_NS (100 * MS_NS)
#define TELL_LONGEST_NS (800 * MS_NS)
/* Calls go to a peer that has rested when the probe that was due had time to tell. */
#define PROBE_SLACK_NS (50 * MS_NS)
/* However many peers are away: 1,000 probes a second, each a few microseconds. */
enum { PROBES_AT_ONCE = 10 };
#define PROBES_EVERY_NS (10 * MS_NS)
#define HEDGE_EVERY_NS (10 * MS_NS)
#define REPORT_NS (1000 * MS_NS) /* who says READONLY all the time is reported now and then */

static struct mf_timers *timers_of(const struct mf_pool *pool)
{
    return mf_loop_timers(pool->pools->local->loop);
}

void mf_pool_stop_timers(struct mf_pool *pool)
{
    mf_list_remove(&pool->due);
    mf_timer_cancel(timers_of(pool), &pool->tell);
    mf_timer_cancel(timers_of(pool), &pool->hedge);
    mf_timer_cancel(timers_of(pool), &pool->probe);
}

/* --- whether it takes calls */

static bool gone(const struct mf_pool *pool)
{
    return pool->readonly || pool->health.failures > 0;
}

static void tell_watchers(struct mf_pool *pool)
{
    uint64_t now = mf_local_now(pool->pools->local);
    pool->tell_gap = now - pool->told_at >= TELL_LONGEST_NS ? TELL_NS
                     : pool->tell_gap < TELL_LONGEST_NS     ? 2 * pool->tell_gap
                                                            : TELL_LONGEST_NS;
    pool->told = gone(pool);
    pool->told_at = now;
    for (struct mf_list *node = pool->watchers.next; node != &pool->watchers; node = node->next) {
        struct mf_watcher *watcher = MF_CONTAINER(node, struct mf_watcher, node);
        watcher->on_readonly(watcher, pool->told);
    }
}

static void on_tell(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, tell);
    if (gone(pool) != pool->told)
        tell_watchers(pool);
}

/* What it says of itself has changed: callers' lookups and watchers hear of it. */
static void changed(struct mf_pool *pool)
{
    uint64_t until = pool->rest_until;
    if (pool->peer && pool->readonly && pool->readonly_until > until)
        until = pool->readonly_until;
    if (until != pool->until) {
        pool->until = until;
        mf_store_relaxed(pool->down_until, until);
    }
    if (mf_list_empty(&pool->watchers) || gone(pool) == pool->told || pool->tell.at)
        return;
    if (mf_local_now(pool->pools->local) - pool->told_at >= pool->tell_gap)
        tell_watchers(pool);
    else
        mf_timer_set(timers_of(pool), &pool->tell, pool->told_at + pool->tell_gap, on_tell);
}

static void rest(struct mf_pool *pool, uint64_t until)
{
    pool->rest_until = until;
    changed(pool);
}

void mf_pool_watch(struct mf_pool *pool, struct mf_watcher *watcher)
{
    if (mf_list_empty(&pool->watchers))
        pool->told = gone(pool);
    mf_list_push(&pool->watchers, &watcher->node);
    if (pool->told)
        watcher->on_readonly(watcher, true);
}

static void on_probe(struct mf_timer *timer);

static void probe_at(struct mf_pool *pool, uint64_t at)
{
    if (!pool->stopped)
        mf_timer_set(timers_of(pool), &pool->probe, at, on_probe);
}

static void peer_failed(struct mf_pool *pool, int rc)
{
    if (pool->peer)
        atomic_fetch_add_explicit(&pool->peer->failures, 1, memory_order_relaxed);
    struct mf_local *local = pool->pools->local;
    if (pool->health.failures == 0)
        local->report(local, MF_EVENT_PEER_DOWN, rc, &pool->addr);
    uint64_t until = mf_health_failed(&pool->health, mf_local_now(local), local->limits);
    probe_at(pool, until);
    rest(pool, pool->peer ? until + PROBE_SLACK_NS : until);
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

/* --- which connection */

static int dial(struct mf_pool *pool)
{
    int rc = 0;
    struct mf_link *link = pool->dialer->ops->dial(pool->dialer, pool, &rc);
    if (!link) {
        if (!mf_sock_local_error(rc))
            connect_failed(pool, rc);
        return rc;
    }
    mf_list_push(&pool->links, &link->node);
    pool->n_links++;
    pool->n_connecting++;
    return 0;
}

/* The latest that a connection being made from now on is there, or has failed. */
static uint64_t connected_by(const struct mf_pool *pool, uint64_t now)
{
    return now + pool->pools->local->limits->connect_timeout * MS_NS + PROBE_SLACK_NS;
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
    uint64_t most = local->limits->upstream_connections + (best || full ? 0 : 1);
    if (pool->n_links < most && pool->n_connecting == 0 && (!best || pool->dialer->ops->room(best) == 0)) {
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
        rest(pool, best ? mf_health_tried(&pool->health, now, local->limits) : connected_by(pool, now));
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
    mf_timer_cancel(timers_of(pool), &pool->probe);
    mf_list_remove(&pool->due);
    rest(pool, 0);
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

/* --- whether one that failed is back */

bool mf_pool_wanted(const struct mf_pool *pool, uint64_t now)
{
    uint64_t idle = pool->pools->local->limits->idle_timeout * MS_NS;
    return pool->peer ? mf_peer_listed(pool->peer) : pool->users || now - pool->last_used < idle;
}

/* By a connection, or a word on the one that there is; calls need not wait for what comes of it. */
static void probe(struct mf_pool *pool)
{
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local);
    if (!pool->health.failures || !mf_pool_wanted(pool, now))
        return;
    probe_at(pool, now + mf_health_backoff(pool->health.failures, local->limits));
    if (pool->n_connecting)
        return;
    MF_COUNT(local, probes);
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (mf_conn_open(link->conn) && link->callee.ops->doubt) {
            link->callee.ops->doubt(&link->callee, UINT64_MAX);
            return;
        }
    }
    if (mf_list_empty(&pool->links) && dial(pool) == 0 && pool->peer)
        rest(pool, connected_by(pool, now));
}

static void on_probing(struct mf_timer *timer)
{
    struct mf_pools *pools = MF_CONTAINER(timer, struct mf_pools, probing);
    struct mf_list *node;
    pools->probed_at = mf_local_now(pools->local);
    for (int i = 0; i < PROBES_AT_ONCE && (node = mf_list_shift(&pools->due)); i++)
        probe(MF_CONTAINER(node, struct mf_pool, due));
    if (!mf_list_empty(&pools->due))
        mf_timer_set(mf_loop_timers(pools->local->loop), timer, pools->probed_at + PROBES_EVERY_NS, on_probing);
}

static void on_probe(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, probe);
    struct mf_pools *pools = pool->pools;
    mf_list_push(&pools->due, &pool->due);
    if (!pools->probing.at)
        mf_timer_set(mf_loop_timers(pools->local->loop), &pools->probing, pools->probed_at + PROBES_EVERY_NS, on_probing);
}

/* --- what became of it */

/* What its connections say together. With none left the last word holds until there is another. */
static void settle(struct mf_pool *pool)
{
    struct mf_local *local = pool->pools->local;
    bool any = false, all = true;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (!link->conn->ready || !mf_conn_open(link->conn))
            continue;
        any = true;
        all = all && link->readonly;
    }
    if (any && all && !pool->readonly)
        pool->readonly_until = mf_local_now(local) + local->limits->heartbeat_timeout * MS_NS;
    if (any)
        pool->readonly = all;
    changed(pool);
}

void mf_pool_connected(struct mf_pool *pool, struct mf_link *link)
{
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local);
    pool->n_connecting--;
    if (pool->peer)
        atomic_fetch_add_explicit(&pool->peer->connections, 1, memory_order_relaxed);
    link->doubted_until = now + DOUBT_NS;
    if (pool->health.failures)
        probe_at(pool, pool->rest_until = mf_health_tried(&pool->health, now, local->limits));
    else
        pool->rest_until = 0;
    settle(pool);
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
static void empty_queue(struct mf_pool *pool, int rc)
{
    struct mf_fault fault = {MF_OUTCOME_NONE_UP,
                             MF_OUTCOME_NOBODY "the address that this listener forwards to refused the connection"};
    if (mf_sock_local_error(rc))
        fault = (struct mf_fault){MF_OUTCOME_OVERLOAD, mf_err_text(rc)};

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
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    }
}

static void learn(struct mf_pool *pool, const struct mf_link *link, int rc)
{
    struct mf_local *local = pool->pools->local;
    if (!link->conn->ready) {
        pool->n_connecting--;
        if (rc < 0 && !mf_sock_local_error(rc))
            connect_failed(pool, rc);
        else if (!pool->health.failures)
            pool->rest_until = 0;
    } else if (link->conn->sock.bytes_in == 0 && !mf_sock_local_error(rc) &&
               (!mf_list_empty(&link->callee.calls) || (rc < 0 && !mf_list_empty(&pool->watchers)))) {
        connect_failed(pool, rc < 0 ? rc : -ECONNRESET); /* it was let in and hung up on: a relay without a backend */
    } else if (rc == -ETIMEDOUT) {
        mf_pool_silent(pool);
    } else if (link->readonly) { /* it has stopped: the next connect finds out whether it is back */
        pool->readonly_until = mf_health_rest(mf_local_now(local), local->limits);
        pool->readonly = pool->readonly && rc < 0;
    }
}

void mf_pool_lost(struct mf_pool *pool, struct mf_link *link, int rc)
{
    struct mf_local *local = pool->pools->local;
    mf_list_remove(&link->node);
    pool->n_links--;
    pool->n_asked += link->callee.n_asked;
    learn(pool, link, rc);
    settle(pool);
    if (!mf_list_empty(&link->callee.calls)) {
        MF_COUNT(local, upstream_reset);
        local->report(local, MF_EVENT_UPSTREAM_LOST, rc, &pool->addr);
    }
    /* Whatever ended it, a silent peer too. */
    struct mf_fault fault = {MF_OUTCOME_LOST, "meshfast: the connection to the provider was lost before it answered"};
    mf_callee_gone(&link->callee, &fault);
    if (!link->conn->ready)
        empty_queue(pool, rc);
    if (rc < 0 && !pool->stopped && !pool->health.failures && mf_list_empty(&pool->links) && !mf_list_empty(&pool->watchers))
        dial(pool); /* who watches it hears of it when it is refused */
}

void mf_pool_readonly(struct mf_pool *pool, struct mf_link *link, bool readonly)
{
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local);
    if (readonly)
        MF_COUNT(local, readonly_in);
    else if (!pool->health.failures && !pool->n_connecting && pool->rest_until)
        rest(pool, 0);
    if (link->readonly == readonly)
        return;
    link->readonly = readonly;
    link->doubted_until = now + DOUBT_NS;
    settle(pool);
    if (!readonly || (pool->reported_at && now - pool->reported_at < REPORT_NS))
        return;
    pool->reported_at = now;
    local->report(local, MF_EVENT_PEER_READONLY, 0, &pool->addr);
}

void mf_pool_nobody(struct mf_pool *pool, struct mf_link *link)
{
    const struct mf_local *local = pool->pools->local;
    uint64_t until = mf_local_now(local) + local->limits->peer_backoff_max * MS_NS;
    MF_COUNT(pool->pools->local, calls_nobody);
    link->doubted_until = until + DOUBT_NS;
    if (pool->peer && pool->rest_until < until)
        rest(pool, until);
}

/* --- calls that need not wait */

/* Those whose time has come try another peer, while this one counts as not available; who finds none is back on the
 * queue, and then the others' lookups find it again too. */
static void on_hedge(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, hedge);
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local), next = 0, rested = pool->rest_until;
    bool stayed = false, moved = false;
    struct mf_list waiting, *node;
    if (mf_list_empty(&pool->queue.calls)) /* the connection is there */
        return;
    mf_list_init(&waiting);
    mf_list_splice(&waiting, &pool->queue.calls);
    rest(pool, connected_by(pool, now));
    while ((node = mf_list_shift(&waiting))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        if (!call->move_at || call->move_at > now) {
            mf_list_push(&pool->queue.calls, node);
            if (call->move_at && (!next || call->move_at < next))
                next = call->move_at;
            continue;
        }
        call->move_at = 0;
        mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.back = true});
        if (call->queue == &pool->queue) /* a slot's memory stays, whatever became of the call */
            stayed = true;
        else
            moved = true;
    }
    if (moved)
        MF_COUNT(local, limit_hedge_connect);
    if (stayed || !moved)
        rest(pool, rested);
    if (next)
        mf_timer_set(timers_of(pool), timer, next > now + HEDGE_EVERY_NS ? next : now + HEDGE_EVERY_NS, on_hedge);
    if (pool->queue.bytes > local->limits->upstream_output_high / 2)
        return;
    for (node = pool->links.next; node != &pool->links; node = node->next)
        if (!MF_CONTAINER(node, struct mf_link, node)->conn->ready)
            mf_conn_release(MF_CONTAINER(node, struct mf_link, node)->conn);
}

void mf_pool_hedge(struct mf_pool *pool, struct mf_call *call)
{
    uint64_t now = mf_local_now(pool->pools->local);
    uint64_t wait = pool->pools->local->limits->hedge_connect * MS_NS, quarter = (call->deadline - call->begun) / 4;
    call->move_at = call->by_table ? now + (quarter < wait ? quarter : wait) : 0;
    if (call->move_at && (!pool->hedge.at || call->move_at < pool->hedge.at))
        mf_timer_set(timers_of(pool), &pool->hedge, call->move_at, on_hedge);
}

uint32_t mf_pool_stop(struct mf_pool *pool, const struct mf_fault *fault)
{
    struct mf_list *node;
    uint32_t n = 0;
    pool->stopped = true;
    mf_pool_stop_timers(pool);
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
