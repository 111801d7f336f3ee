/* call: every row of the table driven with all it does, every empty place with the assertion it meets, and every short
 * life of two calls on shared connections, held against a model that was written apart from call.c. */
#include "steps_act.h"
#include "steps_check.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* --- the walks */

/* An end for whatever is live, so that the next walk starts from nothing. */
static void finish(void)
{
    for (int n = 0; n < CALLS; n++) {
        if (w.plans[n].call && w.plans[n].state != MF_CALL_FREE)
            act(n, MF_CALL_ON_FAULT);
        w.plans[n].call = NULL;
    }
    check_world();
}

static uint64_t walked;

/* Every sequence that goes on from `path`, breadth after breadth: each is replayed from nothing. */
static void walk(int calls, int depth)
{
    enum { DEEPEST = 8 };
    int path[DEEPEST] = {0}; /* an act is n * ACTS + what */
    for (int longest = 1; longest <= depth; longest++) {
        memset(path, 0, sizeof path);
        for (;;) {
            int at = 0;
            while (at < longest && may(&w.plans[path[at] / ACTS], path[at] % ACTS)) {
                act(path[at] / ACTS, path[at] % ACTS);
                if (at == longest - 1)
                    check_world(); /* shorter ones were checked in their own turn */
                at++;
            }
            walked += at == longest;
            finish();
            int turn = at < longest ? at : longest - 1; /* what cannot happen has no sequels */
            memset(path + turn + 1, 0, (size_t)(DEEPEST - 1 - turn) * sizeof *path);
            while (turn >= 0 && ++path[turn] == calls * ACTS)
                path[turn--] = 0;
            if (turn < 0)
                break;
        }
    }
}

static void test_walks(void)
{
    open_world();
    walk(1, 8);
    CHECK(walked > 1000);
    walk(2, 6);
    CHECK(walked > 20000);
    for (int state = 0; state < MF_CALL_STATES; state++)
        for (int event = 0; event < MF_CALL_EVENTS; event++) {
            enum mf_call_state next;
            bool legal = mf_call_legal((enum mf_call_state)state, (enum mf_call_event)event, &next);
            CHECK_INT(w.driven[state][event], legal); /* no row was left out */
        }
    close_world();
}

/* --- the empty places */

static void bring(int n, int state, bool two_way)
{
    act(n, two_way ? BEGIN_TWO_WAY : BEGIN_ONE_WAY);
    if (state == MF_CALL_QUEUED)
        act(n, MF_CALL_ON_WAIT);
    else if (state == MF_CALL_SENT)
        act(n, MF_CALL_ON_ASKED);
    else if (state == MF_CALL_FREE)
        act(n, MF_CALL_ON_FAULT);
    CHECK_INT(w.plans[n].call->state, state);
}

/* The step in a child: true when it ended by an assertion of call.c, and by nothing else. */
static bool asserts(struct plan *plan, int event)
{
    int ends[2];
    char text[512];
    size_t len = 0;
    CHECK_INT(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        dup2(ends[1], STDERR_FILENO);
        step(plan, event);
        _exit(0);
    }
    close(ends[1]);
    ssize_t n;
    while (len < sizeof text - 1 && (n = read(ends[0], text + len, sizeof text - 1 - len)) != 0)
        if (n > 0)
            len += (size_t)n;
        else if (errno != EINTR)
            break;
    text[len] = 0;
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, "call.c") && strstr(text, "mf_call_step");
}

static void test_empty_places(void)
{
    int n = 0;
    open_world();
    for (int state = 0; state < MF_CALL_STATES; state++)
        for (int event = 0; event < MF_CALL_EVENTS; event++) {
            enum mf_call_state next;
            if (mf_call_legal((enum mf_call_state)state, (enum mf_call_event)event, &next))
                continue;
            for (int two_way = state == MF_CALL_SENT; two_way < 2; two_way++) {
                bring(0, state, two_way);
                bool held = asserts(&w.plans[0], event);
                if (!held)
                    fprintf(stderr, "state %d, event %d: no assertion\n", state, event);
                CHECK(held);
                n++;
                finish();
            }
        }
    CHECK_INT(n, 2 * (11 + 7 + 5) + 2);
    close_world();
}

/* --- what the walks leave out */

/* The timer itself ends a call, and says which wait it was. */
static void test_deadline(void)
{
    open_world();
    for (int state = MF_CALL_QUEUED; state <= MF_CALL_SENT; state++) {
        bring(0, state, true);
        struct mf_call *call = w.plans[0].call;
        uint64_t began = call->begun;
        mf_call_set_timeout(call, 3600000 + 5); /* later than the one that is set: no change */
        CHECK_INT(call->deadline, began + UINT64_C(3600000) * 1000000);
        mf_call_set_timeout(call, 1);
        CHECK_INT(call->deadline, began + 1000000);
        for (uint64_t until = mf_clock_ns() + UINT64_C(10000000000); call->state != MF_CALL_FREE;) {
            CHECK(mf_loop_turn(w.loop, 10000000) >= 0);
            if (mf_clock_ns() > until)
                break;
        }
        CHECK(mf_loop_now(w.loop) >= began + 1000000);
        CHECK_INT(w.outcome, MF_OUTCOME_TIMEOUT);
        bool had_frame = w.plans[0].has_frame;
        w.plans[0].state = means(&w.plans[0], MF_CALL_ON_TIMEOUT);
        if (had_frame) {
            CHECK(!mf_block_shared(w.plans[0].frame));
            mf_block_give(w.plans[0].frame);
        }
        finish();
    }
    close_world();
}

