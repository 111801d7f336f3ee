/* limits: each wait and count that a peer can drive bites where it says, is counted, and harms nobody else. */
#include "rig.h"

static void test_frame_timeout(void)
{
    struct rig rig;
    struct setting settings[] = {{"frameTimeout", 50}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int begun = dial(&rig.proxy), half = dial(&rig.proxy), good = dial(&rig.proxy);
    uint8_t sent[1024];
    size_t len = request(sent, 1, TWO_WAY, "svc", MF_SLICE("x"), NULL);
    CHECK(put(begun, "\xda", 1)); /* not even a protocol yet */
    CHECK(put(half, sent, len - 1));
    CHECK(closes(begun));
    CHECK(closes(half));
    CHECK(REACHES(&rig, limit_frame_timeout, 2));
    ask(good, 2, "svc", NULL); /* idle before, and still welcome */
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(good, 2, 20, NULL);
    close(begun);
    close(half);
    close(good);
    close(provider);
    close_rig(&rig);
}

static void test_idle_timeout(void)
{
    struct rig rig;
    struct setting settings[] = {{"idleTimeout", 60}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int silent_ = dial(&rig.proxy), waits_ = dial(&rig.proxy);
    ask(waits_, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    uint64_t id = asked(provider);
    CHECK(closes(silent_));
    CHECK(REACHES(&rig, limit_idle_timeout, 1));
    CHECK(silent(waits_, 150)); /* a call in flight is no idleness */
    answer(provider, id, 20, 1);
    expect(waits_, 1, 20, NULL);
    CHECK(closes(waits_));
    close(silent_);
    close(waits_);
    close(provider);
    close_rig(&rig);
}

static void test_heartbeat_timeout(void)
{
    struct rig rig;
    struct setting settings[] = {{"heartbeat", 20}, {"heartbeatTimeout", 60}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);
    ask(caller, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    asked(provider); /* and never a word */
    expect(caller, 1, 35, "was lost");
    CHECK_INT(COUNTER(&rig, limit_heartbeat_timeout), 1);
    CHECK(COUNTER(&rig, heartbeats_out) >= 1);
    close(caller);
    close(provider);
    close_rig(&rig);
}

static void test_counts(void)
{
    struct rig rig;
    struct setting settings[] = {{"maxConnections", 2}, {"maxCalls", 3}, {"maxCallsPerConnection", 2}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int first = dial(&rig.proxy), second = dial(&rig.proxy), third = dial(&rig.proxy);
    CHECK(closes(third));
    CHECK_INT(COUNTER(&rig, limit_max_connections), 1);
    ask(first, 1, "svc", NULL);
    ask(first, 2, "svc", NULL);
    ask(first, 3, "svc", NULL);
    expect(first, 3, 100, "too many calls");
    CHECK_INT(COUNTER(&rig, limit_max_calls_per_connection), 1);
    ask(second, 4, "svc", NULL);
    ask(second, 5, "svc", NULL);
    expect(second, 5, 100, "too many calls");
    CHECK_INT(COUNTER(&rig, limit_max_calls), 1);
    int provider = take(rig.listeners[0]);
    uint64_t ids[3] = {asked(provider), asked(provider), asked(provider)};
    for (int i = 0; i < 3; i++)
        answer(provider, ids[i], 20, 1);
    expect(first, 1, 20, NULL);
    expect(first, 2, 20, NULL);
    expect(second, 4, 20, NULL);
    ask(second, 6, "svc", NULL); /* room again */
    answer(provider, asked(provider), 20, 1);
    expect(second, 6, 20, NULL);
    close(first);
    close(second);
    close(third);
    close(provider);
    close_rig(&rig);
}

static void test_body_limits(void)
{
    struct rig rig;
    struct setting settings[] = {{"maxAttachments", 2}, {"maxDepth", 4}, {"maxBody", 4096}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);
    const char *three[] = {"a", "1", "b", "2", "c", "3", NULL};
    ask(caller, 1, "svc", three);
    expect(caller, 1, 40, "too many attachments");
    CHECK_INT(COUNTER(&rig, limit_max_attachments), 1);
    uint8_t deep[1024];
    size_t len = request(deep, 2, TWO_WAY, "svc", MF_SLICE("0123456789"), NULL);
    memset(deep + len - 13, 0x57, 13); /* the argument and the attachments: lists in lists */
    CHECK(put(caller, deep, len));
    expect(caller, 2, 40, "bad request");
    CHECK_INT(COUNTER(&rig, limit_max_depth), 1);
    /* An answer that is too long costs its own call only. */
    ask(caller, 3, "svc", NULL);
    ask(caller, 4, "svc", NULL);
    int provider = take(rig.listeners[0]);
    uint64_t third = asked(provider), fourth = asked(provider);
    answer(provider, third, 20, 5000);
    answer(provider, fourth, 20, 1);
    expect(caller, 3, 50, "maxBody");
    expect(caller, 4, 20, NULL);
    close(caller);
    close(provider);
    close_rig(&rig);
}

/* Its answers are there, each once: as they are, or 100 in place of those that were too much. How many are. */
static int read_behind(int fd, int n)
{
    uint64_t seen = 0;
    int whole = 0;
    for (int i = 0; i < n; i++) {
        struct frame frame = get(fd);
        CHECK(frame.len > 0);
        CHECK(frame.head.status == 20 || frame.head.status == 100);
        if (frame.len && frame.head.status == 100)
            CHECK(memmem(frame.bytes, frame.len, "outputMax", 9) != NULL);
        seen |= UINT64_C(1) << frame.head.id;
        whole += frame.head.status == 20;
        drop(&frame);
    }
    CHECK_INT(seen, (UINT64_C(2) << n) - 2);
    return whole;
}

/* Too many answers for one caller cost those answers, not the connection; one alone is never too many. */
static void test_output_max(void)
{
    enum { CALLS = 24, MOST = 4 << 20 };
    struct rig rig;
    struct setting settings[] = {{"outputHigh", 65536}, {"outputMax", MOST}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int slow = dial(&rig.proxy), quick = dial(&rig.proxy);
    for (uint64_t id = 1; id <= CALLS; id++)
        ask(slow, id, "svc", NULL);
    int provider = take(rig.listeners[0]);
    for (int i = 0; i < CALLS; i++)
        answer(provider, asked(provider), 20, 1 << 20);
    CHECK(REACHES(&rig, limit_output_max, 1));
    ask(quick, 1, "svc", NULL);
    answer(provider, asked(provider), 20, 1);
    expect(quick, 1, 20, NULL);
    CHECK_INT(read_behind(slow, CALLS), CALLS - (int)COUNTER(&rig, limit_output_max));
    ask(slow, 99, "svc", NULL);
    answer(provider, asked(provider), 20, MOST + 65536);
    expect(slow, 99, 20, NULL);
    close(slow);
    close(quick);
    close(provider);
    close_rig(&rig);
}

/* A request cut off at every byte, and an answer cut off at every byte: an error or nothing, and the next call works. */
/* Nothing is kept for long frames: they go through all the same. */
static void test_spare_blocks(void)
{
    struct rig rig;
    struct setting settings[] = {{"spareBlocks", 0}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    int caller = dial(&rig.proxy);
    ask(caller, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    for (uint64_t id = 1; id <= 3; id++) {
        answer(provider, asked(provider), 20, 200000);
        expect(caller, id, 20, NULL);
        ask(caller, id + 1, "svc", NULL);
    }
    CHECK(REACHES(&rig, limit_spare_blocks, 1));
    answer(provider, asked(provider), 20, 1);
    expect(caller, 4, 20, NULL);
    close(provider);
    close(caller);
    close_rig(&rig);
}

static void test_cut_off(void)
{
    struct rig rig;
    struct setting settings[] = {{"peerBackoff", 1}, {0}};
    open_rig(&rig, 1, MF_OUTBOUND, settings);
    uint8_t sent[1024];
    size_t len = request(sent, 1, TWO_WAY, "svc", MF_SLICE("x"), NULL);
    for (size_t cut = 1; cut < len; cut++) {
        int caller = dial(&rig.proxy);
        CHECK(put(caller, sent, cut));
        shutdown(caller, SHUT_WR);
        CHECK(closes(caller));
        close(caller);
    }
    CHECK_INT(COUNTER(&rig, calls), 0);

    int caller = dial(&rig.proxy);
    uint8_t reply[MF_DUBBO_HEAD_LEN + 9] = {0};
    for (size_t cut = 1; cut < sizeof reply; cut++) {
        ask(caller, cut, "svc", NULL);
        int provider = take(rig.listeners[0]);
        uint8_t event[MF_DUBBO_EVENT_ROOM]; /* it is a provider: one that never said so would be taken for none */
        CHECK(put(provider, event, mf_dubbo_put_heartbeat(event, 1)));
        struct mf_dubbo_head head = {
            .id = asked(provider), .flags = 2, .status = 20, .serialization = 2, .body_len = 9};
        mf_dubbo_put_head(reply, &head);
        CHECK(put(provider, reply, cut));
        close(provider);
        expect(caller, cut, 35, "was lost");
    }
    ask(caller, 99, "svc", NULL);
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 99, 20, NULL);

    /* A caller that answers, which nobody asked it to. */
    uint8_t unasked[MF_DUBBO_HEAD_LEN];
    struct mf_dubbo_head head = {.id = 5, .flags = 2, .status = 20, .serialization = 2};
    mf_dubbo_put_head(unasked, &head);
    uint64_t late = COUNTER(&rig, answers_late);
    CHECK(put(caller, unasked, sizeof unasked));
    CHECK(REACHES(&rig, answers_late, late + 1));
    ask(caller, 100, "svc", NULL);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 100, 20, NULL);
    close(caller);
    close(provider);
    close_rig(&rig);
}

int main(void)
{
    static void (*const tests[])(void) = {test_frame_timeout, test_idle_timeout, test_heartbeat_timeout, test_counts,
                                          test_body_limits,   test_output_max,   test_spare_blocks,      test_cut_off};
    return run_all("limits", tests, sizeof tests / sizeof *tests);
}
