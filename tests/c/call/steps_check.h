#pragma once
/* steps_check: what must hold after every act (test_call_steps.c). */
#include "steps_world.h"

static uint64_t length(const struct mf_list *list)
{
    uint64_t n = 0;
    for (const struct mf_list *node = list->next; node != list; node = node->next) {
        CHECK(node->next->prev == node);
        n++;
    }
    return n;
}

static bool on(const struct mf_list *list, const struct mf_list *wanted)
{
    for (const struct mf_list *node = list->next; node != list; node = node->next)
        if (node == wanted)
            return true;
    return false;
}

static void read_counts(void)
{
    const struct mf_counters *c = &w.bare.local.counters;
    struct mf_stat_shard all;
    memset(&all, 0, sizeof all);
    mf_stat_sum(w.stat, &all);
    w.got.calls = c->calls;
    w.got.one_way = c->calls_one_way;
    w.got.retried = c->calls_retried;
    w.got.abandoned = c->calls_abandoned;
    w.got.answers = c->answers;
    w.got.timeouts = c->limit_call_timeout;
    w.got.begun = all.begun;
    w.got.done = all.done;
    w.got.stat_one_way = all.one_way;
    w.got.bytes_up = all.bytes_up;
    w.got.bytes_down = all.bytes_down;
    w.got.waits = 0;
    for (int i = 0; i < MF_STAT_BUCKETS; i++)
        w.got.waits += all.latency[i];
    for (int i = 0; i < MF_STAT_STATUS; i++)
        w.got.status[i] = all.status[i];
    for (int i = 0; i < MF_OUTCOMES; i++) {
        w.got.outcome[i] = all.outcome[i];
        w.got.here[i] = mf_load_relaxed(&w.bare.local.ended_here[i]);
    }
    w.got.asked = w.callee.n_asked;
}

static void check_world(void)
{
    uint64_t live = 0, downs = 0, ups = 0, queue = 0, queued = 0, kept = 0;
    for (int n = 0; n < CALLS; n++) {
        const struct plan *plan = &w.plans[n];
        struct mf_call *call = plan->call;
        if (!call)
            continue;
        if (plan->state == MF_CALL_FREE) {
            CHECK(mf_calls_find(&w.bare.calls, plan->id) == NULL || w.plans[!n].id == plan->id);
            continue;
        }
        live++;
        downs += plan->has_down;
        ups += plan->state == MF_CALL_SENT;
        queue += plan->state == MF_CALL_QUEUED;
        queued += plan->state == MF_CALL_QUEUED ? plan->bytes : 0;
        kept += plan->state == MF_CALL_SENT && plan->has_frame ? plan->bytes : 0;
        CHECK_INT(call->state, plan->state);
        CHECK(call->id == plan->id && mf_calls_find(&w.bare.calls, plan->id) == call);
        CHECK(call->caller == (plan->has_down ? &w.caller : NULL));
        CHECK(on(&w.caller.calls, &call->asked) == plan->has_down);
        CHECK(call->callee == (plan->state == MF_CALL_SENT ? &w.callee : NULL));
        CHECK(on(&w.callee.calls, &call->place) == (plan->state == MF_CALL_SENT));
        CHECK(call->queue == (plan->state == MF_CALL_QUEUED ? &w.queue : NULL));
        CHECK(on(&w.queue.calls, &call->place) == (plan->state == MF_CALL_QUEUED));
        CHECK(call->frame == (plan->has_frame ? plan->frame : NULL));
        CHECK(!plan->frame || mf_block_shared(plan->frame));
        CHECK(call->timer.at != 0 && call->stat != NULL);
        CHECK(call->answering == plan->answering);
    }
    CHECK_INT(w.bare.calls.n_live, live);
    CHECK_INT(mf_load_relaxed(&w.bare.local.traffic[MF_INBOUND].active), live);
    CHECK_INT(mf_load_relaxed(&w.bare.local.traffic[MF_OUTBOUND].active), 0);
    CHECK_INT(w.bare.calls._n_slots, live + length(&w.bare.calls._free)); /* no slot is lost, none is twice free */
    CHECK_INT(mf_loop_timers(w.loop)->_count, live);
    CHECK_INT(w.caller.n_calls, downs);
    CHECK_INT(length(&w.caller.calls), downs);
    CHECK_INT(w.callee.n_calls, ups);
    CHECK_INT(length(&w.callee.calls), ups);
    CHECK_INT(length(&w.queue.calls), queue);
    CHECK_INT(w.queue.bytes, queued);
    CHECK_INT(w.bare.calls.kept, kept);
    read_counts();
    CHECK_INT(w.got.begun - w.got.done, live); /* what keeps a stat from being freed under a call */
    CHECK(memcmp(&w.got, &w.want, sizeof w.got) == 0);
}
