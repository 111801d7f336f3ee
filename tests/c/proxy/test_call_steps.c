/* call: every row of the table driven with all it does, every empty place with the assertion it meets, and every short
 * life of two calls on shared connections, held against a model that was written apart from call.c. */
#include "proxy/call.h"
#include "proxy/conn.h"
#include "proxy/pool.h"
#include "proxy/worker.h"
#include "test.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

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

/* --- the acts: what is done to the real call, and what the model says of it */

enum { BEGIN_TWO_WAY = MF_CALL_EVENTS, BEGIN_ONE_WAY, DETACH, ACTS };

static void begin(int n, bool two_way)
{
    struct plan *plan = &w.plans[n];
    int rc = 0;
    *plan = (struct plan){.state = MF_CALL_ROUTING, .two_way = two_way, .has_down = true, .bytes = (uint32_t)(FRAME + n)};
    plan->call = mf_call_begin(w.worker, &w.down, 700 + (uint64_t)n, 2, two_way, &rc);
    CHECK(plan->call != NULL);
    plan->id = plan->call->id;
    plan->call->bytes_up = plan->bytes;
    mf_call_set_stat(plan->call, w.stat, false);
    mf_call_set_timeout(plan->call, 3600000);
    w.want.calls++;
    w.want.begun++;
    w.want.by_id_calls++;
}

static void sent(const struct plan *plan)
{
    w.want.bytes_up += plan->bytes;
    w.want.by_id_up += plan->bytes;
}

static void ended(struct plan *plan, int status_index)
{
    w.want.done++;
    w.want.status[status_index]++;
    plan->has_down = plan->has_frame = false;
}

static void told(const struct plan *plan)
{
    if (plan->two_way && plan->has_down)
        w.want.refused++;
}

/* The model: what the event means for a call in a state. Returns the next state. */
static int means(struct plan *plan, int event)
{
    switch (event) {
    case MF_CALL_ON_SENT:
        sent(plan);
        w.want.one_way++;
        w.want.stat_one_way++;
        ended(plan, mf_stat_status_index(20));
        return MF_CALL_FREE;
    case MF_CALL_ON_ASKED:
        sent(plan);
        plan->has_frame = false;
        return MF_CALL_SENT;
    case MF_CALL_ON_WAIT:
        plan->has_frame = true;
        return MF_CALL_QUEUED;
    case MF_CALL_ON_RETRY:
        w.want.retried++;
        w.want.routed_again++;
        plan->has_frame = false;
        return MF_CALL_ROUTING;
    case MF_CALL_ON_FAULT:
        told(plan);
        ended(plan, mf_stat_status_index(80));
        return MF_CALL_FREE;
    case MF_CALL_ON_ANSWER:
        w.want.answers++;
        w.want.delivered++;
        w.want.bytes_down += BODY;
        w.want.waits++;
        w.want.by_id_answers++;
        w.want.by_id_down += BODY;
        if (w.status == 20)
            w.want.by_id_ok++;
        else
            w.want.by_id_errors++;
        ended(plan, mf_stat_status_index(w.status));
        return MF_CALL_FREE;
    case MF_CALL_ON_TIMEOUT:
        w.want.timeouts++;
        timeouts_of_sent += plan->state == MF_CALL_SENT;
        CHECK_INT(doubts, timeouts_of_sent); /* a peer is doubted for what was sent to it, and for nothing else */
        told(plan);
        ended(plan, mf_stat_status_index(31));
        return MF_CALL_FREE;
    case MF_CALL_ON_UP_LOST:
        told(plan);
        ended(plan, MF_STAT_LOST);
        return MF_CALL_FREE;
    default: /* MF_CALL_ON_DOWN_LOST */
        w.want.abandoned++;
        ended(plan, MF_STAT_LOST);
        return MF_CALL_FREE;
    }
}

static void step(struct plan *plan, int event)
{
    struct mf_fault fault = mf_fault_of(MF_EROUTE_DOWN, MF_SIDE_UPSTREAM);
    struct mf_call_input input = {.up = &w.up, .pool = &w.pool, .fault = &fault, .head = &w,
                                  .body = mf_slice_of("answer.", BODY), .status = w.status};
    if (event == MF_CALL_ON_WAIT) {
        plan->frame = mf_block_new(plan->bytes, NULL);
        input.frame = mf_block_take(plan->frame);
    }
    mf_call_step(plan->call, (enum mf_call_event)event, &input);
}

