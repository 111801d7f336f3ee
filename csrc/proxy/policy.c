#include "proxy/policy.h"

#include "base/err.h"
#include "codec/dubbo.h"

#include <errno.h>

static uint8_t status_of(int rc, enum mf_side side)
{
    switch (rc) {
    case MF_EROUTE_SERVICE:
    case MF_EROUTE_RULE:
    case MF_EDUBBO_OPAQUE:
        return MF_DUBBO_SERVICE_NOT_FOUND;
    case MF_EROUTE_PEER:
    case MF_EROUTE_DOWN:
        return MF_DUBBO_SERVER_ERROR;
    case -ETIMEDOUT:
        return MF_DUBBO_SERVER_TIMEOUT;
    case -ENOMEM:
        return MF_DUBBO_OVERLOAD;
    }
    if (side == MF_SIDE_DOWNSTREAM)
        return MF_DUBBO_BAD_REQUEST;
    if (side == MF_SIDE_OURS)
        return MF_DUBBO_OVERLOAD;
    return MF_DUBBO_CHANNEL_INACTIVE;
}

struct mf_fault mf_fault_of(int rc, enum mf_side side)
{
    return (struct mf_fault){
        .rc = rc,
        .side = (uint8_t)side,
        .scope = rc == MF_EDUBBO_MAGIC ? MF_SCOPE_CONNECTION : MF_SCOPE_CALL,
        .status = status_of(rc, side),
        .text = mf_err_text(rc),
    };
}

uint64_t mf_policy_timeout(int64_t attachment_ms, uint32_t rule_ms, const struct mf_limits *limits)
{
    enum { LONGEST_MS = INT32_MAX }; /* Java's own; what is longer would wrap around when it is nanoseconds */
    uint64_t least = 0;
    if (attachment_ms > 0)
        least = attachment_ms < LONGEST_MS ? (uint64_t)attachment_ms : LONGEST_MS;
    if (rule_ms && (!least || rule_ms < least))
        least = rule_ms;
    return least ? least : limits->call_timeout;
}

uint64_t mf_policy_backoff(uint32_t failures, const struct mf_limits *limits)
{
    enum { LONGEST_MS = 30000 };
    uint64_t ms = limits->peer_backoff;
    for (uint32_t i = 1; i < failures && ms < LONGEST_MS; i++)
        ms *= 2;
    if (ms > LONGEST_MS && ms > limits->peer_backoff)
        ms = LONGEST_MS;
    return ms * 1000000;
}

uint64_t mf_policy_frame_wait(uint64_t body_len, const struct mf_limits *limits)
{
    return limits->frame_timeout * 1000000 + body_len * (1000000000 / 65536);
}
