/* passed, many: more connections than are told, or asked, in one turn: each of them goes, or goes on where it is. The engine
 * lives in the test's own loop, so that what a turn does is over before the next. */
#include "loops.h"
#include "peers.h"

enum { CALLERS = 300, WAIT_NS = 10000000 };
#define PATIENCE_NS UINT64_C(60000000000)

struct many {
    struct mf_loop *loop;
    struct mf_table *table;
    struct mf_engine *engine;
    struct mf_addr app, proxy;
    int listener;
    int callers[CALLERS];
};

static void open_many(struct many *many, uint64_t pass_timeout)
{
    const char *why = NULL;
    many->listener = serve(&many->app);
    CHECK_INT(mf_table_new(&many->table), 0);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = backend}, &many->loop, &why), 0);
    struct mf_engine_options options = {.embed = many->loop, .table = many->table};
    mf_limits_default(&options.limits);
    CHECK_INT(mf_limits_set(&options.limits, "passTimeout", pass_timeout), 0);
    CHECK_INT(mf_engine_new(&options, &many->engine, &why), 0);
    struct mf_listen_options listen = {
        .name = MF_SLICE("in"), .direction = MF_INBOUND, .has_forward = true, .forward = many->app};
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    CHECK_INT(mf_engine_listen(many->engine, &listen, &many->proxy), 0);
    CHECK_INT(mf_engine_start(many->engine), 0);
    CHECK_INT(mf_engine_share(many->engine, 0, true), 0);
    for (int i = 0; i < CALLERS; i++)
        many->callers[i] = dial(&many->proxy);
}

static void close_many(struct many *many)
{
    for (int i = 0; i < CALLERS; i++)
        close(many->callers[i]);
    CHECK_INT(mf_engine_stop(many->engine), 0);
    mf_engine_free(many->engine);
    mf_loop_free(many->loop);
    mf_table_free(many->table);
    close(many->listener);
}

static uint64_t counter(const struct many *many, size_t offset)
{
    struct mf_counters all;
    mf_engine_counters(many->engine, &all);
    return mf_load_relaxed((mf_atom64 *)(void *)((char *)&all + offset));
}
#define COUNTER(many, name) counter(many, offsetof(struct mf_counters, name))

/* Turns until a counter has that value. */
static bool comes_to(struct many *many, size_t offset, uint64_t value)
{
    for (uint64_t by = mf_clock_ns() + PATIENCE_NS; mf_clock_ns() < by;) {
        if (counter(many, offset) == value)
            return true;
        CHECK(mf_loop_turn(many->loop, WAIT_NS) >= 0);
    }
    return false;
}
#define COMES_TO(many, name, value) comes_to(many, offsetof(struct mf_counters, name), value)

static bool anybody_told(const struct many *many)
{
    for (int i = 0; i < CALLERS; i++)
        if (!silent(many->callers[i], 0))
            return true;
    return false;
}

static void ask_all(struct many *many, uint64_t from)
{
    for (int i = 0; i < CALLERS; i++)
        ask(many->callers[i], from + (uint64_t)i, "svc", NULL);
}

/* The application says READONLY while all wait for their calls: whoever has yet to hear it is read again as all are. */
static void test_the_application_goes_meanwhile(void)
{
    struct many many;
    uint8_t readonly[MF_DUBBO_EVENT_ROOM];
    open_many(&many, 60000);
    ask_all(&many, 1);
    CHECK(COMES_TO(&many, calls_active, CALLERS));
    int app = take(many.listener);
    CHECK_INT(mf_engine_pass(many.engine, 1), 0);
    CHECK(mf_loop_turn(many.loop, 0) >= 0);
    CHECK(mf_engine_passing(many.engine));
    CHECK(put(app, readonly, mf_dubbo_put_readonly(readonly)));
    while (!anybody_told(&many))
        CHECK(mf_loop_turn(many.loop, WAIT_NS) >= 0);
    CHECK(mf_engine_passing(many.engine)); /* most have yet to hear it, so they may yet go */
    mf_engine_drain(many.engine);
    ask_all(&many, 1001);
    CHECK(COMES_TO(&many, calls_active, 2 * CALLERS));
    close(app);
    close_many(&many);
}

/* Those that find no room on the way stay, and are counted like those that wait for their calls. */
static void test_who_was_never_asked_is_counted(void)
{
    struct many many;
    struct mf_passed one;
    open_many(&many, 1);
    CHECK(COMES_TO(&many, downstream_active, CALLERS));
    CHECK_INT(mf_engine_pass(many.engine, 1), 0);
    CHECK(mf_loop_turn(many.loop, 0) >= 0);
    while (mf_engine_passing(many.engine)) /* and nobody takes them */
        CHECK(mf_loop_turn(many.loop, WAIT_NS) >= 0);
    uint64_t went = COUNTER(&many, connections_passed);
    CHECK(went > 0 && went < CALLERS);
    CHECK_INT(COUNTER(&many, limit_pass_timeout), CALLERS - went);
    while (mf_engine_next_passed(many.engine, &one))
        mf_passed_drop(&one);
    close_many(&many);
}

/* Who has sent a byte to the one before does not wait for a provider that speaks first, however long ago that was. */
static void test_who_has_begun_to_speak(void)
{
    struct many many;
    int pair[2];
    open_many(&many, 1);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct mf_passed one = {.fd = pair[0], .came_len = 1, .came = mf_alloc(1), .silent = UINT64_C(60000000000)};
    *one.came = 'P';
    CHECK_INT(mf_engine_adopt(many.engine, &one), 0);
    CHECK(COMES_TO(&many, connections_adopted, 1));
    CHECK_INT(COUNTER(&many, limit_detect_timeout), 0);
    close(pair[1]);
    close_many(&many);
}

/* One that cannot be gone on with is told of. */
static void test_one_that_is_no_socket(void)
{
    struct many many;
    struct mf_event event = {0};
    open_many(&many, 1);
    CHECK_INT(mf_engine_adopt(many.engine, &(struct mf_passed){.fd = 1 << 20}), 0);
    CHECK(COMES_TO(&many, downstream_active, CALLERS)); /* a turn later, at least */
    CHECK_INT(mf_engine_next_event(many.engine, &event), 1);
    CHECK_INT(event.kind, MF_EVENT_ACCEPT_FAILED);
    CHECK_INT(event.rc, -EBADF);
    close_many(&many);
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_the_application_goes_meanwhile,
        test_who_was_never_asked_is_counted,
        test_who_has_begun_to_speak,
        test_one_that_is_no_socket,
    };
    return run_all("passed, many", tests, sizeof tests / sizeof *tests);
}
