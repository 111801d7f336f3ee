#include "call/share.h"

#include "base/err.h"

static bool over_share(const struct mf_limits *limits, uint64_t has, uint64_t taken, uint64_t max)
{
    return has / limits->call_share >= max - taken;
}

int mf_share_ask(struct mf_call *call, const struct mf_pool *pool, uint32_t own, uint32_t all)
{
    const struct mf_limits *limits = call->calls->local->limits;
    uint64_t most_own = limits->max_calls_per_connection, most = call->calls->max, at_peer = mf_pool_calls(pool);
    int rc = 0;
    /* Where all of a caller's calls go to one place nothing of it need be left for another. */
    if (call->by_table && own > most_own / 2 && over_share(limits, at_peer < own ? at_peer : own, own, most_own))
        rc = MF_EROUTE_FULL;
    if (all > most / 2 && over_share(limits, at_peer, all, most))
        rc = MF_EROUTE_FULL;
    if (all > most / 2 && over_share(limits, own, all, most))
        rc = MF_ELIMIT;
    if (rc < 0)
        MF_COUNT(call->calls->local, limit_call_share);
    return rc;
}
