/* h2_down, h2_up: how connections end around calls: half, by GOAWAY in steps, in the middle of what others do, with the
 * engine; and calls turned away before they begin. */
#include "h2_mesh.h"

static void say_done(struct peer *b, uint32_t id)
{
    say_head(b, id, OK, false);
    say_head(b, id, DONE, true);
}

/* GOAWAY with 2^31-1 first, then the last id; then one that the standard forbids. */
static void test_two_steps(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    for (uint32_t id = 3; id < 11; id += 2)
        say_head(a, id, CALL, true);
    settle();
    say_head(b, 7, OK, false);
    say_goaway(b, INT32_MAX, MF_H2_NO_ERROR);
    settle();
    say_head(a, 11, CALL, true);
    struct peer *c = provider();
    CHECK_TOLD(c, 1, T_CALL "|"); /* new ones go elsewhere */
    CHECK_TOLD(b, 11, "");
    say_goaway(b, 5, MF_H2_NO_ERROR);
    settle();
    CHECK_TOLD(c, 3, T_CALL "|"); /* 9 is made again; 7 had its answer begun */
    CHECK_TOLD(a, 7, T_OK "!2");
    say_goaway(b, 9, MF_H2_NO_ERROR);
    settle();
    CHECK_TOLD(c, 5, "");
    for (uint32_t id = 1; id < 7; id += 2)
        say_done(b, id);
    say_done(c, 1);
    say_done(c, 3);
    settle();
    for (uint32_t id = 1; id < 12; id += 2)
        if (id != 7)
            CHECK_TOLD(a, id, T_OK T_DONE);
    mesh_close();
}

/* All in one write: the ends of two answers, GOAWAY between them, and the end of the connection. */
static void test_last_words(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    say_head(a, 3, CALL, true);
    struct peer *b = provider();
    say_head(b, 1, OK, false);
    say_head(b, 3, OK, false);
    settle();
    say_data(b, 1, "one", false);
    say_head(b, 1, DONE, true);
    say_goaway(b, 3, MF_H2_NO_ERROR);
    say_data(b, 3, "three", false);
    say_head(b, 3, DONE, true);
    b->conn->eof = true;
    say_head(a, 5, CALL, true);
    settle();
    CHECK_TOLD(a, 1, T_OK "one" T_DONE);
    CHECK_TOLD(a, 3, T_OK "three" T_DONE);
    struct peer *c = provider();
    CHECK_TOLD(c, 1, T_CALL "|");
    mesh_close();
}

/* A caller that has ended its side still reads what it asked for in full. */
static void test_half_closed(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    say_head(a, 3, CALL, false);
    struct peer *b = provider();
    CHECK_TOLD(b, 3, T_CALL);
    a->conn->eof = true;
    CHECK_TOLD(b, 3, "!8");
    say_done(b, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    CHECK(!a->conn->sock || a->conn->fin);
    mesh_close();
}

static void one_call(struct mf_limits *limits)
{
    limits->max_calls = 1;
}

static void test_turned_away(void)
{
    mesh_open(MF_OUTBOUND, 1, one_call);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    say_head(a, 3, CALL, false);
    CHECK(strstr((settle(), told(a, 3)), "grpc-status=8 "));
    say_done(b, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    say_head(a, 5, CALL, true);
    CHECK_TOLD(b, 3, T_CALL "|");
    mesh_close();
}

static void few_controls(struct mf_limits *limits)
{
    limits->h2_controls = 16;
    limits->h2_connection_window = 65535;
}

/* A caller that reads nothing: what is given back to it may be one frame too many, just when its call is put on its
 * connection, or goes on there. */
static void test_one_too_many(bool trailers, bool queued)
{
    mesh_open(MF_OUTBOUND, 1, few_controls);
    struct peer *a = caller(), *c = caller(), *b = NULL;
    const uint32_t *settings = (const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, queued ? 0 : 65535, 0};
    for (uint32_t id = 1; id < 17; id += 2) {
        say_head(a, id, CALL, false);
        say_much(a, id, 6000, !trailers && id == 1);
        if (trailers)
            say_head(a, id, "x-sum: 1", true);
        if (queued && id == 1)
            b = provider_with(settings);
    }
    say_head(c, 1, CALL, true);
    settle();
    fake_open_window(a->conn, 0);
    for (uint64_t i = 0; i < 17; i++) /* the first two count as one */
        say_ping(a, i, false);
    settle();
    if (!b)
        b = provider_with(settings);
    const uint32_t all[] = {MF_H2_INITIAL_WINDOW_SIZE, 65535, 0};
    if (queued)
        say_hello(b, all);
    settle();
    pass(10);
    hear(b);
    CHECK_INT(COUNTED(limit_h2_controls), 1);
    struct told *last = &b->told[b->n_told - 1];
    say_done(b, last->id); /* whoever else is there */
    CHECK(strstr((settle(), told(c, 1)), queued ? "" : T_DONE) || queued);
    mesh_close();
}

/* The engine ends with calls at every stage. */
static void test_engine_ends(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_MAX_CONCURRENT_STREAMS, 2, 0});
    say_head(a, 3, CALL, false);
    say_head(a, 5, CALL, false);
    say_head(b, 1, OK, false);
    say_much(b, 1, 5000, false);
    settle();
    mf_engine_drain(mesh.engine);
    CHECK_INT(mf_engine_stop(mesh.engine), 0);
    CHECK_STARTS(told(a, 1), T_OK);
    CHECK(*told(a, 3));
    CHECK(*told(a, 5));
    CHECK(!a->conn->sock);
    mesh_close();
}

int main(void)
{
    test_two_steps();
    test_last_words();
    test_half_closed();
    test_turned_away();
    for (int i = 0; i < 4; i++)
        test_one_too_many(i & 1, i & 2);
    test_engine_ends();
    return test_end("h2_ends");
}
