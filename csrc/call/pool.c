#include "call/pool.h"

#include "base/err.h"
#include "call/lane.h"
#include "call/pool_rest.h"

#include <errno.h>

/* For so long a connection that is new, or whose peer was away, may lead to nobody: a round trip, generously. */
#define DOUBT_NS (1000 * MF_POOL_MS_NS)
#define REPORT_NS (1000 * MF_POOL_MS_NS) /* who says READONLY all the time is reported now and then */
/* Connections for single calls stay so long without one. */
#define TRIAL_IDLE_NS (10000 * MF_POOL_MS_NS)

void mf_pool_watch(struct mf_pool *pool, struct mf_watcher *watcher)
{
    if (mf_list_empty(&pool->watchers))
        pool->told = mf_pool_rest_gone(pool);
    mf_list_push(&pool->watchers, &watcher->node);
    if (pool->told)
        watcher->on_readonly(watcher, true);
}

void mf_pool_proved(struct mf_link *link, const struct mf_call *call)
{
    struct mf_lane *shared = mf_lane_shared(link->pool);
    if (mf_trial_proved(&link->pool->proved, call->kind, call->bytes_up)) /* it is apart for its caller */
        return;
    mf_trial_passed(&link->pool->proved, call->kind, call->bytes_up);
    mf_lane_mask(link->pool);
    if (shared->n_links == 0 && link->callee.n_calls == 1) { /* all that it has: the others may have it */
        link->lane->n_links--;
        link->lane = shared;
        shared->n_links++;
    }
}

uint32_t mf_pool_calls(const struct mf_pool *pool)
{
    uint32_t n = pool->lanes[MF_LANE_SHARED].queue.n_calls + pool->lanes[MF_LANE_TRIAL].queue.n_calls;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next)
        n += MF_CONTAINER(node, struct mf_link, node)->callee.n_calls;
    return n;
}

/* --- whether one that failed is back */

bool mf_pool_wanted(const struct mf_pool *pool, uint64_t now)
{
    uint64_t idle = pool->pools->local->limits->idle_timeout * MF_POOL_MS_NS;
    return pool->peer ? mf_peer_listed(pool->peer) : pool->users || now - pool->last_used < idle;
}

/* By a connection, or a word on the one that there is; calls need not wait for what comes of it. */
static void probe(struct mf_pool *pool)
{
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local);
    if (!pool->health.failures || !mf_pool_wanted(pool, now))
        return;
    mf_pool_rest_probe_at(pool, now + mf_health_backoff(pool->health.failures, local->limits));
    if (mf_lane_shared(pool)->n_connecting)
        return;
    MF_COUNT(local, probes);
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (mf_conn_open(link->conn) && link->callee.ops->doubt) {
            link->callee.ops->doubt(&link->callee, UINT64_MAX);
            return;
        }
    }
    if (mf_list_empty(&pool->links) && mf_lane_dial(mf_lane_shared(pool)) == 0 && pool->peer)
        mf_pool_rest_set(pool, mf_pool_rest_connected_by(pool, now));
}

void mf_pool_probing(struct mf_timer *timer)
{
    struct mf_pools *pools = MF_CONTAINER(timer, struct mf_pools, probing);
    struct mf_list *node;
    uint64_t most = pools->local->limits->max_probes, every = MF_POOL_PROBES_EVERY_NS;
    uint64_t at_once = most * every / (1000 * MF_POOL_MS_NS);
    if (at_once == 0)
        at_once = 1, every = 1000 * MF_POOL_MS_NS / most;
    for (uint64_t i = 0; i < at_once && (node = mf_list_shift(&pools->due)); i++)
        probe(MF_CONTAINER(node, struct mf_pool, due));
    pools->probed_at = mf_local_now(pools->local) + every - MF_POOL_PROBES_EVERY_NS;
    if (mf_list_empty(&pools->due))
        return;
    MF_COUNT(pools->local, limit_max_probes);
    mf_timer_set(mf_loop_timers(pools->local->loop), timer, pools->probed_at + MF_POOL_PROBES_EVERY_NS, mf_pool_probing);
}

