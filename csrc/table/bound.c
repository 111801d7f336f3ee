#include "table/bound.h"

#include "base/err.h"
#include "table/match.h"
#include "table/service.h"

enum { DREW = 64 };

static int copy(struct mf_actions *actions, struct mf_slice text, struct mf_slice *out)
{
    uint8_t *to = mf_actions_alloc(actions, text.len + 1);
    if (!to)
        return -ENOMEM;
    if (text.len)
        memcpy(to, text.ptr, text.len);
    *out = mf_slice_of(to, text.len);
    return 0;
}

static int fill(struct mf_table *table, struct mf_service *service, struct mf_actions *actions, struct mf_cmatch *matches,
                uint32_t n_matches, const struct mf_bound_condition *given, uint32_t n)
{
    struct mf_ccondition *made = mf_actions_alloc(actions, (n + 1) * sizeof *made);
    if (!made)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_matches; i++)
        matches[i] = (struct mf_cmatch){0};
    for (uint32_t i = 0; i < n; i++) {
        if (given[i].match >= n_matches || (i && given[i].match < given[i - 1].match))
            return MF_ELIMIT;
        struct mf_cmatch *match = &matches[given[i].match];
        int number = mf_service_judge(table, service, (enum mf_field)given[i].field, given[i].key, (enum mf_op)given[i].op,
                                      given[i].value);
        if (number < 0)
            return number;
        made[i] = (struct mf_ccondition){.field = given[i].field, .op = given[i].op, .number = (uint16_t)number};
        int rc = copy(actions, given[i].key, &made[i].key);
        if (rc == 0)
            rc = copy(actions, given[i].value, &made[i].value);
        if (rc < 0)
            return rc;
        if (match->n_conditions++ == 0)
            match->conditions = &made[i];
    }
    return 0;
}

int mf_bound_add(struct mf_table *table, struct mf_service *service, struct mf_actions *actions, struct mf_slice name,
                 struct mf_bucket *bucket, uint32_t n_matches, const struct mf_bound_condition *conditions, uint32_t n)
{
    struct mf_bound *bound = mf_actions_alloc(actions, sizeof *bound);
    struct mf_cmatch *matches = mf_actions_alloc(actions, (n_matches + 1) * sizeof *matches);
    if (!bound || !matches)
        return -ENOMEM;
    *bound = (struct mf_bound){.n_matches = n_matches, .matches = matches};
    int rc = copy(actions, name, &bound->name);
    if (rc == 0)
        rc = fill(table, service, actions, matches, n_matches, conditions, n);
    if (rc < 0)
        return rc;
    bound->bucket = mf_bucket_take(bucket);
    struct mf_bound **at = &actions->bounds;
    while (*at)
        at = &(*at)->next;
    *at = bound;
    return 0;
}

void mf_bound_let_go(struct mf_actions *actions)
{
    for (struct mf_bound *bound = actions->bounds; bound; bound = bound->next)
        mf_bucket_give(bound->bucket);
}

static bool matched(const struct mf_cmatch *match, const struct mf_query *query)
{
    struct mf_slice seen;
    for (uint32_t i = 0; i < match->n_conditions; i++)
        if (!holds(&match->conditions[i], query, query->http, &seen))
            return false;
    return true;
}

bool mf_bound_counts(const struct mf_bound *bound, const struct mf_query *query)
{
    for (uint32_t i = 0; i < bound->n_matches; i++)
        if (matched(&bound->matches[i], query))
            return true;
    return bound->n_matches == 0;
}

/* Whether one was taken from it; `drew` has a bit for each of the first. */
static bool took(const struct mf_bound *bound, uint32_t i, uint64_t drew, const struct mf_query *query)
{
    return i < DREW ? drew >> i & 1 : mf_bound_counts(bound, query);
}

/* Of several: who is refused by one leaves the others as they were. */
static const struct mf_bound *over_any(const struct mf_actions *actions, const struct mf_query *query)
{
    const struct mf_bound *over = NULL;
    uint64_t drew = 0;
    uint32_t i = 0;
    for (const struct mf_bound *bound = actions->bounds; bound && !over; bound = bound->next, i++) {
        if (!mf_bound_counts(bound, query))
            continue;
        if (!mf_bucket_draw(bound->bucket, query->now))
            over = bound;
        else if (i < DREW)
            drew |= UINT64_C(1) << i;
    }
    i = 0;
    for (const struct mf_bound *bound = actions->bounds; bound != over; bound = bound->next, i++) {
        if (!took(bound, i, drew, query))
            continue;
        if (over)
            mf_bucket_undraw(bound->bucket);
        else
            mf_bucket_count(bound->bucket, true);
    }
    if (over)
        mf_bucket_count(over->bucket, false);
    return over;
}

const struct mf_bound *mf_bound_over(const struct mf_actions *actions, const struct mf_query *query)
{
    const struct mf_bound *only = actions->bounds;
    if (only && only->next)
        return over_any(actions, query);
    return only && mf_bound_counts(only, query) && !mf_bucket_allow(only->bucket, query->now) ? only : NULL;
}
