#pragma once
/* compiled: what readers walk. Immutable once published, except the one pointer in each slot. Private to this floor.
 *
 * A service is one allocation: head, rules and targets first, so that a lookup touches few cache lines. */
#include "table/hash.h"
#include "table/table.h"

struct mf_group_member {
    struct mf_peer *peer;
    uint64_t upto; /* the sum of the weights up to and with this one */
};

/* Some instances of a cluster: all, a subset, those with one label value, the baseline. */
struct mf_group {
    uint64_t total; /* of the weights */
    uint32_t n;
    uint32_t each;  /* every member's weight when they are equal, else 0 */
    struct mf_slice name;
    struct mf_group_member members[];
};

/* A cluster's instances by the value of one label; a declared subset of that name wins. */
struct mf_by_label {
    struct mf_by_label *next; /* writer only */
    uint32_t label, mask;
    uint32_t n_groups, n_subsets; /* the first groups are the cluster's own subsets */
    struct mf_group **groups;
    struct mf_group *baseline; /* instances without the label */
    uint32_t places[];         /* open addressing: 1 + an index into groups, 0: free */
};

struct mf_ccondition {
    uint8_t field, op; /* enum mf_field, enum mf_op */
    uint16_t label;
    struct mf_slice key, value;
};

struct mf_cmatch {
    uint16_t n_conditions;
    struct mf_ccondition *conditions;
};

struct mf_ctarget {
    uint8_t kind, on;           /* enum mf_target_kind, enum mf_fallback_case */
    uint16_t fallback, label;
    uint64_t upto;              /* the sum of the weights up to and with this target */
    const struct mf_group *group;       /* not MF_TARGET_LABEL; NULL: no such subset */
    const struct mf_by_label *by_label; /* MF_TARGET_LABEL */
    struct mf_stat **stats;     /* one, or one for each group of by_label */
    struct mf_slice text;
    struct mf_cluster *cluster; /* holds a reference */
};

struct mf_crule {
    uint16_t n_matches, n_targets;
    uint32_t timeout_ms;
    uint64_t total; /* of the targets' weights */
    struct mf_cmatch *matches;
    struct mf_ctarget *targets;
};

struct mf_compiled {
    uint32_t n_rules;
    struct mf_crule *rules;
    struct mf_stat *stat; /* for calls that reach no target */
    struct mf_slice name; /* as explain prints it: with the star of a pattern */
    struct mf_table *table;
    struct mf_epoch_entry entry;
};

struct mf_slot {
    _Atomic(struct mf_compiled *) live; /* NULL: not published, or removed */
    uint32_t pins;                      /* writer only: services prepared for it */
    uint32_t len;
    struct mf_epoch_entry entry;
    char name[];
};

struct mf_index {
    uint64_t mask;
    struct mf_epoch_entry entry;
    struct {
        mf_atom64 hash;
        _Atomic(struct mf_slot *) slot; /* NULL: free, and the end of a search */
    } places[];
};

struct mf_patterns {
    uint32_t n;
    struct mf_epoch_entry entry;
    struct mf_slot *slots[]; /* longest prefix first */
};

/* The readers' part of a table; at its front. */
struct mf_published {
    _Atomic(struct mf_index *) index;
    _Atomic(struct mf_patterns *) patterns;
    _Atomic(struct mf_compiled *) any;
    _Atomic(struct mf_labels *) labels;
};
