/* govern, beside: what is kept of a call that policy watches, and that it is given back however the call ends; calls that
 * are put off are dispatched again when they are due, and end like any other before. */
#include "call/govern.h"
#include "call/guarding.h"

#include "bare.h"

#include <errno.h>

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_governor governor;
    struct mf_caller caller;
    struct mf_callee callee;
    struct mf_dialer dialer;
    struct mf_guard *guard;
    struct mf_peer *peer;
    struct mf_plan plan;
    int again, told;
} w;

static void route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    CHECK(waited == NULL && !back);
    CHECK(mf_governed_of(call)->dialer == &w.dialer);
    CHECK_INT(mf_load_relaxed(&w.guard->active), 0); /* while it is put off it is nowhere */
    w.again++;
    mf_block_give(call->frame);
    call->frame = NULL;
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_NO_PEER, "x"}});
}

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    (void)call;
    (void)fault;
    w.told++;
}

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops ops = {.answer = answer, .route_again = route_again, .stats = stats};
static const struct mf_callee_ops callee_ops;

static struct mf_block *freeze(struct mf_request *request, struct mf_call *call, int *rc)
{
    (void)request;
    (void)rc;
    call->bytes_up = 10;
    return mf_block_new(10, NULL);
}

static const struct mf_request_ops request_ops = {.freeze = freeze};

static void open_world(void)
{
    const char *why;
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 16);
    mf_governor_init(&w.governor, &w.bare.local, &w.bare.calls);
    mf_caller_init(&w.caller, &ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
    mf_callee_init(&w.callee, &callee_ops);
    struct mf_addr addr;
    CHECK_INT(mf_addr_parse(MF_SLICE("10.0.0.1:1"), &addr), 0);
    w.peer = mf_peer_intern(w.bare.table, &addr);
    w.guard = mf_guard_intern(w.bare.table, MF_SLICE("app"), MF_SLICE(""));
    w.plan.guard = w.guard;
}

static void close_world(void)
{
    CHECK_INT(mf_load_relaxed(&w.guard->active), 0);
    CHECK_INT(mf_load_relaxed(&w.peer->in_flight), 0);
    mf_peer_give(w.bare.table, w.peer);
    mf_guard_give(w.guard);
    mf_governor_dispose(&w.governor);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}

static struct mf_call *begin(struct mf_request *request)
{
    int rc = 0;
    struct mf_call *call = mf_call_begin(&w.bare.calls, &w.caller, 1, 2, true, &rc);
    *request = (struct mf_request){.ops = &request_ops, .dialer = &w.dialer};
    return call;
}

/* Counted where its plan says, once, whatever is tried; given back at its end. */
static void test_guarded(void)
{
    struct mf_request request;
    struct mf_route route = {.plan = &w.plan}, plain = {0};
    open_world();
    route.peer = w.peer;
    struct mf_call *call = begin(&request), *other = begin(&request);
    CHECK(!mf_govern(call, &request, &route, 0));
    CHECK_INT(mf_load_relaxed(&w.guard->active), 1);
    CHECK(!mf_govern(call, &request, &route, 0)); /* chosen anew */
    CHECK_INT(mf_load_relaxed(&w.guard->active), 1);
    CHECK(!mf_govern(other, &request, &route, 0));
    CHECK_INT(mf_load_relaxed(&w.guard->active), 2);
    CHECK(!mf_govern(other, &request, &plain, 0)); /* and now elsewhere */
    CHECK_INT(mf_load_relaxed(&w.guard->active), 1);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee});
    CHECK_INT(mf_load_relaxed(&w.guard->active), 1);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    CHECK_INT(mf_load_relaxed(&w.guard->active), 0);
    mf_call_step(other, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_NO_PEER, "x"}});
    CHECK(mf_governed_of(other) == NULL);
    close_world();
}

/* What a rule does is kept as long as a call needs it, and no longer; a change is that of the last lookup. */
static void test_actions(void)
{
    struct mf_request request;
    struct mf_actions *first = mf_actions_new(), *second = mf_actions_new();
    struct mf_change *change = mf_actions_alloc(first, sizeof *change);
    *change = (struct mf_change){.rewrite = {.authority = MF_SLICE("a")}};
    first->changes = change;
    first->n_changes = 1;
    struct mf_route one = {.actions = first}, other = {.actions = second}, plain = {.plan = &w.plan};
    open_world();
    struct mf_call *call = begin(&request);
    CHECK(!mf_govern_rule(call, &request, &one, 0));
    CHECK(mf_govern_change(call) == NULL); /* its protocol cannot write it so */
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.changes_lost), 1);
    CHECK(!mf_govern_rule(call, &request, &other, 0));
    mf_actions_give(first); /* nobody else has it */
    CHECK(!mf_govern_rule(call, &request, &plain, 0));
    CHECK(mf_governed_of(call)->actions == NULL);
    CHECK(!mf_govern_rule(call, &request, &other, 0));
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_NO_PEER, "x"}});
    mf_actions_give(second);
    close_world();
}