/* A caller that has finished is told of the end of its last call, not before; whatever ends that call. */
static void test_last_call(void)
{
    static const int last[] = {MF_CALL_ON_ANSWER, MF_CALL_ON_FAULT, MF_CALL_ON_TIMEOUT, MF_CALL_ON_UP_LOST};
    open_world();
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        bring(0, MF_CALL_SENT, true);
        bring(1, MF_CALL_SENT, true);
        w.caller.ending = true;
        w.idle = 0;
        act(0, MF_CALL_ON_ANSWER);
        CHECK_INT(w.idle, 0);
        act(1, last[i]);
        CHECK_INT(w.idle, 1);
        w.caller.ending = false;
        finish();
    }
    close_world();
}

/* The rule that is counted is the last that routed it; each is told once that it is done with. */
static void test_stat_moves(void)
{
    open_world();
    struct mf_stat *other = mf_zalloc(sizeof *other), *first = w.stat;
    struct mf_stat_shard a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    bring(0, MF_CALL_QUEUED, true);
    mf_call_set_stat(w.plans[0].call, other, true);
    act(0, MF_CALL_ON_ASKED);
    act(0, MF_CALL_ON_ANSWER);
    mf_stat_sum(first, &a);
    mf_stat_sum(other, &b);
    CHECK_INT(a.begun, 1);
    CHECK_INT(a.done, 1);
    CHECK_INT(a.status[0] + a.bytes_up + a.bytes_down, 0);
    CHECK_INT(b.begun, 1);
    CHECK_INT(b.done, 1);
    CHECK_INT(b.fallbacks, 1);
    CHECK_INT(b.status[mf_stat_status_index(20)], 1);
    CHECK_INT(b.bytes_up, FRAME);
    w.plans[0].call = NULL;
    free_stat(first);
    w.stat = other;
    close_world();
}

/* The uses of a slot are 40 bits: they wrap to an id that is the bare slot, and pass 2^63, where a peer that reads ids as
 * signed sees them turn negative. Neither the use before nor the one after is found by its id. */
static void test_wrap(void)
{
    enum { SLOTS = 3 };
    static const uint64_t borders[] = {0, UINT64_C(1) << 63};
    open_world();
    for (size_t i = 0; i < 2; i++) {
        struct mf_call *calls[SLOTS];
        int rc = 0;
        for (int n = 0; n < SLOTS; n++) {
            CHECK((calls[n] = mf_call_begin(&w.bare.calls, &w.caller, 1, 2, false, &rc)) != NULL);
            calls[n]->id = (borders[i] - (UINT64_C(2) << MF_CALL_SLOT_BITS)) | (uint64_t)n;
        }
        for (int n = SLOTS; n-- > 0;) /* the slot that is free last is taken first */
            mf_call_step(calls[n], MF_CALL_ON_SENT, &(struct mf_call_input){0});
        for (int use = -1; use < 3; use++) { /* the second use is the border itself */
            for (int n = 0; n < SLOTS; n++) {
                struct mf_call *call = mf_call_begin(&w.bare.calls, &w.caller, 1, 2, false, &rc);
                uint64_t id = (borders[i] + ((uint64_t)(int64_t)use << MF_CALL_SLOT_BITS)) | (uint64_t)(calls[n] - calls[0]);
                CHECK(call == calls[n]);
                CHECK(call->id == id && call->caller_id == 1);
                CHECK(mf_calls_find(&w.bare.calls, id) == call);
                CHECK(mf_calls_find(&w.bare.calls, id - (1 << MF_CALL_SLOT_BITS)) == NULL);
                CHECK(mf_calls_find(&w.bare.calls, id + (1 << MF_CALL_SLOT_BITS)) == NULL);
            }
            for (int n = SLOTS; n-- > 0;) {
                uint64_t id = calls[n]->id;
                mf_call_step(calls[n], MF_CALL_ON_SENT, &(struct mf_call_input){0});
                CHECK(mf_calls_find(&w.bare.calls, id) == NULL);
            }
        }
    }
    close_world();
}

int main(void)
{
    test_walks();
    test_empty_places();
    test_deadline();
    test_last_call();
    test_stat_moves();
    test_wrap();
    printf("call_steps: %llu sequences walked\n", (unsigned long long)walked);
    return test_end("call_steps");
}
