/* engine: calls through real sockets, on both loops: what is delivered, refused, lost and survived. */
#include "peers.h"

static enum mf_loop_backend backend;

struct rig {
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_addr proxy;
    struct mf_addr addrs[3];
    int listeners[3]; /* providers; the second one carries dev=dev1 */
};

static uint64_t counter(const struct rig *rig, size_t offset)
{
    struct mf_counters all;
    mf_engine_counters(rig->engine, &all);
    return mf_load_relaxed((mf_atom64 *)(void *)((char *)&all + offset));
}
#define COUNTER(rig, name) counter(rig, offsetof(struct mf_counters, name))

/* Waits until a counter has reached a value: the engine runs on its own thread. */
static bool reaches(const struct rig *rig, size_t offset, uint64_t want)
{
    for (int i = 0; i < 5000; i++) {
        if (counter(rig, offset) >= want)
            return true;
        usleep(1000);
    }
    return false;
}
#define REACHES(rig, name, want) reaches(rig, offsetof(struct mf_counters, name), want)

static void publish(struct rig *rig, int n_peers)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    CHECK_INT(mf_cluster_new(rig->table, MF_SLICE("app"), &cluster), 0);
    for (int i = 0; i < n_peers; i++) {
        char text[MF_ADDR_TEXT];
        struct mf_slice addr = mf_slice_of(text, mf_addr_format(&rig->addrs[i], text));
        struct mf_pair label = {MF_SLICE("dev"), MF_SLICE("dev1")};
        CHECK_INT(mf_cluster_add(rig->table, cluster, addr, &label, i == 1, 1), 0);
    }
    CHECK_INT(mf_cluster_seal(rig->table, cluster), 0);
    CHECK_INT(mf_service_new(rig->table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_target(rig->table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100,
                                MF_FALLBACK_NO_AVAILABLE, 1), 0);
    CHECK_INT(mf_service_target(rig->table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0,
                                MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET), 1);
    CHECK_INT(mf_table_publish(rig->table, service), 0);
    mf_cluster_give(rig->table, cluster);
}

static void label_plan(struct rig *rig)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    int index = mf_label_intern(rig->table, MF_SLICE("dev"));
    CHECK(index >= 0);
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_PLAIN, MF_SLICE("x-request-id")};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = 2};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    plan.labels[0].sources[1] = plan.traces[0];
    CHECK_INT(mf_table_publish_labels(rig->table, &plan), 0);
}

struct setting {
    const char *limit;
    uint64_t value;
};

static void open_rig(struct rig *rig, int n_peers, enum mf_direction direction, const struct setting *settings)
{
    const char *why = NULL;
    struct mf_engine_options options = {.workers = 1, .loop.backend = backend};
    for (int i = 0; i < 3; i++)
        rig->listeners[i] = serve(&rig->addrs[i]);
    CHECK_INT(mf_table_new(&rig->table), 0);
    CHECK_INT(mf_trace_new(1024, 60000000000, &rig->trace), 0);
    label_plan(rig);
    publish(rig, n_peers);
    options.table = rig->table;
    options.trace = rig->trace;
    mf_limits_default(&options.limits);
    for (; settings && settings->limit; settings++)
        CHECK_INT(mf_limits_set(&options.limits, settings->limit, settings->value), 0);
    CHECK_INT(mf_engine_new(&options, &rig->engine, &why), 0);
    struct mf_listen_options listen = {.name = MF_SLICE("test"), .direction = direction};
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    listen.has_forward = direction == MF_INBOUND;
    listen.forward = rig->addrs[2];
    CHECK_INT(mf_engine_listen(rig->engine, &listen, &rig->proxy), 0);
    CHECK_INT(mf_engine_start(rig->engine), 0);
}

static void close_rig(struct rig *rig)
{
    mf_engine_free(rig->engine);
    for (int i = 0; i < 3; i++)
        if (rig->listeners[i] >= 0)
            close(rig->listeners[i]);
    mf_table_free(rig->table);
    mf_trace_free(rig->trace);
}

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
    CHECK_INT(mf_trace_put(rig.trace, MF_SLICE("trace-1"), 0, MF_SLICE("dev1"), mf_clock_ns(), &evicted),
              MF_TRACE_STORED);
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
    CHECK_INT(COUNTER(&rig, opaque_connections), 1);
    close_rig(&rig);
}

/* --- what goes wrong */

