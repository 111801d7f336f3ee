#pragma once
/* spare: a lookup that spares the instances that are out, unless so few are healthy that all are used. Private. */
#include "table/compiled.h"
#include "table/outlier.h"
#include "table/route.h"

enum { MF_SPARING = 1 << 30 }; /* a bit of n_avoid: the query is a mf_spare's */

struct mf_spare {
    struct mf_query query; /* first */
    struct mf_outlier *outlier;
};

/* The query to pick by: `query`, or where an instance of the group may be out, a copy in `room` to which those that are out
 * are as good as down. */
const struct mf_query *mf_spare_query(struct mf_outlier *outlier, const struct mf_group *group,
                                      const struct mf_query *query, struct mf_spare *room);

/* The same for those that it is known of: too many are not out. */
const struct mf_query *mf_spare_out(struct mf_outlier *outlier, const struct mf_query *query, struct mf_spare *room);

/* inline */

static inline const struct mf_outlier *mf_spare_outlier(const struct mf_query *query)
{
    return ((const struct mf_spare *)(const void *)query)->outlier;
}
