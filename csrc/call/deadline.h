#pragma once
/* deadline: what is left of a call's time, as whoever gets its request is told. */
#include "call/govern.h"

/* Where the request names more, or none though `ruled` by a rule: what is left is added to it, once. Who flows writes it
 * himself. */
void mf_deadline_stamp(const struct mf_call *call, struct mf_request *request, bool ruled);