/* --- what became of it */

/* What its connections say together. With none left the last word holds until there is another. */
static void settle(struct mf_pool *pool)
{
    struct mf_local *local = pool->pools->local;
    bool any = false, all = true;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (!link->there || link->retired || !mf_conn_open(link->conn))
            continue;
        any = true;
        all = all && link->readonly;
    }
    if (any && all && !pool->readonly)
        pool->readonly_until = mf_local_now(local) + local->limits->heartbeat_timeout * MF_POOL_MS_NS;
    if (any)
        pool->readonly = all;
    mf_pool_rest_changed(pool);
}

/* A call that waited for it. */
static void send_queued(struct mf_link *link, struct mf_call *call)
{
    bool two_way = call->two_way;
    int rc = link->pool->dialer->ops->send(link, call);
    if (rc < 0) {
        struct mf_fault fault = mf_outcome_of(rc);
        if (rc == -ENOMEM)
            MF_COUNT(link->pool->pools->local, out_of_memory);
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    } else {
        mf_call_step(call, two_way ? MF_CALL_ON_ASKED : MF_CALL_ON_SENT,
                     &(struct mf_call_input){.callee = &link->callee});
    }
}

static bool takes(struct mf_link *link)
{
    const struct mf_dialer_ops *ops = link->pool->dialer->ops;
    return !ops->takes || (!link->retired && ops->takes(link));
}

/* Its lane's queue goes there, but for calls for which it is spent. */
static void take_fitting(struct mf_link *link)
{
    struct mf_lane *lane = link->lane;
    struct mf_list waiting, *node;
    mf_list_init(&waiting);
    while (takes(link) && (node = mf_list_shift(&lane->queue.calls))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        if (mf_lane_spends(link, call))
            mf_list_push(&waiting, node);
        else
            send_queued(link, call);
    }
    if (mf_list_empty(&waiting))
        return;
    mf_list_splice(&waiting, &lane->queue.calls);
    mf_list_splice(&lane->queue.calls, &waiting);
    lane->waits = true;
    mf_pool_put_off(lane, lane->pool->pools->local->limits->h2_window_wait);
}

void mf_pool_room(struct mf_pool *pool, struct mf_link *link)
{
    (void)pool;
    if (mf_lane_taking(link))
        take_fitting(link);
}

bool mf_pool_credit(struct mf_link *link)
{
    struct mf_list *node;
    if (!mf_lane_taking(link) || !takes(link) || !(node = mf_list_shift(&link->lane->queue.calls)))
        return false;
    send_queued(link, MF_CONTAINER(node, struct mf_call, place));
    return true;
}

/* It takes calls from here on: those that waited; of trials one, where others are on their way to take the next. */
static void take_queue(struct mf_link *link)
{
    struct mf_lane *lane = link->lane;
    struct mf_list *node;
    lane->n_connecting--;
    link->used_at = mf_local_now(lane->pool->pools->local);
    if (lane->trials && lane->n_connecting > 0 && takes(link) && (node = mf_list_shift(&lane->queue.calls)))
        send_queued(link, MF_CONTAINER(node, struct mf_call, place));
    else if (!lane->trials || lane->n_connecting == 0)
        take_fitting(link);
    if (!mf_sock_full(&link->conn->sock)) /* else they go on when it drains */
        mf_conn_release(link->conn);
}

static void be_heard(struct mf_pool *pool, struct mf_link *link)
{
    link->unheard = false;
    link->doubted_until = mf_local_now(pool->pools->local) + DOUBT_NS;
    take_queue(link);
}

void mf_pool_alive(struct mf_pool *pool, struct mf_link *link)
{
    pool->suspected = false;
    link->spoke = true;
    if (mf_health_alive(&pool->health)) {
        struct mf_local *local = pool->pools->local;
        mf_timer_cancel(mf_pool_rest_timers(pool), &pool->probe);
        mf_list_remove(&pool->due);
        mf_pool_rest_set(pool, 0);
        local->report(local, MF_EVENT_PEER_UP, 0, &pool->addr);
    }
    if (link->unheard)
        be_heard(pool, link);
}

