#include "table/bucket.h"

#include "base/mem.h"

#define MOST (UINT64_C(1) << 61) /* ticks: half a year, so that what is ahead is told from what is long past */

enum { STEP = 2 }; /* the lowest bit is no time */

/* Goes round: only how far two are apart means something. */
static uint64_t place(uint64_t now)
{
    return now * MF_BUCKET_TICKS;
}

/* How far ahead of `at` it is: what is taken. */
static uint64_t ahead(uint64_t word, uint64_t at)
{
    uint64_t by = (word & ~UINT64_C(1)) - at;
    return by <= 2 * MOST ? by : 0;
}

static uint64_t interval_of(uint64_t requests, uint64_t unit)
{
    uint64_t steps = unit < MOST / MF_BUCKET_TICKS ? unit * (MF_BUCKET_TICKS / STEP) : MOST / STEP;
    uint64_t interval = (steps + requests / 2) / requests * STEP;
    return interval ? interval : STEP;
}

static uint64_t span_of(uint64_t burst, uint64_t interval)
{
    return burst < MOST / interval ? burst * interval : MOST;
}

struct mf_bucket *mf_bucket_new(uint64_t requests, uint64_t unit, uint64_t burst, uint64_t now)
{
    struct mf_bucket *bucket = mf_zalloc_line(sizeof *bucket);
    if (!bucket)
        return NULL;
    bucket->meter = mf_meter_new();
    if (!bucket->meter) {
        mf_free_line(bucket);
        return NULL;
    }
    uint64_t interval = interval_of(requests, unit);
    mf_store_relaxed(&bucket->_rates[0].interval, interval);
    mf_store_relaxed(&bucket->_rates[0].span, span_of(burst, interval));
    mf_store_relaxed(&bucket->_until, place(now));
    mf_store_relaxed(&bucket->_refs, 1);
    return bucket;
}

void mf_bucket_set(struct mf_bucket *bucket, uint64_t requests, uint64_t unit, uint64_t burst, uint64_t now)
{
    uint64_t word = mf_load_relaxed(&bucket->_until), at = place(now), other = ~word & 1;
    const struct mf_bucket_rate *old = &bucket->_rates[word & 1];
    uint64_t interval = interval_of(requests, unit), span = span_of(burst, interval);
    double worth = (double)interval / (double)mf_load_relaxed(&old->interval);
    if (interval == mf_load_relaxed(&old->interval) && span == mf_load_relaxed(&old->span))
        return;
    mf_store_relaxed(&bucket->_rates[other].interval, interval);
    mf_store_relaxed(&bucket->_rates[other].span, span);
    uint64_t next;
    do {
        double debt = (double)ahead(word, at) * worth;
        next = at + ((debt < (double)span ? (uint64_t)debt : span) & ~UINT64_C(1));
        /* Release pairs with the acquires in allow and left: who sees the word sees its rate. */
    } while (!atomic_compare_exchange_weak_explicit(&bucket->_until, &word, next | other, memory_order_release,
                                                    memory_order_relaxed));
}

struct mf_bucket *mf_bucket_take(struct mf_bucket *bucket)
{
    atomic_fetch_add_explicit(&bucket->_refs, 1, memory_order_relaxed);
    return bucket;
}

void mf_bucket_give(struct mf_bucket *bucket)
{
    /* All uses of it come before it is freed, by whoever gives the last one back. */
    if (!bucket || atomic_fetch_sub_explicit(&bucket->_refs, 1, memory_order_acq_rel) != 1)
        return;
    mf_meter_give(bucket->meter);
    mf_free_line(bucket);
}

bool mf_bucket_shared(const struct mf_bucket *bucket)
{
    return mf_load_relaxed(&bucket->_refs) > 1;
}

bool mf_bucket_draw(struct mf_bucket *bucket, uint64_t now)
{
    uint64_t at = place(now), word = mf_load_acquire(&bucket->_until), after;
    do {
        const struct mf_bucket_rate *rate = &bucket->_rates[word & 1];
        after = ahead(word, at) + mf_load_relaxed(&rate->interval);
        if (after > mf_load_relaxed(&rate->span))
            return false;
        /* No release: but for the rate, which is not ours, the word is all there is to it. */
    } while (!atomic_compare_exchange_weak_explicit(&bucket->_until, &word, (at + after) | (word & 1), memory_order_acquire,
                                                    memory_order_acquire));
    return true;
}

void mf_bucket_undraw(struct mf_bucket *bucket)
{
    uint64_t word = mf_load_acquire(&bucket->_until);
    while (!atomic_compare_exchange_weak_explicit(&bucket->_until, &word,
                                                  word - mf_load_relaxed(&bucket->_rates[word & 1].interval),
                                                  memory_order_acquire, memory_order_acquire)) {
    }
}

uint64_t mf_bucket_left(const struct mf_bucket *bucket, uint64_t now)
{
    uint64_t word = mf_load_acquire(&bucket->_until), used = ahead(word, place(now));
    const struct mf_bucket_rate *rate = &bucket->_rates[word & 1];
    uint64_t interval = mf_load_relaxed(&rate->interval), span = mf_load_relaxed(&rate->span);
    return used < span ? (span - used) / interval : 0;
}