static int change(struct mf_request *request, const struct mf_change *change)
{
    (void)request;
    (void)change;
    return 0;
}

static const struct mf_request_ops changing_ops = {.freeze = freeze, .change = change};

/* A rule's change goes with the rule. */
static void test_change_goes(void)
{
    struct mf_request request;
    struct mf_actions *actions = mf_actions_new();
    struct mf_change *changes = mf_actions_alloc(actions, sizeof *changes);
    *changes = (struct mf_change){.rewrite = {.authority = MF_SLICE("a")}};
    actions->changes = changes;
    actions->n_changes = 1;
    struct mf_route ruled = {.actions = actions}, plain = {.plan = &w.plan};
    open_world();
    plain.peer = w.peer;
    struct mf_call *call = begin(&request);
    request.ops = &changing_ops;
    CHECK(!mf_govern_rule(call, &request, &ruled, 0));
    CHECK(mf_govern_change(call) == changes);
    mf_actions_give(actions); /* the call alone has it */
    CHECK(!mf_govern_rule(call, &request, &plain, 0));
    CHECK(mf_govern_change(call) == NULL);
    CHECK(!mf_govern(call, &request, &plain, 0));
    CHECK_INT(mf_load_relaxed(&w.guard->active), 1);
    mf_govern_over(call); /* and its policy with the group */
    CHECK_INT(mf_load_relaxed(&w.guard->active), 0);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_NO_PEER, "x"}});
    close_world();
}

static void run_until(uint64_t at)
{
    while (mf_loop_now(w.loop) < at || w.again == 0)
        mf_loop_turn(w.loop, 1000000);
}

static void test_delay(void)
{
    struct mf_request request;
    struct mf_route route = {.plan = &w.plan};
    open_world();
    route.peer = w.peer;
    struct mf_call *call = begin(&request);
    CHECK(!mf_govern(call, &request, &route, MF_EROUTE_PEER));
    mf_call_set_timeout(call, 60000);
    uint64_t due = mf_loop_now(w.loop) + 5000000;
    mf_govern_delay(call, &request, 5000000);
    CHECK_INT(call->state, MF_CALL_QUEUED);
    CHECK_INT(w.bare.calls.delayed.n_calls, 1);
    CHECK_INT(w.again, 0);
    run_until(due);
    CHECK_INT(w.again, 1);
    CHECK_INT(w.told, 1);
    CHECK_INT(w.bare.calls.delayed.n_calls, 0);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls_retried), 0);

    call = begin(&request); /* its caller goes meanwhile */
    CHECK(!mf_govern(call, &request, &route, MF_EROUTE_PEER));
    mf_govern_delay(call, &request, 5000000);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    call = begin(&request); /* we stop meanwhile */
    CHECK(!mf_govern(call, &request, &route, MF_EROUTE_PEER));
    mf_govern_delay(call, &request, 5000000);
    CHECK_INT(mf_govern_stop(&w.governor, &(struct mf_fault){MF_OUTCOME_LOST, "stopping"}), 1);
    CHECK_INT(w.told, 2);
    due = mf_loop_now(w.loop) + 10000000;
    while (mf_loop_now(w.loop) < due)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(w.again, 1);
    close_world();
}

/* One that was sent, and is kept, waits for its next try. */
static void test_put_off(void)
{
    struct mf_request request;
    struct mf_route route = {.plan = &w.plan};
    open_world();
    route.peer = w.peer;
    struct mf_call *call = begin(&request);
    int rc;
    call->by_table = true;
    CHECK(!mf_govern(call, &request, &route, 0));
    struct mf_block *frame = freeze(&request, call, &rc);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee, .frame = frame});
    CHECK_INT(w.bare.calls.kept, 10);
    mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &w.bare.calls.delayed});
    CHECK_INT(call->state, MF_CALL_QUEUED);
    CHECK(call->frame == frame && call->callee == NULL);
    CHECK_INT(w.bare.calls.kept, 0);
    CHECK_INT(w.callee.n_calls, 0);
    CHECK_INT(mf_load_relaxed(&w.guard->active), 0);
    mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){0});
    CHECK_INT(w.again, 1);
    close_world();
}

