/* h2_up, h2_held, pool, lane: what a provider has not looked at is tried elsewhere, whole and once, and nothing else is; what
 * waits for it. */
#define TOLD 512
#include "h2_mesh.h"

/* A provider besides `not`, on a connection that the engine makes now. */
static struct peer *another(const struct peer *not)
{
    struct peer *peer = provider();
    CHECK(peer != not);
    return peer;
}

static void say_done(struct peer *b, uint32_t id)
{
    say_head(b, id, OK, false);
    say_head(b, id, DONE, true);
}

static void test_goaway(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "one", true);
    struct peer *b = provider();
    say_head(a, 3, CALL, false);
    say_data(a, 3, "three ", false);
    say_head(a, 5, CALL, false);
    say_data(a, 5, "five ", false);
    say_head(a, 7, CALL, false);
    say_data(a, 7, "seven", true);
    CHECK_TOLD(b, 5, T_CALL "five ");
    say_head(b, 5, OK, false);
    settle();
    say_goaway(b, 1, MF_H2_NO_ERROR);
    settle();
    struct peer *c = another(b);
    CHECK_TOLD(c, 1, T_CALL "three ");
    CHECK_TOLD(c, 3, T_CALL "seven|");
    CHECK_TOLD(a, 5, T_OK "!2"); /* its answer had begun */
    say_data(a, 3, "more", true);
    CHECK_TOLD(c, 1, "more|");
    say_done(b, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    CHECK(!b->conn->sock || b->conn->fin); /* with its last stream */
    say_done(c, 1);
    say_done(c, 3);
    CHECK_TOLD(a, 3, T_OK T_DONE);
    CHECK_TOLD(a, 7, T_OK T_DONE);
    CHECK_INT(COUNTED(calls_retried), 2);
    mesh_close();
}

static void few_tries(struct mf_limits *limits)
{
    limits->max_tries = 4;
}

static void many_tries(struct mf_limits *limits)
{
    limits->max_tries = 300;
}

/* 8.7: and not more often than maxTries. */
static void test_refused(void (*change)(struct mf_limits *limits))
{
    mesh_open(MF_OUTBOUND, 1, change);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "abc", true);
    struct peer *b = provider();
    uint32_t id = 1;
    for (; id < 1000; id += 2) {
        const char *text = (settle(), told(b, id));
        if (!*text)
            break;
        CHECK_STARTS(text, T_CALL "abc|");
        say_rst(b, id, MF_H2_REFUSED_STREAM);
    }
    CHECK_INT((id - 1) / 2, mesh.limits.max_tries);
    CHECK(strstr((settle(), told(a, 1)), "grpc-status=14 "));
    say_head(a, 3, CALL, true); /* it was not for the provider to be left alone */
    CHECK_TOLD(b, id, T_CALL "|");
    say_rst(b, id, MF_H2_INTERNAL_ERROR); /* any other code: who knows */
    CHECK_TOLD(a, 3, "!2");
    id += 2;
    say_head(a, 5, CALL, false);
    say_data(a, 5, "part", false);
    CHECK_TOLD(b, id, T_CALL "part");
    say_rst(b, id, MF_H2_REFUSED_STREAM); /* never again with a part of it */
    CHECK(strstr((settle(), told(a, 5)), "grpc-status=14 "));
    CHECK_TOLD(b, id + 2, "");
    mesh_close();
}

/* Trailers of a request go again with it. */
static void test_trailers_again(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    say_done(b, 1);
    say_head(a, 3, CALL, false);
    say_data(a, 3, "abc", false);
    settle();
    say_head(a, 3, "x-sum: 3", true);
    CHECK_TOLD(b, 3, T_CALL "abc<x-sum=3>|");
    say_rst(b, 3, MF_H2_REFUSED_STREAM);
    CHECK_TOLD(b, 5, T_CALL "abc<x-sum=3>|");
    say_done(b, 5);
    CHECK(strstr((settle(), told(a, 3)), T_DONE));
    mesh_close();
}

static void keep_little(struct mf_limits *limits)
{
    limits->h2_kept = 1000;
}

/* More than is kept: it cannot be made again, and says so. */
static void test_too_much_to_keep(void)
{
    mesh_open(MF_OUTBOUND, 1, keep_little);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    struct peer *b = provider();
    say_much(a, 1, 900, false);
    settle();
    say_much(a, 1, 200, true);
    settle();
    CHECK_INT(COUNTED(limit_h2_kept), 1);
    say_rst(b, 1, MF_H2_REFUSED_STREAM);
    CHECK(strstr((settle(), told(a, 1)), "grpc-status=14 "));
    CHECK_TOLD(b, 3, "");
    mesh_close();
}