static void act(int n, int what)
{
    struct plan *plan = &w.plans[n];
    if (what == BEGIN_TWO_WAY || what == BEGIN_ONE_WAY) {
        begin(n, what == BEGIN_TWO_WAY);
        return;
    }
    if (what == DETACH) {
        mf_call_detach(plan->call);
        plan->has_down = false;
        return;
    }
    uint64_t spoke = w.got.delivered + w.got.refused;
    w.status = what == MF_CALL_ON_ANSWER && n ? 70 : 20;
    w.about = NULL;
    w.driven[plan->state][what] = true;
    uint8_t status = w.status;
    step(plan, what);
    w.status = what == MF_CALL_ON_ANSWER ? status : w.status;
    if (w.got.delivered + w.got.refused != spoke) { /* to this call's caller, under its own id */
        CHECK(w.about == plan->call);
        CHECK_INT(w.told_down_id, 700 + n);
        if (what != MF_CALL_ON_ANSWER)
            CHECK_INT(w.status, what == MF_CALL_ON_TIMEOUT ? 31 : 80);
    }
    bool had_frame = plan->has_frame;
    plan->state = means(plan, what);
    if (had_frame && !plan->has_frame) {
        CHECK(!mf_block_shared(plan->frame)); /* the call's reference is gone, once */
        mf_block_give(plan->frame);
        plan->frame = NULL;
    }
}

/* What may happen to a call, by what the protocols do: a two-way call is never only sent, a one-way never asked. */
static bool may(const struct plan *plan, int what)
{
    if (!plan->call || plan->state == MF_CALL_FREE)
        return what == BEGIN_TWO_WAY || what == BEGIN_ONE_WAY;
    if (what == DETACH)
        return !plan->two_way && plan->has_down;
    enum mf_call_state next;
    if (what >= MF_CALL_EVENTS || !mf_call_legal((enum mf_call_state)plan->state, (enum mf_call_event)what, &next))
        return false;
    if (plan->two_way)
        return what != MF_CALL_ON_SENT;
    return what != MF_CALL_ON_ASKED && what != MF_CALL_ON_DOWN_LOST;
}

/* --- the invariants, after every act */

static uint64_t length(const struct mf_list *list)
{
    uint64_t n = 0;
    for (const struct mf_list *node = list->next; node != list; node = node->next) {
        CHECK(node->next->prev == node);
        n++;
    }
    return n;
}

static bool on(const struct mf_list *list, const struct mf_list *wanted)
{
    for (const struct mf_list *node = list->next; node != list; node = node->next)
        if (node == wanted)
            return true;
    return false;
}

static void read_counts(void)
{
    const struct mf_counters *c = &w.worker->counters;
    const struct mf_serialization_counters *s = &w.worker->serializations[2];
    struct mf_stat_shard all;
    memset(&all, 0, sizeof all);
    mf_stat_sum(w.stat, &all);
    w.got.calls = c->calls;
    w.got.one_way = c->calls_one_way;
    w.got.retried = c->calls_retried;
    w.got.abandoned = c->calls_abandoned;
    w.got.answers = c->answers;
    w.got.timeouts = c->limit_call_timeout;
    w.got.begun = all.begun;
    w.got.done = all.done;
    w.got.stat_one_way = all.one_way;
    w.got.bytes_up = all.bytes_up;
    w.got.bytes_down = all.bytes_down;
    w.got.waits = 0;
    for (int i = 0; i < MF_STAT_BUCKETS; i++)
        w.got.waits += all.latency[i];
    for (int i = 0; i < MF_STAT_STATUS; i++)
        w.got.status[i] = all.status[i];
    w.got.by_id_calls = s->calls;
    w.got.by_id_answers = s->answers;
    w.got.by_id_up = s->bytes_up;
    w.got.by_id_down = s->bytes_down;
    w.got.by_id_ok = s->ok;
    w.got.by_id_errors = s->errors;
}

