/* reset: calls that arrive in the very turn in which their provider's connection is found dead. The loop is turned by
 * hand, so that both are ready before it looks. */
#include "rig.h"

static struct mf_loop *loop;

/* Turns until `fd` has something to read. */
static void turn_until(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 5000 && waits(&poll_fd, 1, 0) == 0; i++)
        mf_loop_turn(loop, 1000000);
}

static void open_turned(struct rig *rig)
{
    const char *why = NULL;
    rig->listeners[0] = serve(&rig->addrs[0]);
    rig->listeners[1] = rig->listeners[2] = -1;
    CHECK_INT(mf_table_new(&rig->table), 0);
    CHECK_INT(mf_trace_new(1024, 60000000000, &rig->trace), 0);
    label_plan(rig);
    publish(rig, 1);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = backend}, &loop, &why), 0);
    struct mf_engine_options options = {.table = rig->table, .trace = rig->trace, .embed = loop};
    mf_limits_default(&options.limits);
    CHECK_INT(mf_engine_new(&options, &rig->engine, &why), 0);
    struct mf_listen_options listen = {.name = MF_SLICE("test"), .direction = MF_OUTBOUND};
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    CHECK_INT(mf_engine_listen(rig->engine, &listen, &rig->proxy), 0);
    CHECK_INT(mf_engine_start(rig->engine), 0);
}

/* No byte of the second call was written, so it goes over a new connection: it is neither lost nor overload. */
static void test_same_turn(void)
{
    struct rig rig;
    open_turned(&rig);
    int caller = dial(&rig.proxy);
    ask(caller, 1, "svc", NULL);
    turn_until(rig.listeners[0]);
    int provider = take(rig.listeners[0]);
    turn_until(provider);
    answer(provider, asked(provider), 20, 1);
    turn_until(caller);
    expect(caller, 1, 20, NULL);

    struct linger hard = {1, 0};
    setsockopt(provider, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(provider);
    ask(caller, 2, "svc", NULL);
    turn_until(rig.listeners[0]);
    provider = take(rig.listeners[0]);
    turn_until(provider);
    answer(provider, asked(provider), 20, 1);
    turn_until(caller);
    expect(caller, 2, 20, NULL);
    CHECK_INT(COUNTER(&rig, out_of_memory), 0);

    close(caller);
    close(provider);
    mf_engine_free(rig.engine);
    close(rig.listeners[0]);
    mf_table_free(rig.table);
    mf_trace_free(rig.trace);
    mf_loop_free(loop);
}

int main(void)
{
    void (*const tests[])(void) = {test_same_turn};
    return run_all("reset", tests, sizeof tests / sizeof *tests);
}