static void keep_nothing(struct mf_limits *limits)
{
    limits->max_kept = 0;
}

static void test_nothing_kept(void)
{
    mesh_open(MF_OUTBOUND, 1, keep_nothing);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "abc", false);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "abc");
    say_data(a, 1, "def", true);
    CHECK_TOLD(b, 1, "def|");
    say_rst(b, 1, MF_H2_REFUSED_STREAM);
    CHECK(strstr((settle(), told(a, 1)), "grpc-status=14 "));
    mesh_close();
}

static const uint32_t one_stream[] = {MF_H2_MAX_CONCURRENT_STREAMS, 1, 0};

/* One at a time: the others wait, and each gets its own answer, in order. */
static void wait_in_turn(enum mf_direction direction, bool other_refused)
{
    mesh_open(direction, 1, NULL);
    struct peer *a = caller();
    char path[200];
    for (uint32_t i = 0; i < 21; i++) {
        snprintf(path, sizeof path, FIELDS("/svc/n%u", "application/grpc"), i);
        say_head(a, 1 + 2 * i, path, true);
    }
    struct peer *b = provider_with(one_stream);
    if (other_refused) {
        fake.refuse = ECONNREFUSED;
        for (int i = 0; i < fake.n; i++)
            if (fake.conns[i].up && fake.conns[i].connecting)
                fake_answer_connect(&fake.conns[i], -ECONNREFUSED);
        settle();
    }
    for (uint32_t i = 0; i < 21; i++) {
        snprintf(path, sizeof path, "<:method=POST :scheme=http :path=/svc/n%u ", i);
        CHECK_STARTS((settle(), told(b, 1 + 2 * i)), path);
        CHECK_TOLD(b, 3 + 2 * i, "");
        say_done(b, 1 + 2 * i);
    }
    settle();
    for (uint32_t i = 0; i < 21; i++)
        CHECK_TOLD(a, 1 + 2 * i, T_OK T_DONE);
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* A connection that takes one at a time, and another that cannot be made while calls wait for the first. */
static void test_no_second(enum mf_direction direction)
{
    mesh_open(direction, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider_with(one_stream);
    CHECK_TOLD(b, 1, T_CALL "|");
    say_head(a, 3, CALL, true);
    settle();
    for (int i = 0; i < fake.n; i++)
        if (fake.conns[i].sock && fake.conns[i].connecting)
            fake_answer_connect(&fake.conns[i], -ECONNREFUSED);
    settle();
    say_done(b, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    CHECK_TOLD(b, 3, T_CALL "|");
    say_done(b, 3);
    CHECK_TOLD(a, 3, T_OK T_DONE);
    mesh_close();
}

static void two_connections(struct mf_limits *limits)
{
    limits->busy_connections = 2;
}

/* Who waits for a stream, not for a connection, is not moved when a connection would have taken long. */
static void test_no_hedge(void)
{
    mesh_open(MF_OUTBOUND, 1, two_connections);
    struct peer *a = caller();
    for (uint32_t id = 1; id < 7; id += 2)
        say_head(a, id, CALL, true);
    struct peer *b = provider_with(one_stream);
    for (uint32_t id = 1; id < 7; id += 2) {
        say_done(b, id);
        settle();
    }
    say_head(a, 7, CALL, true);
    say_head(a, 9, CALL, true);
    struct peer *c = provider_with(one_stream);
    say_head(a, 11, CALL, true); /* both are busy */
    pass(400);
    CHECK_INT(COUNTED(calls_retried), 0);
    say_done(c, 1);
    CHECK_TOLD(a, 9, T_OK T_DONE);
    CHECK_TOLD(c, 3, T_CALL "|");
    CHECK_TOLD(b, 7, T_CALL "|");
    mesh_close();
}

static void few_wait(struct mf_limits *limits)
{
    limits->max_pending = 3;
}

static void test_too_many_wait(void)
{
    mesh_open(MF_INBOUND, 1, few_wait);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider_with(one_stream);
    CHECK_TOLD(b, 1, T_CALL "|");
    for (uint32_t id = 3; id < 13; id += 2) {
        say_head(a, id, CALL, true);
        settle();
        for (int i = 0; i < fake.n; i++)
            if (fake.conns[i].sock && fake.conns[i].connecting)
                fake_answer_connect(&fake.conns[i], -ECONNREFUSED);
    }
    settle();
    CHECK_INT(COUNTED(limit_max_pending), 2);
    CHECK(strstr(told(a, 9), "grpc-status=8 "));
    CHECK(strstr(told(a, 11), "grpc-status=8 "));
    mesh_close();
}

static void test_late_settings(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = dialled();
    CHECK_INT(b->n_told, 0);
    pass(100);
    CHECK(hear(b));
    CHECK_INT(b->n_told, 0); /* how many streams it takes is not known */
    say_hello(b, one_stream);
    CHECK_TOLD(b, 1, T_CALL "|");
    say_done(b, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    mesh_close();
}

/* It speaks something else: another instance has the call. */
static void test_not_http2(void)
{
    mesh_open(MF_OUTBOUND, 2, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ndev: dev1", false);
    say_data(a, 1, "abc", true);
    struct peer *b = dialled();
    const char *http1 = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    fake_send(b->conn, http1, strlen(http1));
    b->conn->eof = true;
    pass(300);
    struct peer *c = provider();
    CHECK_INT(port_of(c), 1);
    CHECK_STARTS((settle(), told(c, 1)), "<:method=POST ");
    CHECK_INT(told_of(c, 1)->content, 3);
    mesh_close();
    mesh_open(MF_INBOUND, 1, NULL);
    a = caller();
    say_head(a, 1, CALL, false);
    b = dialled();
    fake_send(b->conn, http1, strlen(http1));
    CHECK(strstr((settle(), told(a, 1)), "grpc-status=14 "));
    mesh_close();
}

/* With calls at each stage: what was sent is not sent again, what waits is. */
static void test_lost(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false); /* answered in part */
    say_head(a, 3, CALL, false); /* sent */
    say_head(a, 5, PLAIN, true); /* HTTP, sent */
    struct peer *b = provider_with((const uint32_t[]){MF_H2_MAX_CONCURRENT_STREAMS, 3, 0});
    say_head(a, 7, CALL, true);  /* waits */
    say_head(b, 1, OK, false);
    CHECK_TOLD(a, 1, T_OK);
    b->conn->reset = true;
    settle();
    CHECK_TOLD(a, 1, "!2");
    CHECK(strstr(told(a, 3), "grpc-status=14 "));
    CHECK_STARTS(told(a, 5), "<:status=503 ");
    struct peer *c = another(b);
    CHECK_TOLD(c, 1, T_CALL "|");
    say_done(c, 1);
    CHECK_TOLD(a, 7, T_OK T_DONE);
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* An answer that breaks the rules ends its call alone. */
static void test_bad_answer(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    say_head(a, 3, CALL, true);
    struct peer *b = provider();
    say_head(b, 1, ":status: abc", true);
    CHECK(strstr((settle(), told(a, 1)), "grpc-status=13 "));
    CHECK(strstr(told(b, 1), "!1"));
    say_done(b, 3);
    CHECK_TOLD(a, 3, T_OK T_DONE);
    mesh_close();
}

/* Another sidecar says that nobody is there. */
static void test_nobody(void)
{
    mesh_open(MF_OUTBOUND, 2, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ndev: dev1", false);
    say_data(a, 1, "abc", true);
    struct peer *b = provider();
    say_head(b, 1, OK "\ngrpc-status: 14\nx-meshfast-nobody: 1", true);
    struct peer *c = another(b);
    CHECK_INT(port_of(c), 1);
    settle();
    CHECK_INT(told_of(c, 1)->content, 0);
    CHECK_STARTS((hear(c), told(c, 1)), "<:method=POST ");
    CHECK_INT(told_of(c, 1)->content, 3);
    say_done(c, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    mesh_close();
}

int main(void)
{
    test_goaway();
    test_refused(few_tries);
    test_refused(many_tries);
    test_trailers_again();
    test_too_much_to_keep();
    test_nothing_kept();
    wait_in_turn(MF_OUTBOUND, false);
    wait_in_turn(MF_INBOUND, false);
    wait_in_turn(MF_OUTBOUND, true);
    wait_in_turn(MF_INBOUND, true);
    test_no_second(MF_OUTBOUND);
    test_no_second(MF_INBOUND);
    test_no_hedge();
    test_too_many_wait();
    test_late_settings();
    test_not_http2();
    test_lost();
    test_bad_answer();
    test_nobody();
    return test_end("h2_again");
}
