#include "call/lane.h"

#include "base/err.h"
#include "call/pool_rest.h"

#define HEDGE_EVERY_NS (10 * MF_POOL_MS_NS)
#define BARREN_NS (10000 * MF_POOL_MS_NS)
/* For so long a caller's calls go apart. */
#define SUSPECT_NS (10000 * MF_POOL_MS_NS)

void mf_lane_suspect(const struct mf_pool *pool, struct mf_caller *caller, bool deadly)
{
    caller->deadly = deadly || (caller->deadly && caller->suspected_by == pool);
    caller->suspected_by = pool;
    caller->odd = true;
    caller->suspected_until = mf_local_now(pool->pools->local) + SUSPECT_NS;
}

static enum mf_link_spent spent(const struct mf_link *link, const struct mf_call *call)
{
    return link->spends ? link->pool->dialer->ops->spent(link, call) : MF_LINK_FRESH;
}

static bool is_stuck(const struct mf_pool *pool, const struct mf_call *call)
{
    return pool->stuck.n && call && call->asking && mf_stuck_has(&pool->stuck, call->topic);
}

/* Where a call goes apart it does not matter before it is known. */
bool mf_lane_spends(const struct mf_link *link, const struct mf_call *call)
{
    enum mf_link_spent how = spent(link, call);
    return how == MF_LINK_SPENT || (how == MF_LINK_UNSURE && !link->lane->trials);
}

/* It is apart only for what its caller, or those who ask the same, spend: with others of the kind. */
static __attribute__((noinline, cold)) bool spender(const struct mf_lane *lane, const struct mf_call *call)
{
    if (is_stuck(lane->pool, call))
        return true;
    const struct mf_caller *caller = call ? call->caller : NULL;
    bool suspect = caller && caller->suspected_by == lane->pool;
    return caller && (suspect ? !caller->deadly : caller->rash);
}

static void blame(const struct mf_pool *pool, const struct mf_call *call, const struct mf_caller *caller)
{
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (mf_lane_taking(link) && spent(link, call) == MF_LINK_SPENT)
            pool->dialer->ops->blame(link, caller);
    }
}

void mf_lane_blame(const struct mf_pool *pool, const struct mf_call *call)
{
    blame(pool, call, call->caller);
}

/* Once its time is over what it has spent may be spent still. */
static __attribute__((noinline, cold)) bool suspected(const struct mf_pool *pool, const struct mf_call *call)
{
    struct mf_caller *caller = call->caller;
    if (caller->suspected_by == pool && caller->suspected_until <= mf_local_now(pool->pools->local)) {
        caller->suspected_by = NULL;
        blame(pool, call, NULL);
    }
    caller->odd = caller->rash || caller->suspected_by;
    return caller->rash || caller->suspected_by == pool;
}

void mf_lane_mask(struct mf_pool *pool)
{
    pool->trial = pool->proved;
    if (pool->stuck.n)
        pool->trial.len = 0;
}

void mf_lane_stick(struct mf_pool *pool, uint16_t topic)
{
    mf_stuck_add(&pool->stuck, topic, mf_local_now(pool->pools->local) + SUSPECT_NS, NULL);
    mf_lane_mask(pool);
}

void mf_lane_warn(struct mf_pool *pool, uint16_t topic, const struct mf_caller *caller)
{
    uint64_t now = mf_local_now(pool->pools->local);
    (void)mf_stuck_forget(&pool->warned, now);
    if (mf_stuck_by_other(&pool->warned, topic, caller))
        mf_lane_stick(pool, topic);
    mf_stuck_add(&pool->warned, topic, now + SUSPECT_NS, caller);
}

/* Once the time of some is over what they have spent may be spent still. */
static __attribute__((noinline, cold)) bool stuck(struct mf_pool *pool, const struct mf_call *call)
{
    if (call->asking && mf_stuck_forget(&pool->stuck, mf_local_now(pool->pools->local))) {
        mf_lane_mask(pool);
        blame(pool, call, NULL);
    }
    return is_stuck(pool, call);
}

struct mf_lane *mf_lane_apart(struct mf_pool *pool, const struct mf_call *call, uint32_t len)
{
    struct mf_local *local = pool->pools->local;
    if (local->limits->upstream_trials == 0)
        return mf_lane_shared(pool);
    bool suspect = call->caller && call->caller->odd && suspected(pool, call);
    suspect = suspect || (pool->stuck.n && stuck(pool, call));
    if (!suspect && mf_trial_proved(&pool->proved, call->kind, len))
        return mf_lane_shared(pool);
    if (pool->lanes[MF_LANE_TRIAL].barren_until > mf_local_now(local) && mf_lane_shared(pool)->n_links > 0)
        return mf_lane_shared(pool);
    MF_COUNT(local, calls_trial);
    if (len > pool->proved.len)
        MF_COUNT(local, limit_trial_request);
    return &pool->lanes[MF_LANE_TRIAL];
}

