/* h2_down, h2_up, h2_request: time and size: deadlines at each stage and what goes on of them, idle connections, drain, lists
 * of fields that are too long for either side. */
#define TOLD 1024
#include "h2_mesh.h"

static void test_deadline(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ngrpc-timeout: 100m", true); /* no connection */
    pass(150);
    CHECK(strstr(told(a, 1), "grpc-status=4 "));
    struct peer *b = provider();
    CHECK_INT(b->n_told, 0);
    say_head(a, 3, CALL "\ngrpc-timeout: 100m", false); /* answered in part */
    say_head(a, 5, CALL "\ngrpc-timeout: 100m", true);  /* nothing came */
    say_head(a, 7, FIELDS("/svc/hi", "text/plain") "\ntri-service-timeout: 100", true);
    settle();
    say_head(b, 1, OK, false);
    pass(90);
    CHECK_TOLD(a, 1, "");
    CHECK_TOLD(a, 3, T_OK);
    pass(20);
    CHECK_TOLD(a, 3, "!8");
    CHECK(strstr(told(a, 5), "grpc-status=4 "));
    CHECK_STARTS(told(a, 7), "<:status=504 ");
    CHECK(strstr(told(b, 1), "!8"));
    CHECK(strstr(told(b, 3), "!8"));
    CHECK(strstr(told(b, 5), "!8"));
    CHECK_INT(COUNTED(limit_call_timeout), 4);
    mesh_close();
}

/* The provider has the same deadline and ends the stream by it, a moment before ours: that is the end by time, and no
 * cancelled call; long before it is the provider's own affair. */
static void test_deadline_of_provider(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ngrpc-timeout: 100m", true);
    say_head(a, 3, FIELDS("/svc/hi", "text/plain") "\ntri-service-timeout: 100", true);
    say_head(a, 5, CALL "\ngrpc-timeout: 100m", true);
    say_head(a, 7, CALL "\ngrpc-timeout: 100m", true); /* answered in part */
    say_head(a, 9, CALL "\ngrpc-timeout: 1S", true);
    struct peer *b = provider();
    say_head(b, 7, OK, false);
    pass(98);
    say_rst(b, 1, MF_H2_CANCEL);
    say_rst(b, 3, MF_H2_CANCEL);
    say_rst(b, 5, MF_H2_INTERNAL_ERROR);
    say_rst(b, 7, MF_H2_CANCEL);
    say_rst(b, 9, MF_H2_CANCEL);
    settle();
    CHECK(strstr(told(a, 1), "grpc-status=4 "));
    CHECK_STARTS(told(a, 3), "<:status=504 ");
    CHECK_TOLD(a, 5, "!2");
    CHECK_TOLD(a, 7, T_OK "!8");
    CHECK_TOLD(a, 9, "!8");
    CHECK_INT(COUNTED(limit_call_timeout), 2);
    mesh_close();
}

/* Time that was spent waiting is not there any more. */
static void test_less_time(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ngrpc-timeout: 1S", true);
    say_head(a, 3, FIELDS("/svc/hi", "application/grpc") "\ntri-service-timeout: 2000", true);
    settle();
    pass(200);
    struct peer *b = provider();
    const char *text = told(b, 1);
    CHECK(strstr(text, "grpc-timeout=800000u") || strstr(text, "grpc-timeout=79"));
    text = told(b, 3);
    CHECK(strstr(text, "tri-service-timeout=1800") || strstr(text, "tri-service-timeout=179"));
    say_head(a, 5, CALL "\ngrpc-timeout: 1S", true); /* none was */
    CHECK(strstr((settle(), told(b, 5)), "grpc-timeout=1S"));
    pass(300);
    say_rst(b, 5, MF_H2_REFUSED_STREAM);
    text = (settle(), told(b, 7));
    CHECK(strstr(text, "grpc-timeout=700000u") || strstr(text, "grpc-timeout=69"));
    mesh_close();
}

/* 0 has passed already, and is not none. */
static void test_no_time(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ngrpc-timeout: 0m", true);
    CHECK(strstr((settle(), told(a, 1)), "grpc-status=4 "));
    CHECK(dialled() == NULL);
    mesh_close();
}

