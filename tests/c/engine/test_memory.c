/* memory: the i-th allocation fails, for every i of a whole life of an engine; then it, and all after it for a while.
 *
 * Whatever fails: nobody is sent what is not his, every call that came in gets its answer, or an error, or the end of
 * its connection; nothing leaks; and once there is memory again the same engine serves as before. */
#include "loops.h"
#include "stage_turn.h"

static struct mf_addr stuck;

/* --- the table, as configuration puts it in force: all that can fail first, then the stores that cannot */

static int prepare(struct mf_table *table, struct mf_cluster *cluster, const char *name, struct mf_service **out)
{
    int rc = mf_service_new(table, mf_slice_str(name), MF_SERVICE_EXACT, out);
    if (rc < 0)
        *out = NULL;
    if (rc >= 0)
        rc = mf_service_rule(*out, 0);
    if (rc >= 0)
        rc = mf_service_match(*out, 0);
    if (rc >= 0)
        rc = mf_service_condition(table, *out, 0, 0, MF_FIELD_HEADER, MF_SLICE("never-sent"), MF_OP_ABSENT,
                                  MF_SLICE(""));
    if (rc >= 0)
        rc = mf_service_target(table, *out, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100,
                               MF_FALLBACK_NO_AVAILABLE, 1);
    if (rc >= 0)
        rc = mf_service_target(table, *out, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0,
                               MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    return rc < 0 ? rc : mf_table_prepare(table, *out);
}

static int add_instances(struct stage *stage, struct mf_cluster *cluster)
{
    static const struct mf_pair labels[PROVIDERS] = {
        [LABELLED] = {MF_SLICE("dev"), MF_SLICE("dev1")}, [STUCK] = {MF_SLICE("dev"), MF_SLICE("dev2")}};
    int rc = 0;
    for (int i = 0; rc == 0 && i < PROVIDERS; i++) {
        char text[MF_ADDR_TEXT];
        struct mf_slice addr = mf_slice_of(text, mf_addr_format(&stage->addrs[i], text));
        if (i != APP)
            rc = mf_cluster_add(stage->table, cluster, addr, &labels[i], labels[i].key.len > 0, 1);
    }
    return rc == 0 ? mf_cluster_seal(stage->table, cluster) : rc;
}

static int plan_labels(struct mf_table *table)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    int index = mf_label_intern(table, MF_SLICE("dev"));
    if (index < 0)
        return index;
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_PLAIN, MF_SLICE("x-request-id")};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = 2};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    plan.labels[0].sources[1] = plan.traces[0];
    return mf_table_publish_labels(table, &plan);
}

/* `svc` and `name`; `gone` goes. */
static int update(struct stage *stage, const char *name, const char *gone)
{
    struct mf_cluster *cluster = NULL;
    const char *names[2] = {"svc", name};
    struct mf_service *services[2] = {NULL, NULL};
    int rc = mf_cluster_new(stage->table, mf_slice_str(name), &cluster);
    if (rc < 0)
        return rc;
    rc = add_instances(stage, cluster);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = prepare(stage->table, cluster, names[i], &services[i]);
    if (rc == 0)
        rc = plan_labels(stage->table);
    for (int i = 0; i < 2; i++) {
        if (rc == 0)
            CHECK_INT(mf_table_publish(stage->table, services[i]), 0);
        else if (services[i])
            mf_service_free(stage->table, services[i]);
    }
    if (rc == 0 && gone)
        CHECK_INT(mf_table_remove(stage->table, mf_slice_str(gone), MF_SERVICE_EXACT), 0);
    mf_cluster_give(stage->table, cluster);
    mf_table_reclaim(stage->table);
    return rc;
}

/* --- the engine's life */

static int listen_at(struct stage *stage, enum mf_direction direction, struct mf_addr *bound)
{
    struct mf_listen_options listen = {.name = MF_SLICE("test"), .direction = direction, .has_forward = true, .refuse_unknown = true,
                                       .forward = stage->addrs[APP]};
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    int rc = mf_engine_listen(stage->engine, &listen, bound);
    return rc < 0 ? rc : 0;
}