void mf_lane_trust(struct mf_pool *pool)
{
    uint64_t len = pool->pools->local->limits->trial_request;
    pool->proved = (struct mf_trial){pool->dialer->ops->kinds, len < UINT32_MAX ? (uint32_t)len : UINT32_MAX};
    mf_lane_mask(pool);
}

bool mf_lane_speaks(const struct mf_pool *pool)
{
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (mf_lane_taking(link) && !link->retired && mf_conn_open(link->conn) && link->spoke)
            return true;
    }
    return false;
}

void mf_lane_missed(struct mf_lane *lane, int rc)
{
    if (!mf_lane_speaks(lane->pool))
        mf_pool_rest_unreached(lane->pool, rc);
    else
        MF_COUNT(lane->pool->pools->local, upstream_connect_failed);
    lane->barren_until = mf_local_now(lane->pool->pools->local) + BARREN_NS;
}

int mf_lane_dial(struct mf_lane *lane)
{
    int rc = 0;
    struct mf_pool *pool = lane->pool;
    struct mf_link *link = pool->dialer->ops->dial(pool->dialer, pool, &rc);
    if (!link) {
        if (!mf_sock_local_error(rc))
            mf_lane_missed(lane, rc);
        return rc;
    }
    link->lane = lane;
    mf_list_push(&pool->links, &link->node);
    lane->n_links++;
    lane->n_connecting++;
    return 0;
}

/* Why a call cannot go on any connection that there is. */
struct why {
    bool full; /* as much waits for one as may */
    bool busy; /* one takes no more calls for the moment */
};

/* Whether another is worth its while, beside the best that there is. `together`: the calls there need not be alone. */
static bool wants_more(const struct mf_lane *lane, const struct mf_link *best, struct why why, bool together)
{
    struct mf_local *local = lane->pool->pools->local;
    const struct mf_limits *limits = local->limits;
    uint64_t most = lane->trials ? limits->upstream_trials : limits->upstream_connections;
    bool busy = !best && why.busy && !lane->trials;
    if (busy && most < limits->busy_connections)
        most = limits->busy_connections;
    if (lane->n_links >= most + (best || why.full || busy ? 0 : 1)) {
        if (busy)
            MF_COUNT(local, limit_busy_connections);
        return false;
    }
    if (lane->trials)
        return lane->n_connecting < (together ? 1 : most) && (!best || best->callee.n_calls > 0);
    return lane->n_connecting == 0 && (!best || lane->pool->dialer->ops->room(best) == 0);
}

static int stuffed(struct mf_local *local)
{
    MF_COUNT(local, limit_upstream_output_max);
    return MF_EROUTE_FULL;
}

/* It is on the lane's queue, and part of what waits there: whether it may is not asked again. */
static bool waits_in(const struct mf_lane *lane, const struct mf_call *call)
{
    return call && call->queue == &lane->queue;
}

/* It waits for one that takes calls again, if there is one, and not too many wait already. */
static int no_other(const struct mf_lane *lane, const struct mf_call *call, struct why why)
{
    struct mf_local *local = lane->pool->pools->local;
    if (!why.busy && !why.full)
        return MF_EROUTE_DOWN; /* what there is asked for no new calls */
    if (waits_in(lane, call))
        return why.busy ? 0 : MF_EROUTE_FULL;
    if (!why.busy)
        return stuffed(local);
    if (lane->queue.n_calls >= local->limits->max_pending) {
        MF_COUNT(local, limit_max_pending);
        return MF_EROUTE_FULL;
    }
    return mf_conn_too_much(local, lane->queue.bytes) ? stuffed(local) : 0;
}

