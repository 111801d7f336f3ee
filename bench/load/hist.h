#pragma once
/* hist: a histogram of nanoseconds with 128 steps an octave: a percentile is at most 0.8 % too high, never too low. */
#include <stdint.h>

enum { HIST_STEPS = 128, HIST_BITS = 7, HIST_CELLS = (64 - HIST_BITS) * HIST_STEPS + HIST_STEPS };

struct hist {
    uint64_t n, max, sum;
    uint64_t cells[HIST_CELLS];
};

static inline uint32_t hist_cell(uint64_t v)
{
    if (v < HIST_STEPS)
        return (uint32_t)v;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(v) - HIST_BITS;
    return (shift + 1) * HIST_STEPS + (uint32_t)((v >> shift) - HIST_STEPS);
}

static inline void hist_add(struct hist *h, uint64_t v)
{
    h->n++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
    h->cells[hist_cell(v)]++;
}

/* The highest value of the cell in which the share `q` of all values is reached; 0 when empty. */
static inline uint64_t hist_quantile(const struct hist *h, double q)
{
    double share = q * (double)h->n;
    uint64_t rank = (uint64_t)share, seen = 0;
    if (rank < 1 || (double)rank < share)
        rank++; /* the least value that so many reach: with few values, p99.9 is the greatest */
    for (uint32_t i = 0; i < HIST_CELLS && h->n; i++) {
        seen += h->cells[i];
        if (seen < rank)
            continue;
        if (i < HIST_STEPS)
            return i;
        uint32_t shift = i / HIST_STEPS - 1;
        uint64_t top = (((uint64_t)HIST_STEPS + i % HIST_STEPS + 1) << shift) - 1;
        return top < h->max ? top : h->max;
    }
    return h->max;
}