static void test_refused(void)
{
    struct rig rig;
    struct setting settings[] = {{"maxBody", 1000}, {"maxTries", 3}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);
    ask(caller, 1, "unheard.of", NULL);
    expect(caller, 1, 60, "unheard.of is not in the mesh");

    /* Nobody listens at the only instance. */
    close(rig.listeners[0]);
    rig.listeners[0] = -1;
    ask(caller, 2, "svc", NULL);
    expect(caller, 2, 80, "no available instance of svc");

    /* Lengths: over the limit, giant, negative, none. */
    uint8_t head[MF_DUBBO_HEAD_LEN];
    struct mf_dubbo_head wrong = {.id = 3, .flags = 0xc2, .serialization = 2, .body_len = 1001};
    mf_dubbo_put_head(head, &wrong);
    CHECK(put(caller, head, sizeof head));
    expect(caller, 3, 40, "maxBody");
    uint8_t rest[1001] = {0};
    CHECK(put(caller, rest, sizeof rest));
    ask(caller, 4, "unheard.of", NULL); /* the stream goes on behind the refused frame */
    expect(caller, 4, 60, NULL);
    wrong = (struct mf_dubbo_head){.id = 5, .flags = 0xc2, .serialization = 2, .body_len = 0};
    mf_dubbo_put_head(head, &wrong);
    CHECK(put(caller, head, sizeof head));
    expect(caller, 5, 40, "bad request");
    wrong.id = 6;
    wrong.body_len = 0x80000000u;
    mf_dubbo_put_head(head, &wrong);
    CHECK(put(caller, head, sizeof head));
    expect(caller, 6, 40, "maxBody");
    CHECK(closes(caller));
    close(caller);
    CHECK_INT(COUNTER(&rig, limit_max_body), 2);

    /* A bomb of nested lists, and a body that is cut off. */
    caller = dial(&rig.proxy);
    uint8_t bomb[1024];
    size_t len = request(bomb, 8, TWO_WAY, "svc", MF_SLICE("x"), NULL);
    memset(bomb + len - 4, 0x57, 4); /* where the argument and the attachments were */
    CHECK(put(caller, bomb, len));
    expect(caller, 8, 40, "bad request");
    ask(caller, 9, "unheard.of", NULL); /* the connection is as good as before */
    expect(caller, 9, 60, NULL);

    /* Garbage mid-stream: what was asked before is still answered, then the connection ends. */
    rig.listeners[0] = serve(&rig.addrs[0]);
    publish(&rig, 1);
    ask(caller, 10, "svc", NULL);
    int provider = take(rig.listeners[0]);
    uint64_t id = asked(provider);
    CHECK(put(caller, "garbage!", 8));
    CHECK(silent(caller, 20));
    answer(provider, id, 20, 1);
    expect(caller, 10, 20, NULL);
    CHECK(closes(caller));
    close(caller);
    close(provider);
    close_rig(&rig);
}

static void test_lost(void)
{
    struct rig rig;
    struct setting settings[] = {{"peerBackoff", 1}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);

    /* The provider dies with calls in flight: each gets an error at once, and nothing else. */
    ask(caller, 1, "svc", NULL);
    ask(caller, 2, "svc", NULL);
    int provider = take(rig.listeners[0]);
    asked(provider);
    asked(provider);
    CHECK(put(provider, "\xda\xbb\x02\x14\0\0\0", 7)); /* half a head */
    struct linger hard = {1, 0};
    setsockopt(provider, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(provider);
    expect(caller, 1, 35, "was lost");
    expect(caller, 2, 35, "was lost");
    ask(caller, 3, "svc", NULL); /* the next call finds it again */
    provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 3, 20, NULL);

    /* Half an answer, then the end: never delivered as an answer. */
    ask(caller, 4, "svc", NULL);
    uint64_t id = asked(provider);
    struct mf_dubbo_head head = {.id = id, .flags = 2, .status = 20, .serialization = 2, .body_len = 100};
    uint8_t bytes[MF_DUBBO_HEAD_LEN];
    mf_dubbo_put_head(bytes, &head);
    CHECK(put(provider, bytes, sizeof bytes));
    CHECK(put(provider, "half", 4));
    close(provider);
    expect(caller, 4, 35, "was lost");

    /* An answer with an id that nobody waits for, one to a call that was answered, and an answer to nothing. */
    ask(caller, 5, "svc", NULL);
    provider = take(rig.listeners[0]);
    id = asked(provider);
    answer(provider, id + 1, 20, 1);
    answer(provider, id, 20, 1);
    answer(provider, id, 20, 1);
    answer(provider, 0, 20, 1);
    expect(caller, 5, 20, NULL);
    CHECK(silent(caller, 20));
    CHECK(REACHES(&rig, answers_late, 3));

    /* The caller goes first. */
    ask(caller, 6, "svc", NULL);
    id = asked(provider);
    setsockopt(caller, SOL_SOCKET, SO_LINGER, &hard, sizeof hard); /* a plain end might still want its answer */
    close(caller);
    CHECK(REACHES(&rig, calls_abandoned, 1));
    answer(provider, id, 20, 1);
    CHECK(REACHES(&rig, answers_late, 4));
    CHECK_INT(COUNTER(&rig, calls_active), 0);
    close(provider);
    close_rig(&rig);
}

