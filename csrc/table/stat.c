#include "table/stat.h"

#include "base/list.h"
#include "table/writer.h"

enum { FIRST_BUCKETS = 64, WORDS = offsetof(struct mf_stat_shard, _pad) / sizeof(mf_atom64) };

struct mf_stat_shards {
    _Atomic(struct mf_stat_shard *) of[MF_EPOCH_READERS];
};

/* Where calls are counted when there is no memory for a shard. Nobody reads it. */
static struct mf_stat_shard spill;

/* Puts `made` into an empty `place` for all threads to see, or frees it when another thread was first. */
#define SETTLE(place, seen, made)                                                                                      \
    (atomic_compare_exchange_strong_explicit((place), &(seen), (made), memory_order_acq_rel, memory_order_acquire)     \
         ? (made)                                                                                                      \
         : (mf_free(made), (seen)))

struct mf_stat_shard *mf_stat_shard(struct mf_stat *stat, int reader)
{
    /* Acquire, here and below, pairs with the release in SETTLE: what is found was zeroed before. */
    struct mf_stat_shards *shards = mf_load_acquire(&stat->_shards);
    if (!shards) {
        struct mf_stat_shards *made = mf_zalloc(sizeof *made);
        if (made)
            shards = SETTLE(&stat->_shards, shards, made);
    }
    if (shards) {
        struct mf_stat_shard *shard = mf_load_acquire(&shards->of[reader]);
        if (shard)
            return shard;
        struct mf_stat_shard *made = mf_zalloc(sizeof *made);
        if (made) {
            made->of = stat;
            return SETTLE(&shards->of[reader], shard, made);
        }
    }
    /* Relaxed: the writer looks only after an epoch in which nobody can route here any more. */
    mf_store_relaxed(&stat->_spilled, 1);
    return &spill;
}

bool mf_stat_used(const struct mf_stat *stat)
{
    return mf_load_relaxed(&stat->_shards); /* what is in them is not looked at */
}

void mf_stat_add(const struct mf_stat_shard *shard, struct mf_stat_shard *out)
{
    const mf_atom64 *from = (const mf_atom64 *)shard;
    for (size_t word = 0; word < WORDS; word++)
        mf_count((mf_atom64 *)out + word, mf_load_relaxed(from + word));
}

void mf_stat_sum(const struct mf_stat *stat, struct mf_stat_shard *out)
{
    /* Acquires pair with SETTLE. */
    struct mf_stat_shards *shards = mf_load_acquire(&stat->_shards);
    for (int i = 0; shards && i < MF_EPOCH_READERS; i++) {
        struct mf_stat_shard *shard = mf_load_acquire(&shards->of[i]);
        if (shard)
            mf_stat_add(shard, out);
    }
}

static const uint8_t statuses[] = {20, 25, 30, 31, 35, 40, 50, 60, 70, 80, 90, 100};

int mf_stat_status_index(int dubbo_status)
{
    for (int i = 0; i < (int)sizeof statuses; i++)
        if (statuses[i] == dubbo_status)
            return i;
    return MF_STAT_OTHER;
}

int mf_stat_grpc_index(int grpc_status)
{
    return grpc_status >= 0 && grpc_status < MF_STAT_GRPC_OTHER - MF_STAT_GRPC ? MF_STAT_GRPC + grpc_status
                                                                               : MF_STAT_GRPC_OTHER;
}

int mf_stat_http_index(int http_status)
{
    return MF_STAT_HTTP + (http_status >= 100 && http_status < 600 ? http_status / 100 : 5) - 1;
}

const char *mf_stat_status_name(int index)
{
    static const char *const names[MF_STAT_STATUS] = {
        "20", "25", "30", "31", "35", "40", "50", "60", "70", "80", "90", "100", "lost", "other",
        "0",  "1",  "2",  "3",  "4",  "5",  "6",  "7",  "8",  "9",  "10", "11", "12", "13", "14", "15", "16", "other",
        "1xx", "2xx", "3xx", "4xx", "5xx",
    };
    return index >= 0 && index < MF_STAT_STATUS ? names[index] : "";
}

const char *mf_stat_protocol_name(int index)
{
    if (index < 0 || index >= MF_STAT_STATUS || index == MF_STAT_LOST)
        return "";
    return index < MF_STAT_GRPC ? "dubbo" : index < MF_STAT_HTTP ? "grpc" : "http";
}

static const uint64_t bounds[MF_STAT_BUCKETS] = {
    50000,     100000,     250000,     500000,     1000000,    2500000,     5000000,
    10000000,  25000000,   50000000,   100000000,  250000000,  500000000,   1000000000,
    2500000000, 5000000000, 10000000000, 30000000000, 60000000000, UINT64_MAX,
};

