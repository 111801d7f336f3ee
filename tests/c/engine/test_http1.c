/* http1: an HTTP/1 connection until it is a relay: its head cut at every byte, peers that refuse or are silent, callers that
 * go meanwhile, and an allocator that fails each allocation in turn. */
#include "pair.h"
#include "test.h"

enum { CALLER };

static const char request[] = "POST /x HTTP/1.1\r\nhost: SVC:80\r\ndev: dev1\r\ncontent-length: 4\r\n\r\nbody";
static const size_t request_len = sizeof request - 1;
static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";

static uint64_t counter(size_t at)
{
    struct mf_counters all;
    mf_engine_counters(pair.engine, &all);
    return mf_load_relaxed((const mf_atom64 *)(const void *)((const char *)&all + at));
}
#define COUNTER(name) counter(offsetof(struct mf_counters, name))

static void open_with(enum mf_direction direction, bool forward)
{
    struct mf_limits limits;
    struct mf_listen_options listen = {.direction = direction, .has_forward = forward};
    mf_limits_default(&limits);
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    mf_addr_parse(MF_SLICE("127.0.0.1:9"), &listen.forward);
    pair_open(&limits, &listen, 2);
}

static void send_text(int i, const char *text, size_t len)
{
    pair_send(i, (const uint8_t *)text, len);
}

/* The request has come whole to connection `up`, and its answer goes back. */
static void check_served(int caller, int up)
{
    CHECK_INT(fake.n, up + 1);
    CHECK(fake.conns[up].up);
    fake_answer_connect(&fake.conns[up], 0);
    pair_turn(0);
    pair_turn(0);
    CHECK_INT(fake.conns[up].out.len, request_len);
    CHECK(memcmp(fake.conns[up].out.ptr, request, request_len) == 0);
    send_text(up, answer, sizeof answer - 1);
    pair_turn(0);
    CHECK_STR(mf_slice_of(fake.conns[caller].out.ptr, fake.conns[caller].out.len), answer);
    CHECK_INT(COUNTER(calls_active), 0);
}

static bool was_told(int caller, const char *status)
{
    const struct fake_bytes *out = &fake.conns[caller].out;
    return out->len > strlen(status) && memcmp(out->ptr, status, strlen(status)) == 0;
}

static void test_cuts(void)
{
    for (size_t n = 0; n <= request_len; n++) {
        open_with(MF_OUTBOUND, false);
        fake_connect();
        send_text(CALLER, request, n);
        pair_turn(0);
        send_text(CALLER, request + n, request_len - n);
        pair_turn(0);
        check_served(CALLER, 1);
        CHECK_INT(COUNTER(http1_connections), 1);
        CHECK_INT(COUNTER(http1_bytes), request_len + sizeof answer - 1);
        pair_close();
    }
    open_with(MF_OUTBOUND, false);
    fake_connect();
    for (size_t n = 0; n < request_len; n++) {
        send_text(CALLER, request + n, 1);
        pair_turn(0);
    }
    check_served(CALLER, 1);
    pair_close();
}

/* The labelled one refuses, so the other gets all of it; then nobody is there. */
static void test_refused(void)
{
    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len - 4);
    pair_turn(0);
    CHECK_INT(fake.n, 2);
    fake_answer_connect(&fake.conns[1], -ECONNREFUSED);
    send_text(CALLER, "body", 4); /* while it waits */
    pair_turn(0);
    pair_turn(0);
    check_served(CALLER, 2);
    CHECK_INT(COUNTER(upstream_connect_failed), 1);
    pair_close();

    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len);
    for (int i = 1; i <= 2; i++) {
        pair_turn(0);
        CHECK_INT(fake.n, i + 1);
        fake_answer_connect(&fake.conns[i], -ECONNREFUSED);
        pair_turn(0);
    }
    pair_turn(0);
    CHECK_INT(fake.n, 3);
    CHECK(was_told(CALLER, "HTTP/1.1 503 "));
    CHECK_INT(COUNTER(http1_answers), 1);
    pair_close();

    open_with(MF_INBOUND, true);
    fake_connect();
    fake.refuse = ECONNREFUSED; /* at once */
    send_text(CALLER, request, request_len);
    pair_turn(0);
    CHECK_INT(fake.n, 1);
    CHECK(was_told(CALLER, "HTTP/1.1 503 "));
    pair_close();
}

static void test_silent(void)
{
    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len);
    pair_turn(0);
    CHECK_INT(fake.n, 2);
    pair_pass(pair.limits.connect_timeout * 1000000 + 1000000);
    CHECK_INT(COUNTER(limit_connect_timeout), 1);
    check_served(CALLER, 2);
    pair_close();
}

