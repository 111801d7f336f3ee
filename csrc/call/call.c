#include "call/call.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/beside.h"

#include <assert.h>
#include <errno.h>

enum { PAGE_BITS = 8, PAGE_CALLS = 1 << PAGE_BITS };

static struct mf_call *slot(const struct mf_calls *calls, uint32_t n)
{
    return &calls->_pages[n >> PAGE_BITS][n & (PAGE_CALLS - 1)];
}

int mf_calls_init(struct mf_calls *calls, struct mf_local *local)
{
    uint64_t max = local->limits->max_calls;
    if (max > 1u << MF_CALL_SLOT_BITS)
        max = 1u << MF_CALL_SLOT_BITS;
    uint64_t half_own = local->limits->max_calls_per_connection / 2;
    uint64_t max_tries = local->limits->max_tries;
    *calls = (struct mf_calls){.local = local, .max = (uint32_t)max, .half = (uint32_t)max / 2,
                               .max_tries = max_tries < UINT16_MAX ? (uint16_t)max_tries : UINT16_MAX - 1,
                               .half_own = half_own < UINT32_MAX ? (uint32_t)half_own : UINT32_MAX};
    mf_list_init(&calls->_free);
    mf_queue_init(&calls->delayed);
    calls->_pages = mf_zalloc(((max + PAGE_CALLS - 1) >> PAGE_BITS) * sizeof *calls->_pages);
    return calls->_pages ? 0 : -ENOMEM;
}

void mf_calls_dispose(struct mf_calls *calls)
{
    for (uint32_t i = 0; i < calls->_n_pages; i++)
        mf_free(calls->_pages[i]);
    mf_free(calls->_pages);
    calls->_pages = NULL;
}

struct mf_call *mf_calls_find(const struct mf_calls *calls, uint64_t id)
{
    uint32_t n = id & ((1u << MF_CALL_SLOT_BITS) - 1);
    if (n >= calls->_n_slots)
        return NULL;
    struct mf_call *call = slot(calls, n);
    return call->id == id && call->state != MF_CALL_FREE ? call : NULL;
}

void mf_calls_fetch(const struct mf_calls *calls, uint64_t id)
{
    uint32_t n = id & ((1u << MF_CALL_SLOT_BITS) - 1);
    if (n < calls->_n_slots)
        mf_fetch(slot(calls, n), sizeof(struct mf_call));
}

static struct mf_call *take(struct mf_calls *calls, int *rc)
{
    struct mf_list *node = mf_list_shift(&calls->_free);
    if (node) {
        calls->n_live++;
        if (!mf_list_empty(&calls->_free))
            mf_fetch(MF_CONTAINER(calls->_free.next, struct mf_call, place), sizeof(struct mf_call));
        return MF_CONTAINER(node, struct mf_call, place);
    }
    if (calls->_n_slots >= calls->max) {
        *rc = MF_ELIMIT;
        return NULL;
    }
    uint32_t n = calls->_n_slots;
    if (n >> PAGE_BITS == calls->_n_pages) {
        struct mf_call *page = mf_zalloc(PAGE_CALLS * sizeof *page);
        if (!page) {
            *rc = -ENOMEM;
            return NULL;
        }
        calls->_pages[calls->_n_pages++] = page;
    }
    calls->_n_slots++;
    calls->n_live++;
    struct mf_call *call = slot(calls, n);
    call->id = n;
    return call;
}

static void on_deadline(struct mf_timer *timer)
{
    mf_call_step(MF_CONTAINER(timer, struct mf_call, timer), MF_CALL_ON_TIMEOUT, &(struct mf_call_input){0});
}

void mf_caller_init(struct mf_caller *caller, const struct mf_caller_ops *ops, void *inlet, struct mf_traffic *traffic)
{
    caller->ops = ops;
    caller->inlet = inlet;
    caller->traffic = traffic;
    mf_list_init(&caller->calls);
    caller->n_calls = 0;
    caller->ending = false;
    caller->suspected_by = NULL;
    caller->suspected_until = 0;
    caller->deadly = caller->rash = caller->odd = false;
    caller->cuts = (struct mf_lately){0};
    caller->kept = caller->held = 0;
}

void mf_callee_init(struct mf_callee *callee, const struct mf_callee_ops *ops)
{
    callee->ops = ops;
    callee->addr = NULL;
    mf_list_init(&callee->calls);
    callee->spared = false;
    callee->n_asked = callee->n_calls = 0;
}