void mf_pool_silent(struct mf_pool *pool, struct mf_link *link)
{
    if (!link->unheard || !mf_lane_speaks(pool))
        mf_pool_rest_failed(pool, -ETIMEDOUT);
    if (link->unheard) /* not every provider answers heartbeats: calls may tell */
        be_heard(pool, link);
}

bool mf_pool_connected(struct mf_pool *pool, struct mf_link *link)
{
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local);
    if (pool->peer)
        atomic_fetch_add_explicit(&pool->peer->connections, 1, memory_order_relaxed);
    link->there = true;
    link->doubted_until = now + DOUBT_NS;
    /* A provider that takes only so many connections lets one in and hangs up. */
    bool extra = link->lane->trials && mf_lane_shared(pool)->n_links > 0;
    link->unheard = pool->health.failures || pool->suspected || extra;
    if (pool->health.failures)
        mf_pool_rest_probe_at(pool, pool->rest_until = mf_health_tried(&pool->health, now, local->limits));
    else
        pool->rest_until = 0;
    settle(pool);
    if (!link->unheard)
        take_queue(link);
    return link->unheard;
}

/* The calls that waited go to another peer where the table chose this one, else back to their callers: with what it is that
 * keeps them, which tells of the address only where a connection to it did. */
static void empty_queue(struct mf_lane *lane, int rc)
{
    bool ours = mf_sock_local_error(rc), refused = !ours && rc != MF_EROUTE_DOWN && rc != MF_ECLOSED;
    struct mf_fault fault = mf_outcome_of(rc);
    if (refused)
        fault = (struct mf_fault){MF_OUTCOME_NONE_UP,
                                  MF_OUTCOME_NOBODY "the address that this listener forwards to refused the connection"};
    else if (ours)
        fault.outcome = MF_OUTCOME_OVERLOAD;

    struct mf_list waiting;
    mf_list_init(&waiting);
    mf_list_splice(&waiting, &lane->queue.calls);
    struct mf_list *node;
    while ((node = mf_list_shift(&waiting))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        if (call->by_table) {
            mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.failed = rc < 0 && refused});
            continue;
        }
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    }
}

static void learn(struct mf_pool *pool, struct mf_link *link, int rc)
{
    struct mf_local *local = pool->pools->local;
    if (!mf_lane_taking(link)) {
        if (rc < 0 && !mf_sock_local_error(rc))
            mf_lane_missed(link->lane, rc);
        else if (!pool->health.failures)
            pool->rest_until = 0;
    } else if (!link->spoke && !mf_sock_local_error(rc) &&
               (!mf_list_empty(&link->callee.calls) || (rc < 0 && !mf_list_empty(&pool->watchers)))) {
        /* It was let in and hung up on, or what came makes no sense: a relay without a backend, another protocol, or a
         * call that the peer could not stand. */
        if (!pool->health.failures)
            pool->suspected = !mf_lane_speaks(pool);
        else
            mf_pool_rest_unreached(pool, rc < 0 ? rc : -ECONNRESET);
    } else if (rc == -ETIMEDOUT && !link->retired) { /* else there are others by now, which tell */
        mf_pool_rest_failed(pool, rc);
    } else if (link->readonly) { /* it has stopped: the next connect finds out whether it is back */
        pool->readonly_until = mf_health_rest(mf_local_now(local), local->limits);
        pool->readonly = pool->readonly && rc < 0;
    }
}

/* One that is there, and takes calls now, or does not. */
static bool has_one(const struct mf_lane *lane, bool taking)
{
    const struct mf_pool *pool = lane->pool;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (link->lane == lane && mf_lane_taking(link) && !link->retired && mf_conn_open(link->conn) &&
            takes(link) == taking)
            return true;
    }
    return false;
}

