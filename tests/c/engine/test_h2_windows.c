/* h2_down, h2_up, call: windows end to end: who does not read stops his own stream and no other's, and every byte that went
 * or was dropped is given back. */
#define FAKE_CONNS 64
#define TOLD 512
#include "h2_serve.h"

/* A caller without a window, and another on the same connection to the provider. */
static void test_slow_caller(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *slow = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0}), *good = caller();
    say_head(slow, 1, CALL, true);
    say_head(good, 1, CALL, true);
    struct peer *b = provider();
    say_head(b, 1, OK, false);
    say_head(b, 3, OK, false);
    size_t first = (size_t)mesh.limits.h2_first_window;
    say_much(b, 1, first, false);
    pass(100);
    CHECK_INT((hear(b), told_of(b, 1)->credit), 0);
    CHECK_INT((hear(slow), told_of(slow, 1)->content), 0);
    for (int i = 0; i < 100; i++) { /* far more than the connection's window */
        size_t due = first + told_of(b, 3)->credit - told_of(b, 3)->sent;
        due = due < 16384 ? due : 16384;
        CHECK(due > 0);
        say_much(b, 3, due, false);
        told_of(b, 3)->sent += due;
        settle();
        hear(good);
        serve_take(good, told_of(good, 1));
        settle();
        hear(b);
    }
    CHECK_INT(told_of(good, 1)->content, told_of(b, 3)->sent);
    CHECK(b->credit > 0);
    say_window(slow, 1, 1000000);
    settle();
    CHECK_INT((hear(slow), told_of(slow, 1)->content), first);
    CHECK((hear(b), told_of(b, 1)->credit) > 0);
    say_head(b, 1, DONE, true);
    CHECK(strstr((settle(), told(slow, 1)), T_DONE));
    mesh_close();
}

/* The same the other way: a provider that takes nothing of one request takes another's. */
static void test_slow_provider(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *c = caller();
    say_head(a, 1, CALL, false);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    size_t first = (size_t)mesh.limits.h2_first_window;
    say_much(a, 1, first, false);
    say_head(c, 1, CALL, false);
    settle();
    CHECK_INT((hear(b), told_of(b, 1)->content), 0);
    CHECK_INT((hear(a), told_of(a, 1)->credit), 0);
    say_window(b, 3, 1 << 20);
    size_t sent = 0;
    for (int i = 0; i < 50; i++) {
        size_t due = first + (hear(c), told_of(c, 1)->credit) - sent;
        due = due < 16384 ? due : 16384;
        CHECK(due > 0);
        say_much(c, 1, due, false);
        sent += due;
        settle();
        hear(b);
        size_t got = told_of(b, 3)->content - told_of(b, 3)->taken;
        told_of(b, 3)->taken += got;
        say_window(b, 0, (uint32_t)got);
        say_window(b, 3, (uint32_t)got);
        settle();
    }
    CHECK_INT(told_of(b, 3)->content, sent);
    say_window(b, 1, 1 << 20);
    settle();
    CHECK_INT((hear(b), told_of(b, 1)->content), first);
    CHECK((hear(a), told_of(a, 1)->credit) > 0);
    mesh_close();
}

static void many_cancels(struct mf_limits *limits)
{
    limits->h2_cancels = limits->h2_cuts = 1000000;
}

/* What is dropped with its stream is given back, whatever ended it: more than a connection's window goes by, in each way that
 * a stream may end with content in our hands. */
static void test_all_given_back(void)
{
    enum { ROUNDS = 220, SIZE = 8000 };
    mesh_open(MF_OUTBOUND, 1, many_cancels);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0}), *b = NULL;
    int64_t up = mesh.limits.h2_connection_window, down = up;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t id = 1 + 2 * i;
        say_head(a, id, CALL, false);
        say_much(a, id, SIZE, false);
        settle();
        b = b ? b : provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
        hear(b);
        struct told *of = &b->told[b->n_told - 1];
        say_head(b, of->id, OK, false);
        say_much(b, of->id, SIZE, i % 5 == 1);
        up -= SIZE;
        down -= SIZE;
        settle();
        if (i % 5 == 0)
            say_rst(a, id, MF_H2_CANCEL);
        else if (i % 5 == 1)
            say_rst(a, id, MF_H2_CANCEL); /* answered in full, and not read */
        else if (i % 5 == 2)
            say_rst(b, of->id, MF_H2_INTERNAL_ERROR);
        else if (i % 5 == 3)
            say_head(b, of->id, ":bad: 1", true);
        else
            say_rst(b, of->id, MF_H2_REFUSED_STREAM);
        settle();
        hear(a);
        hear(b);
        if (down + (int64_t)b->credit < SIZE || up + (int64_t)a->credit < SIZE)
            BROKEN("after %u calls: %lld up, %lld down", i, (long long)(up + (int64_t)a->credit),
                   (long long)(down + (int64_t)b->credit));
    }
    CHECK_INT(COUNTED(calls_active), 0);
    say_head(a, 1001, CALL, true);
    settle();
    hear(b);
    CHECK(b->told[b->n_told - 1].ended);
    mesh_close();
}

static void little_memory(struct mf_limits *limits)
{
    limits->max_memory = 16777216;
    limits->h2_first_window = 65536;
    limits->h2_connection_window = 8388608;
}

/* A provider takes nothing of hundreds of requests: when memory is short those are given up, and neither its connection nor
 * any caller's. */
