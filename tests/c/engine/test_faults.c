/* faults: what an engine refuses, loses and survives: bad bytes, peers that go, slow readers, no memory, stopping. */
#include "rig.h"

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

/* While a connection is being made, only so many bytes wait for it; then a caller that calls nobody else is not
 * read on. */
static void test_queue(void)
{
    struct rig rig;
    struct setting settings[] = {{"upstreamOutputHigh", 65536}, {0}};
    open_rig(&rig, 1, MF_INBOUND, settings);
    /* A full accept queue: connects to it hang until something is accepted. */
    close(rig.listeners[2]);
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, fill[64], n = 0;
    setsockopt(full, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK_INT(bind(full, &rig.addrs[2].sa, rig.addrs[2].len), 0);
    CHECK_INT(listen(full, 0), 0);
    rig.listeners[2] = full;
    for (; n < 64; n++) {
        fill[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pollfd made = {.fd = fill[n], .events = POLLOUT};
        if (connect(fill[n], &rig.addrs[2].sa, rig.addrs[2].len) < 0 && waits(&made, 1, 100) == 0)
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
    static void (*const tests[])(void) = {test_refused, test_lost, test_timeout, test_events, test_fallback_on_refusal, test_slow_reader, test_queue, test_drain, test_no_memory};
    return run_all("faults", tests, sizeof tests / sizeof *tests);
}