/* One takes more in a while. */
static bool may_wait(const struct mf_lane *lane)
{
    return !lane->trials && lane->pool->dialer->ops->takes && has_one(lane, false);
}

/* Calls wait only as there might have been a better one. */
static bool takes_some(const struct mf_lane *lane)
{
    return lane->pool->dialer->ops->spent && has_one(lane, true);
}

/* Calls that waited until one of its connections takes more, and the last is gone: for another. */
static void replace(struct mf_lane *lane)
{
    if (mf_list_empty(&lane->queue.calls) || lane->n_links > 0)
        return;
    int rc = lane->pool->stopped ? MF_ECLOSED : mf_lane_dial(lane);
    if (rc < 0)
        empty_queue(lane, rc);
}

void mf_pool_retire(struct mf_pool *pool, struct mf_link *link)
{
    if (link->retired)
        return;
    link->retired = true;
    link->lane->n_links--;
    settle(pool);
    if (mf_lane_taking(link))
        replace(link->lane);
}

/* Calls of its queue go on connections of `with`, as far as those take them now. 0, or why not. */
static int send_on(struct mf_lane *lane, struct mf_lane *with)
{
    int rc = 0;
    while (!mf_list_empty(&lane->queue.calls)) {
        struct mf_call *call = MF_CONTAINER(lane->queue.calls.next, struct mf_call, place);
        struct mf_link *link = mf_lane_pick(with, call, &rc);
        if (!link) {
            bool stuffed = rc == MF_EROUTE_FULL && with == lane; /* which they wait out: nothing tells when it is over */
            if (with->waits || stuffed)
                mf_pool_put_off(lane, lane->pool->pools->local->limits->h2_window_wait);
            return stuffed ? 0 : rc;
        }
        mf_list_remove(&call->place);
        send_queued(link, call);
    }
    return 0;
}

/* They cannot go apart: with the others, where there is a connection for those. */
static void share_queue(struct mf_lane *lane)
{
    if (mf_lane_shared(lane->pool)->n_links > 0)
        (void)send_on(lane, mf_lane_shared(lane->pool));
}

static void on_late(struct mf_timer *timer);

static void set_late(struct mf_pool *pool)
{
    uint64_t at = 0;
    for (int i = 0; i < MF_LANES; i++)
        if (pool->lanes[i].late_at && (!at || pool->lanes[i].late_at < at))
            at = pool->lanes[i].late_at;
    if (at && (!pool->late.at || at < pool->late.at))
        mf_timer_set(mf_pool_rest_timers(pool), &pool->late, at, on_late);
}

static void send_late(struct mf_lane *lane)
{
    int rc = send_on(lane, lane);
    if (rc < 0 && lane->trials)
        share_queue(lane);
    if (rc < 0)
        empty_queue(lane, rc);
}

/* Of those that waited to see whether a window is given back, some have asked what will not be read. */
static void set_apart(struct mf_lane *lane)
{
    struct mf_pool *pool = lane->pool;
    struct mf_lane *trial = &pool->lanes[MF_LANE_TRIAL];
    struct mf_list *next;
    bool some = false;
    if (lane->trials || mf_list_empty(&lane->queue.calls))
        return;
    mf_lane_blame(pool, MF_CONTAINER(lane->queue.calls.next, struct mf_call, place));
    for (struct mf_list *node = lane->queue.calls.next; pool->stuck.n && node != &lane->queue.calls; node = next) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        next = node->next;
        if (!call->asking || mf_lane_apart(pool, call, call->bytes_up) != trial)
            continue;
        mf_call_move(call, &trial->queue);
        some = true;
    }
    if (some)
        send_late(trial);
}

static void on_late(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, late);
    uint64_t now = mf_local_now(pool->pools->local);
    for (int i = 0; i < MF_LANES; i++) {
        struct mf_lane *lane = &pool->lanes[i];
        if (!lane->late_at || lane->late_at > now)
            continue;
        lane->late_at = 0;
        lane->waits = false;
        set_apart(lane);
        send_late(lane);
    }
    set_late(pool);
}

