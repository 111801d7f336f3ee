/* call: every pair of state and event against the picture in DESIGN.md; slots and ids that are never confused. */
#include "bare.h"

#include <errno.h>

static void test_table(void)
{
    enum { NO = -1, FREE = MF_CALL_FREE, ROUTING = MF_CALL_ROUTING, QUEUED = MF_CALL_QUEUED, SENT = MF_CALL_SENT };
    /* as enum mf_call_event: sent asked wait fault retry more part answer timeout up_lost down_lost */
    static const int want[MF_CALL_STATES][MF_CALL_EVENTS] = {
        [FREE] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
        [ROUTING] = {FREE, SENT, QUEUED, FREE, NO, NO, NO, NO, NO, NO, NO},
        [QUEUED] = {FREE, SENT, NO, FREE, ROUTING, NO, NO, NO, FREE, NO, FREE},
        [SENT] = {NO, NO, QUEUED, FREE, ROUTING, SENT, SENT, FREE, FREE, FREE, FREE},
    };
    for (int state = 0; state < MF_CALL_STATES; state++)
        for (int event = 0; event < MF_CALL_EVENTS; event++) {
            enum mf_call_state next;
            bool legal = mf_call_legal((enum mf_call_state)state, (enum mf_call_event)event, &next);
            CHECK_INT(legal, want[state][event] != NO);
            if (legal)
                CHECK_INT(next, want[state][event]);
        }
}

/* Ends a call as a one-way that was sent, which needs no connection. */
static void finish(struct mf_call *call)
{
    mf_call_step(call, MF_CALL_ON_SENT, &(struct mf_call_input){0});
}

static struct mf_call *begin(struct bare *bare, struct mf_caller *caller, int *rc)
{
    return mf_call_begin(&bare->calls, caller, 7, 2, false, rc);
}

static void test_ids(void)
{
    struct mf_loop *loop;
    struct bare bare;
    const char *why;
    static const uint8_t stats[MF_OUTCOMES];
    static const struct mf_caller_ops ops = {.stats = stats};
    struct mf_caller caller;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &loop, &why), 0);
    open_bare(&bare, loop, 3);
    mf_caller_init(&caller, &ops, NULL, &bare.local.traffic[MF_OUTBOUND]);

    int rc = 0;
    struct mf_call *a = begin(&bare, &caller, &rc), *b = begin(&bare, &caller, &rc),
                   *c = begin(&bare, &caller, &rc);
    CHECK(a && b && c);
    CHECK(a->id != b->id && b->id != c->id && a->id != c->id);
    CHECK(begin(&bare, &caller, &rc) == NULL);
    CHECK_INT(rc, MF_ELIMIT);
    CHECK_INT(caller.n_calls, 3);
    CHECK(mf_calls_find(&bare.calls, b->id) == b);

    uint64_t gone = b->id;
    finish(b);
    CHECK(mf_calls_find(&bare.calls, gone) == NULL);
    struct mf_call *again = begin(&bare, &caller, &rc);
    CHECK(again == b); /* the slot is used again, under another id */
    CHECK(again->id != gone);
    CHECK(mf_calls_find(&bare.calls, gone) == NULL);
    CHECK(mf_calls_find(&bare.calls, again->id) == again);
    CHECK(mf_calls_find(&bare.calls, 0) == NULL);
    CHECK(mf_calls_find(&bare.calls, UINT64_MAX) == NULL);
    CHECK(mf_calls_find(&bare.calls, again->id ^ 1) != again);

    /* A call that another thread of life may still name: its caller goes, it stays. */
    mf_call_detach(a);
    CHECK_INT(caller.n_calls, 2);
    finish(a);
    finish(c);
    finish(again);
    CHECK_INT(caller.n_calls, 0);
    CHECK_INT(bare.calls.n_live, 0);

    close_bare(&bare);
    mf_loop_free(loop);
}

/* --- an answer that its caller's end does not take */

static const struct mf_fault too_much = {MF_OUTCOME_OVERLOAD, "too much"};
static int told;

static const struct mf_fault *take_nothing(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    (void)caller;
    (void)call;
    (void)message;
    return &too_much;
}

static void tell(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    CHECK(fault == &too_much && call->caller_id == 7);
    told++;
}

/* It is counted as what its caller is told, not as what the peer said. */
static void test_not_taken(void)
{
    struct mf_loop *loop;
    struct bare bare;
    const char *why;
    static const uint8_t stats[MF_OUTCOMES];
    static const struct mf_caller_ops ops = {.deliver = take_nothing, .answer = tell, .stats = stats};
    static const struct mf_callee_ops callee_ops;
    struct mf_caller caller;
    struct mf_callee callee;
    int rc = 0;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &loop, &why), 0);
    open_bare(&bare, loop, 3);
    mf_caller_init(&caller, &ops, NULL, &bare.local.traffic[MF_OUTBOUND]);
    mf_callee_init(&callee, &callee_ops);
    struct mf_message message = {.parts = MF_PART_WHOLE, .outcome = MF_OUTCOME_OK};
    for (int i = 0; i < 2; i++) { /* whole, and in its first part */
        struct mf_call *call = mf_call_begin(&bare.calls, &caller, 7, 2, true, &rc);
        CHECK(call != NULL);
        mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &callee});
        mf_call_step(call, i ? MF_CALL_ON_PART : MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &message});
        CHECK_INT(told, i + 1);
        CHECK_INT(bare.calls.n_live, 0);
        CHECK_INT(callee.n_calls, 0);
        CHECK_INT(mf_load_relaxed(&bare.local.ended_here[MF_OUTCOME_OVERLOAD]), i + 1);
        CHECK_INT(mf_load_relaxed(&bare.local.counters.answers), 0);
    }
    close_bare(&bare);
    mf_loop_free(loop);
}

int main(void)
{
    test_table();
    test_ids();
    test_not_taken();
    return test_end("call");
}
