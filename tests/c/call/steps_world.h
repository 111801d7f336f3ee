#pragma once
/* steps_world: real calls between ends and a queue of their own, and beside them what a model says of each: its state,
 * and all that should have been told and counted (test_call_steps.c). */
#include "bare.h"

enum { CALLS = 2, FRAME = 40, BODY = 7 };

/* What the ends were told, and what was counted. */
struct sums {
    uint64_t calls, one_way, retried, abandoned, answers, timeouts; /* the local's counters */
    uint64_t delivered, parts, more, refused, routed_again;         /* the ends' functions */
    uint64_t begun, done, stat_one_way, bytes_up, bytes_down, waits; /* the stat */
    uint64_t status[MF_STAT_STATUS], outcome[MF_OUTCOMES], here[MF_OUTCOMES]; /* OK is not counted */
    uint64_t asked;                                                 /* the callee's */
};

/* A call as the model sees it. */
struct plan {
    struct mf_call *call; /* NULL: never begun */
    uint64_t id;
    int state;
    bool two_way, has_down, has_frame, answering, keeps;
    uint32_t bytes;         /* of its request; different for each call */
    struct mf_block *frame; /* of ours, with a reference of our own, so that a give too many shows */
};

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_caller caller;
    struct mf_callee callee;
    struct mf_queue queue;
    int idle; /* times that the caller was told that its last call has ended */
    struct mf_stat *stat;
    struct sums got, want;
    struct plan plans[CALLS];
    uint8_t outcome;       /* of the answer or the fault under way */
    struct mf_call *about; /* the call that the last function of an end was given */
    uint64_t told_id;
    bool driven[MF_CALL_STATES][MF_CALL_EVENTS];
} w;

static void note(const struct mf_call *call)
{
    w.about = (struct mf_call *)(uintptr_t)call;
    w.told_id = call->caller_id;
}

static const struct mf_fault *note_deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    CHECK(caller == &w.caller && message->head == &w && message->data.len == BODY);
    CHECK(call->callee == &w.callee); /* still known */
    if (message->parts & MF_PART_END)
        w.got.delivered++;
    else
        w.got.parts++;
    note(call);
    return NULL;
}

static void note_answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    CHECK(caller == &w.caller);
    w.got.refused++;
    w.outcome = (uint8_t)fault->outcome;
    note(call);
}

/* As the real one: the frame is taken; here the walk says what comes next. */
static void note_route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    CHECK(waited == &w.queue && !back);
    CHECK(call->callee == NULL && call->queue == NULL && mf_list_empty(&call->place));
    mf_block_give(call->frame);
    call->frame = NULL;
    w.got.routed_again++;
    note(call);
}

static void note_idle(struct mf_caller *caller)
{
    CHECK(caller == &w.caller && caller->n_calls == 0);
    w.idle++;
}

static uint32_t doubts, timeouts_of_sent;

static void note_doubt(struct mf_callee *callee, uint64_t since)
{
    CHECK(callee == &w.callee && since > 0);
    doubts++;
}

static void note_more(struct mf_callee *callee, struct mf_call *call, const struct mf_message *message)
{
    CHECK(callee == &w.callee && message->data.len == BODY);
    CHECK(call->asking == !(message->parts & MF_PART_END));
    w.got.more++;
}

/* What each outcome is counted as: any places will do, if each has its own. */
static const uint8_t stats[MF_OUTCOMES] = {
    [MF_OUTCOME_OK] = 0, [MF_OUTCOME_REMOTE_ERROR] = 8, [MF_OUTCOME_NONE_UP] = 9, [MF_OUTCOME_TIMEOUT] = 3};

static const struct mf_caller_ops caller_ops = {
    .deliver = note_deliver, .answer = note_answer, .route_again = note_route_again, .idle = note_idle, .stats = stats};
static const struct mf_callee_ops callee_ops = {.more = note_more, .doubt = note_doubt};

static void open_world(void)
{
    const char *why;
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 0);
    mf_caller_init(&w.caller, &caller_ops, NULL, &w.bare.local.traffic[MF_INBOUND]);
    mf_callee_init(&w.callee, &callee_ops);
    mf_queue_init(&w.queue);
    w.stat = mf_zalloc(sizeof *w.stat);
}

static void free_stat(struct mf_stat *stat)
{
    struct mf_stat_shard **of = (struct mf_stat_shard **)(void *)mf_load_relaxed(&stat->_shards);
    for (int i = 0; of && i < MF_EPOCH_READERS; i++)
        mf_free(of[i]);
    mf_free(of);
    mf_free(stat);
}

static void close_world(void)
{
    free_stat(w.stat);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}
