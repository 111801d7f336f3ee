#include "proxy/call.h"

#include "base/err.h"
#include "base/mem.h"
#include "proxy/conn.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

#include <assert.h>
#include <errno.h>

enum { PAGE_BITS = 8, PAGE_CALLS = 1 << PAGE_BITS };

static struct mf_call *slot(const struct mf_calls *calls, uint32_t n)
{
    return &calls->_pages[n >> PAGE_BITS][n & (PAGE_CALLS - 1)];
}

int mf_calls_init(struct mf_calls *calls, uint64_t max)
{
    if (max > 1u << MF_CALL_SLOT_BITS)
        max = 1u << MF_CALL_SLOT_BITS;
    *calls = (struct mf_calls){._max = (uint32_t)max};
    mf_list_init(&calls->_free);
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

/* A call is spread over a few cache lines, which are in the far cache where thousands are in flight: asked for a call
 * ahead, they are there when it is its turn. */
static void fetch(const struct mf_call *call)
{
    const char *at = (const char *)call;
    for (size_t i = 0; i < sizeof *call; i += MF_CACHE_LINE)
        __builtin_prefetch(at + i, 1);
}

void mf_calls_fetch(const struct mf_calls *calls, uint64_t id)
{
    uint32_t n = id & ((1u << MF_CALL_SLOT_BITS) - 1);
    if (n < calls->_n_slots)
        fetch(slot(calls, n));
}

static struct mf_call *take(struct mf_calls *calls, int *rc)
{
    struct mf_list *node = mf_list_shift(&calls->_free);
    if (node) {
        calls->n_live++;
        if (!mf_list_empty(&calls->_free))
            fetch(MF_CONTAINER(calls->_free.next, struct mf_call, up_node));
        return MF_CONTAINER(node, struct mf_call, up_node);
    }
    if (calls->_n_slots >= calls->_max) {
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

struct mf_call *mf_call_begin(struct mf_worker *worker, struct mf_conn *down, uint64_t down_id, uint8_t serialization,
                              bool two_way, int *rc)
{
    struct mf_call *call = take(&worker->calls, rc);
    if (!call)
        return NULL;
    /* The next use of a slot has another id: an answer to an earlier use finds nothing. */
    uint64_t id = call->id + (1ULL << MF_CALL_SLOT_BITS);
    /* Each field by its own store: clearing the whole first costs more than all the rest of a call's beginning. */
    call->worker = worker;
    call->door = down->door;
    call->down = down;
    call->up = NULL;
    call->pool = NULL;
    call->id = id;
    call->down_id = down_id;
    call->begun = mf_worker_now(worker);
    call->deadline = 0;
    call->timer.at = 0;
    call->stat = NULL;
    call->ops = down->ops;
    call->frame = NULL;
    call->bytes_up = 0;
    call->state = MF_CALL_ROUTING;
    call->serialization = serialization & (MF_SERIALIZATIONS - 1);
    call->tries = 0;
    call->two_way = two_way;
    call->by_table = false;
    mf_list_init(&call->up_node);
    mf_list_push(&down->calls, &call->down_node);
    down->n_calls++;
    MF_COUNT(worker, calls);
    mf_store_relaxed(&worker->counters.calls_active, worker->calls.n_live);
    mf_count(&worker->serializations[call->serialization].calls, 1);
    mf_store_relaxed(&worker->last_call, call->begun);
    return call;
}

void mf_call_set_timeout(struct mf_call *call, uint64_t timeout_ms)
{
    uint64_t at = call->begun + timeout_ms * 1000000;
    if (call->deadline && call->deadline < at)
        return;
    call->deadline = at;
    mf_timer_set(mf_loop_timers(call->worker->loop), &call->timer, at, on_deadline);
}

/* --- what a step does; the state is already the next one */

static void leave_caller(struct mf_call *call)
{
    if (call->down) {
        mf_list_remove(&call->down_node);
        call->down->n_calls--;
        call->down = NULL;
    }
}

static void leave_queue(struct mf_call *call)
{
    if (call->pool)
        call->pool->queued -= call->bytes_up;
    call->pool = NULL;
}

static void leave_upstream(struct mf_call *call)
{
    mf_list_remove(&call->up_node);
    if (call->up) {
        call->up->n_calls--;
        call->up = NULL;
    }
    leave_queue(call);
    mf_block_give(call->frame);
    call->frame = NULL;
}

/* A downstream connection whose caller has finished is closed when its last call is. */
static void end(struct mf_call *call)
{
    struct mf_worker *worker = call->worker;
    struct mf_conn *down = call->down;
    leave_caller(call);
    leave_upstream(call);
    mf_timer_cancel(mf_loop_timers(worker->loop), &call->timer);
    call->stat = NULL;
    call->state = MF_CALL_FREE;
    worker->calls.n_live--;
    mf_list_unshift(&worker->calls._free, &call->up_node); /* the next call takes it while it is in the cache */
    mf_store_relaxed(&worker->counters.calls_active, worker->calls.n_live);
    mf_store_relaxed(&worker->last_call, mf_worker_now(worker));
    if (down && down->ending && down->n_calls == 0)
        mf_conn_doom(down, 0);
}

static void count_end(struct mf_call *call, int status_index)
{
    if (!call->stat)
        return;
    mf_count(&call->stat->status[status_index], 1);
    mf_count(&call->stat->done, 1); /* the last word on the stat: it may be freed after this */
    call->stat = NULL;
}

void mf_call_set_stat(struct mf_call *call, struct mf_stat *stat, bool fallback)
{
    if (call->stat)
        mf_count(&call->stat->done, 1);
    call->stat = stat ? mf_stat_shard(stat, call->worker->reader) : NULL;
    if (!call->stat)
        return;
    mf_count(&call->stat->begun, 1);
    if (fallback)
        mf_count(&call->stat->fallbacks, 1);
}

static void count_latency(struct mf_call *call, uint32_t bytes_down, uint8_t status)
{
    uint64_t took = mf_worker_now(call->worker) - call->begun;
    if (call->stat) {
        mf_count(&call->stat->bytes_down, bytes_down);
        mf_count(&call->stat->latency[mf_stat_bucket(took)], 1);
        mf_count(&call->stat->latency_sum_ns, took);
    }
    struct mf_serialization_counters *by_id = &call->worker->serializations[call->serialization];
    mf_count(&by_id->answers, 1);
    mf_count(&by_id->bytes_down, bytes_down);
    mf_count(&by_id->latency_sum_ns, took);
    if (status == 20)
        mf_count(&by_id->ok, 1);
    else
        mf_count(&by_id->errors, 1);
}

static void count_sent(struct mf_call *call)
{
    mf_count(&call->worker->serializations[call->serialization].bytes_up, call->bytes_up);
    if (call->stat)
        mf_count(&call->stat->bytes_up, call->bytes_up);
}

static void forget_one_way(struct mf_call *call, const struct mf_call_input *input)
{
    (void)input;
    count_sent(call);
    MF_COUNT(call->worker, calls_one_way);
    if (call->stat)
        mf_count(&call->stat->one_way, 1);
    count_end(call, mf_stat_status_index(20));
    end(call);
}

static void await_answer(struct mf_call *call, const struct mf_call_input *input)
{
    leave_upstream(call); /* the queue, where it was on one */
    count_sent(call);
    call->up = input->up;
    call->up->n_calls++;
    mf_list_push(&call->up->calls, &call->up_node);
}

static void join_queue(struct mf_call *call, const struct mf_call_input *input)
{
    call->pool = input->pool;
    call->pool->queued += call->bytes_up;
    call->frame = input->frame;
    mf_list_push(&input->pool->queue, &call->up_node);
}

/* The frame stays with the call: it is what the next try sends. */
static void choose_again(struct mf_call *call, const struct mf_call_input *input)
{
    (void)input;
    mf_list_remove(&call->up_node);
    leave_queue(call);
    MF_COUNT(call->worker, calls_retried);
    call->ops->route_again(call);
}

static void tell_caller(struct mf_call *call, const struct mf_fault *fault)
{
    if (call->two_way && call->down)
        call->ops->answer(call->down, call, fault);
}

static void refuse(struct mf_call *call, const struct mf_call_input *input)
{
    tell_caller(call, input->fault);
    count_end(call, mf_stat_status_index(input->fault->status));
    end(call);
}

static void time_out(struct mf_call *call, const struct mf_call_input *input)
{
    (void)input;
    struct mf_fault fault = mf_fault_of(-ETIMEDOUT, MF_SIDE_UPSTREAM);
    fault.text = call->up ? "meshfast: the provider did not answer in time"
                                                         : "meshfast: no connection to a provider was made in time";
    MF_COUNT(call->worker, limit_call_timeout);
    if (call->up)
        call->up->ops->doubt(call->up, call->begun);
    tell_caller(call, &fault);
    count_end(call, mf_stat_status_index(fault.status));
    end(call);
}

static void lose(struct mf_call *call, const struct mf_call_input *input)
{
    tell_caller(call, input->fault);
    count_end(call, MF_STAT_LOST);
    end(call);
}

static void abandon(struct mf_call *call, const struct mf_call_input *input)
{
    (void)input;
    MF_COUNT(call->worker, calls_abandoned);
    count_end(call, MF_STAT_LOST);
    end(call);
}

static void deliver(struct mf_call *call, const struct mf_call_input *input)
{
    MF_COUNT(call->worker, answers);
    count_latency(call, (uint32_t)input->body.len, input->status);
    count_end(call, mf_stat_status_index(input->status));
    call->ops->deliver(call->down, call, input->head, input->body);
    end(call);
}

static const struct {
    void (*act)(struct mf_call *call, const struct mf_call_input *input);
    uint8_t next;
} table[MF_CALL_STATES][MF_CALL_EVENTS] = {
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
            [MF_CALL_ON_ANSWER] = {deliver, MF_CALL_FREE},
            [MF_CALL_ON_FAULT] = {refuse, MF_CALL_FREE},
            [MF_CALL_ON_TIMEOUT] = {time_out, MF_CALL_FREE},
            [MF_CALL_ON_UP_LOST] = {lose, MF_CALL_FREE},
            [MF_CALL_ON_DOWN_LOST] = {abandon, MF_CALL_FREE},
        },
};

void mf_call_step(struct mf_call *call, enum mf_call_event event, const struct mf_call_input *input)
{
    assert(table[call->state][event].act);
    uint8_t state = call->state;
    call->state = table[state][event].next;
    table[state][event].act(call, input);
}

void mf_call_detach(struct mf_call *call)
{
    leave_caller(call);
}

bool mf_call_legal(enum mf_call_state state, enum mf_call_event event, enum mf_call_state *next)
{
    *next = table[state][event].next;
    return table[state][event].act != NULL;
}
