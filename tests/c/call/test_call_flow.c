/* call: requests and answers that come part by part: when the caller is told that its callee is there, what is kept of a
 * request and until when, how long a call without a deadline may wait. */
#include "bare.h"

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_caller caller;
    struct mf_callee callee;
    struct mf_queue queue;
    int asked, left, answered, delivered, again, more;
    size_t up, down;        /* bytes that the caller, the callee was told to have gone */
    bool end_when_asked;    /* the caller sends all that is left as soon as it may */
    enum mf_outcome outcome;
} w;

static void on_asked(struct mf_caller *caller, struct mf_call *call)
{
    CHECK(caller == &w.caller && call->state == MF_CALL_SENT && call->callee == &w.callee);
    w.asked++;
    struct mf_message rest = {.parts = MF_PART_DATA | MF_PART_END, .data = MF_SLICE("rest")};
    if (w.end_when_asked)
        mf_call_step(call, MF_CALL_ON_MORE, &(struct mf_call_input){.message = &rest});
}

static void on_took(struct mf_caller *caller, struct mf_call *call, size_t len, size_t room)
{
    CHECK(caller == &w.caller && call->caller == caller && room > 0);
    w.up += len;
}

static const struct mf_fault *deliver(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message)
{
    (void)caller;
    w.delivered++;
    if (message->data.len)
        call->callee->ops->took(call->callee, call, message->data.len, 1);
    return NULL;
}

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    (void)call;
    w.answered++;
    w.outcome = fault->outcome;
}

static void route_again(struct mf_call *call, struct mf_queue *waited, bool back)
{
    CHECK(waited == &w.queue && !back && call->frame && call->callee == NULL);
    mf_block_give(call->frame);
    call->frame = NULL;
    w.again++;
}

static void more(struct mf_callee *callee, struct mf_call *call, const struct mf_message *message)
{
    (void)callee;
    w.more++;
    call->ops->took(call->caller, call, message->data.len, 1);
}

static size_t took(struct mf_callee *callee, struct mf_call *call, size_t len, size_t room)
{
    CHECK(callee == &w.callee && call->callee == callee && room > 0);
    w.down += len;
    return 0;
}

static void left(struct mf_callee *callee, struct mf_call *call)
{
    CHECK(callee == &w.callee && call->callee == callee);
    w.left++;
}

static void doubt(struct mf_callee *callee, uint64_t since)
{
    (void)callee;
    (void)since;
}

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops caller_ops = {.deliver = deliver, .answer = answer, .route_again = route_again,
                                                .asked = on_asked, .took = on_took, .stats = stats};
static const struct mf_callee_ops callee_ops = {.more = more, .doubt = doubt, .took = took, .left = left};

static void open_world(void)
{
    const char *why;
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 0);
    mf_caller_init(&w.caller, &caller_ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
    mf_callee_init(&w.callee, &callee_ops);
    mf_queue_init(&w.queue);
}

static void close_world(void)
{
    CHECK_INT(w.bare.calls.n_live, 0);
    CHECK_INT(w.bare.calls.kept, 0);
    CHECK_INT(w.callee.n_calls, 0);
    CHECK_INT(w.queue.n_calls, 0);
    CHECK_INT(w.queue.bytes, 0);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}

static struct mf_call *begin(void)
{
    int rc;
    struct mf_call *call = mf_call_begin(&w.bare.calls, &w.caller, 1, 0, true, &rc);
    CHECK(call != NULL);
    call->asking = true;
    call->bytes_up = 100;
    return call;
}

static struct mf_block *frame(void)
{
    return mf_loop_block(w.loop, 100);
}

static void ask(struct mf_call *call, struct mf_block *kept)
{
    mf_call_step(call, MF_CALL_ON_ASKED, &(struct mf_call_input){.callee = &w.callee, .frame = kept});
}

static void queue(struct mf_call *call)
{
    mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = &w.queue, .frame = frame()});
}

static void finish(struct mf_call *call)
{
    struct mf_message end = {.parts = MF_PART_WHOLE, .data = MF_SLICE("12345")};
    mf_call_step(call, MF_CALL_ON_ANSWER, &(struct mf_call_input){.message = &end});
}

