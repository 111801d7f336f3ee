#pragma once
/* verdict: what the end of a try says of the peer, as a status of HTTP, whatever the protocol. Pure. */
#include "call/outcome.h"
#include "call/retry.h"

#include <stdbool.h>

struct mf_verdict {
    uint16_t code; /* 0: nothing */
    bool local;    /* it failed on our side: the peer did not say so */
};

/* It answered. `stat`: what that is counted as; `code`: the status itself, as its protocol numbers it; where a gRPC answer
 * has no grpc-status, HTTP's. */
struct mf_verdict mf_verdict_of_answer(int stat, uint32_t code);
/* It is tried again for this. */
struct mf_verdict mf_verdict_of_try(const struct mf_try *tried);
/* It ended here. `asked`: the peer had the request. */
struct mf_verdict mf_verdict_of_outcome(enum mf_outcome outcome, bool asked);
