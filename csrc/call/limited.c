#include "call/limited.h"

#include "table/bound.h"

#include <stdio.h>

enum { TEXT_ROOM = 192, NAME_SHOWN = 128 };

bool mf_limited(struct mf_call *call, const struct mf_request *request, const struct mf_actions *actions)
{
    const struct mf_bound *over = mf_bound_over(actions, &request->query);
    if (!over)
        return false;
    char text[TEXT_ROOM];
    struct mf_fault fault = {MF_OUTCOME_LIMITED, text};
    int len = (int)(over->name.len < NAME_SHOWN ? over->name.len : NAME_SHOWN);
    snprintf(text, sizeof text, "meshfast: over the rate limit %.*s", len, (const char *)over->name.ptr);
    MF_COUNT(call->calls->local, calls_limited);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    return true;
}
