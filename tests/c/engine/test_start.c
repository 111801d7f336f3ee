/* start: an engine whose second listener cannot be opened leaves nothing behind in its caller's loop. */
#include "engine/engine.c"

#include "loops.h"

static void test_half_started(void)
{
    const char *why = NULL;
    struct mf_loop *loop;
    struct mf_table *table;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = backend}, &loop, &why), 0);
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_engine_options options = {.table = table, .embed = loop};
    mf_limits_default(&options.limits);
    struct mf_engine *engine;
    CHECK_INT(mf_engine_new(&options, &engine, &why), 0);
    struct mf_listen_options listen = {.name = MF_SLICE("one"), .direction = MF_OUTBOUND};
    struct mf_addr bound;
    CHECK_INT(mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind), 0);
    CHECK(mf_engine_listen(engine, &listen, &bound) >= 0);
    listen.name = MF_SLICE("two");
    CHECK(mf_engine_listen(engine, &listen, &bound) >= 0);
    int *second = &engine->fronts[1].fds[0], was = *second;
    *second = -1; /* no loop takes that */
    int rc = mf_engine_start(engine);
    CHECK(backend == MF_LOOP_URING || rc < 0); /* a ring says it later, to the listener */
    close(was);
    mf_engine_free(engine);
    /* The sanitizer sees it when a turn comes upon anything of the engine's. */
    for (int i = 0; i < 3; i++)
        CHECK(mf_loop_turn(loop, 1000000) >= 0);
    mf_loop_free(loop);
    mf_table_free(table);
}

int main(void)
{
    static void (*const tests[])(void) = {test_half_started};
    return run_all("start", tests, 1);
}
