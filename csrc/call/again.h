#pragma once
/* again: what is kept of a call that its rule lets try again, and whether it may now: by its rule, its budgets and what is
 * left of its time. */
#include "call/call.h"
#include "call/retry.h"
#include "table/guard.h"
#include "table/peer.h"

enum { MF_AGAIN_PAST = 4 };

struct mf_again {
    struct mf_retries policy;     /* of the rule that took it first */
    bool bound;                   /* that is known */
    bool went;                    /* it was given up for its length, and that was counted */
    uint8_t n_past;
    uint16_t made;                /* retries */
    uint16_t spent;               /* call->tries when the last of them began */
    struct mf_guard *guard;       /* in whose budget the last of them is counted, or NULL */
    const struct mf_peer *peer;   /* whom it was to go to last; only compared, as those before */
    const struct mf_peer *past[MF_AGAIN_PAST];
    uint64_t until;               /* the end of this try; 0: none of its own */
};

/* A rule took it: `retries` (NULL: none) hold from the first time on. */
void mf_again_bind(struct mf_again *again, const struct mf_retries *retries);
/* It goes to a peer: its time begins. Returns when that is over, 0: never. */
uint64_t mf_again_go(struct mf_again *again, const struct mf_call *call, const struct mf_peer *peer);
/* Whether it may try again after what became of the last try, which it has not left yet; then it is counted, and `*wait` is
 * how long to wait first, ns. `guard`: where it is active, or NULL. */
bool mf_again_may(struct mf_again *again, struct mf_call *call, struct mf_guard *guard, const struct mf_try *tried,
                  uint64_t *wait);
/* An answer that says that the time is over, where the try's own is: its peer was told of that and was first to say so. It is as
 * if there were none, if the answer itself is no reason to try again. */
void mf_again_look(const struct mf_again *again, uint64_t now, struct mf_try *tried);
/* The try is over: its place in a budget is free. */
void mf_again_left(struct mf_again *again);
/* Whether maxTries counts anew, as this is another try by its rule. */
bool mf_again_fresh(const struct mf_again *again, const struct mf_call *call);

/* inline */

/* A request must be kept for it. */
static inline bool mf_again_keeps(const struct mf_again *again)
{
    return again->made < again->policy.attempts;
}
