#pragma once
/* decide: the one decision of a lookup, with its steps written down when `steps` is given. Included by route.c, where
 * it is NULL and all notes vanish, and by explain.c: the same code, so that they cannot differ. Private. */
#include "base/err.h"
#include "table/compiled.h"
#include "table/dfa.h"
#include "table/headers.h"

#define MF_ALWAYS_INLINE static inline __attribute__((always_inline))

enum { PICK_TRIES = 4 };

MF_ALWAYS_INLINE void note(struct mf_route_steps *steps, enum mf_route_step_kind kind, uint32_t rule, uint32_t match,
                           uint32_t condition, uint32_t target, struct mf_slice text)
{
    if (steps && steps->n < steps->room)
        steps->steps[steps->n++] = (struct mf_route_step){
            kind, (uint16_t)rule, (uint16_t)match, (uint16_t)condition, (uint16_t)target, text};
}

/* Acquires here pair with the releases in index.c and table.c: what is behind each pointer was written before. */

MF_ALWAYS_INLINE struct mf_compiled *find_pattern(const struct mf_table *table, struct mf_slice name)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_patterns *patterns = mf_load_acquire(&live->patterns);
    for (uint32_t i = 0; i < patterns->n; i++) {
        struct mf_slot *slot = patterns->slots[i];
        if (slot->len > name.len ||
            !mf_slice_eq(mf_slice_of(slot->name, slot->len), mf_slice_of(name.ptr, slot->len)))
            continue;
        struct mf_compiled *service = mf_load_acquire(&slot->live);
        if (service)
            return service;
    }
    return mf_load_acquire(&live->any);
}

MF_ALWAYS_INLINE struct mf_compiled *find_exact(struct mf_index *index, struct mf_slice name, uint64_t hash)
{
    for (uint64_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        struct mf_compiled *service = mf_load_acquire(&index->places[at].service);
        if (!service)
            return NULL;
        if (mf_load_relaxed(&index->places[at].hash) == hash && mf_slice_eq(service->name, name))
            return service;
    }
}

MF_ALWAYS_INLINE struct mf_compiled *find(const struct mf_table *table, struct mf_slice name)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_compiled *service = find_exact(mf_load_acquire(&live->index), name, mf_hash(name, 0));
    return service ? service : find_pattern(table, name);
}

/* "/service/method" is compared in its four pieces, never built. */
static inline bool path_holds(const struct mf_ccondition *condition, const struct mf_query *query)
{
    const struct mf_slice pieces[] = {MF_SLICE("/"), query->service, MF_SLICE("/"), query->method};
    struct mf_slice rest = condition->value;
    uint32_t state = MF_DFA_START;
    for (int i = 0; i < 4; i++) {
        if (condition->op == MF_OP_REGEX) {
            state = mf_dfa_step(condition->value.ptr, state, pieces[i]);
            continue;
        }
        size_t n = rest.len < pieces[i].len ? rest.len : pieces[i].len;
        if (n && memcmp(rest.ptr, pieces[i].ptr, n) != 0)
            return false;
        if (n < pieces[i].len && condition->op == MF_OP_EXACT)
            return false;
        rest = mf_slice_of(rest.ptr + n, rest.len - n);
    }
    if (condition->op == MF_OP_REGEX)
        return mf_dfa_accepts(condition->value.ptr, state);
    return rest.len == 0;
}

static inline bool text_holds(const struct mf_ccondition *condition, const struct mf_slice *seen)
{
    struct mf_slice want = condition->value;
    switch ((enum mf_op)condition->op) {
    case MF_OP_PRESENT:
        return seen;
    case MF_OP_ABSENT:
        return !seen;
    case MF_OP_EXACT:
        return seen && mf_slice_eq(*seen, want);
    case MF_OP_PREFIX:
        return seen && seen->len >= want.len && (want.len == 0 || memcmp(seen->ptr, want.ptr, want.len) == 0);
    case MF_OP_REGEX:
        return seen && mf_dfa_match(want.ptr, *seen);
    }
    return false;
}

