#pragma once
/* limited: calls that a rate limit of policy refuses. */
#include "call/request.h"
#include "table/actions.h"

/* Takes one of each limit that such a call counts against. True: one of them has none left; the call is refused, and has taken
 * none of the others. */
bool mf_limited(struct mf_call *call, const struct mf_request *request, const struct mf_actions *actions);
