#include "call/guarding.h"

static void give(struct mf_governed *governed, enum mf_breaker_kind kind)
{
    uint8_t bit = (uint8_t)(1u << kind);
    if (!(governed->counted & bit))
        return;
    governed->counted &= (uint8_t)~bit;
    mf_breaker_give(&governed->guard->breaker, kind);
}

static bool take(struct mf_governed *governed, enum mf_breaker_kind kind)
{
    if (!mf_breaker_take(&governed->guard->breaker, kind))
        return false;
    governed->counted |= (uint8_t)(1u << kind);
    return true;
}

const struct mf_fault *mf_guarding_enter(struct mf_governed *governed, const struct mf_route *route)
{
    static const struct mf_fault busy = {
        MF_OUTCOME_BUSY, "meshfast: busy: as many calls are in flight there as connectionPool.http.http2MaxRequests allows"};
    governed->outlier = route->plan->outlier;
    if (!route->plan->breaks || take(governed, MF_BREAKER_REQUESTS))
        return NULL;
    governed->outlier = NULL;
    MF_COUNT(governed->call->calls->local, busy_requests);
    return &busy;
}

static void stop_waiting(struct mf_governed *governed)
{
    give(governed, MF_BREAKER_PENDING);
    if (governed->connecting.at)
        mf_timer_cancel(mf_loop_timers(governed->call->calls->local->loop), &governed->connecting);
}

void mf_guarding_leave(struct mf_governed *governed)
{
    stop_waiting(governed);
    for (int kind = 0; governed->counted && kind < MF_BREAKER_KINDS; kind++)
        give(governed, kind);
    governed->outlier = NULL;
}

static void on_too_long(struct mf_timer *timer)
{
    struct mf_governed *governed = MF_CONTAINER(timer, struct mf_governed, connecting);
    governed->missed = governed->peer;
    MF_COUNT(governed->call->calls->local, busy_connecting);
    mf_call_step(governed->call, MF_CALL_ON_RETRY, &(struct mf_call_input){.failed = true});
}

static void wait_so_long(struct mf_governed *governed)
{
    struct mf_local *local = governed->call->calls->local;
    uint64_t ms = mf_load_relaxed(&governed->guard->breaker.connect_ms);
    if (ms)
        mf_timer_set(mf_loop_timers(local->loop), &governed->connecting, mf_local_now(local) + ms * 1000000, on_too_long);
}

bool mf_guarding_wait(struct mf_governed *governed)
{
    if (!(governed->counted & (1u << MF_BREAKER_REQUESTS)))
        return true;
    if (!take(governed, MF_BREAKER_PENDING)) {
        MF_COUNT(governed->call->calls->local, busy_pending);
        return false;
    }
    wait_so_long(governed);
    return true;
}

void mf_guarding_return(struct mf_governed *governed, uint8_t counted)
{
    for (int kind = 0; kind < MF_BREAKER_KINDS; kind++)
        if (counted & (1u << kind))
            mf_breaker_retake(&governed->guard->breaker, kind);
    governed->counted = counted;
    if (counted & (1u << MF_BREAKER_PENDING))
        wait_so_long(governed);
}

void mf_guarding_asked(struct mf_governed *governed)
{
    stop_waiting(governed);
}

static void tell(struct mf_governed *governed, const struct mf_outlier_word *word, uint64_t now)
{
    struct mf_local *local = governed->call->calls->local;
    uint64_t ms = word->until > now ? (word->until - now + 999999) / 1000000 : 0;
    switch (word->news) {
    case MF_OUTLIER_NOTHING:
        return;
    case MF_OUTLIER_OVERFLOW:
        MF_COUNT(local, ejections_forbidden);
        return;
    case MF_OUTLIER_BACK:
        MF_COUNT(local, ejections_ended);
        local->report(local, MF_EVENT_PEER_RETURNED, 0, &governed->peer->addr);
        return;
    case MF_OUTLIER_EJECTED:
        if (word->reason == MF_OUTLIER_ERRORS)
            MF_COUNT(local, ejections_errors);
        else if (word->reason == MF_OUTLIER_GATEWAY)
            MF_COUNT(local, ejections_gateway);
        else
            MF_COUNT(local, ejections_local);
        local->report(local, MF_EVENT_PEER_EJECTED, ms < INT32_MAX ? (int)ms : INT32_MAX, &governed->peer->addr);
    }
}

void mf_guarding_judge(struct mf_governed *governed, struct mf_verdict verdict)
{
    if (!governed->outlier || !governed->peer || !verdict.code)
        return;
    uint64_t now = mf_local_now(governed->call->calls->local);
    struct mf_outlier_word word = mf_outlier_count(governed->outlier, governed->peer, verdict.code, verdict.local, now);
    if (word.news)
        tell(governed, &word, now);
}

/* Its caller gives up when its own time is over, which began a moment before ours. */
static bool out_of_time(const struct mf_call *call)
{
    uint64_t waited = mf_local_now(call->calls->local) - call->begun;
    return call->callee && call->deadline && waited >= (call->deadline - call->begun) / 16 * 15;
}

/* Whoever allows next to nothing would have every instance left out, for all. */
static bool hurried(const struct mf_call *call)
{
    struct mf_local *local = call->calls->local;
    uint64_t least = local->limits->judged_timeout * 1000000;
    if (mf_governed_of(call)->by_rule || !call->deadline || call->deadline - call->begun >= least)
        return false;
    MF_COUNT(local, limit_judged_timeout);
    return true;
}

struct mf_verdict mf_guarding_verdict(const struct mf_call *call, int stat, enum mf_outcome outcome, uint32_t code)
{
    if (outcome <= MF_OUTCOME_REMOTE_ERROR)
        return call->two_way ? mf_verdict_of_answer(stat, code) : (struct mf_verdict){0};
    if (outcome == MF_OUTCOME_CANCELLED && out_of_time(call))
        outcome = MF_OUTCOME_TIMEOUT;
    bool spared = call->callee && call->callee->spared;
    if (spared || (outcome == MF_OUTCOME_TIMEOUT && hurried(call)))
        return (struct mf_verdict){0};
    return mf_verdict_of_outcome(outcome, call->callee != NULL);
}
