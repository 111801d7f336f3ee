/* again: whether a call may try again, by its rule, by what it has kept and what is left of its time, and by each budget; a
 * guard's share of calls that are tried again. */
#include "bare.h"
#include "base/err.h"
#include "call/again.h"

#define MS UINT64_C(1000000)

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_caller caller;
    struct mf_callee callee;
    struct mf_stat *stat;
    struct mf_guard *guard;
    struct mf_again again;
    struct mf_call *call;
    struct mf_peer peers[8];
} w;

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops caller_ops = {.stats = stats};
static const struct mf_callee_ops callee_ops;
static const struct mf_try lost = {.kind = MF_TRY_RESET, .grpc = -1};

static void open_world(struct mf_retries policy)
{
    const char *why;
    int rc;
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 9);
    w.bare.limits.retry_rate = 1000000;
    mf_caller_init(&w.caller, &caller_ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
    mf_callee_init(&w.callee, &callee_ops);
    w.guard = mf_guard_intern(w.bare.table, MF_SLICE("app"), MF_SLICE("v1"));
    mf_again_bind(&w.again, &policy);
    mf_again_bind(&w.again, NULL); /* the first rule's hold */
    w.call = mf_call_begin(&w.bare.calls, &w.caller, 7, 2, true, &rc);
    w.call->bytes_up = 100;
    w.call->by_table = true;
    mf_call_step(w.call, MF_CALL_ON_ASKED,
                 &(struct mf_call_input){.callee = &w.callee, .frame = mf_block_new(100, NULL)});
}

static void close_world(void)
{
    struct mf_fault fault = {MF_OUTCOME_NONE_UP, "down"};
    mf_again_left(&w.again);
    w.call->caller = w.call->caller ? w.call->caller : &w.caller;
    w.call->two_way = false; /* nobody is told */
    mf_call_step(w.call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    mf_guard_give(w.guard);
    mf_guards_reclaim(w.bare.table);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}

static bool may(struct mf_guard *guard)
{
    uint64_t wait = 0;
    bool may = mf_again_may(&w.again, w.call, guard, &lost, &wait);
    CHECK(wait < 10 * 25 * MS);
    return may;
}

#define COUNTED(name) mf_load_relaxed(&w.bare.local.counters.name)

static void test_rule(void)
{
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 2, .other_peers = true, .backoff_ms = 25});
    mf_again_go(&w.again, w.call, &w.peers[0]);
    CHECK(mf_again_keeps(&w.again));
    CHECK(!mf_again_may(&w.again, w.call, NULL, &(struct mf_try){.kind = MF_TRY_HTTP, .status = 503}, &(uint64_t){0}));
    CHECK(may(NULL));
    mf_again_go(&w.again, w.call, &w.peers[1]);
    CHECK(may(NULL));
    CHECK(w.again.n_past == 2 && w.again.past[0] == &w.peers[1] && w.again.past[1] == &w.peers[0]);
    CHECK(!mf_again_keeps(&w.again));
    CHECK(!may(NULL));
    CHECK_INT(COUNTED(retries), 2);
    CHECK_INT(COUNTED(retries_reset), 2);
    CHECK_INT(COUNTED(retries_used_up), 1);
    close_world();
    open_world((struct mf_retries){0});
    CHECK(!may(NULL));
    close_world();
}

static void test_kept(void)
{
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 9});
    w.bare.limits.retry_body = 99;
    CHECK(!may(NULL));
    w.bare.limits.retry_body = 100;
    CHECK(may(NULL));
    CHECK_INT(w.again.n_past, 0); /* the same may be asked again */
    mf_call_unkeep(w.call);
    CHECK(!may(NULL));
    CHECK_INT(COUNTED(retries_not_kept), 2);
    w.call->two_way = false;
    CHECK(!may(NULL));
    close_world();
}

/* A try's own time counts where it is less than the call's, and none is begun that could not end. */
static void test_time(void)
{
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 9, .try_ms = 50});
    uint64_t now = mf_local_now(&w.bare.local);
    CHECK_INT(mf_again_go(&w.again, w.call, &w.peers[0]), now + 50 * MS);
    mf_call_set_timeout(w.call, 51);
    CHECK_INT(mf_again_go(&w.again, w.call, &w.peers[0]), now + 50 * MS);
    CHECK(may(NULL));
    mf_call_set_timeout(w.call, 50);
    CHECK_INT(mf_again_go(&w.again, w.call, &w.peers[0]), 0);
    CHECK_INT(w.again.until, 0);
    w.call->deadline = now;
    CHECK(!may(NULL));
    CHECK_INT(COUNTED(retries), 1);
    close_world();
}

static uint8_t looked(struct mf_try tried, uint64_t now)
{
    mf_again_look(&w.again, now, &tried);
    return tried.kind;
}