int mf_stat_bucket(uint64_t ns)
{
    int bucket = 0;
    while (ns > bounds[bucket])
        bucket++;
    return bucket;
}

uint64_t mf_stat_bucket_bound(int bucket)
{
    return bounds[bucket < 0 ? 0 : bucket < MF_STAT_BUCKETS ? bucket : MF_STAT_BUCKETS - 1];
}

/* The writer's side. */

int mf_stats_init(struct mf_stats *stats)
{
    stats->buckets = mf_zalloc(FIRST_BUCKETS * sizeof *stats->buckets);
    stats->n_buckets = FIRST_BUCKETS;
    return stats->buckets ? 0 : -ENOMEM;
}

/* The names of a service and a host, shared by the stats of their subsets. */
struct mf_stat_names {
    uint32_t refs;
    char service[]; /* the host's behind it */
};

static void give_names(struct mf_stat_names *names)
{
    if (names && --names->refs == 0)
        mf_free(names);
}

static struct mf_stat_names *names_of(const struct mf_stat *stat)
{
    return (struct mf_stat_names *)(uintptr_t)(stat->service - offsetof(struct mf_stat_names, service));
}

static void release(struct mf_stat *stat)
{
    /* Relaxed: every reader is past a quiescent point since it was unlinked. */
    struct mf_stat_shards *shards = mf_load_relaxed(&stat->_shards);
    for (int i = 0; shards && i < MF_EPOCH_READERS; i++)
        mf_free(mf_load_relaxed(&shards->of[i]));
    mf_free(shards);
    give_names(names_of(stat));
    mf_free(stat);
}

void mf_stats_dispose(struct mf_stats *stats)
{
    for (size_t i = 0; stats->buckets && i < stats->n_buckets; i++) {
        for (struct mf_stat *stat = stats->buckets[i], *next; stat; stat = next) {
            next = stat->_next;
            release(stat);
        }
    }
    mf_free(stats->buckets);
    give_names(stats->last);
}

static uint64_t hash_of(struct mf_slice service, struct mf_slice host, struct mf_slice subset)
{
    return mf_hash(subset, mf_hash(host, mf_hash(service, 0)));
}

static struct mf_stat **bucket_of(struct mf_stats *stats, const struct mf_stat *stat)
{
    uint64_t hash = hash_of(mf_slice_str(stat->service), mf_slice_str(stat->host), mf_slice_str(stat->subset));
    return &stats->buckets[hash & (stats->n_buckets - 1)];
}

/* Without memory the chains just stay longer. */
static void widen(struct mf_stats *stats)
{
    struct mf_stats wide = *stats;
    wide.n_buckets *= 2;
    wide.buckets = mf_zalloc(wide.n_buckets * sizeof *wide.buckets);
    if (!wide.buckets)
        return;
    for (size_t i = 0; i < stats->n_buckets; i++) {
        for (struct mf_stat *stat = stats->buckets[i], *next; stat; stat = next) {
            next = stat->_next;
            struct mf_stat **bucket = bucket_of(&wide, stat);
            stat->_next = *bucket;
            *bucket = stat;
        }
    }
    mf_free(stats->buckets);
    *stats = wide;
}

static const char *host_of(const struct mf_stat_names *names)
{
    return names->service + strlen(names->service) + 1;
}

/* With a reference for the caller; NULL: no memory. */
static struct mf_stat_names *take_names(struct mf_stats *stats, struct mf_slice service, struct mf_slice host)
{
    struct mf_stat_names *names = stats->last;
    if (!names || !mf_slice_eq(mf_slice_str(names->service), service) ||
        !mf_slice_eq(mf_slice_str(host_of(names)), host)) {
        names = mf_alloc(sizeof *names + service.len + host.len + 2);
        if (!names)
            return NULL;
        uint8_t *at = (uint8_t *)names->service;
        mf_put_string(&at, service);
        mf_put_string(&at, host);
        give_names(stats->last);
        stats->last = names;
        names->refs = 1;
    }
    names->refs++;
    return names;
}

/* Up to its first NUL, so that what is stored as a C string compares with what was asked for. */
static struct mf_slice clip(struct mf_slice text)
{
    const void *nul = text.len ? memchr(text.ptr, 0, text.len) : NULL;
    return nul ? mf_slice_of(text.ptr, (size_t)((const uint8_t *)nul - text.ptr)) : text;
}

struct mf_stat *mf_stat_take(struct mf_stat *stat)
{
    stat->_refs++;
    return stat;
}