/* The best there is, or one that is to be made. */
static __attribute__((noinline)) struct mf_link *make_more(struct mf_lane *lane, const struct mf_call *call,
                                                           struct mf_link *best, struct why why, int *rc)
{
    struct mf_pool *pool = lane->pool;
    struct mf_local *local = pool->pools->local;
    uint64_t now = pool->last_used;
    bool together = lane->trials && spender(lane, call);
    if (wants_more(lane, best, why, together)) {
        if (!best && !pool->peer && mf_load_relaxed(pool->down_until) > now)
            *rc = -ECONNREFUSED; /* just refused: not once per call */
        else
            *rc = mf_lane_dial(lane);
        if (*rc < 0 && (best || !why.busy))
            return best;
        if (lane->trials) /* worth waiting for */
            best = NULL;
    } else if (lane->trials && !together && (!best || best->callee.n_calls > 0)) {
        MF_COUNT(local, limit_upstream_trials);
    }
    if (!best && (lane->n_connecting == 0 || why.busy))
        *rc = no_other(lane, call, why);
    else if (!best && !waits_in(lane, call) && mf_conn_too_much(local, lane->queue.bytes))
        *rc = stuffed(local);
    else if (pool->health.failures && pool->peer)
        mf_pool_rest_set(pool, best ? mf_health_tried(&pool->health, now, local->limits)
                                    : mf_pool_rest_connected_by(pool, now));
    if (best)
        best->used_at = now;
    return best;
}

/* The application beside us has no other instance: its READONLY is passed on to the callers instead. And where a whole
 * address asks for none, a call is sent there only for want of another. */
static bool others_take(const struct mf_pool *pool)
{
    return pool->peer && !(pool->readonly && pool->readonly_until > pool->last_used);
}

bool mf_lane_has_room(const struct mf_lane *lane, uint32_t len, int *rc)
{
    const struct mf_pool *pool = lane->pool;
    size_t left = mf_local_left_for_peers(pool->pools->local), waits = 0;
    for (int i = 0; i < MF_LANES; i++)
        waits += pool->lanes[i].queue.bytes;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (mf_conn_open(link->conn) && mf_conn_speaks(link->conn))
            return true;
        waits += mf_sock_output(&link->conn->sock);
    }
    if (waits == 0 || waits + len <= left)
        return true;
    *rc = stuffed(pool->pools->local);
    return false;
}

/* The one with the fewest calls of those that take one; `fresh_for`: and are not spent for that call. NULL: any. */
static inline __attribute__((always_inline)) struct mf_link *best_of(const struct mf_lane *lane,
                                                                     const struct mf_call *fresh_for, struct why *why)
{
    const struct mf_pool *pool = lane->pool;
    struct mf_link *best = NULL;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (link->lane != lane || link->conn->doomed)
            continue;
        if (link->takes != (struct mf_link){.there = true}.takes && /* nearly always it is */
            (!mf_lane_taking(link) || link->retired || (link->readonly && others_take(pool))))
            continue;
        if (!mf_sock_writable(&link->conn->sock)) /* found dead in this turn: what is sent now would be lost with it */
            continue;
        if (mf_conn_full(link->conn)) {
            why->full = true;
            continue;
        }
        if (pool->dialer->ops->takes && !pool->dialer->ops->takes(link)) {
            why->busy = true;
            continue;
        }
        if (fresh_for && mf_lane_spends(link, fresh_for))
            continue;
        if (!best || link->callee.n_calls < best->callee.n_calls)
            best = link;
    }
    return best;
}

/* It may be seen in a moment that it is not spent, or that another has to be made. */
static bool unsure(const struct mf_lane *lane, const struct mf_call *call)
{
    const struct mf_pool *pool = lane->pool;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (link->lane == lane && mf_lane_taking(link) && !link->retired && mf_conn_open(link->conn) &&
            spent(link, call) == MF_LINK_UNSURE)
            return true;
    }
    return false;
}

/* Another in place of `best`, which is spent for this call; NULL: one is being made, or it is to wait. Where no more are to be
 * had it is shared as it is. */
static __attribute__((noinline, cold)) struct mf_link *fresher(struct mf_lane *lane, const struct mf_call *call,
                                                               struct mf_link *best)
{
    struct mf_pool *pool = lane->pool;
    struct mf_local *local = pool->pools->local;
    const struct mf_limits *limits = local->limits;
    uint64_t now = pool->last_used, most = lane->trials ? limits->upstream_trials : limits->spent_connections;
    struct why why = {0};
    struct mf_link *fresh = best_of(lane, call, &why);
    if (fresh)
        return fresh;
    mf_lane_blame(pool, call);
    bool full = !waits_in(lane, call) &&
                (lane->queue.n_calls >= limits->max_pending || mf_conn_too_much(local, lane->queue.bytes));
    if (lane->n_connecting == 0 && !lane->trials && !full && unsure(lane, call)) {
        MF_COUNT(local, limit_h2_window_wait);
        lane->waits = true;
        return NULL;
    }
    if (lane->n_connecting == 0) {
        if (lane->n_links >= most) {
            mf_count(lane->trials ? &local->counters.limit_upstream_trials : &local->counters.limit_spent_connections, 1);
            return best;
        }
        if (pool->health.failures || lane->barren_until > now || mf_lane_dial(lane) < 0)
            return best;
        MF_COUNT(local, upstream_spent);
    }
    return full ? best : NULL;
}