void mf_queue_init(struct mf_queue *queue)
{
    mf_list_init(&queue->calls);
    queue->bytes = 0;
    queue->n_calls = 0;
}

struct mf_call *mf_call_begin(struct mf_calls *calls, struct mf_caller *caller, uint64_t caller_id, uint8_t kind,
                              bool two_way, int *rc)
{
    struct mf_local *local = calls->local;
    struct mf_call *call = take(calls, rc);
    if (!call)
        return NULL;
    /* The next use of a slot has another id: an answer to an earlier use finds nothing. */
    uint64_t id = call->id + (1ULL << MF_CALL_SLOT_BITS);
    /* Each field by its own store: clearing the whole first costs more than all the rest of a call's beginning. */
    call->calls = calls;
    call->inlet = caller->inlet;
    call->traffic = caller->traffic;
    call->caller = caller;
    call->callee = NULL;
    call->queue = NULL;
    call->id = id;
    call->caller_id = caller_id;
    call->begun = mf_local_now(local);
    call->deadline = 0;
    call->timer.at = 0;
    call->stat = NULL;
    call->ops = caller->ops;
    call->frame = NULL;
    call->bytes_up = 0;
    call->state = MF_CALL_ROUTING;
    call->kind = kind;
    call->two_way = two_way;
    call->tries = 0;
    call->by_table = false;
    call->asking = false;
    call->beside = 0;
    call->answering = false;
    call->marked = false;
    call->timeless = false;
    mf_list_init(&call->place);
    mf_list_push(&caller->calls, &call->asked);
    caller->n_calls++;
    MF_COUNT(local, calls);
    mf_count(&caller->traffic->active, 1);
    mf_store_relaxed(&caller->traffic->last, call->begun);
    return call;
}

void mf_call_set_timeout(struct mf_call *call, uint64_t timeout_ms)
{
    uint64_t at = call->begun + timeout_ms * 1000000;
    if (call->deadline && call->deadline < at)
        return;
    call->deadline = at;
    mf_timer_set(mf_loop_timers(call->calls->local->loop), &call->timer, at, on_deadline);
}

/* --- what a step does; the state is already the next one */

static void leave_caller(struct mf_call *call)
{
    if (call->caller) {
        mf_list_remove(&call->asked);
        call->caller->n_calls--;
        call->caller = NULL;
    }
}

static void leave_queue(struct mf_call *call)
{
    if (call->queue) {
        call->queue->bytes -= call->bytes_up;
        call->calls->local->budget.for_peers -= call->bytes_up;
        call->queue->n_calls--;
    }
    call->queue = NULL;
}

static inline __attribute__((always_inline)) void leave_list(struct mf_call *call)
{
    mf_list_remove(&call->place);
    if (call->callee) {
        if (call->callee->ops->left)
            call->callee->ops->left(call->callee, call);
        call->callee->n_calls--;
        call->callee = NULL;
        if (call->frame)
            call->calls->kept -= call->bytes_up;
    }
    leave_queue(call);
}

static void leave_place(struct mf_call *call)
{
    leave_list(call);
    if (call->frame)
        mf_block_give(call->frame);
    call->frame = NULL;
}

static void end(struct mf_call *call)
{
    struct mf_calls *calls = call->calls;
    struct mf_local *local = calls->local;
    struct mf_caller *caller = call->caller;
    leave_caller(call);
    leave_place(call);
    mf_timer_cancel(mf_loop_timers(local->loop), &call->timer);
    call->stat = NULL;
    call->state = MF_CALL_FREE;
    calls->n_live--;
    mf_list_unshift(&calls->_free, &call->place); /* the next call takes it while it is in the cache */
    struct mf_traffic *traffic = call->traffic;
    mf_store_relaxed(&traffic->last, mf_local_now(local));
    /* Who sees that none is in flight sees when the last one ended. */
    mf_store_release(&traffic->active, mf_load_relaxed(&traffic->active) - 1);
    if (caller && caller->ending && caller->n_calls == 0)
        caller->ops->idle(caller);
}

