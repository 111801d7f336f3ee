#pragma once
/* steps_world: real calls on connections, a pool and a worker of their own, and beside them what a model says of each:
 * its state, and all that should have been told and counted (test_call_steps.c). */
#include "proxy/call.h"
#include "proxy/conn.h"
#include "proxy/pool.h"
#include "proxy/worker.h"
#include "test.h"

enum { CALLS = 2, FRAME = 40, BODY = 7 };

/* What the connections were told, and what was counted. */
struct sums {
    uint64_t calls, one_way, retried, abandoned, answers, timeouts; /* the worker's counters */
    uint64_t delivered, refused, routed_again;                      /* the protocol's functions */
    uint64_t begun, done, stat_one_way, bytes_up, bytes_down, waits; /* the stat */
    uint64_t status[MF_STAT_STATUS];
    uint64_t by_id_calls, by_id_answers, by_id_up, by_id_down, by_id_ok, by_id_errors; /* of the serialization */
};

/* A call as the model sees it. */
struct plan {
    struct mf_call *call; /* NULL: never begun */
    uint64_t id;
    int state;
    bool two_way, has_down, has_frame;
    uint32_t bytes;         /* of its request; different for each call */
    struct mf_block *frame; /* of ours, with a reference of our own, so that a give too many shows */
};

static struct {
    struct mf_table *table;
    struct mf_loop *loop;
    struct mf_limits limits;
    struct mf_worker *worker;
    struct mf_engine_options options;
    struct mf_conn down, up;
    struct mf_pool pool;
    struct mf_stat *stat;
    struct sums got, want;
    struct plan plans[CALLS];
    uint8_t status;        /* of the answer or the fault under way */
    struct mf_call *about; /* the call that the last function of the protocol was given */
    uint64_t told_down_id;
    bool driven[MF_CALL_STATES][MF_CALL_EVENTS];
} w;

static void note_deliver(struct mf_conn *down, struct mf_call *call, const void *head, struct mf_slice body)
{
    CHECK(down == &w.down && head == &w && body.len == BODY);
    CHECK(call->up == &w.up); /* still known: a long body is held in its input */
    w.got.delivered++;
    w.about = call;
    w.told_down_id = call->down_id;
}

static void note_answer(struct mf_conn *down, struct mf_call *call, const struct mf_fault *fault)
{
    CHECK(down == &w.down);
    w.got.refused++;
    w.status = fault->status;
    w.about = call;
    w.told_down_id = call->down_id;
}

/* As the real one: the frame is taken; here the walk says what comes next. */
static void note_route_again(struct mf_call *call)
{
    CHECK(call->frame != NULL && call->pool == NULL && mf_list_empty(&call->up_node));
    mf_block_give(call->frame);
    call->frame = NULL;
    w.got.routed_again++;
    w.about = call;
}

static uint32_t doubts, timeouts_of_sent;

static void note_doubt(struct mf_conn *up, uint64_t since)
{
    CHECK(up == &w.up && since > 0);
    doubts++;
}

static const struct mf_protocol_ops ops = {
    .deliver = note_deliver, .answer = note_answer, .route_again = note_route_again, .doubt = note_doubt};

static void open_world(void)
{
    const char *why;
    memset(&w, 0, sizeof w);
    w.worker = mf_alloc(sizeof *w.worker);
    CHECK_INT(mf_table_new(&w.table), 0);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    mf_limits_default(&w.limits);
    w.options = (struct mf_engine_options){.table = w.table, .embed = w.loop};
    CHECK_INT(mf_worker_init(w.worker, NULL, &w.options, &w.limits, 0, -1, &why), 0);
    w.down = (struct mf_conn){.worker = w.worker, .ops = &ops};
    w.up = (struct mf_conn){.worker = w.worker, .ops = &ops, .up = true};
    w.pool = (struct mf_pool){.worker = w.worker};
    w.stat = mf_zalloc(sizeof *w.stat);
    mf_list_init(&w.down.calls);
    mf_list_init(&w.up.calls);
    mf_list_init(&w.pool.queue);
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
    mf_worker_dispose(w.worker);
    mf_free(w.worker);
    mf_loop_free(w.loop);
    mf_table_free(w.table);
}
