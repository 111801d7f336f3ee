#pragma once
/* decide: the one decision of a lookup, with its steps written down when `steps` is given. Included by route.c, where
 * it is NULL and all notes vanish, and by explain.c: the same code, so that they cannot differ. Private. */
#include "base/err.h"
#include "table/find.h"
#include "table/pick.h"
#include "table/why.h"

/* A decision on its way: the rule that matched, and the target that is looked at. */
struct walk {
    const struct mf_compiled *service;
    const struct mf_crule *rule;
    const struct mf_ctarget *target;
    const struct mf_group *const *next; /* where its group should stand: what resolve reads first */
    uint32_t r, t, passed;
    uint32_t hash; /* of the label's value that the target asks for */
    int rc;        /* what it ends with when no target is left */
};

MF_ALWAYS_INLINE struct mf_slice value_of(const struct mf_ctarget *target, const struct mf_query *query)
{
    return query->labels ? query->labels[target->label] : mf_slice_of("", 0);
}

/* Goes on to the target's fallback; false where there is none. */
MF_ALWAYS_INLINE bool pass_on(struct walk *walk, bool down, struct mf_route_steps *steps)
{
    const struct mf_ctarget *target = walk->target;
    if (down)
        walk->rc = MF_EROUTE_DOWN;
    if (target->fallback == MF_NO_TARGET || (down && target->on == MF_FALLBACK_NO_INSTANCE)) {
        note(steps, MF_STEP_END, walk->r, 0, 0, walk->t, mf_slice_of("", 0));
        return false;
    }
    walk->t = target->fallback;
    walk->passed++;
    return true;
}

/* Stops at the first target that may have instances for this request, as far as the service alone can tell. */
MF_ALWAYS_INLINE bool aim(struct walk *walk, const struct mf_query *query, struct mf_route_steps *steps)
{
    for (;;) { /* ends: publishing refused circles */
        const struct mf_ctarget *target = walk->target = &mf_crule_targets(walk->rule)[walk->t];
        if (target->kind != MF_TARGET_LABEL) {
            walk->next = &target->group;
            return true;
        }
        struct mf_slice value = value_of(target, query);
        if (value.len) {
            walk->hash = (uint32_t)mf_hash(value, 0);
            walk->next = &value_place(target, walk->hash, 0)->group;
            return true;
        }
        note(steps, MF_STEP_TARGET, walk->r, 0, 0, walk->t, value);
        note(steps, MF_STEP_NO_LABEL, walk->r, 0, 0, walk->t,
             steps ? mf_crule_cold(walk->service, walk->rule)->targets[walk->t].text : value);
        if (!pass_on(walk, false, steps))
            return false;
    }
}

/* The first rule that matches and its first target. False: there is none, walk->rc says why. */
MF_ALWAYS_INLINE bool enter(struct walk *walk, const struct mf_compiled *service, const struct mf_query *query,
                            const struct mf_http_view *http, struct mf_route *out, struct mf_route_steps *steps)
{
    *out = (struct mf_route){0};
    walk->service = service;
    walk->passed = 0;
    if (!service) {
        out->inexact = true;
        note(steps, MF_STEP_NO_SERVICE, 0, 0, 0, 0, query->service);
        walk->rc = MF_EROUTE_SERVICE;
        return false;
    }
    if (service->starred)
        out->inexact = true;
    note(steps, MF_STEP_SERVICE, 0, 0, 0, 0, steps ? mf_slice_str(service->stat->service) : query->service);
    for (uint32_t r = 0; r < service->n_rules; r++) {
        if (!rule_matches(service, r, query, http, steps))
            continue;
        const struct mf_crule *rule = &mf_compiled_rules(service)[r];
        out->rule = (uint16_t)r;
        out->timeout_ms = rule->timeout_ms;
        walk->rule = rule;
        walk->r = r;
        walk->t = pick_target(service, rule, query->random, out, steps);
        walk->rc = MF_EROUTE_PEER;
        return walk->t != MF_NO_TARGET && aim(walk, query, steps);
    }
    walk->rc = MF_EROUTE_RULE;
    return false;
}

MF_ALWAYS_INLINE const struct mf_group *taking(const struct mf_group *group, const struct mf_query *query,
                                               const struct mf_http_view *http)
{
    return http && group && !query->at_dubbo ? mf_group_http(group) : group;
}