/* Where it is over: before it leaves its callee. */
static inline __attribute__((always_inline)) void count_end(struct mf_call *call, int status_index,
                                                            enum mf_outcome outcome, uint64_t bytes_down, uint32_t code)
{
    if (call->beside)
        mf_beside_end(call, status_index, outcome, bytes_down, code);
    if (!call->stat)
        return;
    mf_count(&call->stat->status[status_index], 1);
    if (outcome != MF_OUTCOME_OK) /* see table/stat.h */
        mf_count(&call->stat->outcome[outcome], 1);
    mf_count(&call->stat->done, 1); /* the last word on the stat: it may be freed after this */
    call->stat = NULL;
}

static void count_fault(struct mf_call *call, const struct mf_fault *fault)
{
    bool by_rule = fault->outcome == MF_OUTCOME_RULE && call->ops->stat_of;
    int index = by_rule ? call->ops->stat_of(call, fault) : call->ops->stats[fault->outcome];
    mf_count(&call->calls->local->ended_here[fault->outcome], 1);
    count_end(call, index, fault->outcome, 0, 0);
}

void mf_call_set_shard(struct mf_call *call, struct mf_stat_shard *shard)
{
    call->stat = shard;
    if (shard)
        mf_count(&shard->begun, 1);
}

void mf_call_set_stat(struct mf_call *call, struct mf_stat *stat, bool fallback)
{
    if (call->stat)
        mf_count(&call->stat->done, 1);
    call->stat = stat ? mf_stat_shard(stat, call->calls->local->reader) : NULL;
    if (!call->stat)
        return;
    mf_count(&call->stat->begun, 1);
    if (fallback)
        mf_count(&call->stat->fallbacks, 1);
}

static void count_latency(struct mf_call *call)
{
    call->took = mf_local_now(call->calls->local) - call->begun;
    if (!call->stat)
        return;
    mf_count(&call->stat->latency[mf_stat_bucket(call->took)], 1);
    mf_count(&call->stat->latency_sum_ns, call->took);
}

static void count_sent(struct mf_call *call)
{
    if (call->stat)
        mf_count(&call->stat->bytes_up, call->bytes_up);
}

static void forget_one_way(struct mf_call *call, const struct mf_call_input *input)
{
    count_sent(call);
    MF_COUNT(call->calls->local, calls_one_way);
    if (call->stat)
        mf_count(&call->stat->one_way, 1);
    if (input->callee) {
        input->callee->n_asked++;
        if (call->beside & MF_BESIDE_NOTE)
            mf_beside_sent(call, input->callee);
    }
    count_end(call, call->ops->stats[MF_OUTCOME_OK], MF_OUTCOME_OK, 0, 0);
    end(call);
}

bool mf_call_may_keep(const struct mf_call *call, uint32_t bytes)
{
    struct mf_local *local = call->calls->local;
    if ((!call->by_table && !call->ops->asked) || !call->two_way)
        return false;
    if (call->calls->kept + bytes <= local->limits->max_kept)
        return true;
    MF_COUNT(local, limit_max_kept);
    return false;
}

void mf_call_unkeep(struct mf_call *call)
{
    if (!call->frame || !call->callee)
        return;
    call->calls->kept -= call->bytes_up;
    mf_block_give(call->frame);
    call->frame = NULL;
}

/* The first calls on a connection keep their frames. */
static void leave_queued(struct mf_call *call)
{
    leave_list(call);
    if (mf_call_may_keep(call, call->bytes_up))
        return;
    mf_block_give(call->frame);
    call->frame = NULL;
}

static void follow(struct mf_call *call)
{
    if (call->timeless && call->deadline) {
        mf_timer_cancel(mf_loop_timers(call->calls->local->loop), &call->timer);
        call->deadline = 0;
    }
    if (call->beside)
        mf_beside_asked(call);
    call->ops->asked(call->caller, call);
}

static void await_answer(struct mf_call *call, const struct mf_call_input *input)
{
    if (call->queue) {
        leave_queued(call);
        if (call->beside & MF_BESIDE_GOVERNED)
            call->calls->governing->asked(call);
    } else {
        call->frame = input->frame;
    }
    if (call->frame)
        call->calls->kept += call->bytes_up;
    call->callee = input->callee;
    call->callee->n_calls++;
    call->callee->n_asked++;
    mf_list_push(&call->callee->calls, &call->place);
    if (call->ops->asked)
        follow(call); /* what counts is its content, part by part */
    else
        count_sent(call);
}

