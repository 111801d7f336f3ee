#include "table/decide.h"

int mf_route_explain(const struct mf_table *table, const struct mf_query *query, struct mf_route *out,
                     struct mf_route_steps *steps)
{
    steps->n = 0;
    return decide(find(table, query->service), query, query->http, out, steps);
}
