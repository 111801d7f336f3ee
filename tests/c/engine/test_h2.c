/* h2_down, h2_up, h2_request, h2_held: calls through a whole engine: what each side is told. */
#include "h2_mesh.h"

static void test_unary(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "question", true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "question|");
    say_head(b, 1, OK, false);
    say_data(b, 1, "answer", false);
    CHECK_TOLD(a, 1, T_OK "answer");
    say_head(b, 1, DONE, true);
    CHECK_TOLD(a, 1, T_DONE);
    say_head(a, 3, PLAIN, true); /* the connection is there now */
    CHECK_TOLD(b, 3, "<:method=GET :scheme=http :path=/hi :authority=svc>|");
    say_head(b, 3, ":status: 204", true);
    CHECK_TOLD(a, 3, "<:status=204>|");
    CHECK_INT(COUNTED(answers), 2);
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* Both ways by turns, and trailers of both. */
static void test_stream(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL);
    say_head(b, 1, OK, false);
    CHECK_TOLD(a, 1, T_OK);
    for (int i = 0; i < 5; i++) {
        say_data(a, 1, "ping", false);
        CHECK_TOLD(b, 1, "ping");
        say_data(b, 1, "pong", false);
        CHECK_TOLD(a, 1, "pong");
    }
    say_head(a, 1, "x-sum: 5", true);
    CHECK_TOLD(b, 1, "<x-sum=5>|");
    say_head(b, 1, DONE, true);
    CHECK_TOLD(a, 1, T_DONE);
    mesh_close();
}

/* All of a request before the provider is there: its trailers, too. */
static void test_held(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "one ", false);
    say_data(a, 1, "two ", false);
    say_head(a, 3, CALL, false);
    say_much(a, 3, 3000, false);
    say_data(a, 3, "rest", true);
    say_head(a, 5, CALL, false);
    settle();
    say_head(a, 1, "x-sum: 2", true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "one two <x-sum=2>|");
    CHECK_TOLD(b, 3, T_CALL "|");
    CHECK_INT(told_of(b, 3)->content, 3004);
    say_data(a, 5, "late", false);
    CHECK_TOLD(b, 5, T_CALL "late");
    say_data(a, 5, "", true);
    CHECK_TOLD(b, 5, "|");
    for (uint32_t id = 1; id < 7; id += 2) {
        say_head(b, id, OK "\ngrpc-status: 0", true); /* Trailers-Only */
        CHECK_TOLD(a, id, "<:status=200 content-type=application/grpc grpc-status=0>|");
    }
    mesh_close();
}

static void test_interim(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\nexpect: 100-continue", false);
    struct peer *b = provider();
    told(b, 1);
    say_head(b, 1, ":status: 100", false);
    CHECK_TOLD(a, 1, "<:status=100>");
    say_data(a, 1, "go", true);
    CHECK_TOLD(b, 1, "go|");
    say_head(b, 1, ":status: 103\nlink: </x>", false);
    say_head(b, 1, OK, false);
    say_head(b, 1, DONE, true);
    CHECK_TOLD(a, 1, "<:status=103 link=</x>>" T_OK T_DONE);
    mesh_close();
}

static void test_head(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, ":method: HEAD\n:scheme: http\n:path: /\n:authority: svc", true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, "<:method=HEAD :scheme=http :path=/ :authority=svc>|");
    say_head(b, 1, ":status: 200\ncontent-length: 1000", true);
    CHECK_TOLD(a, 1, "<:status=200 content-length=1000>|");
    say_head(a, 3, ":method: HEAD\n:scheme: http\n:path: /\n:authority: nowhere", true);
    const char *text = (settle(), told(a, 3));
    CHECK_STARTS(text, "<:status=404 ");
    CHECK(strstr(text, "content-length=") && strstr(text, ">|")); /* no content */
    mesh_close();
}

/* The answer is whole before the request: nobody listens any more, and both sides are told so. */
static void test_early_answer(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "some", false);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "some");
    say_head(b, 1, OK, false);
    say_head(b, 1, DONE, true);
    CHECK_TOLD(a, 1, T_OK T_DONE "!0");
    CHECK_TOLD(b, 1, "!0");
    say_data(a, 1, "more", true); /* which was on its way */
    CHECK_TOLD(b, 1, "");
    say_head(a, 3, CALL, true);
    CHECK_TOLD(b, 3, T_CALL "|");
    say_head(b, 3, OK "\ngrpc-status: 0", true);
    CHECK_TOLD(a, 3, "<:status=200 content-type=application/grpc grpc-status=0>|");
    mesh_close();
}

static void test_resets(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    say_head(a, 3, CALL, true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL);
    CHECK_TOLD(b, 3, T_CALL "|");
    say_rst(a, 1, MF_H2_CANCEL);
    CHECK_TOLD(b, 1, "!8");
    say_rst(a, 3, MF_H2_NO_ERROR);
    CHECK_TOLD(b, 3, "!8");
    CHECK_INT(COUNTED(calls_abandoned), 2);
    say_head(a, 5, CALL, false);
    say_head(a, 7, CALL, false);
    settle();
    say_rst(b, 5, MF_H2_CANCEL);
    CHECK_TOLD(a, 5, "!8");
    say_head(b, 7, OK, false);
    say_rst(b, 7, MF_H2_INTERNAL_ERROR);
    CHECK_TOLD(a, 7, T_OK "!2");
    say_head(a, 9, CALL, true); /* before its connection is there */
    say_rst(a, 9, MF_H2_CANCEL);
    settle();
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
    mesh_open(MF_OUTBOUND, 1, NULL);
    a = caller();
    say_head(a, 1, CALL, false);
    say_data(a, 1, "x", false);
    settle();
    say_rst(a, 1, MF_H2_CANCEL);
    settle();
    CHECK_INT(COUNTED(calls_active), 0);
    b = provider();
    CHECK_INT(b->n_told, 0);
    mesh_close();
}

