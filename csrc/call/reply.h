#pragma once
/* reply: an answer that a rule gives in place of a peer's: a fault of MF_OUTCOME_RULE begins one. */
#include "call/outcome.h"
#include "table/answers.h"

struct mf_actions;

struct mf_reply {
    struct mf_fault fault; /* first; its text: what gRPC and Dubbo are told */
    struct mf_statuses statuses;
    struct mf_slice body, location;      /* HTTP's; location empty: none */
    const struct mf_change_list *change; /* of its fields; NULL: none */
    struct mf_actions *actions;          /* whose `body` is: who needs it for longer takes a reference */
};

/* NULL: it is no rule's. */
static inline const struct mf_reply *mf_reply_of(const struct mf_fault *fault)
{
    return fault->outcome == MF_OUTCOME_RULE ? (const struct mf_reply *)(const void *)fault : NULL;
}
