#pragma once
/* plan: what a group has beyond its members, where a policy says how they are chosen and guarded. A lookup asks for it only
 * where its group says that it has one. */
#include "table/balance.h"
#include "table/policy.h"

struct mf_group;
struct mf_guard;
struct mf_peer;
struct mf_query;

struct mf_plan {
    struct mf_plan *_next, **_at; /* on the table's list of those that do not hold yet */
    struct mf_outlier_kept *_kept; /* what its guard is told when it does: of its family's instances... */
    struct mf_breaker_rules _breaker; /* ... and of all */
    struct mf_policy_budget _budget;
    uint8_t _family;
    const struct mf_group *group;
    struct mf_guard *guard; /* held; NULL: nothing is counted */
    struct mf_outlier *outlier; /* the guard's, or NULL */
    bool breaks;                /* the guard's breaker is asked */
    const struct mf_policy_balancer *balancer; /* its cluster's; NULL: by chance and weight */
    const struct mf_policy_balancer *hashing;  /* the same where calls are hashed, else NULL */
    struct mf_spread *spread;                  /* of all members, or NULL */
    struct mf_levels *levels;                  /* NULL: all members alike */
};

/* An available instance of a group that has a plan, or NULL. */
struct mf_peer *mf_plan_pick(const struct mf_group *group, const struct mf_query *query);
/* Whether any of them in the own region is well; true where it is not looked at where they are. */
bool mf_plan_near(const struct mf_group *group, uint64_t now);
/* Its group's enum mf_quick; `even`: all members weigh the same. */
uint32_t mf_plan_quick(const struct mf_plan *plan, bool even);
