#pragma once
/* compiled: what readers walk. Immutable once published. Private to this floor.
 *
 * At 100,000 services the cost of a lookup is its cache misses, so what a lookup reads of a service lies together, with
 * no pointers to itself: head, name, rules, targets. With a name of up to 40 bytes, one rule without matches and two
 * targets that is two cache lines. Before them in the same piece lies what is hardly read; the rest has a piece of its
 * own, so that the services lie close and few pages hold them. */
#include "table/hash.h"
#include "table/table.h"

#define MF_ALWAYS_INLINE static inline __attribute__((always_inline))

/* Some instances of a cluster: all, a subset, those with one label value, the baseline. It begins at a cache line,
 * with up to six peers in that line; behind the peers for each the sum of the weights up to and with it, its plan where it
 * has one, and the name.
 * Where HTTP is spoken at other addresses than Dubbo, or not by all, its group lies behind Dubbo's in the same piece. */
struct mf_group {
    uint32_t n;
    uint32_t each; /* every member's weight when they are equal, else 0 */
    uint32_t name_len : 29;
    uint32_t quick : 2; /* of one with a plan: enum mf_quick */
    uint32_t planned : 1; /* it has a plan */
    uint32_t twin; /* bytes between the two; 0: one for both */
    struct mf_peer *peers[];
};

/* How a member is picked where nothing else is said: without a look at the plan, as all weigh the same, or by the hash of
 * a header. */
enum mf_quick { MF_QUICK_NOT, MF_QUICK_RANDOM, MF_QUICK_LEAST_REQUEST, MF_QUICK_HASH };

struct mf_value {
    uint32_t hash;
    uint32_t index; /* into groups, and into a target's stats */
    const struct mf_group *group; /* NULL: a free place, and the end of a search */
};

/* A cluster's instances by the value of one label; a declared subset of that name wins. Readers know the mask from the
 * target and look at the places alone: few values are one cache line. */
struct mf_by_label {
    uint32_t mask, label;
    uint32_t refs; /* targets, in services that are built or alive */
    uint32_t n_groups, n_subsets; /* the first groups are the cluster's own subsets */
    struct mf_by_label *next;
    struct mf_group **groups;
    struct mf_group *baseline;    /* instances without the label */
    _Alignas(MF_CACHE_LINE) struct mf_value places[];
};

struct mf_ccondition {
    uint8_t field, op; /* enum mf_field, enum mf_op */
    uint16_t number;   /* of its label, of its argument */
    struct mf_slice key, value;
};

struct mf_cmatch {
    uint16_t n_conditions;
    struct mf_ccondition *conditions;
};

/* No other target has a weight, so there is nothing to draw; and whether the rule has actions, too. */
enum mf_alone { MF_NOT_ALONE, MF_ALONE, MF_ALONE_ACTS };

struct mf_ctarget {
    uint8_t kind, on; /* enum mf_target_kind, enum mf_fallback_case */
    uint8_t label;
    uint8_t bits;     /* of by_label's mask */
    uint16_t fallback;
    uint16_t alone;   /* of a rule's first target: enum mf_alone */
    union {
        const struct mf_group *group;       /* not MF_TARGET_LABEL; NULL: no such subset */
        const struct mf_by_label *by_label; /* MF_TARGET_LABEL */
    };
    union {
        struct mf_stat *stat;   /* as group */
        struct mf_stat **stats; /* as by_label: one for each of its groups */
    };
};

struct mf_ctarget_cold { /* what a lookup does not read */
    struct mf_slice text;
    struct mf_cluster *cluster; /* holds a reference */
    struct mf_by_label *held;   /* the cluster's groups by label that it uses, with a reference, or NULL */
};

struct mf_crule_cold { /* what not every lookup reads */
    struct mf_actions *actions; /* with a reference, or NULL */
    struct mf_cmatch *matches;
    uint64_t *upto; /* for each target the sum of the weights up to and with it */
    struct mf_ctarget_cold *targets;
};

struct mf_crule {
    uint16_t n_matches, n_targets;
    uint32_t timeout_ms;
    uint32_t targets; /* where they begin: bytes from here */
    uint32_t cold;    /* and its mf_crule_cold: bytes into the service's rest */
};

enum { MF_STARRED_BEFORE = 2 };

struct mf_compiled {
    struct mf_table *table;
    struct mf_epoch_entry entry;
    struct mf_stat *stat; /* for calls that reach no target */
    uint8_t *rest;        /* what is cold */
    uint64_t labels;      /* those that its conditions name, as bits, with a reference for each */
    /* What a lookup reads begins here. */
    _Alignas(MF_CACHE_LINE) uint32_t name_len;
    uint16_t n_rules;
    uint16_t starred; /* the name is a pattern's: 1, or MF_STARRED_BEFORE for a suffix */
    char name[];      /* without a pattern's star; the rules are behind it */
};

static inline struct mf_slice mf_compiled_name(const struct mf_compiled *service)
{
    return mf_slice_of(service->name, service->name_len);
}

MF_ALWAYS_INLINE struct mf_crule *mf_compiled_rules(const struct mf_compiled *service)
{
    size_t at = (offsetof(struct mf_compiled, name) + service->name_len + 7) & ~(size_t)7;
    return (struct mf_crule *)((uintptr_t)service + at);
}

MF_ALWAYS_INLINE struct mf_ctarget *mf_crule_targets(const struct mf_crule *rule)
{
    return (struct mf_ctarget *)((uintptr_t)rule + rule->targets);
}

MF_ALWAYS_INLINE struct mf_crule_cold *mf_crule_cold(const struct mf_compiled *service,
                                                     const struct mf_crule *rule)
{
    return (struct mf_crule_cold *)(uintptr_t)(service->rest + rule->cold);
}

/* Those that take HTTP, of Dubbo's group. */
MF_ALWAYS_INLINE const struct mf_group *mf_group_http(const struct mf_group *group)
{
    return (const struct mf_group *)((uintptr_t)group + group->twin);
}

/* And back. */
MF_ALWAYS_INLINE const struct mf_group *mf_group_dubbo(const struct mf_group *group)
{
    return (const struct mf_group *)((uintptr_t)group - group->twin);
}

/* The first member's sum of weights; each member's follows. */
MF_ALWAYS_INLINE uint64_t *mf_group_sums(const struct mf_group *group)
{
    return (uint64_t *)(uintptr_t)(group->peers + group->n);
}

static inline uint64_t mf_group_total(const struct mf_group *group)
{
    return group->n ? mf_group_sums(group)[group->n - 1] : 0;
}

static inline struct mf_plan **mf_group_plan_place(const struct mf_group *group)
{
    return (struct mf_plan **)(mf_group_sums(group) + group->n);
}

/* Of one that has one. */
static inline const struct mf_plan *mf_group_plan(const struct mf_group *group)
{
    return *mf_group_plan_place(group);
}

static inline struct mf_slice mf_group_name(const struct mf_group *group)
{
    return mf_slice_of(mf_group_sums(group) + group->n + group->planned, group->name_len);
}