static void test_timeout(void)
{
    struct rig rig;
    struct setting settings[] = {{"callTimeout", 60}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);
    const char *shorter[] = {"timeout", "20", NULL};
    ask(caller, 1, "svc", NULL);
    ask(caller, 2, "svc", shorter);
    int provider = take(rig.listeners[0]);
    uint64_t first = asked(provider), second = asked(provider);
    expect(caller, 2, 31, "in time");
    expect(caller, 1, 31, "in time");
    ask(caller, 3, "svc", NULL);
    uint64_t third = asked(provider);
    answer(provider, second, 20, 1); /* late: dropped, never given to the third */
    answer(provider, first, 20, 1);
    answer(provider, third, 20, 1);
    expect(caller, 3, 20, NULL);
    CHECK_INT(COUNTER(&rig, answers_late), 2);
    CHECK_INT(COUNTER(&rig, limit_call_timeout), 2);
    close(caller);
    close(provider);
    close_rig(&rig);
}

static void test_events(void)
{
    struct rig rig;
    struct setting settings[] = {{"heartbeat", 30}, {"heartbeatTimeout", 60000}, {0}};
    open_rig(&rig, 3, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);

    /* A caller's heartbeat is answered with its own body, whatever serialization that is. */
    uint8_t heartbeat[] = {0xda, 0xbb, 0xf7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 1, 2, 3};
    CHECK(put(caller, heartbeat, sizeof heartbeat));
    struct frame echo = get(caller);
    CHECK_INT(echo.len, sizeof heartbeat);
    CHECK(echo.len && memcmp(echo.bytes, "\xda\xbb\x37\x14\0\0\0\0\0\0\0\x05\0\0\0\x03\x01\x02\x03", 19) == 0);
    drop(&echo);

    /* An idle upstream is kept alive by ours; a provider's own heartbeat is answered. */
    ask(caller, 1, "svc", NULL);
    int used = 0;
    struct pollfd fds[2] = {{.fd = rig.listeners[0], .events = POLLIN}, {.fd = rig.listeners[2], .events = POLLIN}};
    CHECK_INT(waits(fds, 2, 5000), 1);
    used = fds[0].revents ? 0 : 2;
    int provider = take(rig.listeners[used]);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 1, 20, NULL);
    struct frame beat = get(provider);
    CHECK_INT(beat.head.flags, 0xe2);
    CHECK(beat.len == 17 && beat.bytes[16] == 'N');
    drop(&beat);
    CHECK(put(provider, heartbeat, sizeof heartbeat));
    do { /* beats of ours may come between */
        drop(&echo);
        echo = get(provider);
    } while (echo.len && (echo.head.flags & MF_DUBBO_REQUEST));
    CHECK_INT(echo.head.flags, 0x37);
    drop(&echo);

    /* READONLY: no new calls there, they go to the other; what is in flight is answered. */
    ask(caller, 2, "svc", NULL);
    struct frame got;
    int other = -1;
    for (;;) { /* either of the two; the one under READONLY must hold a call */
        struct pollfd both[2] = {{.fd = provider, .events = POLLIN},
                                 {.fd = other < 0 ? rig.listeners[2 - used] : other, .events = POLLIN}};
        CHECK(waits(both, 2, 5000) > 0);
        if (both[1].revents && other < 0) {
            other = take(rig.listeners[2 - used]);
            continue;
        }
        int from = both[0].revents ? provider : other;
        got = get(from);
        if (got.head.flags & MF_DUBBO_EVENT) {
            drop(&got);
            continue;
        }
        if (from == provider)
            break;
        answer(other, got.head.id, 20, 1);
        drop(&got);
        expect(caller, 2, 20, NULL);
        ask(caller, 2, "svc", NULL);
    }
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    CHECK(put(provider, event, mf_dubbo_put_readonly(event)));
    CHECK(REACHES(&rig, readonly_in, 1));
    for (uint64_t id = 10; id < 20; id++) {
        ask(caller, id, "svc", NULL);
        if (other < 0)
            other = take(rig.listeners[2 - used]);
        struct frame next;
        for (;;) {
            next = get(other);
            if (!next.len || !(next.head.flags & MF_DUBBO_EVENT))
                break;
            drop(&next);
        }
        CHECK(next.len > 0);
        answer(other, next.head.id, 20, 1);
        drop(&next);
        expect(caller, id, 20, NULL);
    }
    answer(provider, got.head.id, 20, 1);
    drop(&got);
    expect(caller, 2, 20, NULL);
    close(caller);
    close(provider);
    close(other);
    close_rig(&rig);
}