/* --- and one whose rule says so is tried again, whatever ends its try, unless its caller has a part of an answer */

static int delivered, doubts;

static const struct mf_fault *deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    (void)caller;
    (void)call;
    (void)message;
    delivered++;
    return NULL;
}

static void doubt(struct mf_callee *callee, uint64_t since)
{
    (void)callee;
    CHECK(since > 0 && since <= mf_loop_now(w.loop));
    doubts++;
}

/* The status is the message's code. */
static void became(const struct mf_call *call, const struct mf_message *message, struct mf_try *out)
{
    CHECK(call->callee != NULL);
    out->kind = message ? MF_TRY_HTTP : MF_TRY_RESET;
    out->status = message ? (int)message->code : 0;
}

static const struct mf_caller_ops telling_ops = {.answer = answer, .deliver = deliver, .route_again = route_again, .stats = stats};
static const struct mf_callee_ops asked_ops = {.became = became, .doubt = doubt};

/* A call that is with its callee, and is kept. */
static struct mf_call *asked(struct mf_request *request, const struct mf_retries *retries)
{
    struct mf_actions *actions = mf_actions_new();
    struct mf_retries *copy = mf_actions_alloc(actions, sizeof *copy);
    *copy = *retries;
    actions->retries = copy;
    struct mf_route route = {.plan = &w.plan, .peer = w.peer, .actions = actions};
    w.caller.ops = &telling_ops;
    w.callee.ops = &asked_ops;
    struct mf_call *call = begin(request);
    int rc;
    call->by_table = true;
    mf_call_set_timeout(call, 60000);
    CHECK(!mf_govern(call, request, &route, 0));
    CHECK(request->keeps);
    mf_actions_give(actions); /* the rule is gone: what the call has of it is its own */
    struct mf_block *frame = freeze(request, call, &rc);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee, .frame = frame});
    return call;
}

static void is_put_off(struct mf_call *call)
{
    CHECK_INT(call->state, MF_CALL_QUEUED);
    CHECK(call->frame != NULL && call->callee == NULL && call->queue == &w.bare.calls.delayed);
    CHECK_INT(w.callee.n_calls, 0);
    CHECK_INT(w.bare.calls.kept, 0);
    CHECK_INT(mf_load_relaxed(&w.guard->breaker.now[MF_BREAKER_RETRIES]), 1);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    CHECK_INT(mf_load_relaxed(&w.guard->breaker.now[MF_BREAKER_RETRIES]), 0);
    CHECK_INT(w.bare.calls.n_live, 0);
}

static void test_tried_again(void)
{
    static const struct mf_retries retries = {.on = MF_RETRY_5XX, .attempts = 1, .backoff_ms = 25};
    struct mf_message bad = {.parts = MF_PART_WHOLE, .code = 503}, good = {.parts = MF_PART_WHOLE, .code = 200};
    struct mf_message head = {.parts = MF_PART_HEAD, .code = 503};
    struct mf_fault lost = {MF_OUTCOME_LOST, "lost"};
    struct mf_request request;
    open_world();
    struct mf_call *call = asked(&request, &retries);
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &bad});
    is_put_off(call);
    call = asked(&request, &retries);
    mf_call_step(call, MF_CALL_ON_PART, &(struct mf_call_input){.message = &head});
    is_put_off(call);
    call = asked(&request, &retries);
    mf_callee_gone(&w.callee, &lost);
    is_put_off(call);
    CHECK_INT(delivered + w.told, 0);

    call = asked(&request, &retries);
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &good});
    CHECK_INT(delivered, 1);
    call = asked(&request, &retries);
    head.code = 200;
    mf_call_step(call, MF_CALL_ON_PART, &(struct mf_call_input){.message = &head});
    CHECK_INT(delivered, 2);
    mf_callee_gone(&w.callee, &lost);
    CHECK_INT(w.told, 1);
    call = asked(&request, &retries);
    mf_call_unkeep(call);
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &bad});
    CHECK_INT(delivered, 3);
    CHECK_INT(w.bare.calls.n_live, 0);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.retries), 3);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.retries_not_kept), 1);
    close_world();
}

/* A try that takes too long: it is put off, or ends as any other. */
static void test_late(void)
{
    struct mf_retries retries = {.on = MF_RETRY_RESET, .attempts = 1, .backoff_ms = 10000, .try_ms = 2};
    struct mf_request request;
    open_world();
    struct mf_call *call = asked(&request, &retries);
    while (call->state == MF_CALL_SENT)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(doubts, 1);
    is_put_off(call);
    retries.on = MF_RETRY_CANCELLED;
    call = asked(&request, &retries);
    while (call->state == MF_CALL_SENT)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(call->state, MF_CALL_FREE);
    CHECK_INT(w.told, 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_call_timeout), 1);
    close_world();
}

