#pragma once
/* lately: how many of something there were in the last 30 s or so. Pure. */
#include <stdbool.h>
#include <stdint.h>

struct mf_lately {
    uint32_t n;
    uint64_t at; /* loop time, when some were forgotten last, or the first came */
};

/* `rate`: so many are forgotten in 30 s. */
static inline void mf_lately_forget(struct mf_lately *lately, uint64_t now, uint64_t rate)
{
    const uint64_t second = UINT64_C(1000000), all = 30 * second;
    uint64_t passed = (now - lately->at) / 1000;
    uint64_t gone = (passed < all ? passed : all) * (rate < UINT32_MAX ? rate : UINT32_MAX) / all;
    if (lately->n == 0 || gone) {
        lately->n -= gone < lately->n ? (uint32_t)gone : lately->n;
        lately->at = now;
    }
}

static inline void mf_lately_add(struct mf_lately *lately, uint64_t now, uint64_t rate)
{
    mf_lately_forget(lately, now, rate);
    lately->n += lately->n < UINT32_MAX;
}

/* More than `most`. */
static inline bool mf_lately_over(struct mf_lately *lately, uint64_t now, uint64_t rate, uint64_t most)
{
    if (lately->n <= most) /* nearly always */
        return false;
    mf_lately_forget(lately, now, rate);
    return lately->n > most;
}
