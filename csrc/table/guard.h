#pragma once
/* guard: what all workers share of one subset of one host while policy watches it: calls in flight, and what is allowed.
 *
 * One for each host and subset, kept over updates, which overwrite what it allows. A call holds it by being counted as
 * active, so it is freed only when nobody is and no plan names it. */
#include "base/atom.h"
#include "base/slice.h"
#include "table/breaker.h"
#include "table/epoch.h"
#include "table/outlier.h"
#include "table/policy.h"

struct mf_table;

struct mf_guard {
    struct mf_epoch_entry _entry; /* when it is gone */
    struct mf_guard *_next;       /* in the writer's hash */
    struct mf_table *_table;
    uint32_t _refs;               /* writer only: plans */
    bool _leaving;                /* writer only: unlinked once, and looked at again after a grace period */
    uint32_t _told[2];            /* writer only: in which publish, for each of `outliers` */
    const char *subset;           /* behind the host's name */
    _Alignas(MF_CACHE_LINE) mf_atom64 active; /* calls */
    struct mf_breaker breaker;
    struct mf_outlier outliers[2]; /* by enum mf_family: where HTTP has instances of its own, those of the second */
    mf_atom32 budgeted;           /* calls that are tried again: of `active`... */
    mf_atom32 retry_share, retry_least; /* ... so many at once in 1/10000, or so many; else as many as the breaker lets */
    char host[];
};

/* Finds or makes, with a reference. NULL: no memory. Writer only. */
struct mf_guard *mf_guard_intern(struct mf_table *table, struct mf_slice host, struct mf_slice subset);
void mf_guard_give(struct mf_guard *guard); /* writer only */
/* From here on it has that budget for calls that are tried again. Writer only. */
void mf_guard_budget(struct mf_guard *guard, const struct mf_policy_budget *budget);
/* Frees those that nobody holds. Writer only. */
void mf_guards_reclaim(struct mf_table *table);
void mf_guards_dispose(struct mf_table *table);
/* Writer's thread: each that is alive. */
void mf_table_each_guard(struct mf_table *table, void (*fn)(void *arg, struct mf_guard *guard), void *arg);

/* What it has seen so far, and what is under way. */
struct mf_guard_told {
    uint64_t active, ejections[MF_OUTLIER_REASONS], forbidden, refused[MF_BREAKER_KINDS];
    uint32_t most[MF_BREAKER_KINDS], now[MF_BREAKER_KINDS];
    bool ejects;
};
void mf_guard_tell(const struct mf_guard *guard, struct mf_guard_told *out);
/* Its instances, while it ejects; one that has an address of its own for HTTP is two. Writer's thread. */
void mf_guard_each_ward(const struct mf_guard *guard, void (*fn)(void *arg, const struct mf_ward *ward), void *arg);

/* inline */

/* Any thread. What a call has entered stays until it has left. */
static inline uint64_t mf_guard_enter(struct mf_guard *guard)
{
    return atomic_fetch_add_explicit(&guard->active, 1, memory_order_relaxed) + 1;
}

/* One more may be tried again, and is counted until mf_guard_retried: until then it stays, too. */
bool mf_guard_retry(struct mf_guard *guard);

static inline void mf_guard_retried(struct mf_guard *guard)
{
    atomic_fetch_sub_explicit(&guard->breaker.now[MF_BREAKER_RETRIES], 1, memory_order_release); /* as in mf_guard_leave */
}

static inline void mf_guard_leave(struct mf_guard *guard)
{
    /* Release pairs with the acquire in mf_guards_reclaim: all that was done with it comes before it is freed. */
    atomic_fetch_sub_explicit(&guard->active, 1, memory_order_release);
}
