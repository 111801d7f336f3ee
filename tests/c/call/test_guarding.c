/* guarding: what the end of a call or of a try says of its peer, however it comes; what is bounded is given back. */
#include "call/guarding.h"

#include "bare.h"

#include <errno.h>

#define SECOND UINT64_C(1000000000)

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_governor governor;
    struct mf_caller caller;
    struct mf_callee callee;
    struct mf_queue queue;
    struct mf_dialer dialer;
    struct mf_guard *guard;
    struct mf_peer *peer;
    struct mf_plan plan;
    struct mf_route route;
    int again, told, news[2];
} w;

static void route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    (void)back;
    w.again++;
    CHECK(waited == &w.queue);
    mf_block_give(call->frame);
    call->frame = NULL;
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_NO_PEER, "x"}});
}

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    (void)call;
    w.told = (int)fault->outcome;
}

static const struct mf_fault *deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    (void)caller;
    (void)call;
    (void)message;
    return NULL;
}

static void doubt(struct mf_callee *callee, uint64_t since)
{
    (void)callee;
    (void)since;
}

static void report(struct mf_local *local, enum mf_event_kind kind, int rc, const struct mf_addr *addr)
{
    (void)local;
    CHECK(mf_addr_eq(addr, &w.peer->addr));
    w.news[kind == MF_EVENT_PEER_RETURNED]++;
    CHECK(kind == MF_EVENT_PEER_RETURNED ? rc == 0 : rc > 0 && rc <= 2000);
}

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops ops = {.answer = answer, .route_again = route_again, .deliver = deliver, .stats = stats};
static const struct mf_callee_ops callee_ops = {.doubt = doubt};

static void open_world(struct mf_outlier_rules rules)
{
    const char *why;
    struct mf_addr addr;
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 16);
    w.bare.local.report = report;
    mf_governor_init(&w.governor, &w.bare.local, &w.bare.calls);
    mf_caller_init(&w.caller, &ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
    mf_callee_init(&w.callee, &callee_ops);
    mf_queue_init(&w.queue);
    CHECK_INT(mf_addr_parse(MF_SLICE("10.0.0.1:1"), &addr), 0);
    w.peer = mf_peer_intern(w.bare.table, &addr);
    w.guard = mf_guard_intern(w.bare.table, MF_SLICE("app"), MF_SLICE(""));
    w.plan = (struct mf_plan){.guard = w.guard, .outlier = &w.guard->outliers[0], .breaks = true};
    w.route = (struct mf_route){.plan = &w.plan, .peer = w.peer};
    rules.max_percent = 100;
    rules.interval = rules.base = rules.longest = SECOND;
    mf_outlier_use(w.bare.table, w.plan.outlier, mf_outlier_keep(&rules));
    CHECK_INT(mf_outlier_enlist(w.bare.table, w.plan.outlier, &w.peer, 1), 0);
}

static void close_world(void)
{
    struct mf_guard_told told;
    mf_guard_tell(w.guard, &told);
    CHECK_INT(told.active, 0);
    for (int i = 0; i < MF_BREAKER_KINDS; i++)
        CHECK_INT(told.now[i], 0);
    CHECK_INT(mf_load_relaxed(&w.peer->in_flight), 0);
    mf_outlier_dismiss(w.plan.outlier, &w.peer, 1);
    mf_guard_give(w.guard);
    mf_peer_give(w.bare.table, w.peer);
    mf_governor_dispose(&w.governor);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}

static struct mf_call *begin(bool two_way)
{
    int rc = 0;
    struct mf_request request = {.dialer = &w.dialer};
    struct mf_call *call = mf_call_begin(&w.bare.calls, &w.caller, 1, 2, two_way, &rc);
    return mf_govern(call, &request, &w.route, 0) ? NULL : call;
}

static struct mf_call *asked(void)
{
    struct mf_call *call = begin(true);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee});
    return call;
}

static struct mf_call *waiting(void)
{
    struct mf_call *call = begin(true);
    CHECK(mf_govern_wait(call));
    mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &w.queue, .frame = mf_block_new(10, NULL)});
    return call;
}

struct seen {
    enum mf_outlier_reason reason;
    uint32_t n;
};

static void see(void *arg, const struct mf_ward *ward)
{
    struct seen *seen = arg;
    seen->n = mf_load_relaxed(&ward->in_a_row[seen->reason]);
}

/* How many there are in a row. */
static uint32_t errors(enum mf_outlier_reason reason)
{
    struct seen seen = {.reason = reason};
    mf_outlier_each(w.plan.outlier, see, &seen);
    return seen.n;
}

static void ends(struct mf_call *call, int stat, uint32_t code, uint8_t outcome)
{
    struct mf_message message = {.parts = MF_PART_WHOLE, .outcome = outcome, .stat = (uint8_t)stat, .code = code};
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &message});
}

