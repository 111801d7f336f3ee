#pragma once
/* breaker: how much of a group may be under way at once, over all workers. */
#include "base/atom.h"

#include <stdbool.h>

enum mf_breaker_kind {
    MF_BREAKER_REQUESTS,    /* calls in flight */
    MF_BREAKER_PENDING,     /* of them those that wait for a connection */
    MF_BREAKER_CONNECTIONS, /* that are for one caller each */
    MF_BREAKER_RETRIES,     /* being decided, waited for or in flight */
    MF_BREAKER_KINDS,
};

struct mf_breaker_rules {
    uint32_t most[MF_BREAKER_KINDS];   /* 0: any number */
    uint32_t connect_ms;               /* a call waits so long for a connection, then it goes elsewhere; 0: as others */
};

struct mf_breaker {
    mf_atom32 most[MF_BREAKER_KINDS]; /* as in the rules; a publish stores them */
    mf_atom32 connect_ms;
    _Alignas(MF_CACHE_LINE) mf_atom32 now[MF_BREAKER_KINDS];
    mf_atom64 overflows[MF_BREAKER_KINDS]; /* what was refused */
};

/* inline */

/* NULL: no bound. Writer only. */
static inline void mf_breaker_set(struct mf_breaker *breaker, const struct mf_breaker_rules *rules)
{
    for (int i = 0; i < MF_BREAKER_KINDS; i++)
        mf_store_relaxed(&breaker->most[i], rules ? rules->most[i] : 0);
    mf_store_relaxed(&breaker->connect_ms, rules ? rules->connect_ms : 0);
}

/* One more. False: there are as many as may be. */
static inline bool mf_breaker_take(struct mf_breaker *breaker, enum mf_breaker_kind kind)
{
    uint32_t most = mf_load_relaxed(&breaker->most[kind]), now = mf_load_relaxed(&breaker->now[kind]);
    do {
        if (most && now >= most) {
            atomic_fetch_add_explicit(&breaker->overflows[kind], 1, memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&breaker->now[kind], &now, now + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* One more, however many there are: it has been one of them all the time. */
static inline void mf_breaker_retake(struct mf_breaker *breaker, enum mf_breaker_kind kind)
{
    atomic_fetch_add_explicit(&breaker->now[kind], 1, memory_order_relaxed);
}

static inline void mf_breaker_give(struct mf_breaker *breaker, enum mf_breaker_kind kind)
{
    atomic_fetch_sub_explicit(&breaker->now[kind], 1, memory_order_relaxed);
}