static int try_open(struct stage *stage)
{
    struct mf_engine_options options = {0};
    static const struct {
        const char *name;
        uint64_t value;
    } limits[] = {{"peerBackoff", 1}, {"connectTimeout", 10}, {"outputHigh", 65536}, {"upstreamOutputHigh", 65536}};
    int rc = mf_table_new(&stage->table);
    if (rc == 0)
        rc = mf_trace_new(64, 60000000000, &stage->trace);
    if (rc == 0)
        rc = update(stage, "first", NULL);
    if (rc == 0)
        rc = mf_loop_new(&(struct mf_loop_options){.backend = backend}, &stage->loop, NULL);
    options.table = stage->table;
    options.trace = stage->trace;
    options.embed = stage->loop;
    mf_limits_default(&options.limits);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        CHECK_INT(mf_limits_set(&options.limits, limits[i].name, limits[i].value), 0);
    if (rc == 0)
        rc = mf_engine_new(&options, &stage->engine, NULL);
    if (rc == 0)
        rc = listen_at(stage, MF_OUTBOUND, &stage->outbound);
    if (rc == 0)
        rc = listen_at(stage, MF_INBOUND, &stage->inbound);
    return rc == 0 ? mf_engine_start(stage->engine) : rc;
}

static void shut(struct stage *stage)
{
    if (stage->engine)
        mf_engine_free(stage->engine);
    if (stage->loop)
        mf_loop_free(stage->loop);
    if (stage->table)
        mf_table_free(stage->table);
    mf_trace_free(stage->trace);
    stage->engine = NULL;
    stage->loop = NULL;
    stage->table = NULL;
    stage->trace = NULL;
}

static void open_stage(struct stage *stage)
{
    *stage = (struct stage){.turns_left = -1};
    for (int i = 0; i < ENDS; i++)
        stage->ends[i].fd = FREE_PLACE;
    for (int i = 0; i < STUCK; i++)
        stage->listeners[i] = serve(&stage->addrs[i]);
    stage->addrs[STUCK] = stuck;
}

/* Nothing is half made: what an attempt left is freed, and the next one, with memory, works. */
static void start(struct stage *stage)
{
    int rc;
    while ((rc = try_open(stage)) < 0) {
        CHECK_INT(rc, -ENOMEM);
        CHECK(fail_failed > 0);
        shut(stage);
        heal(stage);
    }
}

static void close_stage(struct stage *stage)
{
    shut(stage);
    for (int i = 0; i < ENDS; i++)
        close_end(&stage->ends[i]);
    for (int i = 0; i < STUCK; i++)
        close(stage->listeners[i]);
    for (uint32_t i = 0; i < stage->n_asks; i++)
        free_bytes(&stage->asks[i].frame);
}

static uint64_t out_of_memory(const struct stage *stage)
{
    struct mf_counters all;
    mf_engine_counters(stage->engine, &all);
    return mf_load_relaxed(&all.out_of_memory);
}

/* --- what happens in it */

#define Q(...) (&(struct question){__VA_ARGS__})
#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
enum { ONE = 1 << BASELINE, DEV = 1 << LABELLED, OWN = 1 << APP };

/* Two that call out, one that calls in. */
struct callers {
    struct end *a, *b, *in;
};

/* More connections have output at once than ever before, so that none finds a run to use again; then all is as new. */
static void first_words(struct stage *stage, struct callers *from)
{
    struct question out = {"svc", ECHO, 10, .want = 20, .to = ONE}, in = {"any", ECHO, 10, .want = 20, .to = OWN};
    struct end *other = call_in(stage, &stage->outbound);
    put_question(stage, &from->a, &stage->outbound, &out);
    settle(stage);
    put_question(stage, &from->in, &stage->inbound, &in);
    settle(stage);
    put_question(stage, &from->a, &stage->outbound, &out);
    put_question(stage, &from->b, &stage->outbound, &out);
    put_question(stage, &other, &stage->outbound, &out);
    put_question(stage, &from->in, &stage->inbound, &in);
    settle(stage);
    put_question(stage, &other, &stage->outbound, Q("svc", DROP, 10, .want = 35, .to = ONE));
    settle(stage);
}

static void while_connecting(struct stage *stage, struct callers *from)
{
    struct end **a = &from->a, **b = &from->b, **in = &from->in;
    struct question small = {"svc", ECHO, 10, .want = 20, .to = ONE};
    for (int i = 0; i < 260; i++) /* more than one page of calls */
        put_question(stage, a, &stage->outbound, &small);
    put_question(stage, b, &stage->outbound, Q("svc", MEDIUM, 20000, .want = 20, .to = ONE));
    put_question(stage, b, &stage->outbound, Q("svc", BIG, 70000, .want = 20, .to = ONE));
    put_question(stage, b, &stage->outbound, Q("svc", ONE_WAY_CALL, 17000, .to = ONE));
    const char *const *pairs = PAIRS("dev", "dev1", "x-request-id", "t1");
    struct question labelled = {"any", ECHO, 10, .pairs = pairs, .want = 20, .to = OWN};
    struct ask *told = put_question(stage, in, &stage->inbound, &labelled);
    settle(stage);

    /* By trace id alone, where what goes with it was surely remembered. */
    if (told->status != 20)
        return;
    struct question traced = {"svc", ECHO, 10, PAIRS("x-request-id", "t1"), 20, DEV, .stamped = true};
    put_question(stage, b, &stage->outbound, &traced);
    settle(stage);
    traced.command = BIG;
    traced.size = 70000;
    put_question(stage, b, &stage->outbound, &traced);
}