static void test_fallback_on_refusal(void)
{
    struct rig rig;
    open_rig(&rig, 2, MF_OUTBOUND, NULL);
    close(rig.listeners[1]); /* the labelled instance is listed, and gone */
    rig.listeners[1] = -1;
    int caller = dial(&rig.proxy);
    const char *dev1[] = {"dev", "dev1", NULL};
    ask(caller, 1, "svc", dev1);
    int baseline = take(rig.listeners[0]);
    answer(baseline, asked(baseline), 20, 1);
    expect(caller, 1, 20, NULL);
    CHECK_INT(COUNTER(&rig, calls_retried), 1);
    struct mf_event event;
    CHECK_INT(mf_engine_next_event(rig.engine, &event), 1);
    CHECK_INT(event.kind, MF_EVENT_PEER_DOWN);
    close(caller);
    close(baseline);
    close_rig(&rig);
}

static void test_slow_reader(void)
{
    struct rig rig;
    struct setting settings[] = {{"outputHigh", 65536}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int slow = dial(&rig.proxy), quick = dial(&rig.proxy);
    ask(quick, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(quick, 1, 20, NULL);
    enum { CALLS = 16, EACH = 1 << 20 };
    for (int i = 0; i < CALLS; i++)
        ask(slow, (uint64_t)i, "svc", NULL);
    for (int i = 0; i < CALLS; i++)
        answer(provider, asked(provider), 20, EACH);
    ask(quick, 2, "svc", NULL); /* not held up */
    answer(provider, asked(provider), 20, 1);
    expect(quick, 2, 20, NULL);
    CHECK(REACHES(&rig, limit_output_high, 1));
    ask(slow, 99, "svc", NULL); /* not read until what is queued has gone */
    CHECK(silent(provider, 50));
    for (int i = 0; i < CALLS; i++)
        expect(slow, (uint64_t)i, 20, NULL);
    answer(provider, asked(provider), 20, 1);
    expect(slow, 99, 20, NULL);
    close(slow);
    close(quick);
    close(provider);
    close_rig(&rig);
}

/* While a connection is being made, only so many bytes wait for it; then the caller is not read on. */
static void test_queue(void)
{
    struct rig rig;
    struct setting settings[] = {{"upstreamOutputHigh", 65536}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    /* A full accept queue: connects to it hang until something is accepted. */
    close(rig.listeners[0]);
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, fill[64], n = 0;
    setsockopt(full, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK_INT(bind(full, &rig.addrs[0].sa, rig.addrs[0].len), 0);
    CHECK_INT(listen(full, 0), 0);
    rig.listeners[0] = full;
    for (; n < 64; n++) {
        fill[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pollfd made = {.fd = fill[n], .events = POLLOUT};
        if (connect(fill[n], &rig.addrs[0].sa, rig.addrs[0].len) < 0 && waits(&made, 1, 100) == 0)
            break;
    }
    CHECK(n < 64);
    int caller = dial(&rig.proxy);
    uint8_t text[8192], sent[9000];
    memset(text, 'x', sizeof text);
    for (uint64_t id = 1; id <= 32; id++)
        CHECK(put(caller, sent, request(sent, id, TWO_WAY, "svc", mf_slice_of(text, sizeof text), NULL)));
    CHECK(REACHES(&rig, limit_upstream_output_high, 1));
    usleep(20000);
    CHECK(COUNTER(&rig, calls) < 32);
    for (int i = 0; i <= n; i++)
        close(fill[i]);
    int provider = -1;
    for (int i = 0; i <= n + 1 && provider < 0; i++) { /* the fillers come first; theirs end at once */
        int fd = take(full);
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        waits(&poll_fd, 1, 5000);
        uint8_t byte;
        if (recv(fd, &byte, 1, MSG_PEEK) == 1)
            provider = fd;
        else
            close(fd);
    }
    for (uint64_t id = 1; id <= 32; id++) {
        answer(provider, asked(provider), 20, 1);
        expect(caller, id, 20, NULL);
    }
    CHECK_INT(COUNTER(&rig, calls), 32);
    close(caller);
    close(provider);
    close_rig(&rig);
}

static void test_drain(void)
{
    struct rig rig;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    int caller = dial(&rig.proxy), idle = dial(&rig.proxy), stuck = dial(&rig.proxy);
    ask(caller, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    uint64_t id = asked(provider);
    ask(stuck, 8, "svc", NULL);
    asked(provider);
    mf_engine_drain(rig.engine);
    struct frame told = get(caller);
    CHECK(told.head.flags & MF_DUBBO_EVENT);
    CHECK(told.len == 18 && memcmp(told.bytes + 16, "\x01R", 2) == 0);
    drop(&told);
    CHECK(!mf_engine_drained(rig.engine));
    int refused = 0;
    for (int i = 0; i < 1000 && refused != -ECONNREFUSED; i++) { /* the listener's end is not instant */
        refused = dial(&rig.proxy);
        if (refused >= 0)
            close(refused);
        usleep(1000);
    }
    CHECK_INT(refused, -ECONNREFUSED);
    answer(provider, id, 20, 1);
    expect(caller, 1, 20, NULL);
    mf_engine_stop(rig.engine); /* the other is cut off, with an answer */
    told = get(stuck);
    CHECK(told.head.flags & MF_DUBBO_EVENT);
    drop(&told);
    expect(stuck, 8, 35, "stopping");
    CHECK(closes(stuck));
    CHECK(closes(idle));
    close(caller);
    close(idle);
    close(stuck);
    close(provider);
    close_rig(&rig);
}

/* The i-th allocation fails, for every i: calls may be shed, nothing is lost or leaked, the next ones work. */
static void test_no_memory(void)
{
    for (long n = 1; n < 40; n++) {
        struct rig rig;
        open_rig(&rig, 1, MF_OUTBOUND, NULL);
        fail_at(n);
        int caller = dial(&rig.proxy);
        ask(caller, 1, "svc", NULL);
        struct pollfd fds[2] = {{.fd = rig.listeners[0], .events = POLLIN}, {.fd = caller, .events = POLLIN}};
        int provider = -1;
        CHECK(waits(fds, 2, 5000) > 0);
        if (fds[0].revents) {
            provider = take(rig.listeners[0]);
            struct pollfd more[2] = {{.fd = provider, .events = POLLIN}, {.fd = caller, .events = POLLIN}};
            CHECK(waits(more, 2, 5000) > 0);
            struct frame got = more[0].revents & POLLIN ? get(provider) : (struct frame){0};
            if (got.len)
                answer(provider, got.head.id, 20, 1);
            drop(&got);
        }
        struct frame end = get(caller); /* an answer, an error, or the end of the connection */
        CHECK(end.len == 0 || end.head.id == 1);
        drop(&end);
        fail_at(0);
        close(caller);
        close(provider);
        caller = dial(&rig.proxy);
        ask(caller, 2, "svc", NULL);
        struct pollfd next[2] = {{.fd = rig.listeners[0], .events = POLLIN}, {.fd = caller, .events = POLLIN}};
        CHECK(waits(next, 2, 5000) > 0);
        if (next[0].revents) {
            provider = take(rig.listeners[0]);
            uint64_t id = asked(provider);
            answer(provider, id, 20, 1);
            close(provider);
            expect(caller, 2, 20, NULL);
        }
        close(caller);
        close_rig(&rig);
    }
}

int main(void)
{
    enum mf_loop_backend all[] = {MF_LOOP_EPOLL, MF_LOOP_URING};
    fail_at(0);
    for (int i = 0; i < 2; i++) {
        struct mf_loop *probe;
        const char *why = NULL;
        backend = all[i];
        if (mf_loop_new(&(struct mf_loop_options){.backend = backend}, &probe, &why) < 0) {
            printf("engine: this kernel has no io_uring for us (%s): epoll only\n", why ? why : "refused");
            continue;
        }
        mf_loop_free(probe);
        test_call();
        test_one_way();
        test_large();
        test_labels();
        test_inbound();
        test_refused();
        test_lost();
        test_timeout();
        test_events();
        test_fallback_on_refusal();
        test_slow_reader();
        test_queue();
        test_drain();
        test_no_memory();
    }
    return test_end("engine");
}
