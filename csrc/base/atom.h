#pragma once
/* atom: every shared word is read and written through these, so that the ordering is visible at each access.
 *
 * No bare fences: ThreadSanitizer does not understand them. `mf_count` is for words with one writer and many readers:
 * two plain moves, no locked instruction. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic(uint64_t) mf_atom64;
typedef _Atomic(uint32_t) mf_atom32;

#define mf_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define mf_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define mf_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define mf_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define mf_count(p, n) mf_store_relaxed((p), mf_load_relaxed(p) + (n))

enum { MF_CACHE_LINE = 64 };

/* Soon to be used. What thousands of calls are spread over is in the far cache: asked for a call ahead, it is there when its
 * turn comes. `size`, in bytes, is known where this is compiled. `ptr` may be NULL. */
static inline __attribute__((always_inline)) void mf_fetch(const void *ptr, size_t size)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < size; i += MF_CACHE_LINE)
        __builtin_prefetch((const void *)((uintptr_t)ptr + i), 1); /* a number: nothing may be added to NULL */
}
