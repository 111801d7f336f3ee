/* bucket: how many requests it lets through, whoever asks and however; what becomes of it when that changes. And meter. */
#include "table/bucket.h"
#include "test.h"

#include <pthread.h>

#define SECOND UINT64_C(1000000000)

static uint64_t passed(const struct mf_bucket *bucket)
{
    return mf_load_relaxed(&bucket->meter->counts[MF_BUCKET_PASSED]);
}

/* Asked `n` times at once: how many are let through. */
static int ask(struct mf_bucket *bucket, uint64_t now, int n)
{
    int let = 0;
    while (n--)
        let += mf_bucket_allow(bucket, now);
    return let;
}

static void test_rate(void)
{
    uint64_t now = 77 * SECOND;
    struct mf_bucket *bucket = mf_bucket_new(10, SECOND, 5, 0);
    CHECK_INT(mf_bucket_left(bucket, now), 5);
    CHECK_INT(ask(bucket, now, 100), 5);
    CHECK_INT(mf_bucket_left(bucket, now), 0);
    CHECK_INT(ask(bucket, now + SECOND / 10 - 1, 100), 0);
    CHECK_INT(ask(bucket, now + SECOND / 10, 100), 1);
    CHECK_INT(ask(bucket, now + SECOND / 2, 100), 4);
    CHECK_INT(ask(bucket, now + 1000 * SECOND, 100), 5); /* no more than that is saved */
    CHECK_INT(ask(bucket, now, 100), 0);                 /* whose clock is behind */
    CHECK_INT(passed(bucket), 15);
    CHECK_INT(mf_load_relaxed(&bucket->meter->counts[MF_BUCKET_REFUSED]), 585);
    mf_bucket_give(bucket);
}

/* Every rate that may be written, asked ten times as often as it allows, for as long as takes a thousand requests. */
static void test_exact(void)
{
    static const struct {
        uint64_t requests, unit;
    } rates[] = {{1, 3600 * SECOND}, {7, 60 * SECOND}, {3, SECOND}, {999, SECOND}, {1000003, SECOND}, {100000000, SECOND}};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct mf_bucket *bucket = mf_bucket_new(rates[i].requests, rates[i].unit, 10, 0);
        double each = (double)rates[i].unit / (double)rates[i].requests;
        int let = 0;
        for (int n = 0; n <= 10000; n++)
            let += mf_bucket_allow(bucket, 5 * SECOND + (uint64_t)(each / 10 * n));
        CHECK(let >= 1000 && let <= 1011);
        mf_bucket_give(bucket);
    }
}

static void test_much(void)
{
    struct mf_bucket *bucket = mf_bucket_new(1, 3600 * SECOND, UINT64_MAX, 0);
    CHECK(ask(bucket, 1, 1000) == 1000 && mf_bucket_left(bucket, 1) > 1000); /* a year's worth */
    CHECK_INT(ask(bucket, UINT64_MAX, 10), 10);
    mf_bucket_give(bucket);
    bucket = mf_bucket_new(UINT64_MAX, SECOND, 1, 0);
    CHECK_INT(ask(bucket, SECOND, 3), 1);
    mf_bucket_give(bucket);
}

static void test_changed(void)
{
    uint64_t now = 9 * SECOND;
    struct mf_bucket *bucket = mf_bucket_new(1, 3600 * SECOND, 100, 0);
    CHECK_INT(ask(bucket, now, 40), 40);
    mf_bucket_set(bucket, 1000, SECOND, 1000, now);
    CHECK_INT(mf_bucket_left(bucket, now), 960); /* forty are taken, and made up for at the new rate */
    CHECK_INT(passed(bucket), 40);
    mf_bucket_set(bucket, 1000, SECOND, 1000, now + SECOND / 100); /* no change */
    CHECK_INT(mf_bucket_left(bucket, now + SECOND / 100), 970);
    CHECK_INT(mf_bucket_left(bucket, now + SECOND / 20), 1000);
    CHECK_INT(ask(bucket, now, 1), 1);
    mf_bucket_set(bucket, 10, SECOND, 4, now);
    CHECK_INT(ask(bucket, now, 9), 0);
    CHECK_INT(ask(bucket, now + SECOND, 9), 4); /* what did not fit is not owed */
    mf_bucket_give(bucket);
}