static void short_waits(struct mf_limits *limits)
{
    limits->call_timeout = 100;
}

/* A call without a deadline may take as long as it likes, but not wait for a provider for ever. */
static void test_no_deadline(void)
{
    mesh_open(MF_OUTBOUND, 1, short_waits);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    pass(150);
    CHECK(strstr(told(a, 1), "grpc-status=4 "));
    struct peer *b = provider();
    say_head(a, 3, CALL, true);
    settle();
    pass(5000);
    CHECK_TOLD(a, 3, "");
    say_rst(b, 1, MF_H2_REFUSED_STREAM);
    CHECK(strstr((settle(), told(b, 3)), T_CALL));
    say_head(b, 3, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(a, 3)), "grpc-status=0"));
    mesh_close();
}

static void idle_soon(struct mf_limits *limits)
{
    limits->idle_timeout = 1000;
}

/* Two steps where the caller answers, and the end also where it does not. */
static void test_idle(void)
{
    mesh_open(MF_OUTBOUND, 1, idle_soon);
    struct peer *a = caller(), *dead = caller();
    pass(1100);
    hear(a);
    CHECK_INT(a->goaways, 1);
    CHECK_INT(a->goaway_last, INT32_MAX);
    say_ping(a, a->ping, true);
    settle();
    hear(a);
    CHECK_INT(a->goaways, 2);
    CHECK_INT(a->goaway_last, 0);
    CHECK(!a->conn->sock || a->conn->fin);
    pass(1100);
    CHECK(!dead->conn->sock || dead->conn->fin);
    CHECK_INT(COUNTED(limit_idle_timeout), 2);
    struct peer *busy = caller();
    say_head(busy, 1, CALL, true);
    struct peer *b = provider();
    pass(3000);
    hear(busy);
    CHECK_INT(busy->goaways, 0);
    say_head(b, 1, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(busy, 1)), "grpc-status=0"));
    mesh_close();
}

/* A quarter of an hour of one call a second, with the limits as they are, and half a minute of silence now and then: nobody
 * is told to go who comes again. */
static void test_long_in_use(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *b = NULL;
    for (uint32_t id = 1, second = 0; second < 900; id += 2) {
        bool pause = id % 200 == 1;
        say_head(a, id, CALL, true);
        b = b ? b : provider();
        settle();
        say_head(b, id, OK "\ngrpc-status: 0", true);
        settle();
        for (uint32_t i = 0; i < (pause ? 30 : 1); i++, second++) {
            fake_turn(1000000000);
            hear(b);
            if (b->pings != b->acks)
                say_ping(b, b->ping, true);
        }
    }
    hear(a);
    hear(b);
    CHECK(a->goaways == 0 && b->goaways == 0 && a->conn->sock && b->conn->sock);
    CHECK_INT(COUNTED(limit_idle_timeout), 0);
    CHECK(COUNTED(calls) >= 600);
    mesh_close();
}

static void test_drain(void)
{
    mesh_open(MF_INBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "|");
    mf_engine_drain(mesh.engine);
    pass(10);
    hear(a);
    CHECK_INT(a->goaways, 1);
    CHECK_INT(a->goaway_last, INT32_MAX);
    say_head(a, 3, CALL, true); /* it was on its way */
    CHECK_TOLD(b, 3, T_CALL "|");
    CHECK(!mf_engine_drained(mesh.engine));
    say_ping(a, a->ping, true);
    settle();
    hear(a);
    CHECK_INT(a->goaways, 2);
    CHECK_INT(a->goaway_last, 3);
    say_head(a, 5, CALL, true); /* it should have known */
    CHECK_TOLD(b, 5, "");
    for (uint32_t id = 1; id < 5; id += 2)
        say_head(b, id, OK "\ngrpc-status: 0", true);
    settle();
    CHECK(strstr(told(a, 1), "grpc-status=0"));
    CHECK(strstr(told(a, 3), "grpc-status=0"));
    CHECK(!a->conn->sock || a->conn->fin);
    mesh_close();
}