static void test_local_answers(void)
{
    mesh_open(MF_OUTBOUND, 0, NULL);
    struct peer *a = caller();
    say_head(a, 1, ":method: POST\n:scheme: http\n:path: /none/hi\n:authority: nowhere\ncontent-type: application/grpc", false);
    const char *text = (settle(), told(a, 1));
    CHECK_STARTS(text, "<:status=200 content-type=application/grpc grpc-status=12 grpc-message=");
    CHECK(strstr(text, ">|!0")); /* its content is not wanted */
    say_head(a, 3, CALL, true);
    CHECK(strstr((settle(), told(a, 3)), "grpc-status=14 "));
    say_head(a, 5, PLAIN, true);
    text = (settle(), told(a, 5));
    CHECK_STARTS(text, "<:status=503 content-type=text/plain; charset=utf-8 content-length=");
    CHECK(strstr(text, ">meshfast: no "));
    say_head(a, 7, ":method: GET\n:scheme: http\n:path: /\n:authority: nowhere", true);
    CHECK(strstr((settle(), told(a, 7)), "<:status=404 "));
    mesh_close();
}

static void test_inbound(void)
{
    mesh_open(MF_INBOUND, 0, NULL);
    struct peer *a = caller(), *c = caller();
    say_head(a, 1, FIELDS("/any/hi", "application/grpc") "\ndev: dev1", false);
    say_head(c, 1, CALL, true);
    struct peer *b = provider();
    CHECK_INT(port_of(b), 9);
    CHECK_TOLD(b, 1, "<:method=POST :scheme=http :path=/any/hi :authority=svc content-type=application/grpc dev=dev1>");
    CHECK_TOLD(b, 3, T_CALL "|");
    say_head(b, 3, OK, false); /* each its own, though both call theirs 1 */
    say_head(b, 3, DONE, true);
    CHECK_TOLD(a, 1, "");
    CHECK_TOLD(c, 1, T_OK T_DONE);
    say_data(a, 1, "x", true);
    CHECK_TOLD(b, 1, "x|");
    say_head(b, 1, OK, false);
    say_data(b, 1, "a's", false);
    say_head(b, 1, DONE, true);
    CHECK_TOLD(a, 1, T_OK "a's" T_DONE);
    CHECK_TOLD(c, 1, "");
    mesh_close();
}

static void test_labels(void)
{
    mesh_open(MF_OUTBOUND, 2, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL "\ndev: dev1\nx-request-id: r1", true);
    struct peer *b = provider();
    CHECK_INT(port_of(b), 2);
    CHECK(strstr((settle(), told(b, 1)), " dev=dev1 x-request-id=r1>|"));
    say_head(b, 1, OK "\ngrpc-status: 0", true);
    say_head(a, 3, CALL, true);
    struct peer *base = provider();
    CHECK_INT(port_of(base), 1);
    CHECK_TOLD(base, 1, T_CALL "|");
    mesh_close();
    mesh_open(MF_INBOUND, 0, NULL); /* what a request that came in said is remembered by its id */
    a = caller();
    say_head(a, 1, CALL "\ndev: dev1\nx-request-id: r2", true);
    b = provider();
    CHECK(strstr((settle(), told(b, 1)), " dev=dev1 x-request-id=r2>|"));
    mesh_close();
}

/* A label that is known by the trace id alone goes on as a field; in place of an empty one, and behind the others. */
static void test_stamped(bool waits)
{
    bool evicted;
    mesh_open(MF_OUTBOUND, 2, NULL);
    struct mf_trace_entry entry = {MF_SLICE("r1"), MF_SLICE("dev1"), (uint32_t)mf_label_intern(mesh.table, MF_SLICE("dev")), 1, false};
    CHECK_INT(mf_trace_put(mesh.trace, &entry, fake.now, &evicted), MF_TRACE_STORED);
    struct peer *a = caller();
    if (!waits)
        say_head(a, 1, CALL "\ndev: dev1", true);
    else
        say_head(a, 1, CALL "\nx-request-id: r1", true);
    struct peer *b = provider();
    CHECK_INT(port_of(b), 2);
    CHECK(strstr((settle(), told(b, 1)), waits ? " x-request-id=r1 dev=dev1>|" : " dev=dev1>|"));
    for (uint32_t id = 3; id < 11; id += 2) { /* the same again and again: recalled makes no difference */
        say_head(a, id, CALL "\nx-request-id: r1", true);
        CHECK(strstr((settle(), told(b, id)), "application/grpc x-request-id=r1 dev=dev1>|"));
    }
    say_rst(b, 9, MF_H2_REFUSED_STREAM);
    CHECK(strstr((settle(), told(b, 11)), "application/grpc x-request-id=r1 dev=dev1>|"));
    say_head(a, 11, CALL "\ndev: \nx-request-id: r1", true);
    CHECK(strstr((settle(), told(b, 13)), "application/grpc x-request-id=r1 dev=dev1>|"));
    mesh_close();
}

int main(void)
{
    test_stamped(false);
    test_stamped(true);
    test_unary();
    test_stream();
    test_held();
    test_interim();
    test_head();
    test_early_answer();
    test_resets();
    test_local_answers();
    test_inbound();
    test_labels();
    return test_end("h2");
}
