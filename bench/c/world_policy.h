#pragma once
/* world_policy: the policies that lookups and publishes are measured with. */
#include "world.h"

enum { WORLD_PLACES = 1001 };

/* The policy and all that it points at. */
struct world_policy {
    struct mf_policy policy;
    struct mf_policy_balancer balancer;
    struct mf_policy_locality locality;
    struct mf_place places[WORLD_PLACES];
};

/* Calls are hashed by the header that all questions have. */
static inline const struct mf_policy *world_balance(struct world_policy *own, enum mf_balancer kind)
{
    own->balancer = (struct mf_policy_balancer){.kind = (uint8_t)kind, .key = MF_SLICE("x-user")};
    own->policy = (struct mf_policy){.balancer = &own->balancer};
    return kind == MF_BALANCER_WEIGHTED ? NULL : &own->policy;
}

/* Instances in three regions, of which the first has the calls. */
static inline const struct mf_policy *world_levels(struct world_policy *own, struct world_size size)
{
    own->locality = (struct mf_policy_locality){.places = own->places, .n = size.baseline + size.labelled};
    own->policy = (struct mf_policy){.locality = &own->locality};
    for (uint32_t i = 0; i < own->locality.n; i++)
        own->places[i] = (struct mf_place){.level = i % 3, .part = i % 3, .share = MF_NO_SHARE, .local = i % 3 == 0};
    return &own->policy;
}

/* Each aspect that there is. */
static inline const struct mf_policy *world_full(struct world_policy *own, struct world_size size)
{
    world_levels(own, size);
    own->balancer = (struct mf_policy_balancer){.kind = MF_BALANCER_LEAST_REQUEST};
    own->policy.balancer = &own->balancer;
    own->policy.guarded = own->policy.ejects = own->policy.breaks = own->policy.budget.set = true;
    own->policy.outlier = (struct mf_outlier_rules){.errors = 5, .max_percent = 10, .interval = 1, .base = 1,
                                                    .longest = 1};
    own->policy.breaker = (struct mf_breaker_rules){.most = {1000, 1000, 1000, 1000}};
    own->policy.budget.share = 2000;
    return &own->policy;
}
