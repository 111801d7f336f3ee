#pragma once
/* h2_like: requests that are the same but for what tracing puts into each: what the rest says is recalled, whether the
 * changed field stays out of the table of fields or goes into it. Compared field by field, once decoded: a request is like
 * one that was kept where all fields are equal, but for the values of those that mf_h2_name_traces names. One is kept when
 * its like was missed twice. */
#include "protocol/h2_conn.h"

enum { MF_H2_LIKES = 4 };

struct mf_h2_like {
    void *note;                /* the role's own */
    struct mf_h2_head_in head; /* of the one that is kept; all that it points to lies behind */
    uint32_t n_holes;
    uint16_t holes[MF_H2_HOLES]; /* which fields have other values */
};

struct mf_h2_likes {
    struct mf_h2_like *of[MF_H2_LIKES];
    uint64_t missed[MF_H2_LIKES];
    uint32_t next;
};

/* NULL: not known. */
struct mf_h2_like *mf_h2_like_find(const struct mf_h2_likes *likes, const struct mf_h2_head_in *head);
/* A well-formed request for which none was found: it is kept where that is worth it. */
void mf_h2_like_keep(struct mf_h2_conn *h2, struct mf_h2_likes *likes, const struct mf_h2_head_in *head);
void mf_h2_like_drop(struct mf_h2_conn *h2, struct mf_h2_likes *likes);