static void when_connected(struct stage *stage, struct callers *from)
{
    struct end **a = &from->a, **b = &from->b, **in = &from->in;
    const struct mf_addr *out = &stage->outbound;
    put_question(stage, a, out, Q("svc", MEDIUM, 10, .want = 20, .to = ONE));
    put_question(stage, a, out, Q("svc", ECHO, 200000, .want = 20, .to = ONE));
    put_question(stage, a, out, Q("svc", BIG, 17000, .pairs = PAIRS("dev", "dev1"), .want = 20, .to = DEV));
    put_question(stage, b, out, Q("unheard.of", ECHO, 10, .want = 60));
    put_question(stage, b, out, Q("svc", ECHO, 10, .want = 40, .broken = true));
    put_question(stage, b, out, Q("?", ECHO, 30000, .want = 20, .to = OWN, .serialization = 8));
    put_question(stage, b, out, Q("svc", ONE_WAY_CALL, 30000, .to = ONE));
    put_question(stage, in, &stage->inbound, Q("any", BIG, 100000, .want = 20, .to = OWN));
    put_beat(*b, 77, MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY | MF_DUBBO_EVENT | MF_DUBBO_HESSIAN2);
    settle(stage);
}

/* A provider that says nothing, one that lets nobody in, one that hangs up. */
static void when_providers_fail(struct stage *stage, struct callers *from)
{
    struct end **a = &from->a, **b = &from->b;
    const struct mf_addr *out = &stage->outbound;
    put_question(stage, a, out, Q("svc", SILENT, 10, .pairs = PAIRS("timeout", "10"), .want = 31, .to = ONE));
    put_question(stage, a, out, Q("svc", ECHO, 10, .pairs = PAIRS("dev", "dev2"), .want = 20, .to = ONE));
    put_question(stage, b, out, Q("svc", BIG, 70000, .pairs = PAIRS("dev", "dev2"), .want = 20, .to = ONE));
    settle(stage);
    put_question(stage, b, out, Q("svc", DROP, 10, .want = 35, .to = ONE));
    settle(stage);
    put_question(stage, b, out, Q("svc", ECHO, 17000, .want = 20, .to = ONE));
    settle(stage);
}

static void plain_bytes(struct stage *stage, struct callers *from)
{
    (void)from;
    uint8_t bytes[50000];
    struct end *end = call_in(stage, &stage->outbound);
    end->plain = true;
    fill(bytes, sizeof bytes, 0);
    append(&end->out, bytes, sizeof bytes);
    uint64_t until = mf_clock_ns() + 20000000000u;
    while (!end->gone && end->echoed < sizeof bytes && mf_clock_ns() < until)
        turn(stage);
    CHECK(end->gone || end->echoed == sizeof bytes);
    if (!end->gone) {
        shutdown(end->fd, SHUT_RDWR);
        close_end(end);
    }
}

/* Either all of the new table is in force, or all of the old one. */
static void change_table(struct stage *stage, struct callers *from)
{
    struct end **a = &from->a;
    int rc = update(stage, "second", "first");
    CHECK(rc == 0 || (rc == -ENOMEM && fail_failed > 0 && !stage->strict));
    struct question first = {"first", ECHO, 10, .want = rc ? 20 : 60, .to = ONE};
    struct question second = {"second", ECHO, 10, .want = rc ? 60 : 20, .to = ONE};
    put_question(stage, a, &stage->outbound, &first);
    put_question(stage, a, &stage->outbound, &second);
    struct question labelled = {"svc", MEDIUM, 10, PAIRS("dev", "dev1"), 20, DEV, .stamped = false};
    put_question(stage, a, &stage->outbound, &labelled);
    settle(stage);
}

