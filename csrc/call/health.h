#pragma once
/* health: whether an address may be chosen: what became of it goes in, until when it rests comes out. Pure. */
#include "call/limits.h"

#include <stdbool.h>

struct mf_health {
    uint32_t failures; /* in a row */
};

/* It could not be reached, or was silent. Returns until when it rests. */
uint64_t mf_health_failed(struct mf_health *health, uint64_t now, const struct mf_limits *limits);
/* It asked for no calls, or has just stopped: a rest as after one failure. */
uint64_t mf_health_rest(uint64_t now, const struct mf_limits *limits);
/* After failures one call tries it, and the others go elsewhere until it has said something: until when. */
uint64_t mf_health_tried(const struct mf_health *health, uint64_t now, const struct mf_limits *limits);
/* It has said something. True when it had failed. */
bool mf_health_alive(struct mf_health *health);
/* How long the n-th failure in a row (n from 1) is rested for, ns. */
uint64_t mf_health_backoff(uint32_t failures, const struct mf_limits *limits);
