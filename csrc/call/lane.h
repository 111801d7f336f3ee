#pragma once
/* lane: which of a pool's connections a call goes on, and the calls that wait for one.
 *
 * On the shared lane any number of calls share a connection. What may end a connection goes on the other: a request that
 * its peer has yet to show that it takes (trial.h), and for a while each of a caller over whose calls a connection has just
 * ended, or who has spent more than its share of one, or that asks what others have asked in vain. There a call has a
 * connection for itself, as long as upstreamTrials of them do. */
#include "call/pool.h"

/* Nothing is proved to be taken there but what every peer takes. */
void mf_lane_trust(struct mf_pool *pool);
/* Whether a request of that length goes with all others: nearly always. */
static inline bool mf_lane_usual(const struct mf_pool *pool, const struct mf_call *call, uint32_t len);
/* The lane of one that may have to go apart. */
struct mf_lane *mf_lane_apart(struct mf_pool *pool, const struct mf_call *call, uint32_t len);
/* Whether a long request may wait for this peer: it speaks or has none yet, or no more waits for it then than is left;
 * else `*rc` is MF_EROUTE_FULL. */
bool mf_lane_has_room(const struct mf_lane *lane, uint32_t len, int *rc);
/* A link to send on now, or NULL: then one is being made, or all take no more for the moment (put the call on the lane's
 * queue), or `*rc` says why not.
 * MF_EROUTE_FULL: there is one, and as much waits for it as may. */
struct mf_link *mf_lane_pick(struct mf_lane *lane, const struct mf_call *call, int *rc);
/* What `caller` asks of this pool goes apart for a while, and where it may be `deadly` each call alone. */
void mf_lane_suspect(const struct mf_pool *pool, struct mf_caller *caller, bool deadly);
/* What is asked of this pool by that number fills windows and is not read: it goes apart for a while. */
void mf_lane_stick(struct mf_pool *pool, uint16_t topic);
/* One caller alone has filled a window with that: where another has, too, it is stuck. */
void mf_lane_warn(struct mf_pool *pool, uint16_t topic, const struct mf_caller *caller);
/* What is proved of the pool has changed, or what is stuck there. */
void mf_lane_mask(struct mf_pool *pool);
/* Looks at connections that are spent for `call`, which comes new, for who is to go apart. */
void mf_lane_blame(const struct mf_pool *pool, const struct mf_call *call);
/* Another connection would be better for the call, or it may soon be seen that this one is not spent. */
bool mf_lane_spends(const struct mf_link *link, const struct mf_call *call);
/* Begins to make a connection. 0, or why not. */
int mf_lane_dial(struct mf_lane *lane);
/* A connection ended before it was given calls, or could not be made. That says something of the address where no other of
 * its connections has spoken, and else only that it lets no more in: for a while nothing goes apart. */
void mf_lane_missed(struct mf_lane *lane, int rc);
/* One of its connections has said something. */
bool mf_lane_speaks(const struct mf_pool *pool);
/* `conn`, all of whose requests go there, brought one to the queue: above upstreamOutputHigh it pauses. */
void mf_lane_check(const struct mf_lane *lane, struct mf_conn *conn);
/* A call was put on a queue: it is moved to another peer when the connection takes a quarter of its time, or
 * hedgeConnect. */
void mf_lane_hedge(struct mf_pool *pool, struct mf_call *call);

/* inline */

static inline struct mf_lane *mf_lane_shared(struct mf_pool *pool)
{
    return &pool->lanes[MF_LANE_SHARED];
}

static inline bool mf_lane_usual(const struct mf_pool *pool, const struct mf_call *call, uint32_t len)
{
    return mf_trial_proved(&pool->trial, call->kind, len) && !(call->caller && call->caller->odd);
}

static inline bool mf_lane_fits(const struct mf_lane *lane, uint32_t len, int *rc)
{
    return len <= MF_CONN_FEW || mf_lane_has_room(lane, len, rc);
}

/* No call waits for a connection. */
static inline bool mf_lane_quiet(const struct mf_pool *pool)
{
    return mf_list_empty(&pool->lanes[MF_LANE_SHARED].queue.calls) && mf_list_empty(&pool->lanes[MF_LANE_TRIAL].queue.calls);
}

/* It may be given calls. */
static inline bool mf_lane_taking(const struct mf_link *link)
{
    return link->there && !link->unheard;
}
