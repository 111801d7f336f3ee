#include "table/guard.h"

#include "base/list.h"
#include "table/writer.h"

enum { FIRST_BUCKETS = 64 };

static struct mf_guard **bucket_of(const struct mf_table *table, struct mf_slice host, struct mf_slice subset)
{
    return &table->guards[mf_hash(subset, mf_hash(host, 0)) & (table->n_guard_buckets - 1)];
}

/* False: no memory for the first ones; later the chains just stay longer. */
static bool widen(struct mf_table *table)
{
    if (table->guards && table->n_guards < table->n_guard_buckets)
        return true;
    struct mf_table old = {.guards = table->guards, .n_guard_buckets = table->n_guard_buckets};
    size_t wide = old.guards ? 2 * old.n_guard_buckets : FIRST_BUCKETS;
    struct mf_guard **buckets = mf_zalloc(wide * sizeof *buckets);
    if (!buckets)
        return old.guards != NULL;
    table->guards = buckets;
    table->n_guard_buckets = wide;
    for (size_t i = 0; i < old.n_guard_buckets; i++) {
        for (struct mf_guard *guard = old.guards[i], *next; guard; guard = next) {
            next = guard->_next;
            struct mf_guard **bucket = bucket_of(table, mf_slice_str(guard->host), mf_slice_str(guard->subset));
            guard->_next = *bucket;
            *bucket = guard;
        }
    }
    mf_free(old.guards);
    return true;
}

struct mf_guard *mf_guard_intern(struct mf_table *table, struct mf_slice host, struct mf_slice subset)
{
    if (!widen(table))
        return NULL;
    for (struct mf_guard *guard = *bucket_of(table, host, subset); guard; guard = guard->_next) {
        if (mf_slice_eq(mf_slice_str(guard->host), host) && mf_slice_eq(mf_slice_str(guard->subset), subset)) {
            guard->_refs++;
            return guard;
        }
    }
    struct mf_guard *guard = mf_zalloc_line(sizeof *guard + host.len + subset.len + 2);
    if (!guard)
        return NULL;
    uint8_t *at = (uint8_t *)guard->host;
    mf_put_string(&at, host);
    guard->subset = mf_put_string(&at, subset);
    guard->_table = table;
    mf_guard_budget(guard, &(struct mf_policy_budget){0});
    guard->_refs = 1;
    struct mf_guard **bucket = bucket_of(table, host, subset);
    guard->_next = *bucket;
    *bucket = guard;
    table->n_guards++;
    return guard;
}

void mf_guard_give(struct mf_guard *guard)
{
    guard->_refs--;
}

static void unlink_guard(struct mf_guard *guard)
{
    struct mf_guard **at = bucket_of(guard->_table, mf_slice_str(guard->host), mf_slice_str(guard->subset));
    while (*at != guard)
        at = &(*at)->_next;
    *at = guard->_next;
    guard->_table->n_guards--;
}

static void free_guard(struct mf_guard *guard)
{
    for (int f = 0; f < MF_FAMILIES; f++)
        mf_outlier_dispose(&guard->outliers[f]);
    mf_free_line(guard);
}

/* No reader can find it any more: what is in it now entered before. */
static void on_grace(struct mf_epoch_entry *entry)
{
    struct mf_guard *guard = MF_CONTAINER(entry, struct mf_guard, _entry);
    guard->_leaving = false;
    if (guard->_refs > 0)
        return; /* taken up again */
    /* Acquire pairs with the release in mf_guard_leave. */
    if (mf_load_acquire(&guard->active) + mf_load_acquire(&guard->breaker.now[MF_BREAKER_RETRIES]) > 0)
        return; /* looked at again by the next reclaim */
    unlink_guard(guard);
    free_guard(guard);
}

static void reclaim(void *arg, struct mf_guard *guard)
{
    struct mf_table *table = arg;
    uint32_t retries = mf_load_relaxed(&guard->breaker.now[MF_BREAKER_RETRIES]);
    if (guard->_refs > 0 || guard->_leaving || mf_load_relaxed(&guard->active) + retries > 0)
        return;
    guard->_leaving = true;
    mf_epoch_retire(&table->epoch, &guard->_entry, on_grace);
}

void mf_guards_reclaim(struct mf_table *table)
{
    mf_table_each_guard(table, reclaim, table);
}

void mf_guard_budget(struct mf_guard *guard, const struct mf_policy_budget *budget)
{
    mf_store_relaxed(&guard->retry_share, budget->share);
    mf_store_relaxed(&guard->retry_least, budget->least);
    mf_store_relaxed(&guard->budgeted, budget->set);
}

bool mf_guard_retry(struct mf_guard *guard)
{
    if (!mf_load_relaxed(&guard->budgeted))
        return mf_breaker_take(&guard->breaker, MF_BREAKER_RETRIES);
    uint64_t most = mf_load_relaxed(&guard->active) * mf_load_relaxed(&guard->retry_share) / 10000;
    uint64_t least = mf_load_relaxed(&guard->retry_least);
    mf_atom32 *now = &guard->breaker.now[MF_BREAKER_RETRIES];
    if (atomic_fetch_add_explicit(now, 1, memory_order_relaxed) < (most > least ? most : least))
        return true;
    mf_guard_retried(guard);
    atomic_fetch_add_explicit(&guard->breaker.overflows[MF_BREAKER_RETRIES], 1, memory_order_relaxed);
    return false;
}

static void dispose(void *arg, struct mf_guard *guard)
{
    (void)arg;
    free_guard(guard);
}

void mf_guards_dispose(struct mf_table *table)
{
    mf_table_each_guard(table, dispose, NULL);
    mf_free(table->guards);
    table->guards = NULL;
    table->n_guards = table->n_guard_buckets = 0;
}

void mf_table_each_guard(struct mf_table *table, void (*fn)(void *arg, struct mf_guard *guard), void *arg)
{
    for (size_t i = 0; i < table->n_guard_buckets; i++) {
        for (struct mf_guard *guard = table->guards[i], *next; guard; guard = next) {
            next = guard->_next;
            fn(arg, guard);
        }
    }
}

void mf_guard_tell(const struct mf_guard *guard, struct mf_guard_told *out)
{
    *out = (struct mf_guard_told){.active = mf_load_relaxed(&guard->active)};
    for (int f = 0; f < MF_FAMILIES; f++) {
        const struct mf_outlier *outlier = &guard->outliers[f];
        out->ejects |= mf_load_relaxed(&outlier->rules) != NULL;
        out->forbidden += mf_load_relaxed(&outlier->overflows);
        for (int i = 0; i < MF_OUTLIER_REASONS; i++)
            out->ejections[i] += mf_load_relaxed(&outlier->ejections[i]);
    }
    for (int i = 0; i < MF_BREAKER_KINDS; i++) {
        out->most[i] = mf_load_relaxed(&guard->breaker.most[i]);
        out->now[i] = mf_load_relaxed(&guard->breaker.now[i]);
        out->refused[i] = mf_load_relaxed(&guard->breaker.overflows[i]);
    }
}

void mf_guard_each_ward(const struct mf_guard *guard, void (*fn)(void *arg, const struct mf_ward *ward), void *arg)
{
    for (int f = 0; f < MF_FAMILIES; f++)
        if (mf_load_relaxed(&guard->outliers[f].rules))
            mf_outlier_each(&guard->outliers[f], fn, arg);
}
