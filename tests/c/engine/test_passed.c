/* passed: connections that leave an engine between two frames, and go on in another, or where they were. */
#include "rig.h"

#include <errno.h>
#include <sys/socket.h>

/* An engine of the rig's table that listens on copies of its sockets. */
static struct mf_engine *beside(struct rig *rig)
{
    const char *why = NULL;
    int fds[MF_WORKERS_MAX];
    struct mf_engine *next;
    struct mf_engine_options options = {.workers = 2, .loop.backend = backend, .table = rig->table};
    mf_limits_default(&options.limits);
    int n = mf_engine_copies(rig->engine, 0, fds);
    CHECK_INT(n, 1);
    struct mf_listen_options listen = {.name = MF_SLICE("next"), .fds = fds, .n_fds = (uint32_t)n};
    CHECK_INT(mf_engine_new(&options, &next, &why), 0);
    CHECK_INT(mf_engine_listen(next, &listen, NULL), 0);
    CHECK_INT(mf_engine_start(next), 0);
    CHECK_INT(mf_engine_share(rig->engine, 0, true), 0);
    return next;
}

/* The next one that leaves; false: no more do. */
static bool leaves(struct rig *rig, struct mf_passed *out)
{
    for (int i = 0; i < 10000; i++) {
        bool more = mf_engine_passing(rig->engine);
        if (mf_engine_next_passed(rig->engine, out))
            return true;
        if (!more)
            return false;
        usleep(1000);
    }
    return false;
}

static void goes_on(struct mf_engine *in, struct mf_passed *one)
{
    int rc;
    while ((rc = mf_engine_adopt(in, one)) == -EAGAIN)
        usleep(1000);
    CHECK_INT(rc, 0);
}

static void close_two(struct rig *rig, struct mf_engine *next)
{
    mf_engine_free(next);
    close_rig(rig);
}

/* A call by `caller` that comes to the rig's provider on a connection of its own. */
static int calls(struct rig *rig, int caller, uint64_t id)
{
    ask(caller, id, "svc", NULL);
    int provider = take(rig->listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(caller, id, 20, NULL);
    return provider;
}

static void test_a_caller_sees_nothing(void)
{
    struct rig rig;
    struct mf_passed one;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy), provider = calls(&rig, caller, 1);
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    CHECK(leaves(&rig, &one));
    CHECK(one.fd >= 0 && one.dubbo && !one.discard && !one.came && !one.came_len && one.listener == 0);
    CHECK_INT(mf_engine_pass(rig.engine, 1), -EBUSY);
    CHECK(!leaves(&rig, &one));
    CHECK_INT(COUNTER(&rig, connections_passed), 1);
    goes_on(next, &one);
    int other = calls(&rig, caller, 2); /* and no READONLY is in between */
    mf_engine_drain(rig.engine);
    CHECK(silent(caller, 50));
    struct mf_counters now;
    mf_engine_counters(next, &now);
    CHECK_INT(now.connections_adopted, 1);
    CHECK_INT(now.downstream_active, 1);
    CHECK_INT(COUNTER(&rig, limit_pass_timeout), 0);
    close(caller);
    close(provider);
    close(other);
    close_two(&rig, next);
}

/* At every byte of a request it goes along in two parts. */
static void test_half_a_frame_goes_along(void)
{
    uint8_t bytes[1024];
    size_t len = request(bytes, 2, TWO_WAY, "svc", MF_SLICE("x"), NULL);
    for (size_t at = 1; at < len; at += at < 20 ? 1 : 37) {
        struct rig rig;
        struct mf_passed one;
        open_rig(&rig, 1, MF_OUTBOUND, NULL);
        int caller = dial(&rig.proxy), provider = calls(&rig, caller, 1);
        CHECK(put(caller, bytes, at));
        struct mf_engine *next = beside(&rig);
        CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
        CHECK(leaves(&rig, &one));
        CHECK(one.came_len <= at); /* the rest is in the kernel */
        CHECK(put(caller, bytes + at, len - at));
        goes_on(next, &one);
        int other = take(rig.listeners[0]);
        answer(other, asked(other), 20, 1);
        expect(caller, 2, 20, NULL);
        close(caller);
        close(provider);
        close(other);
        close_two(&rig, next);
    }
}

