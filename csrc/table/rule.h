#pragma once
/* rule: whether a rule matches a request, which of its targets is drawn, and where a label's value stands in one; written
 * down when `steps` is given. The first steps of decide.h. Private. */
#include "table/find.h"
#include "table/match.h"

MF_ALWAYS_INLINE void note(struct mf_route_steps *steps, enum mf_route_step_kind kind, uint32_t rule, uint32_t match,
                           uint32_t condition, uint32_t target, struct mf_slice text)
{
    if (steps && steps->n < steps->room)
        steps->steps[steps->n++] = (struct mf_route_step){
            kind, (uint16_t)rule, (uint16_t)match, (uint16_t)condition, (uint16_t)target, text};
}

MF_ALWAYS_INLINE bool rule_matches(const struct mf_compiled *service, uint32_t r, const struct mf_query *query,
                                   const struct mf_http_view *http, struct mf_route_steps *steps)
{
    const struct mf_crule *rule = &mf_compiled_rules(service)[r];
    struct mf_slice text = mf_slice_of("", 0);
    if (rule->n_matches == 0) {
        note(steps, MF_STEP_MATCH, r, MF_NO_MATCH, 0, 0, text);
        return true;
    }
    for (uint32_t m = 0; m < rule->n_matches; m++) {
        const struct mf_cmatch *match = &mf_crule_cold(service, rule)->matches[m];
        uint32_t c = 0;
        while (c < match->n_conditions && holds(&match->conditions[c], query, http, &text))
            c++;
        if (c == match->n_conditions) {
            note(steps, MF_STEP_MATCH, r, m, 0, 0, mf_slice_of("", 0));
            return true;
        }
        note(steps, MF_STEP_NO_MATCH, r, m, c, 0, text);
    }
    return false;
}

/* A place of the search for a label's value: the first, the second... */
MF_ALWAYS_INLINE const struct mf_value *value_place(const struct mf_ctarget *target, uint32_t hash, uint32_t nth)
{
    return &target->by_label->places[(hash + nth) & ((UINT32_C(1) << target->bits) - 1)];
}

/* The place of a label's value, or NULL. */
MF_ALWAYS_INLINE const struct mf_value *find_value(const struct mf_ctarget *target, struct mf_slice value,
                                                   uint32_t hash)
{
    for (uint32_t nth = 0;; nth++) {
        const struct mf_value *place = value_place(target, hash, nth);
        if (!place->group)
            return NULL;
        if (place->hash == hash && mf_slice_eq(mf_group_name(place->group), value))
            return place;
    }
}

MF_ALWAYS_INLINE uint32_t pick_target(const struct mf_compiled *service, const struct mf_crule *rule,
                                      uint64_t random, struct mf_route *out, const struct mf_route_steps *steps)
{
    uint32_t t = 0;
    bool alone = rule->n_targets && mf_crule_targets(rule)->alone == MF_ALONE;
    if (!alone) {
        out->actions = mf_crule_cold(service, rule)->actions;
        out->governed = out->actions != NULL;
    }
    if (rule->n_targets == 0)
        return MF_NO_TARGET;
    if (steps && steps->branch && steps->branch <= rule->n_targets)
        return steps->branch - 1;
    if (alone || mf_crule_targets(rule)->alone)
        return 0;
    const uint64_t *upto = mf_crule_cold(service, rule)->upto;
    uint64_t point = mf_hash_below(mf_hash_mix(random ^ MF_HASH_B, MF_HASH_A), upto[rule->n_targets - 1]);
    while (upto[t] <= point)
        t++;
    return t;
}

/* Whether any of its targets wants instances of the own region. */
static inline bool asks_for_near(const struct mf_crule *rule)
{
    for (uint32_t t = 0; t < rule->n_targets; t++)
        if (mf_crule_targets(rule)[t].on == MF_FALLBACK_NO_LOCAL)
            return true;
    return false;
}