/* Asked all the time, ten times as often as may be: a change lets nobody have twice what either rate allows. */
static void test_change_under_load(void)
{
    struct mf_bucket *bucket = mf_bucket_new(1000, SECOND, 10, 0);
    int let = 0, n = 0;
    for (int second = 1; second <= 20; second++) {
        let = 0;
        for (n = 0; n < 10000; n++) {
            if (n == 5000) /* within one second, too: half of the one, half of the other */
                mf_bucket_set(bucket, second & 1 ? 500 : 1000, SECOND, 10, second * SECOND + (uint64_t)n * SECOND / 10000);
            let += mf_bucket_allow(bucket, second * SECOND + (uint64_t)n * SECOND / 10000);
        }
        CHECK(let >= 735 && let <= 765);
    }
    mf_bucket_give(bucket);
}

/* A machine that has run for years, and a limit that was not asked for one. */
static void test_long_since(void)
{
    static const uint64_t years[] = {1, 2, 3, 5, 9, 20};
    uint64_t year = 365 * 86400 * SECOND;
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        uint64_t now = years[i] * year;
        struct mf_bucket *bucket = mf_bucket_new(10, SECOND, 5, now);
        CHECK_INT(ask(bucket, now, 10), 5);
        CHECK_INT(ask(bucket, now + SECOND / 2, 10), 5);
        CHECK_INT(mf_bucket_left(bucket, now + year), 5);
        CHECK_INT(ask(bucket, now + year, 10), 5);
        mf_bucket_give(bucket);
    }
}

enum { THREADS = 4, STEP_NS = 1000, ASKS = 100000 };
static struct mf_bucket *shared;
static mf_atom64 hand;

/* Ticks of one clock, as they come: some threads are ahead, some behind. */
static void *ask_often(void *arg)
{
    uint64_t let = 0;
    for (int i = 0; i < ASKS; i++)
        let += mf_bucket_allow(shared, SECOND + atomic_fetch_add_explicit(&hand, STEP_NS, memory_order_relaxed));
    *(uint64_t *)arg = let;
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    uint64_t let[THREADS], all = 0;
    shared = mf_bucket_new(50000, SECOND, 100, 0); /* of a million that ask in a second */
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, ask_often, &let[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += let[i];
    }
    uint64_t due = (uint64_t)THREADS * ASKS * STEP_NS / (SECOND / 50000) + 100;
    CHECK(all <= due && all >= due - due / 50);
    CHECK_INT(passed(shared), all);
    mf_bucket_give(shared);
}

/* The rate changes meanwhile: what it lets through lies between the two, and a change by a clock that is behind adds no more
 * than what may be taken at once. */
static void test_changing_threads(void)
{
    enum { BURST = 100, CHANGES = 3 };
    pthread_t threads[THREADS];
    uint64_t let[THREADS], all = 0, from = mf_load_relaxed(&hand), whole = (uint64_t)THREADS * ASKS * STEP_NS;
    shared = mf_bucket_new(50000, SECOND, BURST, SECOND + from);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, ask_often, &let[i]);
    for (uint64_t now; (now = mf_load_relaxed(&hand) - from) < whole;)
        mf_bucket_set(shared, now / (whole / (CHANGES + 1)) & 1 ? 25000 : 50000, SECOND, BURST, SECOND + from + now);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += let[i];
    }
    uint64_t most = whole / (SECOND / 50000);
    CHECK(all <= most + BURST * (CHANGES + 1) && all >= most / 5 * 2);
    CHECK_INT(passed(shared), all);
    mf_bucket_give(shared);
}

static void test_no_memory(void)
{
    for (int i = 1; i <= 2; i++) {
        fail_at(i);
        CHECK(!mf_bucket_new(1, 1, 1, 0));
    }
    fail_at(0);
    CHECK_INT(fail_live, 0);
}

int main(void)
{
    test_rate();
    test_exact();
    test_much();
    test_changed();
    test_change_under_load();
    test_long_since();
    test_threads();
    test_changing_threads();
    test_no_memory();
    return test_end("table/bucket");
}
