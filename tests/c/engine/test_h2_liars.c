/* h2_up, h2_down, call: what a provider says that is not so, or too often, is its call's alone. */
#include "h2_mesh.h"

/* Interim answers without end. */
static void test_interims(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *other = caller();
    say_head(a, 1, CALL, true);
    say_head(other, 1, CALL, true);
    struct peer *b = provider();
    for (uint64_t i = 0; i <= mesh.limits.h2_interims; i++) {
        CHECK_INT(COUNTED(limit_h2_interims), 0);
        say_head(b, 1, ":status: 103", false);
        settle();
    }
    CHECK_INT(COUNTED(limit_h2_interims), 1);
    CHECK(strstr(told(a, 1), "grpc-status=13 "));
    CHECK(strstr(told(b, 1), "!8"));
    say_head(b, 3, OK, false);
    say_head(b, 3, DONE, true);
    CHECK_TOLD(other, 1, T_OK T_DONE);
    mesh_close();
}

/* As many as may be, and long, for a caller who reads nothing: he gets the answers without the most of them. */
static void test_long_interims(void)
{
    enum { CALLS = 20, EACH = 20, LONG = 15000 };
    static char hint[LONG + 100];
    size_t len = (size_t)snprintf(hint, sizeof hint, ":status: 103\nx-long: ");
    memset(hint + len, 'v', LONG);
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *b = NULL;
    for (uint32_t id = 1; id < 2 * CALLS; id += 2) {
        say_head(a, id, CALL, true);
        b = b ? b : provider();
    }
    settle();
    size_t before = mf_loop_memory(fake.loop);
    fake_open_window(a->conn, 0);
    for (int i = 0; i < EACH; i++) {
        for (uint32_t id = 1; id < 2 * CALLS; id += 2)
            say_head(b, id, hint, false);
        settle();
    }
    CHECK(mf_loop_memory(fake.loop) < before + mesh.limits.output_high + (1 << 20));
    CHECK(COUNTED(limit_output_high) > 0);
    for (uint32_t id = 1; id < 2 * CALLS; id += 2) {
        say_head(b, id, OK, false);
        say_head(b, id, DONE, true);
    }
    settle();
    fake_open_window(a->conn, FAKE_ANY);
    settle();
    hear(a);
    for (uint32_t id = 1; id < 2 * CALLS; id += 2) {
        struct fake_bytes *text = &told_of(a, id)->text;
        CHECK(told_of(a, id)->ended && memmem(text->ptr, text->len, T_DONE, strlen(T_DONE)));
    }
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* Half an answer is none, whatever its end is called. */
static void test_half(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    say_head(b, 1, OK, false);
    say_data(b, 1, "half", false);
    settle();
    say_rst(b, 1, MF_H2_NO_ERROR);
    CHECK_TOLD(a, 1, T_OK "half!2");
    mesh_close();
}

/* An application that passes a sidecar's word on: not asked again, and nobody else hears it. */
static void test_passed_on(void)
{
    mesh_open(MF_INBOUND, 0, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "|");
    say_head(b, 1, OK "\ngrpc-status: 14\nx-meshfast-nobody: 1", true);
    CHECK_TOLD(a, 1, "<:status=200 content-type=application/grpc grpc-status=14>|");
    CHECK_INT(COUNTED(calls_retried) + COUNTED(calls_nobody), 0);
    mesh_close();
}

static void few_resets(struct mf_limits *limits)
{
    limits->h2_resets = 4;
}

/* More wrong answers than a caller may have streams reset: its provider's connection is others' as well. */
static void test_wrong_answers(void)
{
    mesh_open(MF_OUTBOUND, 1, few_resets);
    struct peer *a = caller(), *other = caller();
    say_head(other, 1, CALL, true);
    struct peer *b = provider();
    for (uint32_t id = 1; id < 40; id += 2) {
        say_head(a, id, CALL, true);
        settle();
        say_head(b, id + 2, ":status: 200\nUpper: x", true);
        CHECK(strstr((settle(), told(a, id)), "grpc-status=13 "));
    }
    say_head(b, 1, OK, false);
    say_head(b, 1, DONE, true);
    CHECK_TOLD(other, 1, T_OK T_DONE);
    mesh_close();
}

/* Calls that time out, one after the other: a server that follows gRPC's defaults ends connections of who asks each time. */
static void test_pings(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    pass(100);
    for (uint32_t id = 3; id < 23; id += 2) {
        say_head(a, id, CALL "\ngrpc-timeout: 50m", true);
        pass(200);
        CHECK(strstr(told(a, id), "grpc-status=4 "));
        say_ping(b, 1, true);
        pass(100);
    }
    CHECK_INT(COUNTED(heartbeats_out), 1);
    say_head(b, 1, OK, false); /* a word for a call makes up for it */
    pass(100);
    say_head(a, 23, CALL "\ngrpc-timeout: 50m", true);
    pass(200);
    CHECK_INT(COUNTED(heartbeats_out), 2);
    say_head(b, 1, DONE, true);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    mesh_close();
}

/* Who has refused a call is not asked again while there is another. */
static void test_refuses_all(void)
{
    mesh_open(MF_OUTBOUND, 3, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "|");
    say_rst(b, 1, MF_H2_REFUSED_STREAM);
    struct peer *c = provider();
    CHECK(port_of(c) != port_of(b));
    CHECK_TOLD(c, 1, T_CALL "|");
    for (uint32_t id = 3, at_b = 3, at_c = 3; id < 30; id += 2) {
        say_head(a, id, CALL, true);
        settle();
        if (*told(b, at_b)) {
            say_rst(b, at_b, MF_H2_REFUSED_STREAM);
            at_b += 2;
        }
        CHECK_TOLD(c, at_c, T_CALL "|");
        at_c += 2;
    }
    mesh_close();
}

int main(void)
{
    test_interims();
    test_long_interims();
    test_half();
    test_passed_on();
    test_wrong_answers();
    test_pings();
    test_refuses_all();
    return test_end("h2_liars");
}
