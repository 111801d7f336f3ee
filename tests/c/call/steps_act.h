#pragma once
/* steps_act: what is done to a real call, and what the model says of it (test_call_steps.c). */
#include "steps_world.h"

enum { BEGIN_TWO_WAY = MF_CALL_EVENTS, BEGIN_ONE_WAY, DETACH, ACTS };

static void begin(int n, bool two_way)
{
    struct plan *plan = &w.plans[n];
    int rc = 0;
    *plan = (struct plan){.state = MF_CALL_ROUTING, .two_way = two_way, .has_down = true, .bytes = (uint32_t)(FRAME + n)};
    plan->call = mf_call_begin(&w.bare.calls, &w.caller, 700 + (uint64_t)n, 2, two_way, &rc);
    CHECK(plan->call != NULL);
    plan->id = plan->call->id;
    plan->call->by_table = n == 0; /* what waited is kept once it is sent, until it is answered */
    plan->keeps = n == 0 && two_way;
    plan->call->bytes_up = plan->bytes;
    mf_call_set_stat(plan->call, w.stat, false);
    mf_call_set_timeout(plan->call, 3600000);
    w.want.calls++;
    w.want.begun++;
}

static void sent(const struct plan *plan)
{
    w.want.bytes_up += plan->bytes;
}

static void ended_as(struct plan *plan, enum mf_outcome outcome, int status_index)
{
    w.want.done++;
    w.want.status[status_index]++;
    w.want.outcome[outcome] += outcome != MF_OUTCOME_OK;
    w.want.here[outcome] += outcome > MF_OUTCOME_REMOTE_ERROR;
    plan->has_down = plan->has_frame = plan->answering = false;
}

static void ended(struct plan *plan, enum mf_outcome outcome)
{
    ended_as(plan, outcome, stats[outcome]);
}

static void told(const struct plan *plan)
{
    if (plan->two_way && plan->has_down)
        w.want.refused++;
}

/* The model: what the event means for a call in a state. Returns the next state. */
static int means(struct plan *plan, int event)
{
    switch (event) {
    case MF_CALL_ON_SENT:
        sent(plan);
        w.want.one_way++;
        w.want.asked++;
        w.want.stat_one_way++;
        ended(plan, MF_OUTCOME_OK);
        return MF_CALL_FREE;
    case MF_CALL_ON_ASKED:
        sent(plan);
        w.want.asked++;
        plan->has_frame = plan->has_frame && plan->keeps;
        return MF_CALL_SENT;
    case MF_CALL_ON_WAIT:
        plan->has_frame = true;
        return MF_CALL_QUEUED;
    case MF_CALL_ON_RETRY:
        w.want.retried++;
        w.want.routed_again++;
        plan->has_frame = false;
        return MF_CALL_ROUTING;
    case MF_CALL_ON_FAULT:
        told(plan);
        ended(plan, MF_OUTCOME_NONE_UP);
        return MF_CALL_FREE;
    case MF_CALL_ON_MORE:
        w.want.more++;
        w.want.bytes_up += BODY;
        return MF_CALL_SENT;
    case MF_CALL_ON_PART:
        w.want.parts++;
        w.want.bytes_down += BODY;
        plan->answering = true;
        return MF_CALL_SENT;
    case MF_CALL_ON_ANSWER:
        w.want.answers++;
        w.want.delivered++;
        w.want.bytes_down += BODY;
        w.want.waits++;
        ended(plan, w.outcome);
        return MF_CALL_FREE;
    case MF_CALL_ON_TIMEOUT:
        w.want.timeouts++;
        timeouts_of_sent += plan->state == MF_CALL_SENT;
        CHECK_INT(doubts, timeouts_of_sent); /* a peer is doubted for what was sent to it, and for nothing else */
        told(plan);
        ended(plan, MF_OUTCOME_TIMEOUT);
        return MF_CALL_FREE;
    case MF_CALL_ON_UP_LOST:
        told(plan);
        ended_as(plan, MF_OUTCOME_LOST, MF_STAT_LOST);
        return MF_CALL_FREE;
    default: /* MF_CALL_ON_DOWN_LOST */
        w.want.abandoned++;
        ended_as(plan, MF_OUTCOME_CANCELLED, MF_STAT_LOST);
        return MF_CALL_FREE;
    }
}

static void step(struct plan *plan, int event)
{
    struct mf_fault fault = {MF_OUTCOME_NONE_UP, "down"};
    struct mf_message message = {.parts = MF_PART_WHOLE, .outcome = w.outcome, .stat = stats[w.outcome], .head = &w,
                                 .data = mf_slice_of("answer.", BODY)};
    if (event == MF_CALL_ON_PART || event == MF_CALL_ON_MORE)
        message.parts = MF_PART_DATA;
    struct mf_call_input input = {.callee = &w.callee, .queue = &w.queue, .fault = &fault, .message = &message};
    if (event == MF_CALL_ON_WAIT && plan->state == MF_CALL_ROUTING) { /* one that was sent has its frame already */
        plan->frame = mf_block_new(plan->bytes, NULL);
        input.frame = mf_block_take(plan->frame);
    }
    mf_call_step(plan->call, (enum mf_call_event)event, &input);
}

static void act(int n, int what)
{
    struct plan *plan = &w.plans[n];
    if (what == BEGIN_TWO_WAY || what == BEGIN_ONE_WAY) {
        begin(n, what == BEGIN_TWO_WAY);
        return;
    }
    if (what == DETACH) {
        mf_call_detach(plan->call);
        plan->has_down = false;
        return;
    }
    uint64_t spoke = w.got.delivered + w.got.parts + w.got.refused;
    w.outcome = what == MF_CALL_ON_ANSWER && n ? MF_OUTCOME_REMOTE_ERROR : MF_OUTCOME_OK;
    w.about = NULL;
    w.driven[plan->state][what] = true;
    uint8_t outcome = w.outcome;
    bool answers = what == MF_CALL_ON_ANSWER || what == MF_CALL_ON_PART;
    step(plan, what);
    w.outcome = answers ? outcome : w.outcome;
    if (w.got.delivered + w.got.parts + w.got.refused != spoke) { /* to this call's caller, under its own id */
        CHECK(w.about == plan->call);
        CHECK_INT(w.told_id, 700 + n);
        if (!answers)
            CHECK_INT(w.outcome, what == MF_CALL_ON_TIMEOUT ? MF_OUTCOME_TIMEOUT : MF_OUTCOME_NONE_UP);
    }
    bool had_frame = plan->has_frame;
    plan->state = means(plan, what);
    if (had_frame && !plan->has_frame) {
        CHECK(!mf_block_shared(plan->frame)); /* the call's reference is gone, once */
        mf_block_give(plan->frame);
        plan->frame = NULL;
    }
}

/* What may happen to a call, by what the protocols do: a two-way call is never only sent, a one-way never asked. */
static bool may(const struct plan *plan, int what)
{
    if (!plan->call || plan->state == MF_CALL_FREE)
        return what == BEGIN_TWO_WAY || what == BEGIN_ONE_WAY;
    if (what == DETACH)
        return !plan->two_way && plan->has_down;
    if (plan->state == MF_CALL_SENT && what == MF_CALL_ON_WAIT && !plan->has_frame)
        return false;
    enum mf_call_state next;
    if (what >= MF_CALL_EVENTS || !mf_call_legal((enum mf_call_state)plan->state, (enum mf_call_event)what, &next))
        return false;
    if (plan->two_way)
        return what != MF_CALL_ON_SENT;
    return what != MF_CALL_ON_ASKED && what != MF_CALL_ON_DOWN_LOST;
}