static void check_world(void)
{
    uint64_t live = 0, downs = 0, ups = 0, queue = 0, queued = 0;
    for (int n = 0; n < CALLS; n++) {
        const struct plan *plan = &w.plans[n];
        struct mf_call *call = plan->call;
        if (!call)
            continue;
        if (plan->state == MF_CALL_FREE) {
            CHECK(mf_calls_find(&w.worker->calls, plan->id) == NULL || w.plans[!n].id == plan->id);
            continue;
        }
        live++;
        downs += plan->has_down;
        ups += plan->state == MF_CALL_SENT;
        queue += plan->state == MF_CALL_QUEUED;
        queued += plan->state == MF_CALL_QUEUED ? plan->bytes : 0;
        CHECK_INT(call->state, plan->state);
        CHECK(call->id == plan->id && mf_calls_find(&w.worker->calls, plan->id) == call);
        CHECK(call->down == (plan->has_down ? &w.down : NULL));
        CHECK(on(&w.down.calls, &call->down_node) == plan->has_down);
        CHECK(call->up == (plan->state == MF_CALL_SENT ? &w.up : NULL));
        CHECK(on(&w.up.calls, &call->up_node) == (plan->state == MF_CALL_SENT));
        CHECK(call->pool == (plan->state == MF_CALL_QUEUED ? &w.pool : NULL));
        CHECK(on(&w.pool.queue, &call->up_node) == (plan->state == MF_CALL_QUEUED));
        CHECK(call->frame == (plan->has_frame ? plan->frame : NULL));
        CHECK(!plan->frame || mf_block_shared(plan->frame));
        CHECK(call->timer.at != 0 && call->stat != NULL);
    }
    CHECK_INT(w.worker->calls.n_live, live);
    CHECK_INT(mf_load_relaxed(&w.worker->counters.calls_active), live);
    CHECK_INT(w.worker->calls._n_slots, live + length(&w.worker->calls._free)); /* no slot is lost, none is twice free */
    CHECK_INT(mf_loop_timers(w.loop)->_count, live);
    CHECK_INT(w.down.n_calls, downs);
    CHECK_INT(length(&w.down.calls), downs);
    CHECK_INT(w.up.n_calls, ups);
    CHECK_INT(length(&w.up.calls), ups);
    CHECK_INT(length(&w.pool.queue), queue);
    CHECK_INT(w.pool.queued, queued);
    read_counts();
    CHECK_INT(w.got.begun - w.got.done, live); /* what keeps a stat from being freed under a call */
    CHECK(memcmp(&w.got, &w.want, sizeof w.got) == 0);
}

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
    CHECK_INT(n, 2 * (9 + 5 + 3) + 4);
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
        CHECK_INT(w.status, 31);
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

/* A caller that has finished is closed with its last call, not before; whatever ends that call. */
static void test_last_call(void)
{
    static const int last[] = {MF_CALL_ON_ANSWER, MF_CALL_ON_FAULT, MF_CALL_ON_TIMEOUT, MF_CALL_ON_UP_LOST};
    open_world();
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        bring(0, MF_CALL_SENT, true);
        bring(1, MF_CALL_SENT, true);
        w.down.ending = true;
        act(0, MF_CALL_ON_ANSWER);
        CHECK(!w.down.doomed);
        act(1, last[i]);
        CHECK(w.down.doomed);
        mf_timer_cancel(mf_loop_timers(w.loop), &w.down.timer);
        w.down.doomed = w.down.ending = false;
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
            CHECK((calls[n] = mf_call_begin(w.worker, &w.down, 1, 2, false, &rc)) != NULL);
            calls[n]->id = (borders[i] - (UINT64_C(2) << MF_CALL_SLOT_BITS)) | (uint64_t)n;
        }
        for (int n = SLOTS; n-- > 0;) /* the slot that is free last is taken first */
            mf_call_step(calls[n], MF_CALL_ON_SENT, &(struct mf_call_input){0});
        for (int use = -1; use < 3; use++) { /* the second use is the border itself */
            for (int n = 0; n < SLOTS; n++) {
                struct mf_call *call = mf_call_begin(w.worker, &w.down, 1, 2, false, &rc);
                uint64_t id = (borders[i] + ((uint64_t)(int64_t)use << MF_CALL_SLOT_BITS)) | (uint64_t)(calls[n] - calls[0]);
                CHECK(call == calls[n]);
                CHECK(call->id == id && call->down_id == 1);
                CHECK(mf_calls_find(&w.worker->calls, id) == call);
                CHECK(mf_calls_find(&w.worker->calls, id - (1 << MF_CALL_SLOT_BITS)) == NULL);
                CHECK(mf_calls_find(&w.worker->calls, id + (1 << MF_CALL_SLOT_BITS)) == NULL);
            }
            for (int n = SLOTS; n-- > 0;) {
                uint64_t id = calls[n]->id;
                mf_call_step(calls[n], MF_CALL_ON_SENT, &(struct mf_call_input){0});
                CHECK(mf_calls_find(&w.worker->calls, id) == NULL);
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
