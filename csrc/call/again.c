#include "call/again.h"

#define MS_NS UINT64_C(1000000)
/* How much sooner than we a peer that was told may count the end of the same try. */
#define SOONER_NS (5 * MS_NS)
enum { CLIENT_TIMEOUT = 30, SERVER_TIMEOUT = 31 }; /* of Dubbo2 */
enum { DEADLINE_EXCEEDED = 4 };                    /* of gRPC */

void mf_again_bind(struct mf_again *again, const struct mf_retries *retries)
{
    if (again->bound)
        return;
    again->bound = true;
    if (retries)
        again->policy = *retries;
}

uint64_t mf_again_go(struct mf_again *again, const struct mf_call *call, const struct mf_peer *peer)
{
    again->peer = peer;
    again->until = 0;
    uint64_t most = again->policy.try_ms * MS_NS;
    if (most == 0 || (call->deadline && call->begun + most >= call->deadline))
        return 0;
    return again->until = mf_local_now(call->calls->local) + most;
}

/* Calls of the same service and subset that have ended on this worker. */
static uint64_t ended(const struct mf_stat_shard *stat)
{
    uint64_t n = 0;
    for (int i = 0; i < MF_STAT_STATUS; i++)
        n += mf_load_relaxed(&stat->status[i]);
    return n;
}

/* The limits' own, whatever rules say. */
static bool within_limits(const struct mf_call *call)
{
    struct mf_local *local = call->calls->local;
    const struct mf_limits *limits = local->limits;
    struct mf_stat_shard *stat = call->stat;
    uint64_t workers = local->n_workers ? local->n_workers : 1, rate = limits->retry_rate;
    rate = rate < UINT32_MAX ? rate * 1000 / workers : UINT32_MAX;
    return !stat || mf_retry_budget_take(&stat->budget, local->began, mf_local_now(local), ended(stat),
                                         limits->retry_percent, rate);
}

static void count(const struct mf_call *call, const struct mf_try *tried)
{
    struct mf_local *local = call->calls->local;
    MF_COUNT(local, retries);
    if (call->stat)
        mf_count(&call->stat->retries, 1);
    if (tried->kind == MF_TRY_TIMEOUT)
        MF_COUNT(local, retries_timeout);
    else if (tried->kind == MF_TRY_RESET || tried->kind == MF_TRY_REFUSED)
        MF_COUNT(local, retries_reset);
    else
        MF_COUNT(local, retries_answer);
}

static void remember(struct mf_again *again)
{
    if (!again->policy.other_peers)
        return;
    for (int i = MF_AGAIN_PAST - 1; i > 0; i--)
        again->past[i] = again->past[i - 1];
    again->past[0] = again->peer;
    again->n_past += again->n_past < MF_AGAIN_PAST;
}

bool mf_again_may(struct mf_again *again, struct mf_call *call, struct mf_guard *guard, const struct mf_try *tried,
                  uint64_t *wait)
{
    struct mf_local *local = call->calls->local;
    const struct mf_retries *policy = &again->policy;
    if (policy->attempts == 0 || !call->two_way || !call->caller || !mf_retry_wanted(policy, tried))
        return false;
    if (again->made >= policy->attempts) {
        MF_COUNT(local, retries_used_up);
        return false;
    }
    if (!call->frame || call->bytes_up > local->limits->retry_body) { /* it may be kept for other reasons */
        MF_COUNT(local, retries_not_kept);
        return false;
    }
    *wait = mf_retry_backoff(policy->backoff_ms, again->made + 1u, mf_local_random(local));
    if (call->deadline && mf_local_now(local) + *wait >= call->deadline)
        return false;
    mf_again_left(again);
    if (guard && !mf_guard_retry(guard)) { /* asked first, as what is taken there can be given back */
        MF_COUNT(local, retries_over_budget);
        return false;
    }
    if (!within_limits(call)) {
        if (guard)
            mf_guard_retried(guard);
        MF_COUNT(local, limit_retry_percent);
        return false;
    }
    again->guard = guard;
    again->made++;
    again->spent = call->tries;
    again->until = 0;
    remember(again);
    count(call, tried);
    return true;
}

void mf_again_look(const struct mf_again *again, uint64_t now, struct mf_try *tried)
{
    bool over = tried->kind == MF_TRY_DUBBO ? tried->status == CLIENT_TIMEOUT || tried->status == SERVER_TIMEOUT
                                            : tried->kind == MF_TRY_HTTP && tried->grpc == DEADLINE_EXCEEDED;
    if (over && again->until && now + SOONER_NS >= again->until && !mf_retry_wanted(&again->policy, tried))
        tried->kind = MF_TRY_TIMEOUT;
}

void mf_again_left(struct mf_again *again)
{
    if (again->guard)
        mf_guard_retried(again->guard);
    again->guard = NULL;
}

bool mf_again_fresh(const struct mf_again *again, const struct mf_call *call)
{
    return again->made && call->tries - again->spent < call->calls->max_tries;
}