static void test_ends(void)
{
    const struct mf_fault lost = {MF_OUTCOME_LOST, "x"}, ours = {MF_OUTCOME_OVERLOAD, "x"};
    open_world((struct mf_outlier_rules){.errors = 100, .gateway = 100});
    ends(asked(), mf_stat_status_index(80), 80, MF_OUTCOME_REMOTE_ERROR);
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 1);
    CHECK_INT(errors(MF_OUTLIER_GATEWAY), 0);
    ends(asked(), mf_stat_grpc_index(14), 14, MF_OUTCOME_REMOTE_ERROR);
    CHECK_INT(errors(MF_OUTLIER_GATEWAY), 1);
    mf_call_step(asked(), MF_CALL_ON_TIMEOUT, &(struct mf_call_input){0});
    mf_call_step(asked(), MF_CALL_ON_UP_LOST, &(struct mf_call_input){.fault = &lost});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 4);
    CHECK_INT(errors(MF_OUTLIER_GATEWAY), 3);
    mf_call_step(asked(), MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &ours});
    mf_call_step(asked(), MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0}); /* its caller gave it up */
    struct mf_call *call = begin(false);
    mf_call_step(call, MF_CALL_ON_SENT, &(struct mf_call_input){.callee = &w.callee});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 4);
    uint64_t judged_ms = w.bare.local.limits->judged_timeout;
    call = asked(); /* it gave it up as its time was over */
    call->begun -= judged_ms * 1000000;
    mf_call_set_timeout(call, judged_ms);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 5);
    call = asked(); /* the same, and it had allowed too little for that to say anything */
    mf_call_set_timeout(call, 0);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 5);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_judged_timeout), 1);
    call = asked();
    mf_call_set_timeout(call, 60000);
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 5);
    call = asked(); /* as a protocol knows better */
    mf_govern_judge(call, 503, true);
    ends(call, mf_stat_grpc_index(1), 8, MF_OUTCOME_REMOTE_ERROR);
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 6);
    ends(asked(), mf_stat_status_index(20), 20, MF_OUTCOME_OK);
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 0);
    close_world();
}

static void test_tries(void)
{
    open_world((struct mf_outlier_rules){.errors = 100});
    mf_call_step(waiting(), MF_CALL_ON_RETRY, &(struct mf_call_input){.failed = true});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 1);
    mf_call_step(waiting(), MF_CALL_ON_RETRY, &(struct mf_call_input){.back = true}); /* it only takes long */
    mf_call_step(waiting(), MF_CALL_ON_RETRY, &(struct mf_call_input){0});
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 1);
    struct mf_call *call = waiting();
    mf_govern_missed(call, MF_EROUTE_DOWN);
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 1);
    mf_govern_missed(call, -ECONNREFUSED);
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 2);
    mf_call_step(call, MF_CALL_ON_TIMEOUT, &(struct mf_call_input){0}); /* no connection in time */
    CHECK_INT(errors(MF_OUTLIER_ERRORS), 3);
    CHECK_INT(w.again, 3);
    close_world();
}

static void test_ejected_and_back(void)
{
    open_world((struct mf_outlier_rules){.errors = 2});
    ends(asked(), mf_stat_http_index(500), 500, MF_OUTCOME_REMOTE_ERROR);
    CHECK_INT(w.news[0], 0);
    ends(asked(), mf_stat_http_index(500), 500, MF_OUTCOME_REMOTE_ERROR);
    CHECK_INT(w.news[0], 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.ejections_errors), 1);
    struct mf_call *call = asked(); /* who is out may still be used, for want of another */
    while (mf_outlier_out(w.plan.outlier, w.peer, mf_loop_now(w.loop)))
        mf_loop_turn(w.loop, 1000000);
    ends(call, mf_stat_http_index(200), 200, MF_OUTCOME_OK);
    CHECK_INT(w.news[1], 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.ejections_ended), 1);
    close_world();
}

static void test_bounds(void)
{
    struct mf_breaker_rules rules = {.most = {[MF_BREAKER_REQUESTS] = 2, [MF_BREAKER_PENDING] = 1}};
    open_world((struct mf_outlier_rules){.errors = 1});
    mf_breaker_set(&w.guard->breaker, &rules);
    struct mf_call *one = waiting(), *two = begin(true);
    CHECK(!mf_govern_wait(two));
    CHECK(begin(true) == NULL);
    CHECK_INT(w.told, MF_OUTCOME_BUSY);
    mf_list_remove(&one->place);
    mf_call_step(one, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee});
    CHECK(mf_govern_wait(two));
    CHECK(begin(true) == NULL);
    mf_call_step(two, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_OVERLOAD, "x"}});
    ends(one, mf_stat_status_index(20), 20, MF_OUTCOME_OK);
    CHECK_INT(w.news[0], 0); /* who is refused says nothing of the peer */
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.busy_requests), 2);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.busy_pending), 1);
    close_world();
}

static void test_connection_too_slow(void)
{
    struct mf_breaker_rules rules = {.connect_ms = 5};
    open_world((struct mf_outlier_rules){.errors = 1});
    mf_breaker_set(&w.guard->breaker, &rules);
    waiting();
    while (!w.again)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(w.news[0], 1);
    struct mf_call *call = waiting();
    mf_list_remove(&call->place);
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee});
    for (uint64_t until = mf_loop_now(w.loop) + 20000000; mf_loop_now(w.loop) < until;)
        mf_loop_turn(w.loop, 1000000);
    CHECK_INT(w.again, 1); /* it has one */
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    close_world();
}

int main(void)
{
    test_ends();
    test_tries();
    test_ejected_and_back();
    test_bounds();
    test_connection_too_slow();
    return test_end("call/guarding");
}
