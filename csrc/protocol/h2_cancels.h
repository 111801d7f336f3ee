#pragma once
/* h2_cancels: whether a caller takes back more of its calls than it is answered. Pure. */
#include "call/lately.h"
#include "call/limits.h"

struct mf_h2_cancels {
    struct mf_lately open;   /* calls that were taken back or broken, and are not made up for */
    struct mf_lately earned; /* calls that were worth their while, when there was nothing to make up for */
};

/* So many calls in 30 s are forgotten. */
static inline uint64_t mf_h2_cancels_rate(const struct mf_limits *limits)
{
    return 30 * limits->h2_reset_rate;
}

/* Who relays for many has all its streams reset at once when their callers lose patience: where that many answered calls have
 * come before, it is no flood. */
static inline uint64_t mf_h2_cancels_earn(const struct mf_limits *limits)
{
    return limits->h2_cancel_share * limits->h2_streams;
}

static inline void mf_h2_cancels_add(struct mf_h2_cancels *cancels, uint64_t now, const struct mf_limits *limits)
{
    mf_lately_add(&cancels->open, now, mf_h2_cancels_rate(limits));
}

static inline void mf_h2_cancels_answered(struct mf_h2_cancels *cancels, uint64_t now, const struct mf_limits *limits)
{
    if (cancels->open.n) {
        cancels->open.n--;
        return;
    }
    cancels->earned.n += cancels->earned.n < mf_h2_cancels_earn(limits);
    cancels->earned.at = now;
}

static inline bool mf_h2_cancels_rash(struct mf_h2_cancels *cancels, uint64_t now, const struct mf_limits *limits)
{
    uint64_t rate = mf_h2_cancels_rate(limits);
    if (!mf_lately_over(&cancels->open, now, rate, limits->h2_cancels)) /* nearly always */
        return false;
    mf_lately_forget(&cancels->earned, now, mf_h2_cancels_earn(limits));
    return mf_lately_over(&cancels->open, now, rate, limits->h2_cancels + cancels->earned.n / limits->h2_cancel_share);
}
