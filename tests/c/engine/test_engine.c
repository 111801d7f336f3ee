/* engine: calls through real sockets, on both loops: what is delivered, and by which way. */
#include "rig.h"

/* --- the straight path */

static void test_call(void)
{
    struct rig rig;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy);
    uint8_t sent[1024];
    size_t len = request(sent, 7, TWO_WAY, "svc", MF_SLICE("bob"), NULL);
    for (size_t i = 0; i < len; i++) /* one byte at a time */
        CHECK(put(caller, sent + i, 1));
    int provider = take(rig.listeners[0]);
    struct frame got = get(provider);
    CHECK_INT(got.len, len);
    CHECK(got.head.id != 7);
    CHECK(memcmp(got.bytes + 16, sent + 16, len - 16) == 0); /* the body as it came */
    CHECK(memcmp(got.bytes, sent, 4) == 0);
    answer(provider, got.head.id, 20, 10);
    drop(&got);
    expect(caller, 7, 20, NULL);

    /* The same id again, twice at once, answered the other way round: each gets its own. */
    ask(caller, 7, "svc", NULL);
    ask(caller, 7, "svc", NULL);
    uint64_t first = asked(provider), second = asked(provider);
    CHECK(first != second);
    answer(provider, second, 20, 5);
    answer(provider, first, 20, 5);
    struct frame a = get(caller), b = get(caller);
    CHECK_INT(a.head.id, 7);
    CHECK_INT(b.head.id, 7);
    CHECK_INT(mf_get64(a.bytes + 16), second);
    CHECK_INT(mf_get64(b.bytes + 16), first);
    drop(&a);
    drop(&b);

    /* Statuses that a proxy need not know pass. */
    ask(caller, UINT64_MAX, "svc", NULL);
    answer(provider, asked(provider), 25, 3);
    expect(caller, UINT64_MAX, 25, NULL);

    /* Another caller shares the connection. */
    int other = dial(&rig.proxy);
    ask(other, 7, "svc", NULL);
    ask(caller, 7, "svc", NULL);
    first = asked(provider);
    second = asked(provider);
    answer(provider, first, 20, 1);
    answer(provider, second, 20, 1);
    expect(other, 7, 20, NULL);
    expect(caller, 7, 20, NULL);
    CHECK_INT(COUNTER(&rig, upstream_connections), 1);
    close(other);
    close(caller);
    close(provider);
    close_rig(&rig);
}

static void test_one_way(void)
{
    struct rig rig;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy);
    uint8_t sent[1024];
    CHECK(put(caller, sent, request(sent, 1, ONE_WAY, "svc", MF_SLICE("x"), NULL)));
    close(caller); /* it goes at once, as such callers do: the request still arrives */
    int provider = take(rig.listeners[0]);
    struct frame got = get(provider);
    CHECK(got.len > 0);
    CHECK_INT(got.head.flags & MF_DUBBO_TWO_WAY, 0);
    drop(&got);
    CHECK(REACHES(&rig, calls_one_way, 1));
    CHECK_INT(COUNTER(&rig, calls_active), 0);
    close(provider);
    close_rig(&rig);
}

static void test_large(void)
{
    struct rig rig;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    enum { BIG = 4 << 20 };
    uint8_t *text = malloc(BIG), *sent = malloc(BIG + 4096);
    memset(text, 'q', BIG);
    int caller = dial(&rig.proxy);
    const char *label[] = {"x-request-id", "t1", NULL};
    size_t len = request(sent, 9, TWO_WAY, "svc", mf_slice_of(text, BIG), label);
    for (int round = 0; round < 2; round++) { /* first while the connection is made, then on one that is there */
        static int provider = -1;
        CHECK(put(caller, sent, len / 2));
        CHECK(put(caller, sent + len / 2, len - len / 2));
        if (round == 0)
            provider = take(rig.listeners[0]);
        struct frame got = get(provider);
        CHECK_INT(got.len, len);
        CHECK(got.len == len && memcmp(got.bytes + 16, sent + 16, len - 16) == 0);
        answer(provider, got.head.id, 20, 3 << 20);
        drop(&got);
        expect(caller, 9, 20, NULL);
        if (round == 1)
            close(provider);
    }
    free(text);
    free(sent);
    close(caller);
    close_rig(&rig);
}

/* --- labels */

