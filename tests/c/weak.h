#pragma once
/* weak: stands in for <stdatomic.h> in the `weak` build, on the compiler's command line before every file.
 *
 * Every access to a shared word becomes a place where the thread may be delayed, and every store waits in a buffer of
 * its thread as on real machines, only longer: a release store leaves after all before it, a relaxed one may pass those
 * to other words. So interleavings and reorderings that two x86 cores hardly ever show happen all the time.
 * What it cannot show: a load that is made too early. ThreadSanitizer and the models look for that. */
#include <stdatomic.h>
#include <stdint.h>

uint64_t weak_load(const volatile void *at, unsigned size);
void weak_store(volatile void *at, unsigned size, uint64_t value, int order);
void weak_before(volatile void *at, int order); /* a read-modify-write: what has to be in memory first */
void weak_after(void);                          /* and a delay behind it */

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit

#define WEAK_VALUE(p) __typeof__((void)0, *(p))
#define WEAK_RMW(p, order, call)                                                                                       \
    __extension__({                                                                                                    \
        weak_before((p), (order));                                                                                     \
        __auto_type weak_out_ = (call);                                                                                \
        weak_after();                                                                                                  \
        weak_out_;                                                                                                     \
    })

#define atomic_load_explicit(p, order) ((WEAK_VALUE(p))(uintptr_t)weak_load((p), sizeof *(p)))
#define atomic_store_explicit(p, v, order)                                                                             \
    weak_store((p), sizeof *(p), (uint64_t)(uintptr_t)(WEAK_VALUE(p))(v), (order))
#define atomic_exchange_explicit(p, v, order)                                                                          \
    __extension__({                                                                                                    \
        WEAK_VALUE(p) weak_new_ = (v), weak_old_;                                                                      \
        weak_before((p), (order));                                                                                     \
        __atomic_exchange((p), &weak_new_, &weak_old_, (order));                                                       \
        weak_after();                                                                                                  \
        weak_old_;                                                                                                     \
    })
#define atomic_compare_exchange_strong_explicit(p, seen, v, order, failed)                                             \
    __extension__({                                                                                                    \
        WEAK_VALUE(p) weak_new_ = (v);                                                                                 \
        weak_before((p), (order));                                                                                     \
        _Bool weak_done_ = __atomic_compare_exchange((p), (seen), &weak_new_, 0, (order), (failed));                   \
        weak_after();                                                                                                  \
        weak_done_;                                                                                                    \
    })
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define atomic_fetch_add_explicit(p, n, order) WEAK_RMW(p, order, __atomic_fetch_add((p), (n), (order)))
#define atomic_fetch_sub_explicit(p, n, order) WEAK_RMW(p, order, __atomic_fetch_sub((p), (n), (order)))
#define atomic_fetch_or_explicit(p, n, order) WEAK_RMW(p, order, __atomic_fetch_or((p), (n), (order)))
#define atomic_fetch_add(p, n) atomic_fetch_add_explicit(p, n, memory_order_seq_cst)
#define atomic_fetch_sub(p, n) atomic_fetch_sub_explicit(p, n, memory_order_seq_cst)
