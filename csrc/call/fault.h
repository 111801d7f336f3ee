#pragma once
/* fault: calls that a rule lets wait, fail, or answers here. What the rule says is in its actions (table/answers.h). */
#include "call/call.h"
#include "call/reply.h"
#include "call/request.h"

struct mf_actions;

/* What is remembered of one call. */
struct mf_fault_state {
    bool drawn, aborts; /* its chances are drawn once, however often it is dispatched */
    uint32_t waited_ms; /* put off by a delay */
};

/* Draws its chances, unless that was done. True: it is to wait. */
bool mf_fault_draw(struct mf_fault_state *state, struct mf_local *local, const struct mf_actions *actions);
/* What a rule says to a call that it lets fail. */
struct mf_reply mf_fault_abort(const struct mf_actions *actions);
/* Whether one more may wait as a rule has it. */
bool mf_fault_room(const struct mf_calls *calls);
/* How long the call is to wait first, ns; 0: not, or not any more. */
uint64_t mf_fault_wait(struct mf_fault_state *state, struct mf_call *call, const struct mf_request *request,
                       const struct mf_actions *actions);
/* True: it has been answered, its one step. `change`: of its rule, or NULL. */
bool mf_fault_answer(struct mf_fault_state *state, struct mf_call *call, const struct mf_request *request,
                     struct mf_actions *actions, const struct mf_change *change);
/* The rule's timeout, of a call that waited: that is no part of it. */
uint32_t mf_fault_timeout(const struct mf_fault_state *state, const struct mf_call *call, const struct mf_request *request,
                          uint32_t timeout_ms);
/* Fills `reply` by what a rule says to whoever asks at once: false: nothing. `place`: where a redirect leads, to be freed;
 * `*rc` an error where it cannot be told. */
bool mf_fault_reply(const struct mf_actions *actions, const struct mf_http_view *http, struct mf_reply *reply, uint8_t **place,
                    int *rc);