static void test_labels(void)
{
    struct rig rig;
    open_rig(&rig, 2, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy);
    const char *dev1[] = {"dev", "dev1", NULL}, *dev9[] = {"dev", "dev9", NULL};
    ask(caller, 1, "svc", dev1);
    int labelled = take(rig.listeners[1]);
    answer(labelled, asked(labelled), 20, 1);
    expect(caller, 1, 20, NULL);
    ask(caller, 2, "svc", NULL);
    int baseline = take(rig.listeners[0]);
    answer(baseline, asked(baseline), 20, 1);
    expect(caller, 2, 20, NULL);
    ask(caller, 3, "svc", dev9); /* no such environment: baseline */
    answer(baseline, asked(baseline), 20, 1);
    expect(caller, 3, 20, NULL);

    /* By trace id alone: remembered on the way in, found on the way out, and stamped. */
    uint8_t kept[64];
    const char *traced[] = {"x-request-id", "trace-1", NULL};
    bool evicted;
    struct mf_trace_entry entry = {.id = MF_SLICE("trace-1"), .value = MF_SLICE("dev1")};
    CHECK_INT(mf_trace_put(rig.trace, &entry, mf_clock_ns(), &evicted), MF_TRACE_STORED);
    CHECK_INT(mf_trace_find(rig.trace, MF_SLICE("trace-1"), 0, mf_clock_ns(), kept), 4);
    ask(caller, 4, "svc", traced);
    struct frame got = get(labelled);
    CHECK(got.len > 0);
    CHECK(memmem(got.bytes, got.len, "\x03" "dev" "\x04" "dev1Z", 10) != NULL);
    answer(labelled, got.head.id, 20, 1);
    drop(&got);
    expect(caller, 4, 20, NULL);
    CHECK_INT(COUNTER(&rig, labels_stamped), 1);
    CHECK_INT(COUNTER(&rig, labels_context), 1);
    close(caller);
    close(labelled);
    close(baseline);
    close_rig(&rig);
}

static void test_inbound(void)
{
    struct rig rig;
    open_rig(&rig, 1, MF_INBOUND, NULL);
    int caller = dial(&rig.proxy);
    const char *pairs[] = {"dev", "dev7", "x-request-id", "abc", NULL};
    ask(caller, 1, "whatever.it.offers", pairs);
    int app = take(rig.listeners[2]);
    answer(app, asked(app), 20, 1);
    expect(caller, 1, 20, NULL);
    uint8_t kept[64];
    CHECK_INT(mf_trace_find(rig.trace, MF_SLICE("abc"), 0, mf_clock_ns(), kept), 4);
    CHECK(memcmp(kept, "dev7", 4) == 0);

    /* The application stops: its READONLY reaches the callers, and calls that still come are served. */
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    CHECK(put(app, event, mf_dubbo_put_readonly(event)));
    struct frame told = get(caller);
    CHECK(told.head.flags & MF_DUBBO_EVENT);
    CHECK(told.len == 18 && memcmp(told.bytes + 16, "\x01R", 2) == 0);
    drop(&told);
    ask(caller, 2, "svc", NULL);
    answer(app, asked(app), 20, 1);
    expect(caller, 2, 20, NULL);
    close(caller);
    close(app);
    app = take(rig.listeners[2]); /* it is dialled again at once: whether it is there, the callers must know */

    /* Telnet on the Dubbo port still reaches the application. */
    int telnet = dial(&rig.proxy);
    CHECK(put(telnet, "ls\r\n", 4));
    int shell = take(rig.listeners[2]);
    uint8_t line[8] = {0};
    CHECK(read_all(shell, line, 4) && memcmp(line, "ls\r\n", 4) == 0);
    CHECK(put(shell, "dubbo>", 6));
    CHECK(read_all(telnet, line, 6) && memcmp(line, "dubbo>", 6) == 0);
    shutdown(telnet, SHUT_WR); /* half-close passes, and the other half still works */
    CHECK(closes(shell));
    CHECK(put(shell, "bye", 3));
    CHECK(read_all(telnet, line, 3) && memcmp(line, "bye", 3) == 0);
    close(shell);
    CHECK(closes(telnet));
    close(telnet);
    close(app);
    CHECK_INT(COUNTER(&rig, opaque_connections), 1);
    close_rig(&rig);
}

int main(void)
{
    static void (*const tests[])(void) = {test_call, test_one_way, test_large, test_labels, test_inbound};
    return run_all("engine", tests, sizeof tests / sizeof *tests);
}
