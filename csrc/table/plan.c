#include "table/plan.h"

#include "table/guard.h"
#include "table/level.h"
#include "table/pick.h"
#include "table/spare.h"
#include "table/writer.h"

static __attribute__((noinline)) struct mf_peer *pick_from(const struct mf_plan *plan, const struct mf_group *group,
                                                           const struct mf_query *query)
{
    struct mf_spare spare;
    if (plan->levels) {
        struct mf_draw draw = mf_draw_begin(plan->hashing, query);
        return mf_levels_pick(plan->levels, &draw);
    }
    if (plan->outlier)
        query = mf_spare_query(plan->outlier, group, query, &spare);
    if (!plan->spread)
        return pick_weighted(group, query);
    struct mf_draw draw = mf_draw_begin(plan->hashing, query);
    return mf_spread_pick(plan->spread, &draw);
}

struct mf_peer *mf_plan_pick(const struct mf_group *group, const struct mf_query *query)
{
    const struct mf_plan *plan = mf_group_plan(group);
    if (plan->levels) {
        struct mf_peer *peer = mf_levels_quick(plan->levels, query);
        if (peer)
            return peer;
    }
    return pick_from(plan, group, query);
}

bool mf_plan_near(const struct mf_group *group, uint64_t now)
{
    const struct mf_plan *plan = group->planned ? mf_group_plan(group) : NULL;
    return !plan || !plan->levels || mf_levels_near(plan->levels, now);
}

static int add_levels(struct mf_table *table, struct mf_plan *plan, const struct mf_cluster *cluster,
                      const struct mf_policy *policy, const struct mf_group *group,
                      const struct mf_instance *const *members)
{
    uint32_t *places = mf_zalloc((group->n + 1) * sizeof *places);
    if (!places)
        return -ENOMEM;
    for (uint32_t i = 0; i < group->n; i++)
        places[i] = (uint32_t)(members[i] - cluster->instances);
    plan->levels = mf_levels_new(&table->health, policy, plan->outlier, group, places);
    mf_free(places);
    return plan->levels ? 0 : -ENOMEM;
}

/* Unless a newer plan has told it in this publish. Takes `kept` over. */
static void tell(struct mf_table *table, struct mf_guard *guard, int family, struct mf_outlier_kept *kept)
{
    if (guard->_told[family] == table->n_held) {
        mf_free(kept);
        return;
    }
    guard->_told[family] = table->n_held;
    mf_outlier_use(table, &guard->outliers[family], kept);
}

static void hold(struct mf_table *table, struct mf_plan *plan)
{
    struct mf_guard *guard = plan->guard;
    bool newest = guard->_told[MF_FAMILY_DUBBO] != table->n_held && guard->_told[MF_FAMILY_HTTP] != table->n_held;
    tell(table, guard, plan->_family, plan->_kept);
    plan->_kept = NULL;
    if (plan->_family == MF_FAMILY_DUBBO && !plan->group->twin) /* nobody has an address of its own for HTTP any more */
        tell(table, guard, MF_FAMILY_HTTP, NULL);
    if (!newest)
        return;
    mf_breaker_set(&guard->breaker, plan->breaks ? &plan->_breaker : NULL);
    mf_guard_budget(guard, &plan->_budget);
}

void mf_plans_hold(struct mf_table *table)
{
    if (table->plans)
        table->n_held++;
    for (struct mf_plan *plan; (plan = table->plans);) {
        table->plans = plan->_next;
        if (plan->_next)
            plan->_next->_at = &table->plans;
        plan->_at = NULL;
        hold(table, plan);
    }
}

static void wait(struct mf_table *table, struct mf_plan *plan)
{
    plan->_next = table->plans;
    plan->_at = &table->plans;
    if (plan->_next)
        plan->_next->_at = &plan->_next;
    table->plans = plan;
}

/* Whom its guard watches, and what it will allow. 0 or -ENOMEM. */
static int guard(struct mf_table *table, struct mf_plan *plan, const struct mf_cluster *cluster,
                 const struct mf_policy *policy, int family)
{
    const struct mf_group *group = plan->group;
    plan->guard = mf_guard_intern(table, mf_slice_str(cluster->host), mf_group_name(group));
    if (!plan->guard)
        return -ENOMEM;
    plan->_family = (uint8_t)family;
    plan->breaks = policy->breaks;
    plan->_breaker = policy->breaker;
    plan->_budget = policy->budget;
    wait(table, plan);
    if (!policy->ejects)
        return 0;
    plan->_kept = mf_outlier_keep(&policy->outlier);
    struct mf_outlier *outlier = &plan->guard->outliers[family];
    if (!plan->_kept || mf_outlier_enlist(table, outlier, group->peers, group->n) < 0)
        return -ENOMEM;
    plan->outlier = outlier;
    return 0;
}

/* Whatever else says which members can be used has to be asked: then it is not. */
uint32_t mf_plan_quick(const struct mf_plan *plan, bool even)
{
    if (!plan->spread || plan->outlier)
        return MF_QUICK_NOT;
    if (plan->hashing) /* whatever they weigh, and whoever is warming up: the places say it */
        return plan->group->n > 1 && plan->hashing->plain ? MF_QUICK_HASH : MF_QUICK_NOT;
    if (!even || plan->spread->warms)
        return MF_QUICK_NOT;
    return plan->balancer->kind == MF_BALANCER_RANDOM          ? MF_QUICK_RANDOM
           : plan->balancer->kind == MF_BALANCER_LEAST_REQUEST ? MF_QUICK_LEAST_REQUEST
                                                               : MF_QUICK_NOT;
}

struct mf_plan *mf_plan_new(struct mf_table *table, const struct mf_cluster *cluster, const struct mf_policy *policy,
                            const struct mf_group *group, int family, const struct mf_instance *const *members)
{
    struct mf_plan *plan = mf_zalloc(sizeof *plan);
    if (!plan)
        return NULL;
    plan->group = group;
    if (policy->guarded && guard(table, plan, cluster, policy, family) < 0) {
        mf_plan_free(plan);
        return NULL;
    }
    plan->balancer = policy->balancer;
    plan->hashing = policy->balancer && policy->balancer->kind == MF_BALANCER_HASH ? policy->balancer : NULL;
    int rc = 0;
    if (policy->locality && group->n) {
        rc = add_levels(table, plan, cluster, policy, group, members);
    } else if (policy->balancer) {
        plan->spread = mf_spread_new(policy->balancer, group->peers, mf_group_sums(group), 0, group->n);
        rc = plan->spread ? 0 : -ENOMEM;
    }
    if (rc != 0) {
        mf_plan_free(plan);
        return NULL;
    }
    return plan;
}

void mf_plan_free(struct mf_plan *plan)
{
    if (!plan)
        return;
    if (plan->_at) {
        *plan->_at = plan->_next;
        if (plan->_next)
            plan->_next->_at = plan->_at;
    }
    mf_free(plan->_kept);
    if (plan->outlier)
        mf_outlier_dismiss(plan->outlier, plan->group->peers, plan->group->n);
    if (plan->guard)
        mf_guard_give(plan->guard);
    mf_levels_free(plan->levels);
    mf_spread_free(plan->spread);
    mf_free(plan);
}
