#pragma once
/* dispatch: a request, as policy sees it, to a peer. The one room that decides where a call goes and whether it is tried
 * again. */
#include "call/request.h"

/* Ends in exactly one step of the call. */
void mf_dispatch(struct mf_call *call, struct mf_request *request);
/* The same for a call whose peer could not be reached: the request is stamped already. Where there is no other peer it
 * waits on `back` (NULL: it ends). */
void mf_dispatch_again(struct mf_call *call, struct mf_request *request, struct mf_queue *back);
/* For one that cannot be read: ends the call with `fault`. */
void mf_dispatch_refuse(struct mf_call *call, struct mf_request *request, const struct mf_fault *fault);
/* For one that no call was begun for: counts it, as what its caller is told (`http`: the status of HTTP, or 0). */
void mf_dispatch_turn_away(struct mf_inlet *inlet, struct mf_conn *from, uint64_t request_id, bool two_way,
                           const struct mf_fault *fault, uint8_t stat, uint16_t http);
/* Ends the call with what an error means; `text` (may be NULL) instead of the error's own. */
void mf_dispatch_fail(struct mf_call *call, int rc, const char *text);

/* inline */

/* How long to wait for an answer, ms: the least of what the caller (-1: none; maxCallTimeout at most) and the rule
 * (0: none) say, else callTimeout. */
static inline uint64_t mf_dispatch_timeout(int64_t caller_ms, uint32_t rule_ms, const struct mf_limits *limits)
{
    uint64_t least = 0;
    if (caller_ms > 0)
        least = (uint64_t)caller_ms < limits->max_call_timeout ? (uint64_t)caller_ms : limits->max_call_timeout;
    if (rule_ms && (!least || rule_ms < least))
        least = rule_ms;
    return least ? least : limits->call_timeout;
}