struct mf_stat *mf_stat_intern(struct mf_table *table, struct mf_slice service, struct mf_slice host,
                               struct mf_slice subset)
{
    struct mf_stats *stats = &table->stats;
    service = clip(service);
    host = clip(host);
    subset = clip(subset);
    uint64_t hash = hash_of(service, host, subset);
    for (struct mf_stat *stat = stats->buckets[hash & (stats->n_buckets - 1)]; stat; stat = stat->_next) {
        if (mf_slice_eq(mf_slice_str(stat->service), service) && mf_slice_eq(mf_slice_str(stat->host), host) &&
            mf_slice_eq(mf_slice_str(stat->subset), subset)) {
            return mf_stat_take(stat);
        }
    }
    size_t size = offsetof(struct mf_stat, subset) + subset.len + 1;
    struct mf_stat_names *names = take_names(stats, service, host);
    struct mf_stat *stat = names ? mf_zalloc(size < sizeof *stat ? sizeof *stat : size) : NULL;
    if (!stat) {
        give_names(names);
        return NULL;
    }
    uint8_t *at = (uint8_t *)stat->subset;
    mf_put_string(&at, subset);
    stat->service = names->service;
    stat->host = host_of(names);
    stat->_table = table;
    stat->_refs = 1;
    if (++stats->n > stats->n_buckets)
        widen(stats);
    struct mf_stat **bucket = &stats->buckets[hash & (stats->n_buckets - 1)];
    stat->_next = *bucket;
    *bucket = stat;
    return stat;
}

void mf_stat_give(struct mf_stat *stat)
{
    if (--stat->_refs > 0 || stat->_listed)
        return;
    stat->_listed = true;
    stat->_dying = stat->_table->stats.dying;
    stat->_table->stats.dying = stat;
}

static void on_retired(struct mf_epoch_entry *entry)
{
    release(MF_CONTAINER(entry, struct mf_stat, _entry));
}

static bool idle(const struct mf_stat *stat)
{
    if (mf_load_relaxed(&stat->_spilled))
        return false;
    /* Acquires pair with SETTLE. */
    struct mf_stat_shards *shards = mf_load_acquire(&stat->_shards);
    for (int i = 0; shards && i < MF_EPOCH_READERS; i++) {
        struct mf_stat_shard *shard = mf_load_acquire(&shards->of[i]);
        /* Relaxed: no call can begin here any more, and freeing waits for one more epoch of every reader. */
        if (shard && mf_load_relaxed(&shard->done) != mf_load_relaxed(&shard->begun))
            return false;
    }
    return true;
}

size_t mf_stats_reclaim(struct mf_table *table)
{
    struct mf_stats *stats = &table->stats;
    size_t waiting = 0;
    struct mf_stat **at = &stats->dying;
    while (*at) {
        struct mf_stat *stat = *at;
        if (stat->_refs == 0 && !idle(stat)) {
            waiting++;
            at = &stat->_dying;
            continue;
        }
        *at = stat->_dying;
        stat->_listed = false;
        if (stat->_refs > 0)
            continue; /* a service holds it again */
        struct mf_stat **link = bucket_of(stats, stat);
        while (*link != stat)
            link = &(*link)->_next;
        *link = stat->_next;
        stats->n--;
        mf_epoch_retire(&table->epoch, &stat->_entry, on_retired);
    }
    return waiting;
}

static uint64_t reversed(uint64_t bits)
{
    uint64_t out = 0;
    for (int i = 0; i < 64; i++, bits >>= 1)
        out = out << 1 | (bits & 1);
    return out;
}

/* The cursor is a bucket's number, and it is the highest of its bits that counts up: a table that widens puts what was
 * in buckets that are done into buckets that count as done. */
bool mf_table_next_stats(struct mf_table *table, uint64_t *cursor, void (*fn)(void *arg, struct mf_stat *stat),
                         void *arg, size_t max)
{
    uint64_t mask = table->stats.n_buckets - 1;
    for (size_t n = 0; n < max;) {
        for (struct mf_stat *stat = table->stats.buckets[*cursor & mask]; stat; stat = stat->_next, n++)
            fn(arg, stat);
        *cursor = reversed(reversed(*cursor | ~mask) + 1);
        n++; /* a bucket costs as much as a stat */
        if (*cursor == 0)
            return false;
    }
    return true;
}

void mf_table_each_stat(struct mf_table *table, void (*fn)(void *arg, struct mf_stat *stat), void *arg)
{
    for (size_t i = 0; i < table->stats.n_buckets; i++)
        for (struct mf_stat *stat = table->stats.buckets[i]; stat; stat = stat->_next)
            fn(arg, stat);
}

struct mf_stat *mf_table_stat(struct mf_table *table, struct mf_slice service, struct mf_slice host,
                              struct mf_slice subset)
{
    return mf_stat_intern(table, service, host, subset);
}

void mf_table_stat_give(struct mf_table *table, struct mf_stat *stat)
{
    (void)table;
    mf_stat_give(stat);
}