static void join_queue(struct mf_call *call, const struct mf_call_input *input)
{
    call->queue = input->queue;
    call->queue->bytes += call->bytes_up;
    call->calls->local->budget.for_peers += call->bytes_up;
    call->queue->n_calls++;
    call->frame = input->frame;
    mf_list_push(&input->queue->calls, &call->place);
}

/* It was sent, and will be again; it is kept. */
static void put_off(struct mf_call *call, const struct mf_call_input *input)
{
    struct mf_block *frame = call->frame;
    if (call->beside & MF_BESIDE_GOVERNED)
        call->calls->governing->tried(call, false);
    leave_list(call);
    join_queue(call, &(struct mf_call_input){.queue = input->queue, .frame = frame});
}

/* The frame stays with the call: it is what the next try sends. */
static void choose_again(struct mf_call *call, const struct mf_call_input *input)
{
    struct mf_queue *waited = call->queue ? call->queue : input->queue;
    if (call->beside & MF_BESIDE_GOVERNED && !input->back)
        call->calls->governing->tried(call, input->failed);
    leave_list(call);
    if (waited == &call->calls->delayed)
        waited = NULL;
    else
        MF_COUNT(call->calls->local, calls_retried);
    call->ops->route_again(call, waited, input->back);
}

static void tell_caller(struct mf_call *call, const struct mf_fault *fault)
{
    if (!call->two_way)
        MF_COUNT(call->calls->local, calls_one_way_dropped);
    else if (call->caller)
        call->ops->answer(call->caller, call, fault);
}

/* It is the caller's doing that its callee is not heard out. */
static void cut(struct mf_call *call)
{
    if (call->callee && call->callee->ops->cut && call->caller)
        call->callee->ops->cut(call->callee, call);
}

static void refuse(struct mf_call *call, const struct mf_call_input *input)
{
    tell_caller(call, input->fault);
    count_fault(call, input->fault);
    end(call);
}

static void time_out(struct mf_call *call, const struct mf_call_input *input)
{
    (void)input;
    struct mf_fault fault = {
        .outcome = MF_OUTCOME_TIMEOUT,
        .text = call->callee ? "meshfast: the provider did not answer in time"
                             : "meshfast: no connection to a provider was made in time",
    };
    MF_COUNT(call->calls->local, limit_call_timeout);
    if (call->callee)
        call->callee->ops->doubt(call->callee, call->begun);
    cut(call);
    tell_caller(call, &fault);
    count_fault(call, &fault);
    end(call);
}

/* Whether policy lets it try again in place of that answer; NULL: its connection was lost. */
static __attribute__((noinline, cold)) bool tries_again(struct mf_call *call, const struct mf_message *message)
{
    uint8_t next = call->state;
    call->state = MF_CALL_SENT;
    if (call->calls->governing->again(call, message))
        return true;
    call->state = next;
    return false;
}

static void lose(struct mf_call *call, const struct mf_call_input *input)
{
    if ((call->beside & MF_BESIDE_GOVERNED) && !call->answering && tries_again(call, NULL))
        return;
    tell_caller(call, input->fault);
    mf_count(&call->calls->local->ended_here[MF_OUTCOME_LOST], 1);
    count_end(call, MF_STAT_LOST, MF_OUTCOME_LOST, 0, 0);
    end(call);
}

static void abandon(struct mf_call *call, const struct mf_call_input *input)
{
    (void)input;
    cut(call);
    MF_COUNT(call->calls->local, calls_abandoned);
    mf_count(&call->calls->local->ended_here[MF_OUTCOME_CANCELLED], 1);
    count_end(call, MF_STAT_LOST, MF_OUTCOME_CANCELLED, 0, 0);
    end(call);
}

static void send_more(struct mf_call *call, const struct mf_call_input *input)
{
    if (call->stat)
        mf_count(&call->stat->bytes_up, input->message->data.len);
    if (call->beside)
        mf_beside_more(call, input->message);
    call->asking = !(input->message->parts & MF_PART_END);
    call->callee->ops->more(call->callee, call, input->message);
}

static __attribute__((noinline, cold)) bool not_taken(struct mf_call *call, const struct mf_fault *fault)
{
    cut(call);
    refuse(call, &(struct mf_call_input){.fault = fault});
    return false;
}

