/* outlier under threads: many count answers while members and rules change: each ejection is told once, no more are out than
 * may be, and what is given up is looked at by nobody. */
#include "table/mesh.h"
#include "table/outlier.h"
#include "table/torture.h"

enum { WORKERS = 3, PEERS = 12, ALWAYS = 8, PERCENT = 50 };

static struct mf_table *table;
static struct mf_outlier outlier;
static struct mf_peer *peers[PEERS];
static uint64_t each;
static mf_atom32 running;
static mf_atom64 ejected, forbidden, back;

static const struct mf_outlier_rules rules[] = {
    {.errors = 2, .gateway = 3, .max_percent = PERCENT, .least_percent = 10, .interval = 10, .base = 20, .longest = 100},
    {.errors = 3, .local = 1, .split = true, .max_percent = PERCENT, .interval = 7, .base = 30, .longest = 90},
};

static void *count_answers(void *arg)
{
    static const uint32_t codes[] = {200, 500, 503, 504, 0, 404, 500, 500};
    uint64_t random = (uintptr_t)arg + 1, now = 1000;
    struct mf_epoch *epoch = mf_table_epoch(table);
    int reader = mf_epoch_join(epoch);
    mf_epoch_online(epoch, reader);
    for (uint64_t i = 0; i < each; i++) {
        uint64_t r = next_random(&random);
        now += r >> 60 == 0;
        struct mf_outlier_word word =
            mf_outlier_count(&outlier, peers[r % PEERS], codes[r >> 8 & 7], (r >> 16 & 3) == 0, now);
        if (word.news == MF_OUTLIER_EJECTED) {
            MUST(word.until > now && word.until <= now + 110);
            atomic_fetch_add(&ejected, 1);
        }
        forbidden += word.news == MF_OUTLIER_OVERFLOW;
        back += word.news == MF_OUTLIER_BACK;
        if ((r >> 24 & 15) == 0)
            MUST(mf_outlier_n_out(&outlier, peers, PEERS, now) <= PEERS);
        if ((r >> 32 & 31) == 0)
            mf_epoch_quiesce(epoch, reader);
    }
    mf_epoch_leave(epoch, reader);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void count_ward(void *arg, const struct mf_ward *ward)
{
    struct mf_ward_told told;
    mf_ward_tell(ward, &told);
    ++*(int *)arg;
}

int main(int argc, char **argv)
{
    pthread_t threads[WORKERS];
    uint64_t random = 7, n = operations(argc, argv, 1200000), turns = 0;
    int known = 0;
    each = n / WORKERS;
    poison_what_is_freed();
    CHECK_INT(mf_table_new(&table), 0);
    for (int i = 0; i < PEERS; i++) {
        char text[32];
        struct mf_addr addr;
        snprintf(text, sizeof text, "10.0.0.%d:80", i + 1);
        CHECK_INT(mf_addr_parse(S(text), &addr), 0);
        peers[i] = mf_peer_intern(table, &addr);
    }
    mf_outlier_use(table, &outlier, mf_outlier_keep(&rules[0]));
    CHECK_INT(mf_outlier_enlist(table, &outlier, peers, ALWAYS), 0);
    atomic_store(&running, WORKERS);
    for (uintptr_t i = 0; i < WORKERS; i++)
        start(&threads[i], count_answers, (void *)i);
    while (mf_load_relaxed(&running)) {
        uint64_t r = next_random(&random), from = ALWAYS + r % (PEERS - ALWAYS), many = PEERS - from;
        MUST(mf_outlier_enlist(table, &outlier, peers + from, (uint32_t)many) == 0);
        if ((r >> 18 & 7) == 0)
            mf_outlier_use(table, &outlier, NULL);
        if (r >> 16 & 1)
            mf_outlier_use(table, &outlier, mf_outlier_keep(&rules[r >> 17 & 1]));
        known = 0;
        mf_outlier_each(&outlier, count_ward, &known);
        MUST(known == ALWAYS + (int)many);
        mf_outlier_dismiss(&outlier, peers + from, (uint32_t)many);
        mf_table_reclaim(table);
        turns++;
        sched_yield();
    }
    for (int i = 0; i < WORKERS; i++)
        join(threads[i]);
    uint64_t told = 0;
    for (int i = 0; i < MF_OUTLIER_REASONS; i++)
        told += mf_load_relaxed(&outlier.ejections[i]);
    MUST(told == mf_load_relaxed(&ejected) && told > 0);
    MUST(mf_load_relaxed(&outlier.overflows) >= mf_load_relaxed(&forbidden)); /* one answer may ask twice */
    MUST(mf_load_relaxed(&back) <= told);
    MUST(turns > 0);
    mf_outlier_dismiss(&outlier, peers, ALWAYS);
    mf_outlier_dispose(&outlier);
    for (int i = 0; i < PEERS; i++)
        mf_peer_give(table, peers[i]);
    mf_table_free(table);
    return torture_end("torture_outlier", n);
}
