#include "table/meter.h"

#include "base/mem.h"

struct mf_meter *mf_meter_new(void)
{
    struct mf_meter *meter = mf_zalloc_line(sizeof *meter);
    if (meter)
        mf_store_relaxed(&meter->_refs, 1);
    return meter;
}

struct mf_meter *mf_meter_take(struct mf_meter *meter)
{
    atomic_fetch_add_explicit(&meter->_refs, 1, memory_order_relaxed);
    return meter;
}

bool mf_meter_shared(const struct mf_meter *meter)
{
    return mf_load_relaxed(&meter->_refs) > 1;
}

void mf_meter_give(struct mf_meter *meter)
{
    /* All uses of it come before it is freed, by whoever gives the last one back. */
    if (meter && atomic_fetch_sub_explicit(&meter->_refs, 1, memory_order_acq_rel) == 1)
        mf_free_line(meter);
}
