#include "call/health.h"

uint64_t mf_health_backoff(uint32_t failures, const struct mf_limits *limits)
{
    uint64_t ms = limits->peer_backoff, most = limits->peer_backoff_max;
    for (uint32_t i = 1; i < failures && ms < most; i++)
        ms *= 2;
    if (ms > most && ms > limits->peer_backoff)
        ms = most;
    return ms * 1000000;
}

uint64_t mf_health_failed(struct mf_health *health, uint64_t now, const struct mf_limits *limits)
{
    health->failures++;
    return now + mf_health_backoff(health->failures, limits);
}

uint64_t mf_health_rest(uint64_t now, const struct mf_limits *limits)
{
    return now + mf_health_backoff(1, limits);
}

uint64_t mf_health_tried(const struct mf_health *health, uint64_t now, const struct mf_limits *limits)
{
    return now + mf_health_backoff(health->failures, limits);
}

bool mf_health_alive(struct mf_health *health)
{
    bool failed = health->failures > 0;
    health->failures = 0;
    return failed;
}
