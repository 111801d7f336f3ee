#pragma once
/* meter: counts of one thing that policy names, by whatever thread, kept over its updates: whoever replaces the thing hands
 * its meter on. */
#include "base/atom.h"

#include <stdbool.h>

enum { MF_METER_COUNTS = 4 };

struct mf_meter {
    mf_atom32 _refs;
    _Alignas(MF_CACHE_LINE) mf_atom64 counts[MF_METER_COUNTS];
};

/* With a reference for the caller; NULL: no memory. */
struct mf_meter *mf_meter_new(void);
/* Any thread. */
struct mf_meter *mf_meter_take(struct mf_meter *meter);
void mf_meter_give(struct mf_meter *meter); /* NULL: nothing */

/* Whether anybody but the caller has it. */
bool mf_meter_shared(const struct mf_meter *meter);

/* inline */

static inline void mf_meter_count(struct mf_meter *meter, int which)
{
    atomic_fetch_add_explicit(&meter->counts[which], 1, memory_order_relaxed);
}