/* `*text` is the value seen, for the path the method. */
static inline bool holds(const struct mf_ccondition *condition, const struct mf_query *query, struct mf_slice *text)
{
    const struct mf_slice *seen = NULL;
    *text = mf_slice_of("", 0);
    switch ((enum mf_field)condition->field) {
    case MF_FIELD_PATH:
        *text = query->method;
        if (condition->op < MF_OP_PRESENT)
            return path_holds(condition, query);
        return condition->op == MF_OP_PRESENT; /* there always is one */
    case MF_FIELD_METHOD:
        seen = query->method.len ? &query->method : NULL;
        break;
    case MF_FIELD_AUTHORITY:
        seen = mf_headers_find(query->headers, query->n_headers, MF_SLICE("target-host"));
        if (!seen || !seen->len)
            seen = &query->service;
        break;
    case MF_FIELD_HEADER:
        seen = mf_headers_find(query->headers, query->n_headers, condition->key);
        break;
    case MF_FIELD_LABEL:
        seen = query->labels && query->labels[condition->label].len ? &query->labels[condition->label] : NULL;
        break;
    case MF_FIELD_NEVER:
        return false;
    }
    if (seen)
        *text = *seen;
    return text_holds(condition, seen);
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

/* Exact and fair among those available, however many are not: two walks. Out of line: rarely needed. */
static __attribute__((noinline, unused)) struct mf_peer *pick_slowly(const struct mf_group *group, uint64_t random,
                                                                     uint64_t now)
{
    uint64_t total = 0, before = 0;
    struct mf_peer *last = NULL;
    for (uint32_t i = 0; i < group->n; before = group->members[i++].upto) {
        if (mf_peer_available(group->members[i].peer, now)) {
            total += group->members[i].upto - before;
            last = group->members[i].peer;
        }
    }
    if (!last)
        return NULL;
    uint64_t point = mf_hash_below(random, total);
    before = 0;
    for (uint32_t i = 0; i < group->n; before = group->members[i++].upto) {
        uint64_t weight = group->members[i].upto - before;
        if (!mf_peer_available(group->members[i].peer, now))
            continue;
        if (point < weight)
            return group->members[i].peer;
        point -= weight;
    }
    return last; /* some went down between the walks */
}

/* A member by its weight. `random` is moved on, so that another call picks anew. */
MF_ALWAYS_INLINE uint64_t pick_member(const struct mf_group *group, uint64_t *random)
{
    *random = mf_hash_mix(*random ^ MF_HASH_A, MF_HASH_B);
    if (group->each)
        return mf_hash_below(*random, group->n);
    uint64_t point = mf_hash_below(*random, group->total), at = 0, end = group->n;
    while (at < end) { /* the first with upto > point */
        uint64_t middle = (at + end) / 2;
        if (group->members[middle].upto > point)
            end = middle;
        else
            at = middle + 1;
    }
    return at;
}

MF_ALWAYS_INLINE struct mf_peer *pick(const struct mf_group *group, uint64_t random, uint64_t now)
{
    for (int i = 0; i < PICK_TRIES; i++) {
        struct mf_peer *peer = group->members[pick_member(group, &random)].peer;
        if (mf_peer_available(peer, now))
            return peer;
    }
    return pick_slowly(group, random, now);
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
            note(steps, MF_STEP_TARGET, r, 0, 0, t, rule->cold[t].text);
            note(steps, MF_STEP_NO_SUBSET, r, 0, 0, t, rule->cold[t].text);
        }
        return target->group;
    }
    struct mf_slice value = query->labels ? query->labels[target->label] : mf_slice_of("", 0);
    note(steps, MF_STEP_TARGET, r, 0, 0, t, value);
    if (!value.len) {
        note(steps, MF_STEP_NO_LABEL, r, 0, 0, t, rule->cold[t].text);
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
    note(steps, MF_STEP_SERVICE, 0, 0, 0, 0, steps ? mf_slice_str(service->stat->service) : service->name);
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