struct mf_link *mf_lane_pick(struct mf_lane *lane, const struct mf_call *call, int *rc)
{
    struct mf_pool *pool = lane->pool;
    const struct mf_local *local = pool->pools->local;
    struct why why = {0};
    pool->last_used = mf_local_now(local);
    struct mf_link *best = best_of(lane, NULL, &why);
    *rc = 0;
    if (best && best->spends && mf_lane_spends(best, call))
        return fresher(lane, call, best);
    if (best && !lane->trials && lane->n_links >= local->limits->upstream_connections && !pool->health.failures)
        return best; /* nearly always */
    if (best && lane->trials && spender(lane, call)) {
        best->used_at = pool->last_used;
        return best;
    }
    return make_more(lane, call, best, why, rc);
}

void mf_lane_check(const struct mf_lane *lane, struct mf_conn *conn)
{
    const struct mf_pool *pool = lane->pool;
    if (lane->queue.bytes <= pool->pools->local->limits->upstream_output_high)
        return;
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (link->lane == lane && !mf_lane_taking(link)) {
            mf_conn_pause_for(conn, link->conn);
            return;
        }
    }
}

/* --- calls that need not wait */

/* Of a lane, those whose time has come. Adds up whether some moved, or stayed; returns when the next is due, 0: none. */
static uint64_t move_due(struct mf_lane *lane, uint64_t now, bool *moved, bool *stayed)
{
    struct mf_list waiting, *node;
    uint64_t next = 0;
    mf_list_init(&waiting);
    mf_list_splice(&waiting, &lane->queue.calls);
    while ((node = mf_list_shift(&waiting))) {
        struct mf_call *call = MF_CONTAINER(node, struct mf_call, place);
        if (!call->move_at || call->move_at > now) {
            mf_list_push(&lane->queue.calls, node);
            if (call->move_at && (!next || call->move_at < next))
                next = call->move_at;
            continue;
        }
        call->move_at = 0;
        mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.back = true});
        if (call->queue == &lane->queue) /* a slot's memory stays, whatever became of the call */
            *stayed = true;
        else
            *moved = true;
    }
    return next;
}

/* They try another peer, while this one counts as not available; who finds none is back on the queue, and then the
 * others' lookups find it again too. */
static void on_hedge(struct mf_timer *timer)
{
    struct mf_pool *pool = MF_CONTAINER(timer, struct mf_pool, hedge);
    struct mf_local *local = pool->pools->local;
    uint64_t now = mf_local_now(local), next = 0, rested = pool->rest_until;
    bool stayed = false, moved = false;
    if (mf_lane_quiet(pool)) /* the connection is there */
        return;
    mf_pool_rest_set(pool, mf_pool_rest_connected_by(pool, now));
    for (int i = 0; i < MF_LANES; i++) {
        uint64_t due = move_due(&pool->lanes[i], now, &moved, &stayed);
        if (due && (!next || due < next))
            next = due;
    }
    if (moved)
        MF_COUNT(local, limit_hedge_connect);
    if (stayed || !moved)
        mf_pool_rest_set(pool, rested);
    if (next)
        mf_timer_set(mf_pool_rest_timers(pool), timer, next > now + HEDGE_EVERY_NS ? next : now + HEDGE_EVERY_NS, on_hedge);
    for (struct mf_list *node = pool->links.next; node != &pool->links; node = node->next) {
        const struct mf_link *link = MF_CONTAINER(node, struct mf_link, node);
        if (!mf_lane_taking(link) && link->lane->queue.bytes <= local->limits->upstream_output_high / 2)
            mf_conn_release(link->conn);
    }
}

void mf_lane_hedge(struct mf_pool *pool, struct mf_call *call)
{
    uint64_t now = mf_local_now(pool->pools->local);
    uint64_t wait = pool->pools->local->limits->hedge_connect * MF_POOL_MS_NS, quarter = (call->deadline - call->begun) / 4;
    call->move_at = call->by_table ? now + (quarter < wait ? quarter : wait) : 0;
    if (call->move_at && (!pool->hedge.at || call->move_at < pool->hedge.at))
        mf_timer_set(mf_pool_rest_timers(pool), &pool->hedge, call->move_at, on_hedge);
}