static void test_it_waits_for_its_calls(void)
{
    struct rig rig;
    struct mf_passed one;
    open_rig(&rig, 1, MF_OUTBOUND, (struct setting[]){{"passTimeout", 60000}, {0}});
    int caller = dial(&rig.proxy);
    ask(caller, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    uint64_t id = asked(provider);
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    usleep(20000);
    CHECK_INT(mf_engine_next_passed(rig.engine, &one), 0);
    CHECK(mf_engine_passing(rig.engine));
    ask(caller, 2, "svc", NULL); /* which the next one reads */
    answer(provider, id, 20, 1);
    expect(caller, 1, 20, NULL);
    CHECK(leaves(&rig, &one));
    goes_on(next, &one);
    int other = take(rig.listeners[0]);
    answer(other, asked(other), 20, 1);
    expect(caller, 2, 20, NULL);
    close(caller);
    close(provider);
    close(other);
    close_two(&rig, next);
}

static void test_a_long_call_keeps_it(void)
{
    struct rig rig;
    struct mf_passed one;
    open_rig(&rig, 1, MF_OUTBOUND, (struct setting[]){{"passTimeout", 30}, {0}});
    int caller = dial(&rig.proxy);
    ask(caller, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    uint64_t id = asked(provider);
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    ask(caller, 2, "svc", NULL); /* read again, at the latest then */
    CHECK(!leaves(&rig, &one));
    CHECK_INT(COUNTER(&rig, limit_pass_timeout), 1);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 2, 20, NULL);
    mf_engine_drain(rig.engine);
    struct frame told = get(caller);
    CHECK(told.head.flags & MF_DUBBO_EVENT);
    drop(&told);
    answer(provider, id, 20, 1);
    expect(caller, 1, 20, NULL);
    close(caller);
    close(provider);
    close_two(&rig, next);
}

/* passTimeout 0: nobody goes, and nobody waits. */
static void test_none_goes(void)
{
    struct rig rig;
    struct mf_passed one;
    open_rig(&rig, 1, MF_OUTBOUND, (struct setting[]){{"passTimeout", 0}, {0}});
    int caller = dial(&rig.proxy), provider = calls(&rig, caller, 1);
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    CHECK(!leaves(&rig, &one));
    CHECK_INT(COUNTER(&rig, connections_passed), 0);
    CHECK_INT(COUNTER(&rig, limit_pass_timeout), 0);
    ask(caller, 2, "svc", NULL);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 2, 20, NULL);
    close(caller);
    close(provider);
    close_two(&rig, next);
}

/* Who has not said anything is as good as new there. One who is of another protocol stays. */
static void test_strangers(void)
{
    struct rig rig;
    struct mf_passed one;
    open_rig(&rig, 1, MF_OUTBOUND, (struct setting[]){{"detectTimeout", 0}, {0}});
    int stranger = dial(&rig.proxy), web = dial(&rig.proxy);
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    CHECK(put(web, preface, sizeof preface - 1));
    uint8_t greeting[9];
    CHECK(read_all(web, greeting, 9)); /* it is known by then */
    CHECK(REACHES(&rig, downstream_active, 2));
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    CHECK(leaves(&rig, &one));
    CHECK(!one.dubbo && !one.came_len);
    goes_on(next, &one);
    CHECK(!leaves(&rig, &one));
    close(calls(&rig, stranger, 1));
    CHECK_INT(COUNTER(&rig, downstream_active), 1);
    close(stranger);
    close(web);
    close_two(&rig, next);
}

