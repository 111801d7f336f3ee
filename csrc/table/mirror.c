#include "table/mirror.h"

#include "base/err.h"
#include "table/pick.h"
#include "table/rule.h"
#include "table/service.h"

int mf_mirror_add(struct mf_service *service, uint16_t rule, uint16_t t, struct mf_actions *actions, uint32_t share,
                  struct mf_meter *meter)
{
    if (rule >= service->n_rules || t >= service->rules[rule].n_targets)
        return MF_ELIMIT;
    const struct mf_target *from = &service->rules[rule].targets[t];
    struct mf_mirror *mirror = mf_actions_alloc(actions, sizeof *mirror);
    struct mf_ctarget *target = mf_actions_alloc(actions, sizeof *target);
    if (!mirror || !target)
        return -ENOMEM;
    *target = (struct mf_ctarget){.kind = from->kind, .label = (uint8_t)from->label};
    if (from->by_label) {
        target->by_label = from->by_label;
        target->bits = (uint8_t)__builtin_popcount(from->by_label->mask);
    } else {
        target->group = from->group;
    }
    *mirror = (struct mf_mirror){.target = target, .meter = mf_meter_take(meter), .share = share};
    struct mf_mirror **at = &actions->mirrors;
    while (*at)
        at = &(*at)->next;
    *at = mirror;
    return 0;
}

void mf_mirror_let_go(struct mf_actions *actions)
{
    for (struct mf_mirror *mirror = actions->mirrors; mirror; mirror = mirror->next)
        mf_meter_give(mirror->meter);
}

bool mf_mirror_drawn(const struct mf_mirror *mirror, uint64_t random)
{
    return mf_hash_below(random, MF_MIRROR_ALL) < mirror->share;
}

static const struct mf_group *group_of(const struct mf_ctarget *target, const struct mf_query *query)
{
    if (target->kind != MF_TARGET_LABEL)
        return target->group;
    struct mf_slice value = query->labels ? query->labels[target->label] : mf_slice_of("", 0);
    const struct mf_value *found = value.len ? find_value(target, value, (uint32_t)mf_hash(value, 0)) : NULL;
    return found ? found->group : NULL;
}

struct mf_peer *mf_mirror_pick(const struct mf_mirror *mirror, const struct mf_query *query)
{
    const struct mf_group *group = group_of(mirror->target, query);
    if (group && query->http && !query->at_dubbo)
        group = mf_group_http(group);
    struct mf_route unused = {0}; /* copies are no calls that a plan guards */
    return group && group->n ? pick(group, query, mirror->target, &unused) : NULL;
}