/* False: they were not taken, and it is over, or tries again. */
static inline __attribute__((always_inline)) bool hand_on(struct mf_call *call, const struct mf_message *message, bool ends)
{
    if (__builtin_expect(call->beside & MF_BESIDE_GOVERNED, 0) && !call->answering && tries_again(call, message))
        return false;
    if (ends)
        count_latency(call);
    const struct mf_fault *fault = call->ops->deliver(call->caller, call, message);
    if (fault)
        return not_taken(call, fault);
    if (call->stat)
        mf_count(&call->stat->bytes_down, message->data.len);
    return true;
}

static void deliver_part(struct mf_call *call, const struct mf_call_input *input)
{
    if (!hand_on(call, input->message, false))
        return;
    call->answering = true;
    if (call->beside & MF_BESIDE_NOTE)
        mf_call_note(call)->down += input->message->data.len;
}

static void deliver(struct mf_call *call, const struct mf_call_input *input)
{
    if (!hand_on(call, input->message, true))
        return;
    MF_COUNT(call->calls->local, answers);
    count_end(call, input->message->stat, input->message->outcome, input->message->data.len, input->message->code);
    end(call);
}

struct row {
    void (*act)(struct mf_call *call, const struct mf_call_input *input);
    uint8_t next;
};

enum { ROW = 16 }; /* a power of two: found by a shift */
_Static_assert((int)MF_CALL_EVENTS <= (int)ROW, "a row has room for every event");

static const struct row table[MF_CALL_STATES][ROW] = {
    [MF_CALL_ROUTING] =
        {
            [MF_CALL_ON_SENT] = {forget_one_way, MF_CALL_FREE},
            [MF_CALL_ON_ASKED] = {await_answer, MF_CALL_SENT},
            [MF_CALL_ON_WAIT] = {join_queue, MF_CALL_QUEUED},
            [MF_CALL_ON_FAULT] = {refuse, MF_CALL_FREE},
        },
    [MF_CALL_QUEUED] =
        {
            [MF_CALL_ON_SENT] = {forget_one_way, MF_CALL_FREE},
            [MF_CALL_ON_ASKED] = {await_answer, MF_CALL_SENT},
            [MF_CALL_ON_RETRY] = {choose_again, MF_CALL_ROUTING},
            [MF_CALL_ON_FAULT] = {refuse, MF_CALL_FREE},
            [MF_CALL_ON_TIMEOUT] = {time_out, MF_CALL_FREE},
            [MF_CALL_ON_DOWN_LOST] = {abandon, MF_CALL_FREE},
        },
    [MF_CALL_SENT] =
        {
            [MF_CALL_ON_WAIT] = {put_off, MF_CALL_QUEUED},
            [MF_CALL_ON_MORE] = {send_more, MF_CALL_SENT},
            [MF_CALL_ON_PART] = {deliver_part, MF_CALL_SENT},
            [MF_CALL_ON_ANSWER] = {deliver, MF_CALL_FREE},
            [MF_CALL_ON_RETRY] = {choose_again, MF_CALL_ROUTING},
            [MF_CALL_ON_FAULT] = {refuse, MF_CALL_FREE},
            [MF_CALL_ON_TIMEOUT] = {time_out, MF_CALL_FREE},
            [MF_CALL_ON_UP_LOST] = {lose, MF_CALL_FREE},
            [MF_CALL_ON_DOWN_LOST] = {abandon, MF_CALL_FREE},
        },
};

void mf_call_step(struct mf_call *call, enum mf_call_event event, const struct mf_call_input *input)
{
    const struct row *row = &table[call->state][event];
    assert(row->act);
    call->state = row->next;
    row->act(call, input);
}

void mf_call_detach(struct mf_call *call)
{
    leave_caller(call);
}

void mf_caller_gone(struct mf_caller *caller)
{
    while (!mf_list_empty(&caller->calls)) {
        struct mf_call *call = MF_CONTAINER(caller->calls.next, struct mf_call, asked);
        if (call->two_way)
            mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
        else
            mf_call_detach(call);
    }
}

void mf_callee_gone(struct mf_callee *callee, const struct mf_fault *fault)
{
    struct mf_list *node;
    while ((node = mf_list_shift(&callee->calls)))
        mf_call_step(MF_CONTAINER(node, struct mf_call, place), MF_CALL_ON_UP_LOST, &(struct mf_call_input){.fault = fault});
}

bool mf_call_legal(enum mf_call_state state, enum mf_call_event event, enum mf_call_state *next)
{
    *next = table[state][event].next;
    return table[state][event].act != NULL;
}
