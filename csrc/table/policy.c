#include "table/policy.h"

#include "base/mem.h"
#include "table/level.h"
#include "table/writer.h"

static struct mf_policy_balancer *copy_balancer(const struct mf_policy_balancer *balancer)
{
    struct mf_policy_balancer *copy = mf_alloc(sizeof *copy + balancer->key.len + balancer->makes.len + 2);
    if (!copy)
        return NULL;
    *copy = *balancer;
    uint8_t *at = (uint8_t *)(copy + 1);
    copy->key = mf_put_text(&at, balancer->key);
    if (balancer->makes.ptr)
        copy->makes = mf_put_text(&at, balancer->makes);
    copy->plain = balancer->by == MF_HASH_HEADER && balancer->key.len && *(const uint8_t *)balancer->key.ptr != ':';
    return copy;
}

struct mf_policy *mf_policy_copy(const struct mf_policy *policy)
{
    struct mf_policy *copy = mf_alloc(sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *policy;
    copy->balancer = policy->balancer ? copy_balancer(policy->balancer) : NULL;
    copy->locality = policy->locality ? mf_levels_copy(policy->locality) : NULL;
    if ((!policy->balancer || copy->balancer) && (!policy->locality || copy->locality))
        return copy;
    mf_policy_free(copy);
    return NULL;
}

void mf_policy_free(struct mf_policy *policy)
{
    if (!policy)
        return;
    mf_free((void *)(uintptr_t)policy->balancer);
    mf_free((void *)(uintptr_t)policy->locality);
    mf_free(policy);
}