static void test_parts(void)
{
    open_world();
    w.end_when_asked = true;
    struct mf_call *call = begin();
    ask(call, NULL);
    CHECK_INT(w.asked, 1);
    CHECK_INT(w.more, 1);
    CHECK(!call->asking);
    CHECK_INT(w.up, 4);
    CHECK_INT(w.left, 0);
    finish(call);
    CHECK_INT(w.down, 5);
    CHECK_INT(w.left, 1);
    call = begin(); /* one that waited */
    queue(call);
    CHECK_INT(w.asked, 1);
    mf_list_remove(&call->place);
    ask(call, NULL);
    CHECK_INT(w.asked, 2);
    CHECK_INT(w.bare.calls.kept, 100); /* kept, though no table chose its peer: another connection may take it */
    mf_call_step(call, MF_CALL_ON_DOWN_LOST, &(struct mf_call_input){0});
    CHECK_INT(w.left, 2);
    close_world();
}

/* Each way out of a callee says so once, before it is forgotten. */
static void test_left(void)
{
    static const struct mf_fault fault = {MF_OUTCOME_LOST, "lost"};
    struct mf_message end = {.parts = MF_PART_WHOLE};
    struct mf_call_input inputs[] = {{.fault = &fault}, {.message = &end}, {0}, {0}};
    enum mf_call_event events[] = {MF_CALL_ON_FAULT, MF_CALL_ON_ANSWER, MF_CALL_ON_TIMEOUT, MF_CALL_ON_DOWN_LOST};
    open_world();
    for (int i = 0; i < 4; i++) {
        struct mf_call *call = begin();
        ask(call, frame());
        CHECK_INT(w.bare.calls.kept, 100);
        mf_call_step(call, events[i], &inputs[i]);
        CHECK_INT(w.left, i + 1);
        CHECK_INT(w.bare.calls.kept, 0);
    }
    struct mf_call *call = begin();
    ask(call, frame());
    mf_callee_gone(&w.callee, &fault);
    CHECK_INT(w.left, 5);
    call = begin();
    ask(call, frame());
    mf_call_step(call, MF_CALL_ON_RETRY, &(struct mf_call_input){.queue = &w.queue});
    CHECK_INT(w.left, 6);
    CHECK_INT(w.again, 1);
    mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &fault});
    CHECK_INT(w.left, 6);
    close_world();
}

static void test_unkeep(void)
{
    open_world();
    struct mf_call *call = begin();
    ask(call, frame());
    CHECK_INT(w.bare.calls.kept, 100);
    mf_call_unkeep(call);
    mf_call_unkeep(call);
    CHECK(call->frame == NULL);
    CHECK_INT(w.bare.calls.kept, 0);
    finish(call);
    call = begin();
    queue(call);
    mf_call_unkeep(call); /* it is what will be sent */
    CHECK(call->frame != NULL);
    mf_list_remove(&call->place);
    ask(call, NULL);
    finish(call);
    w.bare.limits.max_kept = 50;
    call = begin();
    CHECK(!mf_call_may_keep(call, 100));
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_kept), 1);
    queue(call);
    mf_list_remove(&call->place);
    ask(call, NULL);
    CHECK(call->frame == NULL);
    finish(call);
    close_world();
}

/* Without a deadline of its own it has one only while it waits for its peer. */
static void test_timeless(void)
{
    open_world();
    struct mf_call *call = begin();
    call->timeless = true;
    mf_call_set_timeout(call, 1000);
    queue(call);
    mf_list_remove(&call->place);
    ask(call, NULL);
    CHECK_INT(call->deadline, 0);
    CHECK_INT(call->timer.at, 0);
    finish(call);
    call = begin();
    mf_call_set_timeout(call, 1000);
    ask(call, NULL);
    CHECK(call->deadline > 0);
    finish(call);
    call = begin();
    call->timeless = true;
    mf_call_set_timeout(call, 1);
    queue(call);
    for (uint64_t by = mf_clock_ns() + UINT64_C(10000000000); !w.answered && mf_clock_ns() < by;)
        CHECK(mf_loop_turn(w.loop, 10000000) >= 0);
    CHECK_INT(w.answered, 1);
    CHECK_INT(w.outcome, MF_OUTCOME_TIMEOUT);
    close_world();
}

int main(void)
{
    test_parts();
    test_left();
    test_unkeep();
    test_timeless();
    return test_end("call_flow");
}
