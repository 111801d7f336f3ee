#pragma once
/* service: one being built: growing arrays that the compiler turns into one piece. Private to the writer. */
#include "table/dfa.h"
#include "table/writer.h"

struct mf_condition {
    uint8_t field, op;
    uint16_t number;
    struct mf_slice key, value;
};

struct mf_match {
    struct mf_condition *conditions;
    uint32_t n_conditions, conditions_room;
};

struct mf_target {
    uint8_t kind, on;
    uint8_t seen; /* while looking for circles: 1 on the way, 2 known to end */
    uint16_t fallback, label;
    uint32_t weight;
    struct mf_slice text;
    struct mf_cluster *cluster; /* holds a reference */
    const struct mf_group *group;
    const struct mf_by_label *by_label;
    struct mf_by_label *held; /* the one it uses, with a reference, or NULL */
};

struct mf_rule {
    uint32_t timeout_ms;
    struct mf_actions *actions; /* with a reference, or NULL */
    uint32_t n_matches, matches_room, n_targets, targets_room;
    struct mf_match *matches;
    struct mf_target *targets;
};

struct mf_service {
    struct mf_slice name;
    enum mf_service_pattern pattern;
    struct mf_rule *rules;
    uint32_t n_rules, rules_room;
    struct mf_arena texts;
    uint64_t labels;              /* that its conditions name, as bits, with a reference for each */
    struct mf_compiled *compiled; /* by mf_table_prepare; then the rules are gone */
    struct mf_slot *slot;         /* of a prefix, pinned */
    bool reserved;                /* a place in the index, for an exact name */
};

/* Whether a condition may be: the number of its label, which the service holds from here on, or of its argument, or 0 where
 * it asks for neither; or an error. */
int mf_service_judge(struct mf_table *table, struct mf_service *service, enum mf_field field, struct mf_slice key,
                     enum mf_op op, struct mf_slice value);
/* Frees what only building needs. */
void mf_service_drop_rules(struct mf_table *table, struct mf_service *service);
/* 0 when every fallback is a target and no chain of them is a circle, else MF_ELIMIT. */
int mf_compile_check(struct mf_service *service);
/* The immutable form of the service in one piece. `old`: the published one of that name, or NULL. NULL: no memory. */
struct mf_compiled *mf_compile(struct mf_table *table, const struct mf_service *service,
                               const struct mf_compiled *old);
