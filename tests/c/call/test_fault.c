/* fault: calls that a rule lets wait, fail, or answers: chances that are drawn once, bounds, what timeouts mean then. */
#include "call/fault.h"

#include "bare.h"
#include "base/err.h"
#include "table/actions.h"

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_caller caller;
    struct mf_actions *actions;
    int told;
    struct mf_reply reply; /* what was told, where it is a rule's */
    char place[128];
} w;

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    (void)call;
    w.told++;
    const struct mf_reply *reply = mf_reply_of(fault);
    w.reply = reply ? *reply : (struct mf_reply){.fault = *fault};
    snprintf(w.place, sizeof w.place, "%.*s", reply ? (int)reply->location.len : 0, reply ? (const char *)reply->location.ptr : "");
}

static uint8_t stat_of(const struct mf_call *call, const struct mf_fault *fault)
{
    (void)call;
    return mf_reply_of(fault)->statuses.dubbo;
}

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops ops = {.answer = answer, .stats = stats, .stat_of = stat_of};

static void open_world(void)
{
    const char *why;
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 16);
    mf_caller_init(&w.caller, &ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
    w.actions = mf_actions_new();
}

static void close_world(void)
{
    mf_actions_give(w.actions);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}

static struct mf_call *begin(void)
{
    int rc = 0;
    return mf_call_begin(&w.bare.calls, &w.caller, 1, 2, true, &rc);
}

static void end(struct mf_call *call)
{
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_NO_PEER, "x"}});
}

static void test_chances(void)
{
    static const struct mf_faults faults = {.delay_chance = MF_FAULT_ALL / 4, .delay_ms = 5, .abort_chance = MF_FAULT_ALL / 2};
    struct mf_request request = {.timeout_ms = -1};
    int waits = 0, aborts = 0, both = 0;
    open_world();
    w.actions->faults = &faults;
    for (int i = 0; i < 10000; i++) {
        struct mf_fault_state state = {0};
        struct mf_call *call = begin();
        uint64_t ns = mf_fault_wait(&state, call, &request, w.actions);
        CHECK(ns == 0 || ns == 5000000);
        CHECK_INT(mf_fault_wait(&state, call, &request, w.actions), 0); /* once */
        waits += ns > 0;
        aborts += state.aborts;
        both += ns && state.aborts;
        end(call);
    }
    CHECK(waits > 2200 && waits < 2800);
    CHECK(aborts > 4700 && aborts < 5300);
    CHECK(both > 1050 && both < 1450); /* each on its own */
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls_delayed), waits);
    close_world();
}

static void test_all_and_none(void)
{
    static const struct mf_faults all = {.delay_chance = MF_FAULT_ALL, .delay_ms = 1, .abort_chance = MF_FAULT_ALL},
                                  none = {.delay_ms = 1}, least = {.delay_chance = 1, .delay_ms = 1};
    struct mf_request request = {.timeout_ms = -1};
    open_world();
    int waited = 0;
    for (int i = 0; i < 1000; i++) {
        struct mf_call *call = begin();
        w.actions->faults = &all;
        struct mf_fault_state state = {0};
        CHECK_INT(mf_fault_wait(&state, call, &request, w.actions), 1000000);
        CHECK(state.aborts);
        w.actions->faults = &none;
        state = (struct mf_fault_state){0};
        CHECK_INT(mf_fault_wait(&state, call, &request, w.actions), 0);
        CHECK(!state.aborts);
        w.actions->faults = &least;
        state = (struct mf_fault_state){0};
        waited += mf_fault_wait(&state, call, &request, w.actions) > 0;
        end(call);
    }
    CHECK(waited <= 2);
    close_world();
}