/* Who was told of a try's end may be first to say that it has come. */
static void test_sooner(void)
{
    const struct mf_try grpc = {.kind = MF_TRY_HTTP, .status = 200, .grpc = 4}, other = {.kind = MF_TRY_HTTP, .grpc = 14};
    const struct mf_try dubbo = {.kind = MF_TRY_DUBBO, .status = 31, .dubbo = true};
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 9, .try_ms = 50});
    CHECK_INT(looked(grpc, UINT64_MAX / 2), MF_TRY_HTTP); /* no end of its own */
    uint64_t until = mf_again_go(&w.again, w.call, &w.peers[0]);
    CHECK_INT(looked(grpc, until - 6 * MS), MF_TRY_HTTP);
    CHECK_INT(looked(grpc, until - 5 * MS), MF_TRY_TIMEOUT);
    CHECK_INT(looked(dubbo, until), MF_TRY_TIMEOUT);
    CHECK_INT(looked(other, until), MF_TRY_HTTP);
    CHECK_INT(looked((struct mf_try){.kind = MF_TRY_DUBBO, .status = 80}, until), MF_TRY_DUBBO);
    CHECK_INT(looked((struct mf_try){.kind = MF_TRY_DUBBO, .status = 30}, until), MF_TRY_TIMEOUT);
    CHECK_INT(looked((struct mf_try){.kind = MF_TRY_RESET}, until), MF_TRY_RESET);
    close_world();
    open_world((struct mf_retries){.on = MF_RETRY_DEADLINE, .attempts = 9, .try_ms = 50});
    until = mf_again_go(&w.again, w.call, &w.peers[0]);
    CHECK_INT(looked(grpc, until), MF_TRY_HTTP); /* which is a reason as it is */
    close_world();
}

/* maxTries counts anew for each try by the rule. */
static void test_fresh(void)
{
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 9});
    w.call->tries = w.bare.calls.max_tries;
    CHECK(!mf_again_fresh(&w.again, w.call));
    CHECK(may(NULL));
    CHECK(mf_again_fresh(&w.again, w.call));
    w.call->tries += w.bare.calls.max_tries;
    CHECK(!mf_again_fresh(&w.again, w.call));
    close_world();
}

/* Of the calls that are active there 20 %, or three. */
static void test_guard(void)
{
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 1000});
    for (int i = 0; i < 100; i++) /* no budget is written */
        CHECK(may(w.guard));
    CHECK_INT(mf_load_relaxed(&w.guard->breaker.now[MF_BREAKER_RETRIES]), 1); /* it is one call */
    mf_again_left(&w.again);
    mf_guard_budget(w.guard, &(struct mf_policy_budget){.set = true, .share = 2000, .least = 3});
    for (int active = 0; active <= 100; active++) {
        int most = active / 5 > 3 ? active / 5 : 3, n = 0;
        while (mf_guard_retry(w.guard))
            n++;
        CHECK_INT(n, most);
        CHECK(!may(w.guard));
        while (n-- > 0)
            mf_guard_retried(w.guard);
        CHECK(may(w.guard));
        mf_again_left(&w.again);
        mf_guard_enter(w.guard);
    }
    CHECK_INT(COUNTED(retries_over_budget), 101);
    mf_guard_budget(w.guard, &(struct mf_policy_budget){.set = true});
    CHECK(!may(w.guard));
    mf_guard_budget(w.guard, &(struct mf_policy_budget){0});
    CHECK(may(w.guard));
    for (int i = 0; i <= 100; i++)
        mf_guard_leave(w.guard);
    /* Without a budget it is maxRetries. */
    mf_again_left(&w.again);
    uint64_t before = mf_load_relaxed(&w.guard->breaker.overflows[MF_BREAKER_RETRIES]);
    mf_breaker_set(&w.guard->breaker, &(struct mf_breaker_rules){.most = {[MF_BREAKER_RETRIES] = 2}});
    CHECK(mf_guard_retry(w.guard) && may(w.guard) && !mf_guard_retry(w.guard));
    mf_guard_retried(w.guard);
    CHECK_INT(mf_load_relaxed(&w.guard->breaker.overflows[MF_BREAKER_RETRIES]), before + 1);
    close_world();
}

/* Whatever rules say. */
static void test_limits(void)
{
    open_world((struct mf_retries){.on = MF_RETRY_RESET, .attempts = 1000});
    struct mf_stat_shard shard = {0};
    w.bare.limits.retry_percent = 20;
    w.bare.limits.retry_rate = 10;
    w.bare.local.began = mf_local_now(&w.bare.local) - UINT64_C(1000000000);
    w.bare.local.n_workers = 2; /* of whom each has its part */
    mf_call_set_shard(w.call, &shard);
    int given = 0;
    while (may(NULL))
        given++;
    CHECK_INT(given, 5);
    CHECK_INT(COUNTED(limit_retry_percent), 1);
    shard.status[3] = 1000;
    while (may(NULL))
        given++;
    CHECK_INT(given, 205);
    CHECK_INT(mf_load_relaxed(&shard.retries), 205);
    /* What a guard refuses takes nothing of them, and what they refuse takes no place in a guard. */
    CHECK(!may(w.guard));
    CHECK_INT(mf_load_relaxed(&w.guard->breaker.now[MF_BREAKER_RETRIES]), 0);
    shard.status[3] = 1005;
    mf_guard_budget(w.guard, &(struct mf_policy_budget){.set = true});
    for (int i = 0; i < 9; i++)
        CHECK(!may(w.guard));
    mf_guard_budget(w.guard, &(struct mf_policy_budget){.set = true, .least = 1});
    CHECK(may(w.guard) && !may(w.guard));
    CHECK_INT(COUNTED(retries_over_budget), 9);
    CHECK_INT(mf_load_relaxed(&w.guard->breaker.now[MF_BREAKER_RETRIES]), 0);
    w.bare.limits.retry_percent = w.bare.limits.retry_rate = UINT64_MAX;
    shard.status[3] = 2000;
    CHECK(may(NULL));
    close_world();
}

int main(void)
{
    test_rule();
    test_kept();
    test_time();
    test_sooner();
    test_fresh();
    test_guard();
    test_limits();
    return test_end("again");
}