/* Whoever it was dialled for is gone; or the sidecar is. */
static void test_gone(void)
{
    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len);
    pair_turn(0);
    CHECK_INT(fake.n, 2);
    fake.conns[CALLER].eof = true; /* that was all: it waits for its answer */
    pair_turn(0);
    check_served(CALLER, 1);
    pair_turn(0);
    CHECK(fake.conns[1].fin);
    pair_close();

    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len);
    pair_turn(0);
    fake.conns[CALLER].reset = true;
    pair_turn(0);
    fake_answer_connect(&fake.conns[1], 0);
    for (int i = 0; i < 3; i++)
        pair_turn(0);
    CHECK(fake.conns[CALLER].sock == NULL);
    CHECK(fake.conns[1].sock == NULL);
    pair_close();

    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len);
    pair_turn(0);
    CHECK_INT(fake.n, 2);
    CHECK_INT(COUNTER(calls_active), 1); /* a drain waits for it */
    pair_close(); /* in the midst of it */
}

static void test_answers(void)
{
    static const struct {
        const char *text, *status;
    } tries[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nhost: svc\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nhost: other\r\n\r\n", "HTTP/1.1 404 "},
        {"HEAD / HTTP/1.1\r\nhost: other\r\n\r\n", "HTTP/1.1 404 "},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        open_with(MF_OUTBOUND, false);
        fake_connect();
        send_text(CALLER, tries[i].text, strlen(tries[i].text));
        pair_turn(0);
        CHECK(was_told(CALLER, tries[i].status));
        CHECK(fake.conns[CALLER].fin);
        CHECK_INT(fake.n, 1);
        pair_close();
    }
}

/* What an answer of ours says of its request is one line of text behind one head, whatever the host is made of. */
static void check_text(const char *host, size_t len)
{
    char text[512];
    open_with(MF_OUTBOUND, false);
    fake_connect();
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nhost: %.*s\r\n\r\n", (int)len, host);
    send_text(CALLER, text, (size_t)n);
    pair_turn(0);
    CHECK(was_told(CALLER, "HTTP/1.1 4"));
    const char *out = (const char *)fake.conns[CALLER].out.ptr, *end = memmem(out, fake.conns[CALLER].out.len, "\r\n\r\n", 4);
    const char *length = memmem(out, fake.conns[CALLER].out.len, "content-length: ", 16);
    CHECK(end && length && length < end);
    size_t body = fake.conns[CALLER].out.len - (size_t)(end + 4 - out);
    CHECK_INT(atoi(length + 16), body);
    CHECK(body <= 256);
    for (size_t i = 0; i < body; i++)
        CHECK(end[4 + i] >= 0x20 ? end[4 + i] < 0x7f && end[4 + i] != '<' : i == body - 1 && end[4 + i] == '\n');
    pair_close();
}

static void test_texts(void)
{
    char host[256] = "a";
    for (int c = 1; c < 256; c++) {
        host[1] = (char)c;
        check_text(host, 2);
    }
    for (const char *c = "a%&'*"; *c; c++) {
        memset(host, *c, sizeof host);
        for (size_t len = 120; len <= 256; len += len == 136 ? 118 : 1)
            check_text(host, len);
    }
}

/* A Dubbo2 call by the same door. */
static void test_beside(void)
{
    static uint8_t frame[PAIR_REQUEST];
    open_with(MF_OUTBOUND, false);
    fake_connect();
    send_text(CALLER, request, request_len);
    pair_turn(0);
    check_served(CALLER, 1);
    fake_connect();
    pair_send(2, frame, pair_request(frame, 2, 7, 0xc0, "svc", 0, NULL, NULL));
    pair_turn(0);
    CHECK_INT(fake.n, 4);
    fake_answer_connect(&fake.conns[3], 0);
    pair_turn(0);
    CHECK_INT(pair.n_asked, 1);
    pair_send(3, frame, pair_answer(frame, 0, 20, 0));
    pair_turn(0);
    CHECK_INT(pair.sides[2].n_due, 0);
    pair_close();
}

/* The i-th allocation fails: it is served, or told, or let go, and the next one is served. */
static void test_no_memory(void)
{
    int shed = 0;
    for (long n = 1;; n++) {
        open_with(MF_OUTBOUND, false);
        fake_connect();
        fail_at(n);
        send_text(CALLER, request, request_len / 2);
        pair_turn(0);
        send_text(CALLER, request + request_len / 2, request_len - request_len / 2);
        pair_turn(0);
        if (fake.n > 1 && fake.conns[1].sock)
            fake_answer_connect(&fake.conns[1], 0);
        for (int i = 0; i < 3; i++)
            pair_turn(0);
        bool served = fake.n > 1 && fake.conns[1].out.len == request_len;
        bool ended = was_told(CALLER, "HTTP/1.1 503 ") || !fake.conns[CALLER].sock;
        long failures = fail_failed;
        fail_at(0);
        CHECK(served || ended);
        shed += !served;
        int caller = fake.n, before = fake.n;
        CHECK(fake_connect() != NULL);
        CHECK_INT(fake.n, before + 1);
        send_text(caller, request, request_len);
        pair_turn(0);
        check_served(caller, caller + 1);
        pair_close();
        if (!failures)
            break;
        CHECK(n < 100);
    }
    CHECK(shed > 0);
}

int main(void)
{
    test_cuts();
    test_refused();
    test_silent();
    test_gone();
    test_answers();
    test_texts();
    test_beside();
    test_no_memory();
    pair_sample = MF_NOTE_ALL_CALLS;
    test_no_memory();
    return test_end("engine/http1");
}