/* The end of an answer whose reader has yet to take the rest of it: the sidecar waits for that, too. */
static void test_drain_slow(bool late_end)
{
    mesh_open(MF_INBOUND, 1, NULL);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 10, 0});
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    say_head(b, 1, OK, false);
    say_much(b, 1, 100, !late_end);
    settle();
    if (late_end)
        say_data(b, 1, "", true);
    settle();
    CHECK_INT(COUNTED(calls_active), 1);
    say_window(a, 1, 90);
    CHECK(strstr((settle(), told(a, 1)), "x|"));
    CHECK_INT(told_of(a, 1)->content, 100);
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

static void little_header(struct mf_limits *limits)
{
    limits->h2_header_list = 1000;
}

/* Of a message longer than its receiver says that it takes, that call alone ends, and says why; recalled or not. */
static void test_lists(void)
{
    char request[3000], answer[3000], text[1024];
    memset(text, 'v', sizeof text);
    text[400] = 0;
    snprintf(request, sizeof request, CALL "\nx-long: %s", text);
    snprintf(answer, sizeof answer, OK "\nx-long: %s", text);
    const uint32_t small[] = {MF_H2_MAX_HEADER_LIST_SIZE, 500, 0};
    mesh_open(MF_OUTBOUND, 1, little_header);
    struct peer *a = caller_with(small), *c = caller();
    say_head(c, 1, CALL, true);
    struct peer *b = provider_with(small);
    CHECK_TOLD(b, 1, T_CALL "|");
    uint32_t id = 1;
    for (; id < 9; id += 2) {
        say_head(a, id, request, true);
        CHECK(strstr((settle(), told(a, id)), "grpc-status=8 "));
    }
    CHECK_INT(b->n_told, 1); /* none was sent */
    say_head(a, id, ":method: GET\n:scheme: http\n:path: /\n:authority: svc\nx-long: "
                    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
                    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
                    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", true);
    CHECK_STARTS((settle(), told(a, id)), "<:status=431 ");
    CHECK_INT(COUNTED(limit_peer_header_list), 5);
    for (uint32_t i = 0; i < 4; i++) {
        id += 2;
        say_head(a, id, CALL, true);
        CHECK_TOLD(b, 3 + 2 * i, T_CALL "|");
        say_head(b, 3 + 2 * i, answer, false);
        CHECK(strstr((settle(), told(a, id)), "grpc-status=8 "));
        CHECK_TOLD(b, 3 + 2 * i, "!8");
    }
    CHECK_INT(COUNTED(limit_peer_header_list), 9);
    /* What comes before the answer is only a hint. */
    id += 2;
    say_head(a, id, CALL, true);
    settle();
    snprintf(answer, sizeof answer, ":status: 103\nx-long: %s\nx-more: %s", text, text);
    say_head(b, 11, answer, false);
    say_head(b, 11, OK "\ngrpc-status: 0", true);
    CHECK_TOLD(a, id, "<:status=200 content-type=application/grpc grpc-status=0>|");
    /* Ours. */
    id += 2;
    text[400] = 'v';
    text[1000] = 0;
    snprintf(request, sizeof request, CALL "\nx-long: %s", text);
    say_head(a, id, request, true);
    settle();
    CHECK_INT(COUNTED(limit_h2_header_list), 1);
    CHECK(*told(a, id));
    say_head(b, 1, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(c, 1)), "grpc-status=0"));
    mesh_close();
}

/* One that waited for its connection, whose settings say then that it is too long. */
static void test_list_late(void)
{
    char request[2000], text[401];
    memset(text, 'v', sizeof text);
    text[400] = 0;
    snprintf(request, sizeof request, PLAIN "\nx-long: %s", text);
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, request, true);
    say_head(a, 3, CALL, true);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_MAX_HEADER_LIST_SIZE, 500, 0});
    CHECK_STARTS((settle(), told(a, 1)), "<:status=431 ");
    CHECK_TOLD(b, 1, T_CALL "|");
    mesh_close();
}

int main(void)
{
    test_deadline();
    test_deadline_of_provider();
    test_less_time();
    test_no_time();
    test_no_deadline();
    test_idle();
    test_long_in_use();
    test_drain();
    test_drain_slow(false);
    test_drain_slow(true);
    test_lists();
    test_list_late();
    return test_end("h2_wait");
}
