#include "call/deadline.h"

#include <stdio.h>

#include "table/headers.h"

/* By the place of its name a stamp is known again. */
static void put(struct mf_request *request, const char *name, size_t name_len, struct mf_slice text)
{
    uint32_t at = 0;
    while (at < request->n_stamps && (const char *)request->stamps[at].key.ptr != name)
        at++;
    if (at == MF_LABELS_SAID)
        return;
    request->stamps[at] = (struct mf_pair){mf_slice_of(name, name_len), text};
    request->n_stamps += at == request->n_stamps;
}

void mf_deadline_stamp(const struct mf_call *call, struct mf_request *request, bool ruled)
{
    static const char name[] = "timeout", countdown[] = "_TO";
    uint64_t now = mf_local_now(call->calls->local), until = mf_govern_until(call);
    uint64_t left = until > now ? (until - now) / 1000000 : 0;
    if (request->flows || !request->stampable || !until || left > INT32_MAX || (request->timeout_ms <= 0 && !ruled))
        return;
    left = left ? left : 1; /* 0 would be none */
    if (request->timeout_ms > 0 && (uint64_t)request->timeout_ms <= left)
        return;
    int len = snprintf(request->left, sizeof request->left, "%u", (unsigned)left);
    struct mf_slice text = mf_slice_of(request->left, (size_t)len);
    put(request, name, sizeof name - 1, text);
    /* What Java's providers count down from, where their callers ask for that. */
    if (mf_headers_find(&request->query, mf_slice_of(countdown, sizeof countdown - 1)))
        put(request, countdown, sizeof countdown - 1, text);
}
