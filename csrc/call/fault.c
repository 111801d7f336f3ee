#include "call/fault.h"

#include "base/mem.h"
#include "table/actions.h"
#include "table/hash.h"

#include <errno.h>

enum { MS = 1000000, PLACE_MORE = 64 };

static bool meets(struct mf_local *local, uint32_t chance)
{
    return chance && mf_hash_below(mf_local_random(local), MF_FAULT_ALL) < chance;
}

bool mf_fault_draw(struct mf_fault_state *state, struct mf_local *local, const struct mf_actions *actions)
{
    const struct mf_faults *faults = actions ? actions->faults : NULL;
    if (!faults || state->drawn)
        return false;
    state->drawn = true;
    bool waits = meets(local, faults->delay_chance);
    state->aborts = meets(local, faults->abort_chance);
    return waits;
}

bool mf_fault_room(const struct mf_calls *calls)
{
    struct mf_local *local = calls->local;
    if ((uint64_t)calls->delayed.n_calls + local->n_delayed < local->limits->max_delayed)
        return true;
    MF_COUNT(local, limit_max_delayed);
    return false;
}

uint64_t mf_fault_wait(struct mf_fault_state *state, struct mf_call *call, const struct mf_request *request,
                       const struct mf_actions *actions)
{
    struct mf_local *local = call->calls->local;
    if (!mf_fault_draw(state, local, actions))
        return 0;
    if (!mf_fault_room(call->calls))
        return 0;
    if (request->timeout_ms > 0) /* its caller's patience is what it was */
        mf_call_set_timeout(call, (uint64_t)request->timeout_ms);
    MF_COUNT(local, calls_delayed);
    state->waited_ms = actions->faults->delay_ms;
    return (uint64_t)state->waited_ms * MS;
}

uint32_t mf_fault_timeout(const struct mf_fault_state *state, const struct mf_call *call, const struct mf_request *request,
                          uint32_t timeout_ms)
{
    if (!state->waited_ms)
        return timeout_ms;
    if (!timeout_ms && (request->flows || request->timeout_ms > 0))
        return 0;
    uint64_t ms = timeout_ms ? timeout_ms : call->calls->local->limits->call_timeout;
    ms += state->waited_ms;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static struct mf_reply reply_of(struct mf_statuses statuses, struct mf_slice text)
{
    return (struct mf_reply){.fault = {MF_OUTCOME_RULE, (const char *)text.ptr}, .statuses = statuses};
}

struct mf_reply mf_fault_abort(const struct mf_actions *actions)
{
    struct mf_reply reply = reply_of(actions->faults->statuses, actions->faults->text);
    reply.body = actions->faults->text;
    return reply;
}

static int find_place(const struct mf_redirect *redirect, const struct mf_http_view *http, struct mf_reply *reply,
                      uint8_t **place)
{
    const struct mf_change_redirect *to = &redirect->to;
    size_t room = http->scheme.len + http->authority.len + http->path.len + http->query.len + to->uri.len + to->authority.len +
                  to->scheme.len + PLACE_MORE;
    *place = mf_alloc(room);
    if (!*place)
        return -ENOMEM;
    long len = mf_change_location(to, http->scheme, http->authority, http->path, http->query, *place, room);
    if (len < 0)
        return (int)len;
    reply->location = mf_slice_of(*place, (size_t)len);
    return 0;
}

bool mf_fault_reply(const struct mf_actions *actions, const struct mf_http_view *http, struct mf_reply *reply, uint8_t **place,
                    int *rc)
{
    *place = NULL;
    *rc = 0;
    if (actions->direct) {
        *reply = reply_of(actions->direct->statuses, actions->direct->text);
        reply->body = actions->direct->body;
        return true;
    }
    if (!actions->redirect)
        return false;
    *reply = reply_of(actions->redirect->statuses, MF_SLICE("meshfast: redirected by a rule, which HTTP alone can follow"));
    if (http)
        *rc = find_place(actions->redirect, http, reply, place);
    return true;
}

static void answer(struct mf_call *call, struct mf_reply *reply, struct mf_actions *actions)
{
    reply->actions = actions;
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &reply->fault});
}

bool mf_fault_answer(struct mf_fault_state *state, struct mf_call *call, const struct mf_request *request,
                     struct mf_actions *actions, const struct mf_change *change)
{
    struct mf_local *local = call->calls->local;
    struct mf_reply reply;
    uint8_t *place;
    int rc;
    if (state->aborts && actions->faults) {
        MF_COUNT(local, calls_aborted);
        reply = mf_fault_abort(actions);
        answer(call, &reply, actions);
        return true;
    }
    if (!mf_fault_reply(actions, request->query.http, &reply, &place, &rc))
        return false;
    mf_count(actions->direct ? &local->counters.calls_direct : &local->counters.calls_redirected, 1);
    if (rc < 0) {
        struct mf_fault fault = mf_outcome_of(rc);
        mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    } else {
        reply.change = change ? &change->response : NULL;
        answer(call, &reply, actions);
    }
    mf_free(place);
    return true;
}