/* Of a frame that is refused the rest is thrown away there. */
static void test_a_refused_frame(void)
{
    struct rig rig;
    struct mf_passed one;
    uint8_t bytes[16 + 4000] = {0xda, 0xbb, MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY | 2, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 15, 160};
    open_rig(&rig, 1, MF_OUTBOUND, (struct setting[]){{"maxBody", 2000}, {0}});
    int caller = dial(&rig.proxy);
    CHECK(put(caller, bytes, 1016));
    expect(caller, 9, 40, "maxBody");
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    CHECK(leaves(&rig, &one));
    CHECK_INT(one.discard, 3000);
    goes_on(next, &one);
    CHECK(put(caller, bytes + 1016, 3000));
    close(calls(&rig, caller, 10));
    close(caller);
    close_two(&rig, next);
}

/* Where nobody takes it in the end. */
static void test_it_goes_on_where_it_was(void)
{
    struct rig rig;
    struct mf_passed one;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy), provider = calls(&rig, caller, 1);
    struct mf_engine *next = beside(&rig);
    CHECK_INT(mf_engine_pass(rig.engine, 1), 0);
    CHECK(leaves(&rig, &one));
    mf_engine_drain(rig.engine);
    ask(caller, 2, "svc", NULL);
    goes_on(rig.engine, &one);
    answer(provider, asked(provider), 20, 1);
    struct frame told = get(caller); /* it ends */
    CHECK(told.head.flags & MF_DUBBO_EVENT);
    drop(&told);
    expect(caller, 2, 20, NULL);
    close(caller);
    close(provider);
    close_two(&rig, next);
}

static void test_what_cannot_be(void)
{
    struct rig rig;
    struct mf_passed one = {.fd = -1}, bad = {.fd = -1, .listener = 1};
    int pair[2];
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    CHECK_INT(mf_engine_pass(rig.engine, 1), -EINVAL); /* it is not shared */
    CHECK_INT(mf_engine_share(rig.engine, 0, true), 0);
    CHECK_INT(mf_engine_pass(rig.engine, 2), -EINVAL);
    CHECK_INT(mf_engine_adopt(rig.engine, &bad), -EINVAL);
    CHECK(!mf_engine_passing(rig.engine));
    CHECK_INT(mf_engine_stop(rig.engine), 0);
    CHECK_INT(mf_engine_adopt(rig.engine, &one), -EBUSY);
    CHECK_INT(mf_engine_pass(rig.engine, 1), -EBUSY);
    close_rig(&rig);

    struct mf_engine *still; /* in a loop that does not turn */
    struct mf_loop *loop;
    struct mf_table *table;
    const char *why = NULL;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = backend}, &loop, &why), 0);
    struct mf_engine_options options = {.embed = loop, .table = table};
    struct mf_listen_options listens[] = {{.name = MF_SLICE("a")}, {.name = MF_SLICE("b"), .protocol = MF_LISTEN_TCP}};
    mf_limits_default(&options.limits);
    CHECK_INT(mf_engine_new(&options, &still, &why), 0);
    for (int i = 0; i < 2; i++) {
        mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listens[i].bind);
        CHECK_INT(mf_engine_listen(still, &listens[i], NULL), i);
    }
    CHECK_INT(mf_engine_adopt(still, &one), -EBUSY);
    CHECK_INT(mf_engine_start(still), 0);
    CHECK_INT(mf_engine_adopt(still, &bad), -EINVAL);
    int rc = 0, n = 0;
    for (; n < 1000; n++) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        close(pair[1]);
        rc = mf_engine_adopt(still, &(struct mf_passed){.fd = pair[0]});
        if (rc < 0)
            break;
    }
    CHECK_INT(rc, -EAGAIN);
    CHECK(n >= 100);
    close(pair[0]);
    CHECK_INT(mf_engine_stop(still), 0);
    mf_engine_free(still);
    mf_loop_free(loop);
    mf_table_free(table);
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_a_caller_sees_nothing,
        test_half_a_frame_goes_along,
        test_it_waits_for_its_calls,
        test_a_long_call_keeps_it,
        test_none_goes,
        test_strangers,
        test_a_refused_frame,
        test_it_goes_on_where_it_was,
        test_what_cannot_be,
    };
    return run_all("passed", tests, sizeof tests / sizeof *tests);
}
