/* call: every pair of state and event against the picture in DESIGN.md; slots and ids that are never confused. */
#include "proxy/call.h"
#include "proxy/conn.h"
#include "proxy/worker.h"
#include "test.h"

#include <errno.h>

static void test_table(void)
{
    enum { NO = -1, FREE = MF_CALL_FREE, ROUTING = MF_CALL_ROUTING, QUEUED = MF_CALL_QUEUED, SENT = MF_CALL_SENT };
    /* in the order of enum mf_call_event: sent asked wait fault retry answer timeout up_lost down_lost */
    static const int want[MF_CALL_STATES][MF_CALL_EVENTS] = {
        [FREE] = {NO, NO, NO, NO, NO, NO, NO, NO, NO},
        [ROUTING] = {FREE, SENT, QUEUED, FREE, NO, NO, NO, NO, NO},
        [QUEUED] = {FREE, SENT, NO, FREE, ROUTING, NO, FREE, NO, FREE},
        [SENT] = {NO, NO, NO, FREE, NO, FREE, FREE, FREE, FREE},
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

static void test_ids(void)
{
    struct mf_table *table;
    struct mf_loop *loop;
    struct mf_limits limits;
    struct mf_worker *worker = mf_alloc(sizeof *worker);
    const char *why;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &loop, &why), 0);
    mf_limits_default(&limits);
    limits.max_calls = 3;
    struct mf_engine_options options = {.table = table, .embed = loop};
    CHECK_INT(mf_worker_init(worker, NULL, &options, &limits, 0, -1, &why), 0);
    struct mf_conn down = {.worker = worker};
    mf_list_init(&down.calls);

    int rc = 0;
    struct mf_call *a = mf_call_begin(worker, &down, 7, 2, false, &rc), *b = mf_call_begin(worker, &down, 7, 2, false, &rc),
                   *c = mf_call_begin(worker, &down, 7, 2, false, &rc);
    CHECK(a && b && c);
    CHECK(a->id != b->id && b->id != c->id && a->id != c->id);
    CHECK(mf_call_begin(worker, &down, 7, 2, false, &rc) == NULL);
    CHECK_INT(rc, MF_ELIMIT);
    CHECK_INT(down.n_calls, 3);
    CHECK(mf_calls_find(&worker->calls, b->id) == b);

    uint64_t gone = b->id;
    finish(b);
    CHECK(mf_calls_find(&worker->calls, gone) == NULL);
    struct mf_call *again = mf_call_begin(worker, &down, 7, 2, false, &rc);
    CHECK(again == b); /* the slot is used again, under another id */
    CHECK(again->id != gone);
    CHECK(mf_calls_find(&worker->calls, gone) == NULL);
    CHECK(mf_calls_find(&worker->calls, again->id) == again);
    CHECK(mf_calls_find(&worker->calls, 0) == NULL);
    CHECK(mf_calls_find(&worker->calls, UINT64_MAX) == NULL);
    CHECK(mf_calls_find(&worker->calls, again->id ^ 1) != again);

    /* A call that another thread of life may still name: its caller goes, it stays. */
    mf_call_detach(a);
    CHECK_INT(down.n_calls, 2);
    finish(a);
    finish(c);
    finish(again);
    CHECK_INT(down.n_calls, 0);
    CHECK_INT(worker->calls.n_live, 0);

    mf_worker_dispose(worker);
    mf_free(worker);
    mf_loop_free(loop);
    mf_table_free(table);
}

int main(void)
{
    test_table();
    test_ids();
    return test_end("call");
}