void mf_pool_put_off(struct mf_lane *lane, uint64_t ms)
{
    if (!lane->late_at)
        lane->late_at = mf_local_now(lane->pool->pools->local) + ms * MF_POOL_MS_NS;
    set_late(lane->pool);
}

/* One of those that had a call there may have asked what the peer could not stand. */
static void suspect_callers(const struct mf_link *link, int rc)
{
    if (rc == 0 || rc == -ETIMEDOUT || mf_sock_local_error(rc) || link->readonly)
        return;
    for (struct mf_list *node = link->callee.calls.next; node != &link->callee.calls; node = node->next) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        if (call->caller)
            mf_lane_suspect(link->pool, call->caller, true);
    }
}

void mf_pool_lost(struct mf_pool *pool, struct mf_link *link, int rc)
{
    struct mf_local *local = pool->pools->local;
    struct mf_lane *lane = link->lane;
    bool taken = mf_lane_taking(link);
    mf_list_remove(&link->node);
    if (!link->retired)
        lane->n_links--;
    if (!taken)
        lane->n_connecting--;
    pool->n_asked += link->callee.n_asked;
    if (mf_list_empty(&pool->links)) /* who is there next may be another */
        mf_lane_trust(pool);
    learn(pool, link, rc);
    settle(pool);
    if (!mf_list_empty(&link->callee.calls)) {
        suspect_callers(link, rc);
        MF_COUNT(local, upstream_reset);
        local->report(local, MF_EVENT_UPSTREAM_LOST, rc, &pool->addr);
    }
    /* Whatever ended it, a silent peer too. */
    struct mf_fault fault = {MF_OUTCOME_LOST, "meshfast: the connection to the provider was lost before it answered"};
    link->callee.spared = rc == 0 || rc == -ENOMEM;
    mf_callee_gone(&link->callee, &fault);
    if (!taken && lane->trials)
        share_queue(lane);
    else if (!taken && takes_some(lane)) /* others are there, which were to be spared */
        (void)send_on(lane, lane);
    if (taken)
        replace(lane);
    else if (!may_wait(lane))
        empty_queue(lane, rc);
    if (rc < 0 && !pool->stopped && !pool->health.failures && mf_list_empty(&pool->links) && !mf_list_empty(&pool->watchers))
        mf_lane_dial(mf_lane_shared(pool)); /* who watches it hears of it when it is refused */
}

void mf_pool_readonly(struct mf_pool *pool, struct mf_link *link, bool readonly)
{
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local);
    if (readonly)
        MF_COUNT(local, readonly_in);
    else if (!pool->health.failures && !mf_lane_shared(pool)->n_connecting && pool->rest_until)
        mf_pool_rest_set(pool, 0);
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
    uint64_t until = mf_local_now(local) + local->limits->peer_backoff_max * MF_POOL_MS_NS;
    MF_COUNT(pool->pools->local, calls_nobody);
    link->doubted_until = until + DOUBT_NS;
    if (pool->peer && pool->rest_until < until)
        mf_pool_rest_set(pool, until);
}

void mf_pool_sweep(struct mf_pool *pool, uint64_t now)
{
    if (pool->lanes[MF_LANE_TRIAL].n_links == 0)
        return;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (link->lane->trials && mf_lane_taking(link) && link->callee.n_calls == 0 &&
            now - link->used_at >= TRIAL_IDLE_NS)
            mf_conn_doom(link->conn, 0);
    }
}

uint32_t mf_pool_stop(struct mf_pool *pool, const struct mf_fault *fault)
{
    struct mf_list *node;
    uint32_t n = 0;
    pool->stopped = true;
    mf_pool_rest_stop(pool);
    for (int i = 0; i < MF_LANES; i++)
        for (; (node = mf_list_shift(&pool->lanes[i].queue.calls)); n++)
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
