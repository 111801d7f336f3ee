#pragma once
/* decide: the one decision of a lookup, with its steps written down when `steps` is given. Included by route.c, where
 * it is NULL and all notes vanish, and by explain.c: the same code, so that they cannot differ. Private. */
#include "base/err.h"
#include "table/find.h"
#include "table/match.h"
#include "table/pick.h"

MF_ALWAYS_INLINE void note(struct mf_route_steps *steps, enum mf_route_step_kind kind, uint32_t rule, uint32_t match,
                           uint32_t condition, uint32_t target, struct mf_slice text)
{
    if (steps && steps->n < steps->room)
        steps->steps[steps->n++] = (struct mf_route_step){
            kind, (uint16_t)rule, (uint16_t)match, (uint16_t)condition, (uint16_t)target, text};
}

MF_ALWAYS_INLINE bool rule_matches(const struct mf_compiled *service, uint32_t r, const struct mf_query *query,
                                   struct mf_route_steps *steps)
{
    const struct mf_crule *rule = &service->rules[r];
    struct mf_slice text = mf_slice_of("", 0);
    if (rule->n_matches == 0) {
        note(steps, MF_STEP_MATCH, r, MF_NO_MATCH, 0, 0, text);
        return true;
    }
    for (uint32_t m = 0; m < rule->n_matches; m++) {
        const struct mf_cmatch *match = &rule->matches[m];
        uint32_t c = 0;
        while (c < match->n_conditions && holds(&match->conditions[c], query, &text))
            c++;
        if (c == match->n_conditions) {
            note(steps, MF_STEP_MATCH, r, m, 0, 0, mf_slice_of("", 0));
            return true;
        }
        note(steps, MF_STEP_NO_MATCH, r, m, c, 0, text);
    }
    return false;
}

/* The place of a label's value, or NULL. */
static inline const struct mf_value *find_value(const struct mf_by_label *by, struct mf_slice value)
{
    uint32_t hash = (uint32_t)mf_hash(value, 0);
    for (uint32_t at = hash & by->mask; by->places[at].group; at = (at + 1) & by->mask)
        if (by->places[at].hash == hash && mf_slice_eq(by->places[at].group->name, value))
            return &by->places[at];
    return NULL;
}

MF_ALWAYS_INLINE uint32_t pick_target(const struct mf_crule *rule, uint64_t random)
{
    uint32_t t = 0;
    if (rule->total == 0)
        return rule->n_targets ? 0 : MF_NO_TARGET;
    uint64_t point = mf_hash_below(mf_hash_mix(random ^ MF_HASH_B, MF_HASH_A), rule->total);
    while (rule->targets[t].upto <= point)
        t++;
    return t;
}

/* The target's instances; NULL when there can be none. */
MF_ALWAYS_INLINE const struct mf_group *resolve(const struct mf_crule *rule, const struct mf_query *query, uint32_t r,
                                                uint32_t t, struct mf_stat **stat, struct mf_route_steps *steps)
{
    const struct mf_ctarget *target = &rule->targets[t];
    *stat = NULL;
    if (target->kind != MF_TARGET_LABEL) {
        *stat = target->stat;
        if (target->group) {
            note(steps, MF_STEP_TARGET, r, 0, 0, t, target->group->name);
        } else {
            note(steps, MF_STEP_TARGET, r, 0, 0, t, mf_compiled_cold(rule)[t].text);
            note(steps, MF_STEP_NO_SUBSET, r, 0, 0, t, mf_compiled_cold(rule)[t].text);
        }
        return target->group;
    }
    struct mf_slice value = query->labels ? query->labels[target->label] : mf_slice_of("", 0);
    note(steps, MF_STEP_TARGET, r, 0, 0, t, value);
    if (!value.len) {
        note(steps, MF_STEP_NO_LABEL, r, 0, 0, t, mf_compiled_cold(rule)[t].text);
        return NULL;
    }
    const struct mf_value *found = find_value(target->by_label, value);
    if (!found) {
        note(steps, MF_STEP_NO_SUBSET, r, 0, 0, t, value);
        return NULL;
    }
    *stat = target->stats[found->index];
    return found->group;
}

MF_ALWAYS_INLINE int follow(const struct mf_crule *rule, uint32_t r, const struct mf_query *query,
                            struct mf_route *out, struct mf_route_steps *steps)
{
    struct mf_slice nothing = mf_slice_of("", 0);
    int rc = MF_EROUTE_PEER;
    uint32_t t = pick_target(rule, query->random), passed = 0;
    while (t != MF_NO_TARGET) { /* ends: publishing refused circles */
        const struct mf_ctarget *target = &rule->targets[t];
        bool down = false;
        struct mf_stat *stat;
        const struct mf_group *group = resolve(rule, query, r, t, &stat, steps);
        struct mf_peer *peer = group && group->n ? pick(group, query->random, query->now) : NULL;
        if (peer) {
            note(steps, MF_STEP_PEER, r, 0, 0, t, steps ? mf_slice_str(peer->text) : nothing);
            out->peer = peer;
            out->stat = stat;
            out->fallbacks = (uint8_t)(passed < 255 ? passed : 255);
            return 0;
        }
        if (group) {
            down = group->n > 0;
            note(steps, down ? MF_STEP_DOWN : MF_STEP_EMPTY, r, 0, 0, t, group->name);
        }
        if (down)
            rc = MF_EROUTE_DOWN;
        if (target->fallback == MF_NO_TARGET || (down && target->on == MF_FALLBACK_NO_INSTANCE)) {
            note(steps, MF_STEP_END, r, 0, 0, t, nothing);
            break;
        }
        t = target->fallback;
        passed++;
    }
    out->fallbacks = (uint8_t)(passed < 255 ? passed : 255);
    return rc;
}

MF_ALWAYS_INLINE int decide(const struct mf_compiled *service, const struct mf_query *query, struct mf_route *out,
                            struct mf_route_steps *steps)
{
    *out = (struct mf_route){0};
    if (!service) {
        note(steps, MF_STEP_NO_SERVICE, 0, 0, 0, 0, query->service);
        return MF_EROUTE_SERVICE;
    }
    note(steps, MF_STEP_SERVICE, 0, 0, 0, 0, steps ? mf_slice_str(service->stat->service) : query->service);
    out->stat = service->stat;
    for (uint32_t r = 0; r < service->n_rules; r++) {
        if (!rule_matches(service, r, query, steps))
            continue;
        out->rule = (uint16_t)r;
        out->timeout_ms = service->rules[r].timeout_ms;
        return follow(&service->rules[r], r, query, out, steps);
    }
    return MF_EROUTE_RULE;
}