static void test_bounds(void)
{
    static const struct mf_faults faults = {.delay_chance = MF_FAULT_ALL, .delay_ms = 70000};
    struct mf_request request = {.timeout_ms = 50}, patient = {.timeout_ms = -1}, flows = {.timeout_ms = -1, .flows = true};
    struct mf_fault_state state = {0}, later = {0}, fresh = {0};
    open_world();
    w.actions->faults = &faults;
    struct mf_call *call = begin(), *other = begin();
    CHECK_INT(mf_fault_wait(&state, call, &request, w.actions), UINT64_C(70000) * 1000000);
    CHECK_INT(call->deadline, call->begun + 50000000); /* its caller's patience is what it was */
    CHECK_INT(mf_fault_timeout(&state, call, &request, 0), 0);
    CHECK_INT(mf_fault_timeout(&state, call, &request, 10), 70010);
    CHECK_INT(mf_fault_timeout(&state, call, &patient, 0), 70000 + w.bare.limits.call_timeout);
    CHECK_INT(mf_fault_timeout(&state, call, &flows, 0), 0);
    CHECK_INT(mf_fault_timeout(&state, call, &patient, UINT32_MAX), UINT32_MAX);
    CHECK_INT(mf_fault_timeout(&fresh, call, &patient, 10), 10);
    CHECK_INT(mf_fault_timeout(&fresh, call, &patient, 0), 0);
    w.bare.limits.max_delayed = 0;
    CHECK_INT(mf_fault_wait(&later, other, &patient, w.actions), 0);
    CHECK(later.drawn);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_delayed), 1);
    end(call);
    end(other);
    close_world();
}

static void test_answers(void)
{
    static const struct mf_faults faults = {.statuses = {418, 2, 40}, .text = MF_SLICE("no")};
    static const struct mf_direct direct = {.statuses = {200, 2, 80}, .body = MF_SLICE("body"), .text = MF_SLICE("text")};
    static const struct mf_redirect redirect = {.statuses = {301, 2, 80}, .to = {.uri = MF_SLICE("/to")}};
    static const struct mf_http_view http = {MF_SLICE("GET"), MF_SLICE("http"), MF_SLICE("h:1"), MF_SLICE("/p"), MF_SLICE("q")};
    struct mf_change change = {.response = {.n_levels = 1}};
    struct mf_request request = {.query = {.http = &http}}, dubbo = {0};
    struct mf_fault_state none = {0}, aborts = {.aborts = true};
    open_world();
    struct mf_call *call = begin();
    CHECK(!mf_fault_answer(&none, call, &request, w.actions, NULL));
    CHECK(!mf_fault_answer(&aborts, call, &request, w.actions, NULL)); /* the rule has none any more */
    w.actions->faults = &faults;
    CHECK(mf_fault_answer(&aborts, call, &request, w.actions, &change));
    CHECK_INT(w.reply.statuses.http, 418);
    CHECK_STR(w.reply.body, "no");
    CHECK(w.reply.change == NULL && w.reply.actions == w.actions);
    w.actions->direct = &direct;
    CHECK(mf_fault_answer(&none, begin(), &request, w.actions, &change));
    CHECK_STR(w.reply.body, "body");
    CHECK_STR(mf_slice_str(w.reply.fault.text), "text");
    CHECK(w.reply.change == &change.response);
    w.actions->direct = NULL;
    w.actions->redirect = &redirect;
    CHECK(mf_fault_answer(&none, begin(), &request, w.actions, NULL));
    CHECK_STR(mf_slice_str(w.place), "http://h:1/to?q");
    CHECK(mf_fault_answer(&none, begin(), &dubbo, w.actions, NULL)); /* which has no place to go to */
    CHECK_STR(mf_slice_str(w.place), "");
    CHECK_INT(w.reply.statuses.dubbo, 80);
    call = begin();
    fail_at(1);
    CHECK(mf_fault_answer(&none, call, &request, w.actions, NULL));
    fail_at(0);
    CHECK_INT(w.reply.fault.outcome, MF_OUTCOME_OVERLOAD);
    CHECK_INT(w.told, 5);
    CHECK_INT(w.bare.calls.n_live, 0);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls_aborted), 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls_direct), 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls_redirected), 3);
    close_world();
}

int main(void)
{
    test_chances();
    test_all_and_none();
    test_bounds();
    test_answers();
    return test_end("call/fault");
}
