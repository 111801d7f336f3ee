#pragma once
/* bucket: a rate limit that all threads share: so many requests in so much time, and so many at once. Pure but for its one
 * word, and without a lock.
 *
 * The word is the moment at which all that was taken is made up for (the generic cell rate algorithm): a request moves it
 * on by the time that one is worth, and is refused where that would be further ahead than all that may be taken at once is
 * worth. So nobody fills anything up, and no request is counted twice or not at all. Its lowest bit says by which of two
 * rates it was reckoned: who changes what is allowed writes the other one and then the word, which nobody who still has the
 * rate of before can move on. */
#include "table/meter.h"

enum { MF_BUCKET_TICKS = 128 };                /* of one ns: the rate is exact within a thousandth up to 10^8 requests a second */
enum { MF_BUCKET_PASSED, MF_BUCKET_REFUSED }; /* places of its meter's counts */

/* In ticks, which are even. */
struct mf_bucket_rate {
    mf_atom64 interval; /* of one request */
    mf_atom64 span;     /* of all that may be taken at once */
};

struct mf_bucket {
    struct mf_bucket_rate _rates[2];
    struct mf_meter *meter;
    mf_atom32 _refs;
    _Alignas(MF_CACHE_LINE) mf_atom64 _until;
};

/* `requests` of each `unit` ns, and up to `burst` at once, each 1 or more; full at `now`, monotonic ns, with a reference for
 * the caller. NULL: no memory. */
struct mf_bucket *mf_bucket_new(uint64_t requests, uint64_t unit, uint64_t burst, uint64_t now);
/* It allows that from here on, to all that have it; as many requests as were taken are taken, as far as they fit. One thread
 * at a time. */
void mf_bucket_set(struct mf_bucket *bucket, uint64_t requests, uint64_t unit, uint64_t burst, uint64_t now);
/* Any thread. */
struct mf_bucket *mf_bucket_take(struct mf_bucket *bucket);
void mf_bucket_give(struct mf_bucket *bucket); /* NULL: nothing */

/* Whether anybody but the caller has it. */
bool mf_bucket_shared(const struct mf_bucket *bucket);

/* Whether there is room for one more request at `now`: then it is taken. Any thread; that clocks of threads are a little
 * apart lets nobody have more. */
bool mf_bucket_draw(struct mf_bucket *bucket, uint64_t now);
/* One that was taken a moment ago did not go on. */
void mf_bucket_undraw(struct mf_bucket *bucket);
/* How many are left at `now`. */
uint64_t mf_bucket_left(const struct mf_bucket *bucket, uint64_t now);

/* inline */

static inline void mf_bucket_count(struct mf_bucket *bucket, bool passed)
{
    mf_meter_count(bucket->meter, passed ? MF_BUCKET_PASSED : MF_BUCKET_REFUSED);
}

/* Takes one, and counts what came of it. */
static inline bool mf_bucket_allow(struct mf_bucket *bucket, uint64_t now)
{
    bool passed = mf_bucket_draw(bucket, now);
    mf_bucket_count(bucket, passed);
    return passed;
}