/* What was tried again took no time that is counted: its call has not ended. */
static void test_latency(void)
{
    static const struct mf_retries retries = {.on = MF_RETRY_5XX, .attempts = 1, .backoff_ms = 25};
    struct mf_message bad = {.parts = MF_PART_WHOLE, .code = 503}, good = {.parts = MF_PART_WHOLE, .code = 200};
    static struct mf_stat_shard shard;
    struct mf_request request;
    uint64_t n[2] = {0};
    open_world();
    for (int i = 0; i < 2; i++) {
        struct mf_call *call = asked(&request, &retries);
        mf_call_set_shard(call, &shard);
        mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = i ? &good : &bad});
        if (i == 0)
            is_put_off(call);
        for (size_t b = 0; b < sizeof shard.latency / sizeof *shard.latency; b++)
            n[i] += mf_load_relaxed(&shard.latency[b]);
    }
    CHECK_INT(n[0], 0);
    CHECK_INT(n[1], 1);
    close_world();
}

/* There is nobody else: it waits on, as wait_on in dispatch.c has it. */
static void wait_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    CHECK(waited && back);
    w.again++;
    mf_request_wait(call, waited, call->frame);
}

/* One that waited for its connection longer than a try may take has a whole try once it is sent. */
static void test_waits_longer_than_a_try(void)
{
    static const struct mf_caller_ops waiting_ops = {.answer = answer, .route_again = wait_again, .stats = stats};
    struct mf_retries retries = {.on = MF_RETRY_CANCELLED, .attempts = 1, .try_ms = 2};
    struct mf_actions *actions = mf_actions_new();
    actions->retries = &retries;
    struct mf_request request;
    struct mf_queue lane;
    int rc;
    open_world();
    struct mf_route route = {.plan = &w.plan, .peer = w.peer, .actions = actions};
    mf_queue_init(&lane);
    w.caller.ops = &waiting_ops;
    w.callee.ops = &asked_ops;
    doubts = 0;
    struct mf_call *call = begin(&request);
    call->by_table = true;
    mf_call_set_timeout(call, 60000);
    CHECK(!mf_govern(call, &request, &route, 0));
    CHECK(mf_govern_until(call) < call->deadline);
    mf_request_wait(call, &lane, freeze(&request, call, &rc));
    while (w.again == 0)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(mf_govern_until(call), call->deadline);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee});
    CHECK(mf_govern_until(call) > mf_loop_now(w.loop) && mf_govern_until(call) < call->deadline);
    while (call->state == MF_CALL_SENT)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(w.told, 1);
    mf_actions_give(actions);
    close_world();
}

static void test_no_memory(void)
{
    struct mf_request request;
    for (long n = 1; n <= 2; n++) {
        open_world();
        struct mf_route route = {.plan = &w.plan, .peer = w.peer};
        struct mf_call *call = begin(&request);
        fail_at(n);
        CHECK(mf_govern(call, &request, &route, 0)); /* answered */
        fail_at(0);
        CHECK_INT(w.told, 1);
        CHECK_INT(w.bare.calls.n_live, 0);
        close_world();
    }
}

/* What is our doing, or its caller's hurry, says nothing of the peer. */
static void test_not_judged(void)
{
    struct mf_request request;
    open_world();
    struct mf_route route = {.plan = &w.plan, .peer = w.peer};
    struct mf_call *call = begin(&request);
    CHECK(!mf_govern(call, &request, &route, 0));
    mf_call_set_timeout(call, 20);
    mf_govern_timed(call, 0);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee});
    CHECK_INT(mf_guarding_verdict(call, 0, MF_OUTCOME_LOST, 0).code, 503);
    CHECK_INT(mf_guarding_verdict(call, 0, MF_OUTCOME_TIMEOUT, 0).code, 0);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_judged_timeout), 1);
    mf_govern_timed(call, 20); /* so its rule has it */
    CHECK_INT(mf_guarding_verdict(call, 0, MF_OUTCOME_TIMEOUT, 0).code, 504);
    w.callee.spared = true;
    CHECK_INT(mf_guarding_verdict(call, 0, MF_OUTCOME_LOST, 0).code, 0);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    close_world();
}

int main(void)
{
    test_not_judged();
    test_guarded();
    test_actions();
    test_change_goes();
    test_delay();
    test_put_off();
    test_tried_again();
    test_late();
    test_latency();
    test_waits_longer_than_a_try();
    test_no_memory();
    return test_end("call/govern");
}
