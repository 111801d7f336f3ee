#pragma once
/* published: where readers find what is compiled: by its exact name, by a pattern, and the plan of labels. Private to this
 * floor. */
#include "table/compiled.h"

struct mf_index {
    uint64_t mask;
    struct mf_epoch_entry entry;
    struct {
        _Alignas(16) mf_atom64 hash; /* so that no place is in two cache lines */
        _Atomic(struct mf_compiled *) service; /* NULL: free, and the end of a search; mf_index_gone: removed */
    } places[];
};

extern struct mf_compiled mf_index_gone; /* has a name that equals none */

struct mf_slot { /* of a prefix, or a suffix */
    _Atomic(struct mf_compiled *) live; /* NULL: not published, or removed */
    uint32_t pins;                      /* writer only: services prepared for it */
    uint32_t len;
    bool suffix;
    struct mf_epoch_entry entry;
    char name[];
};

struct mf_patterns {
    uint32_t n;
    struct mf_epoch_entry entry;
    struct mf_slot *slots[]; /* longest first, of two alike the prefix */
};

/* The readers' part of a table; at its front. */
struct mf_published {
    _Atomic(struct mf_index *) index;
    _Atomic(struct mf_patterns *) patterns;
    _Atomic(struct mf_compiled *) any;
    _Atomic(struct mf_labels *) labels;
    mf_atom64 changes; /* publishes and removals so far: counted after each */
};
