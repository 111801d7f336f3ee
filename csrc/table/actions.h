#pragma once
/* actions: what a rule does with a call besides choosing where it goes. Immutable once it is handed to a rule; counted, as
 * a call may keep it longer than its rule is in force. */
#include "base/atom.h"
#include "base/mem.h"
#include "base/slice.h"
#include "table/answers.h"

struct mf_bound;
struct mf_mirror;
struct mf_retries;

struct mf_actions {
    const struct mf_retries *retries; /* NULL: what was not executed alone is tried again */
    mf_atom32 _refs;
    const struct mf_faults *faults; /* each of these NULL where nothing of it is said */
    const struct mf_direct *direct;
    const struct mf_redirect *redirect;
    const struct mf_change *changes; /* by target; the last one for all further ones */
    uint32_t n_changes;
    struct mf_bound *bounds;   /* rate limits: the first; NULL: none */
    struct mf_mirror *mirrors; /* the first; NULL: none */
    struct mf_arena _pieces; /* all that it points at */
};

/* With a reference for the caller; NULL: no memory. */
struct mf_actions *mf_actions_new(void);
/* A piece that lives as long as it does. NULL: no memory. Before it is handed to a rule. */
void *mf_actions_alloc(struct mf_actions *actions, size_t size);
/* Any thread. */
void mf_actions_take(struct mf_actions *actions);
void mf_actions_give(struct mf_actions *actions); /* NULL: nothing */

/* What calls to that target of the rule are changed by, or NULL. */
static inline const struct mf_change *mf_actions_change(const struct mf_actions *actions, uint32_t target)
{
    uint32_t n = actions->n_changes;
    const struct mf_change *change = n ? &actions->changes[target < n ? target : n - 1] : NULL;
    return change && mf_change_any(change) ? change : NULL;
}