/* There is memory again: new callers are served as if nothing had been. */
static void serves_again(struct stage *stage)
{
    const char *const *dev1 = PAIRS("dev", "dev1");
    struct end *a = call_in(stage, &stage->outbound), *in = call_in(stage, &stage->inbound);
    put_question(stage, &a, &stage->outbound, Q("svc", ECHO, 10, .want = 20, .to = ONE));
    put_question(stage, &a, &stage->outbound, Q("svc", BIG, 90000, .pairs = dev1, .want = 20, .to = DEV));
    put_question(stage, &in, &stage->inbound, Q("any", MEDIUM, 20000, .want = 20, .to = OWN));
    settle(stage);
}

static void end_of_life(struct stage *stage, struct end **a)
{
    put_question(stage, a, &stage->outbound, Q("svc", SILENT, 10, .want = 35, .to = ONE));
    for (int i = 0; i < 3; i++)
        turn(stage);
    stage->stopping = true;
    static unsigned lives; /* a soft end takes a moment of real time */
    if (lives++ % 16 == 0)
        mf_engine_drain(stage->engine);
    for (int i = 0; i < 3; i++)
        turn(stage);
    on_tick(&stage->tick);
    mf_engine_stop(stage->engine);
    mf_timer_cancel(mf_loop_timers(stage->loop), &stage->tick);
    move_peers(stage);
    CHECK_INT(n_open(stage), 0);
}

/* As far as the failure is met: what comes after it is what a new caller meets, too. */
static void live(struct stage *stage)
{
    static void (*const parts[])(struct stage *, struct callers *) = {
        first_words, while_connecting, when_connected, when_providers_fail, plain_bytes, change_table};
    start(stage);
    struct callers from;
    from.a = call_in(stage, &stage->outbound);
    from.b = call_in(stage, &stage->outbound);
    from.in = call_in(stage, &stage->inbound);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && (!fail_failed || fail_on); i++)
        parts[i](stage, &from);
    if (fail_failed > 0)
        heal(stage);
    stage->strict = fail_failed > 0;
    serves_again(stage);
    stage->strict = false;
    end_of_life(stage, &from.a);
    CHECK(!stage->shed || out_of_memory(stage) > 0);
}

/* --- every i */

/* How many allocations the run asked for. */
static long run(long i, long turns)
{
    static struct stage stage;
    int descriptors = open_descriptors(), failures = test_failures;
    long live_before = fail_live;
    open_stage(&stage);
    stage.turns_left = turns;
    if (turns < 0)
        fail_at(i);
    else
        fail_from(i);
    live(&stage);
    long seen = fail_seen;
    fail_at(0);
    for (uint32_t n = 0; n < stage.n_asks; n++)
        CHECK(stage.asks[n].delivered <= 1);
    close_stage(&stage);
    CHECK_INT(fail_live, live_before);
    CHECK_INT(open_descriptors(), descriptors);
    if (test_failures > failures)
        fprintf(stderr, "  where allocation %ld failed, on loop %d, for %ld turns\n", i, backend, turns);
    return seen;
}

static long sweep(bool lasting)
{
    long i = 1;
    while (test_failures < 20) {
        long seen = run(i, lasting ? i % 5 : -1);
        if (seen < i)
            break;
        i++;
    }
    return i;
}

static void test_all_is_well(void)
{
    long seen = run(0, -1);
    CHECK(seen > 100);
}

static void test_each_fails(void)
{
    long n = sweep(false), m = sweep(true);
    printf("memory: %s: %ld allocations failed one by one, %ld for a while\n",
           backend == MF_LOOP_EPOLL ? "epoll" : "io_uring", n - 1, m - 1);
}

/* --- an address that lets nobody in: its queue of accepted connections is full for as long as the test runs */

static int full = -1, fillers[64], n_fillers;

static void fill_queue(void)
{
    int on = 1;
    struct mf_addr any;
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &any);
    full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(full, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK_INT(bind(full, &any.sa, any.len), 0);
    CHECK_INT(listen(full, 0), 0);
    CHECK_INT(mf_sock_local(full, &stuck), 0);
    for (; n_fillers < 64; n_fillers++) {
        int fd = fillers[n_fillers] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pollfd made = {.fd = fd, .events = POLLOUT};
        if (connect(fd, &stuck.sa, stuck.len) < 0 && waits(&made, 1, 200) == 0)
            break;
    }
    CHECK(n_fillers < 64);
}

int main(void)
{
    static void (*const tests[])(void) = {test_all_is_well, test_each_fails};
    fill_queue();
    int rc = run_all("memory", tests, sizeof tests / sizeof *tests);
    for (int i = 0; i <= n_fillers; i++)
        close(fillers[i]);
    close(full);
    return rc;
}
