#pragma once
/* bound: a rate limit as a rule has it: its bucket, and which of the rule's calls count. */
#include "table/actions.h"
#include "table/bucket.h"
#include "table/route.h"

struct mf_cmatch;
struct mf_service;

struct mf_bound {
    struct mf_bound *next;
    struct mf_bucket *bucket; /* with a reference */
    struct mf_slice name;
    uint32_t n_matches;       /* any will do; none: every call */
    const struct mf_cmatch *matches;
};

/* One condition of a match; those of a match stand together, its number counts from 0. Else as mf_service_condition has
 * them. */
struct mf_bound_condition {
    uint16_t match;
    uint8_t field, op; /* enum mf_field, enum mf_op */
    struct mf_slice key, value;
};

/* Adds one behind those that there are, for a rule of `service`. Texts are copied; takes its own reference to `bucket`. 0,
 * -ENOMEM, MF_ELIMIT, or what is wrong with a blob. */
int mf_bound_add(struct mf_table *table, struct mf_service *service, struct mf_actions *actions, struct mf_slice name,
                 struct mf_bucket *bucket, uint32_t n_matches, const struct mf_bound_condition *conditions, uint32_t n);
/* Gives back what they hold. */
void mf_bound_let_go(struct mf_actions *actions);

/* Whether such a call counts. */
bool mf_bound_counts(const struct mf_bound *bound, const struct mf_query *query);
/* Takes one from each that counts such a call; or from none, where one has none left: which is that. NULL: it may go on. */
const struct mf_bound *mf_bound_over(const struct mf_actions *actions, const struct mf_query *query);