/* The target's instances that take such calls; NULL when there can be none. */
MF_ALWAYS_INLINE const struct mf_group *resolve(const struct walk *walk, const struct mf_query *query,
                                                const struct mf_http_view *http, struct mf_stat **stat,
                                                struct mf_route_steps *steps)
{
    const struct mf_ctarget *target = walk->target;
    if (target->kind != MF_TARGET_LABEL) {
        *stat = target->stat;
        if (target->group) {
            note(steps, MF_STEP_TARGET, walk->r, 0, 0, walk->t, mf_group_name(target->group));
        } else if (steps) {
            struct mf_slice text = mf_crule_cold(walk->service, walk->rule)->targets[walk->t].text;
            note(steps, MF_STEP_TARGET, walk->r, 0, 0, walk->t, text);
            note(steps, MF_STEP_NO_SUBSET, walk->r, 0, 0, walk->t, text);
        }
        return taking(target->group, query, http);
    }
    struct mf_slice value = value_of(target, query);
    note(steps, MF_STEP_TARGET, walk->r, 0, 0, walk->t, value);
    const struct mf_value *found = find_value(target, value, walk->hash);
    if (!found) {
        note(steps, MF_STEP_NO_SUBSET, walk->r, 0, 0, walk->t, value);
        return NULL;
    }
    *stat = target->stats[found->index];
    return taking(found->group, query, http);
}

MF_ALWAYS_INLINE int reach(const struct walk *walk, struct mf_peer *peer, struct mf_stat *stat, struct mf_route *out)
{
    out->peer = peer;
    out->stat = stat;
    out->target = (uint16_t)walk->t;
    out->fallbacks = (uint16_t)walk->passed; /* fewer than there are targets */
    return 0;
}

MF_ALWAYS_INLINE int end(const struct walk *walk, struct mf_route *out)
{
    out->stat = walk->service ? walk->service->stat : NULL; /* the rest is as it was begun with */
    out->fallbacks = (uint16_t)walk->passed;
    return walk->rc;
}

static int decide_anywhere(const struct mf_compiled *service, const struct mf_query *query, struct mf_route *out,
                           struct mf_route_steps *steps);

/* Picks from `group`, which the walk's target resolved to, and where that gives no peer goes on to the others. */
MF_ALWAYS_INLINE int follow(struct walk *walk, const struct mf_group *group, struct mf_stat *stat,
                            const struct mf_query *query, const struct mf_http_view *http, struct mf_route *out,
                            struct mf_route_steps *steps)
{
    for (;;) {
        struct mf_peer *peer = group && group->n ? pick(group, query, walk->target, out) : NULL;
        if (peer) {
            note_hash(group, query, walk->r, walk->t, steps);
            note(steps, MF_STEP_PEER, walk->r, 0, 0, walk->t,
                 steps ? mf_slice_str(peer->text) : mf_slice_of("", 0));
            return reach(walk, peer, stat, out);
        }
        bool down = group && group->n > 0;
        if (group && steps)
            note(steps, lack_of(group, query, http, walk->target), walk->r, 0, 0, walk->t, mf_group_name(group));
        if (!pass_on(walk, down, steps) || !aim(walk, query, steps))
            break;
        group = resolve(walk, query, http, &stat, steps);
    }
    if (walk->rc == MF_EROUTE_DOWN && !(query->past_levels & MF_ANYWHERE) && asks_for_near(walk->rule))
        return decide_anywhere(walk->service, query, out, steps);
    return end(walk, out);
}

/* `http` is the query's: where it is NULL, Dubbo's way has nothing of it. */
MF_ALWAYS_INLINE int decide(const struct mf_compiled *service, const struct mf_query *query,
                            const struct mf_http_view *http, struct mf_route *out, struct mf_route_steps *steps)
{
    struct mf_stat *stat;
    struct walk walk;
    if (!enter(&walk, service, query, http, out, steps))
        return end(&walk, out);
    const struct mf_group *group = resolve(&walk, query, http, &stat, steps);
    return follow(&walk, group, stat, query, http, out, steps);
}

/* Better an instance in another region than none. */
static __attribute__((noinline, cold)) int decide_anywhere(const struct mf_compiled *service, const struct mf_query *query,
                                                           struct mf_route *out, struct mf_route_steps *steps)
{
    struct mf_query anywhere = *query;
    anywhere.past_levels |= MF_ANYWHERE;
    note(steps, MF_STEP_ANYWHERE, 0, 0, 0, 0, mf_slice_of("", 0));
    return decide(service, &anywhere, query->http, out, steps);
}