static void test_tight(void)
{
    enum { CALLERS = 4, STREAMS = 64, EACH = 60000 };
    mesh_open(MF_OUTBOUND, 1, little_memory);
    struct peer *callers[CALLERS], *good = caller(), *b = NULL;
    say_head(good, 1, CALL, false);
    b = provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = caller();
        for (uint32_t k = 0; k < STREAMS; k++) {
            say_head(callers[i], 2 * k + 1, CALL, false);
            say_much(callers[i], 2 * k + 1, EACH, false);
        }
        settle();
    }
    CHECK(mf_loop_memory(fake.loop) > mesh.limits.max_memory / 8 * 7);
    for (int i = 0; i < 40; i++) { /* one request moves all the while */
        say_window(b, 1, 10);
        say_data(good, 1, "0123456789", false);
        pass(100);
    }
    CHECK(mf_loop_memory(fake.loop) <= mesh.limits.max_memory / 4 * 3);
    CHECK(COUNTED(limit_max_memory) > 0);
    uint32_t given_up = 0;
    for (int i = 0; i < CALLERS; i++) {
        hear(callers[i]);
        CHECK(callers[i]->conn->sock);
        for (uint32_t k = 0; k < STREAMS; k++)
            given_up += strstr(told(callers[i], 2 * k + 1), "grpc-status=8 ") != NULL;
    }
    CHECK(given_up > 0);
    CHECK_INT(given_up, COUNTED(limit_max_memory));
    CHECK(b->conn->sock);
    say_data(good, 1, "", true);
    say_head(b, 1, OK, false);
    say_head(b, 1, DONE, true);
    CHECK(strstr((settle(), told(good, 1)), T_DONE));
    mesh_close();
}

/* As long as memory is short, no stream is given more of a window than the least, and each goes on by that. */
static void test_tight_windows(void)
{
    enum { CALLERS = 4, STREAMS = 64, EACH = 60000 };
    mesh_open(MF_OUTBOUND, 1, little_memory);
    struct peer *good = caller();
    say_head(good, 1, CALL, false);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    say_window(b, 0, 1 << 20);
    say_window(b, 1, 1 << 20);
    for (int i = 0; i < CALLERS; i++) {
        struct peer *a = caller();
        for (uint32_t k = 0; k < STREAMS; k++) {
            say_head(a, 2 * k + 1, CALL, false);
            say_much(a, 2 * k + 1, EACH, false);
        }
        settle();
    }
    CHECK(mf_loop_memory(fake.loop) > mesh.limits.max_memory / 8 * 7);
    say_much(good, 1, 40000, false); /* far beyond half of its window, which would be given back twice as large */
    settle();
    CHECK_INT((hear(good), told_of(good, 1)->credit), 0);
    say_much(good, 1, 25000, false);
    settle();
    hear(good);
    CHECK(told_of(good, 1)->credit > 0 && told_of(good, 1)->credit <= 4096);
    size_t sent = 65000;
    for (int i = 0; i < 20; i++) {
        size_t due = 65536 + told_of(good, 1)->credit - sent;
        CHECK(due > 0 && due <= 4096);
        say_much(good, 1, due, false);
        sent += due;
        settle();
        hear(good);
    }
    CHECK_INT((hear(b), told_of(b, 1)->content), sent);
    mesh_close();
}

static void little_patience(struct mf_limits *limits)
{
    limits->stall_timeout = 300;
}

/* All of them, and the connection goes on. */
static void test_stalled(void)
{
    enum { STREAMS = 40 };
    mesh_open(MF_OUTBOUND, 1, little_patience);
    struct peer *a = caller();
    for (uint32_t k = 0; k < STREAMS; k++)
        say_head(a, 2 * k + 1, CALL, false);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    for (uint32_t k = 0; k < STREAMS; k++)
        say_data(a, 2 * k + 1, "abc", false);
    pass(1000);
    CHECK_INT(COUNTED(limit_stall_timeout), STREAMS);
    for (uint32_t k = 0; k < STREAMS; k++)
        CHECK(strstr(told(a, 2 * k + 1), "grpc-status=8 "));
    say_head(a, 2 * STREAMS + 1, CALL, true);
    settle();
    say_head(b, 2 * STREAMS + 1, OK, false);
    say_head(b, 2 * STREAMS + 1, DONE, true);
    CHECK(strstr((settle(), told(a, 2 * STREAMS + 1)), T_DONE));
    mesh_close();
}

/* Trailers that wait behind content are memory of their caller's, until they are sent or nobody wants them any more. */
static void test_long_trailers(void)
{
    enum { STREAMS = 40, LONG = 15000 };
    static char late[LONG + 100];
    size_t len = (size_t)snprintf(late, sizeof late, "grpc-status: 0\nx-long: ");
    memset(late + len, 'v', LONG);
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0}), *b = NULL;
    size_t before = 0;
    for (uint32_t id = 1; id < 2 * STREAMS; id += 2) {
        say_head(a, id, CALL, true);
        b = b ? b : provider();
        settle();
        before = before ? before : mf_loop_memory(fake.loop);
        say_head(b, id, OK, false);
        say_data(b, id, "x", false);
        say_head(b, id, late, true);
        settle();
    }
    CHECK(mf_loop_memory(fake.loop) >= before + STREAMS * LONG);
    for (uint32_t id = 1; id < 2 * STREAMS; id += 4) {
        say_window(a, id, 1);
        say_rst(a, id + 2, MF_H2_CANCEL);
    }
    settle();
    CHECK(mf_loop_memory(fake.loop) < before + LONG);
    for (uint32_t id = 1; id < 2 * STREAMS; id += 4)
        CHECK(strstr(told(a, id), T_OK "x<grpc-status=0 x-long=vvv"));
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

int main(void)
{
    test_slow_caller();
    test_slow_provider();
    test_all_given_back();
    test_tight();
    test_tight_windows();
    test_stalled();
    test_long_trailers();
    return test_end("h2_windows");
}
