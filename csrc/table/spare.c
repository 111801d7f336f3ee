#include "table/spare.h"

/* So old may be what is known of a group's health. */
#define FRESH_NS UINT64_C(10000000)

static bool panics(const struct mf_outlier *outlier, const struct mf_group *group, uint64_t now)
{
    uint32_t healthy = 0;
    for (uint32_t i = 0; i < group->n; i++)
        healthy += mf_peer_available(group->peers[i], now) && !mf_outlier_out(outlier, group->peers[i], now);
    return mf_outlier_panics(outlier, healthy, group->n);
}

/* As when it was looked at last, if that is no longer ago and nobody was ejected since. */
static bool panics_lately(struct mf_outlier *outlier, const struct mf_group *group, uint64_t now)
{
    uint64_t known = mf_load_relaxed(&outlier->panic), at = known & ~UINT64_C(1);
    if (!at || now < at || now - at >= FRESH_NS) {
        known = (now & ~UINT64_C(1)) | panics(outlier, group, now);
        mf_store_relaxed(&outlier->panic, known);
    }
    return known & 1;
}

const struct mf_query *mf_spare_query(struct mf_outlier *outlier, const struct mf_group *group,
                                      const struct mf_query *query, struct mf_spare *room)
{
    if (!mf_outlier_any(outlier, query->now))
        return query;
    const struct mf_outlier_rules *rules = mf_load_acquire(&outlier->rules);
    if (!rules || (rules->least_percent && panics_lately(outlier, group, query->now)))
        return query;
    *room = (struct mf_spare){*query, outlier};
    room->query.n_avoid |= MF_SPARING;
    return &room->query;
}

const struct mf_query *mf_spare_out(struct mf_outlier *outlier, const struct mf_query *query, struct mf_spare *room)
{
    if (!mf_outlier_any(outlier, query->now))
        return query;
    *room = (struct mf_spare){*query, outlier};
    room->query.n_avoid |= MF_SPARING;
    return &room->query;
}
