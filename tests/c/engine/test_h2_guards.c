/* lane, h2_up, h2_down, h2_cancels, lately: what one caller does to a connection that it shares changes nothing for the others:
 * a window used up by content that nobody reads, and calls that are taken back. */
#define FAKE_CONNS 64
#define TOLD 1024
#include "h2_serve.h"

static void say_done(struct peer *b, uint32_t id)
{
    say_head(b, id, OK, false);
    say_head(b, id, DONE, true);
    settle();
}

/* --- windows */

enum { HOGS = 9, HOG = 8000, EATEN = 65535 }; /* together more than a connection begins with */

static uint32_t hog(struct peer *a, uint32_t id)
{
    for (int i = 0; i < HOGS; i++, id += 2) {
        say_head(a, id, CALL, false);
        say_much(a, id, HOG, false);
    }
    settle();
    return id;
}

static size_t heard(struct peer *b)
{
    size_t sum = 0;
    hear(b);
    for (int k = 0; k < b->n_told; k++)
        sum += b->told[k].content;
    return sum;
}

static void ask_and_get(struct peer *c, uint32_t id, struct peer *b, uint32_t as)
{
    say_head(c, id, CALL, false);
    say_data(c, id, "abc", true);
    CHECK_TOLD(b, as, T_CALL "abc|");
    say_done(b, as);
    CHECK_TOLD(c, id, T_OK T_DONE);
}

/* A provider reads nothing of one caller's uploads, and so gives no credit for them: others' content goes on a connection
 * beside it, and soon the uploads have one for themselves. */
static void test_window_eaten(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *c = caller();
    say_head(c, 1, CALL, true);
    struct peer *b = provider();
    say_done(b, 1);
    uint32_t next = hog(a, 1);
    CHECK_INT(heard(b), EATEN);

    say_head(c, 3, CALL, true); /* this has no content, and need not wait */
    CHECK_TOLD(b, 3 + 2 * HOGS, T_CALL "|");
    say_done(b, 3 + 2 * HOGS);
    CHECK(dialled() == NULL);

    say_head(c, 5, CALL, false);
    say_data(c, 5, "abc", true);
    pass(15);
    CHECK(dialled() == NULL); /* it might yet be read */
    pass(10);
    struct peer *b2 = provider();
    CHECK_TOLD(b2, 1, T_CALL "abc|");
    say_done(b2, 1);
    CHECK_TOLD(c, 5, T_OK T_DONE);
    CHECK_INT(COUNTED(upstream_spent), 1);
    CHECK_INT(COUNTED(limit_h2_window_share), 1);

    next = hog(a, next); /* more of it goes apart, wherever that is used up, too */
    pass(25);
    struct peer *b3 = provider();
    CHECK_INT(heard(b3), EATEN);
    for (uint32_t id = 3; id < 23; id += 2)
        ask_and_get(c, id + 4, b2, id);
    pass(9000);
    say_head(c, 99, CALL, true); /* its time is renewed, as long as nothing is read of it */
    settle();
    pass(2000);
    (void)hog(a, next);
    pass(25);
    struct peer *b4 = provider();
    CHECK_INT(heard(b4), EATEN);
    ask_and_get(c, 101, b2, 25);
    CHECK_INT(COUNTED(upstream_connections), 4);

    say_window(b, 0, 65535 * 2); /* read at last: whole */
    for (uint32_t i = 0; i < HOGS; i++)
        CHECK((settle(), hear(b), told_of(b, 3 + 2 * i)->content) == HOG);
    mesh_close();
}

/* There is no other connection to be had: they share, and take their turns. */
static void test_no_other(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *c = caller();
    say_head(c, 1, CALL, true);
    struct peer *b = provider();
    say_done(b, 1);
    (void)hog(a, 1);
    fake.refuse = ECONNREFUSED;
    say_head(c, 3, CALL, false);
    say_data(c, 3, "abc", true);
    settle();
    pass(20);
    CHECK_TOLD(b, 3 + 2 * HOGS, T_CALL);
    say_head(c, 5, CALL, false); /* and none is tried for each call */
    say_data(c, 5, "def", true);
    CHECK_TOLD(b, 5 + 2 * HOGS, T_CALL);
    say_window(b, 0, 16384 * 2);
    CHECK_TOLD(b, 3 + 2 * HOGS, "abc|");
    CHECK_TOLD(b, 5 + 2 * HOGS, "def|");
    say_done(b, 3 + 2 * HOGS);
    CHECK_TOLD(c, 3, T_OK T_DONE);
    mesh_close();
}

/* --- calls taken back */

/* Opened and reset in one breath: a few are let through, and the caller's others still are answered. */
static void test_rapid_reset(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *c = caller();
    say_head(c, 1, CALL, true);
    struct peer *b = provider();
    say_done(b, 1);
    uint32_t id = 1;
    for (int i = 0; i < 500; i++, id += 2) {
        say_head(a, id, CALL, true);
        say_rst(a, id, MF_H2_CANCEL);
        if (i % 7 == 0)
            settle();
    }
    settle();
    CHECK(COUNTED(h2_streams_out) <= 1 + 10);
    CHECK(COUNTED(limit_h2_cancels) >= 480);
    pass(100);
    CHECK(COUNTED(h2_streams_out) <= 1 + 10);
    say_head(a, id, CALL, false);
    say_data(a, id, "abc", true);
    settle();
    CHECK(dialled() == NULL); /* not at once */
    pass(15);
    struct peer *own = provider();
    CHECK_TOLD(own, 1, T_CALL "abc|");
    say_done(own, 1);
    CHECK_TOLD(a, id, T_OK T_DONE);
    hear(b);
    ask_and_get(c, 3, b, b->told[b->n_told - 1].id + 2);
    pass(30000); /* forgotten */
    say_head(a, id + 2, CALL, true);
    CHECK_TOLD(b, b->told[b->n_told - 1].id + 2, T_CALL "|");
    mesh_close();
}

/* So many calls of `a`, from `id` on, that are answered; the next id. */
static uint32_t answered(struct peer *a, struct peer *b, uint32_t id, int n)
{
    for (int i = 0; i < n; i++, id += 2) {
        say_head(a, id, CALL, true);
        settle();
        hear(b);
        say_done(b, b->told[b->n_told - 1].id);
    }
    return id;
}

/* One that relays for many: all that it has under way is taken back at once, again and again, and others' calls are not put off.
 * A flood from there is, all the same. */
static void test_relay(void)
{
    enum { CALLS = 400, AT_ONCE = 40 };
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *b = provider();
    say_done(b, 1);
    uint32_t id = answered(a, b, 3, CALLS / 2);
    for (int round = 0; round < 3; round++) {
        uint32_t first = id;
        for (; id < first + 2 * AT_ONCE; id += 2)
            say_head(a, id, CALL, true);
        settle();
        for (uint32_t k = first; k < id; k += 2)
            say_rst(a, k, MF_H2_CANCEL);
        settle();
        id = answered(a, b, id, AT_ONCE);
    }
    CHECK_INT(COUNTED(limit_h2_cancels), 0);
    uint64_t before = COUNTED(h2_streams_out);
    for (int i = 0; i < 300; i++, id += 2) {
        say_head(a, id, CALL, true);
        say_rst(a, id, MF_H2_CANCEL);
    }
    settle();
    pass(100);
    CHECK(COUNTED(h2_streams_out) - before <= 10 + CALLS / 2 / 4);
    CHECK(COUNTED(limit_h2_cancels) >= 200);
    mesh_close();
}

static void few_resets(struct mf_limits *limits)
{
    limits->h2_resets = 100;
}

/* What is answered here makes up for nothing: by turns with it calls are put off all the same. */
static void test_not_made_up(void)
{
    static const char *const others[] = {
        ":method: POST\n:scheme: http\n:path: /none/hi\n:authority: none\ncontent-type: application/grpc", FIELDS("/svc/../hi", "application/grpc"), CALL "\ngrpc-timeout: 0m"};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        mesh_open(MF_OUTBOUND, 1, few_resets);
        struct peer *a = caller(), *c = caller();
        a->foreign = true;
        say_head(c, 1, CALL, true);
        say_done(provider(), 1);
        uint32_t id = 1;
        for (int i = 0; i < 120; i++, id += 4) {
            say_head(a, id, others[k], true);
            say_head(a, id + 2, CALL, true);
            say_rst(a, id + 2, MF_H2_CANCEL);
            if (i % 7 == 0)
                settle();
        }
        settle();
        CHECK(COUNTED(h2_streams_out) <= 1 + 10);
        CHECK_INT(COUNTED(limit_h2_resets), 1);
        hear(a);
        CHECK_INT(a->goaway_code, MF_H2_ENHANCE_YOUR_CALM);
        mesh_close();
    }
}

static void little_waits(struct mf_limits *limits)
{
    limits->upstream_output_max = 65536;
}

/* What is put off is no more than may wait for a peer, also where all but a trace id is known and lies there once. */
static void test_much_put_off(void)
{
    static char lines[8192];
    mesh_open(MF_OUTBOUND, 1, little_waits);
    struct peer *a = caller();
    int head = snprintf(lines, sizeof lines, CALL "\nx-request-id: ");
    uint32_t id = 1;
    for (int i = 0; i < 40; i++, id += 2) {
        snprintf(lines + head, sizeof lines - (size_t)head, "%d", i);
        say_head(a, id, lines, true);
        say_rst(a, id, MF_H2_CANCEL);
        settle();
    }
    int refused = 0;
    uint32_t first = id;
    for (int i = 0; i < 20; i++, id += 2) {
        memset(lines + head, 'a' + i, sizeof lines - (size_t)head - 1);
        say_head(a, id, lines, true);
        settle();
    }
    for (uint32_t k = first; k < id; k += 2)
        refused += strstr(told(a, k), "grpc-status=8 ") != NULL;
    CHECK_INT(refused, 12);
    CHECK_INT(COUNTED(limit_upstream_output_max), refused);
    mesh_close();
}

/* What we are made to reset leaks no more. */
static void test_made_resets(void)
{
    for (int kind = 0; kind < 3; kind++) {
        mesh_open(MF_OUTBOUND, 1, NULL);
        struct peer *a = caller(), *c = caller();
        a->foreign = true;
        say_head(c, 1, CALL, true);
        say_done(provider(), 1);
        for (uint32_t i = 0, id = 1; i < 200; i++, id += 2) {
            say_head(a, id, kind == 2 ? CALL "\ncontent-length: 5" : CALL, false);
            if (kind == 0)
                say_window(a, id, 0);
            else if (kind == 1)
                say_frame(a, MF_H2_PRIORITY, 0, id, "\0\0\0\0", 4);
            else
                say_data(a, id, "abc", true);
            settle();
        }
        pass(50);
        CHECK(COUNTED(h2_streams_out) <= 1 + 10);
        CHECK_INT(COUNTED(calls_active), 0);
        mesh_close();
    }
}

/* Each after its provider has it: the provider counts them, too. So the caller gets a connection of its own, and what has
 * carried many of them is spared. */
static void test_cancels(bool deadlines)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *c = caller();
    say_head(c, 1, CALL, true); /* under way all the time */
    struct peer *b = provider();
    for (uint32_t i = 0, id = 1; i < 120; i++, id += 2) {
        say_head(a, id, deadlines ? CALL "\ngrpc-timeout: 4m" : CALL, true);
        if (!deadlines && i > 8)
            pass(15);
        settle();
        if (deadlines)
            pass(5);
        else
            say_rst(a, id, MF_H2_CANCEL);
        settle();
        struct peer *more = i ? dialled() : NULL;
        if (more)
            say_hello(more, NULL);
        settle();
    }
    CHECK_INT(COUNTED(limit_h2_cuts), 1);
    hear(b);
    CHECK(b->n_told <= (deadlines ? 110 : 11)); /* the others were apart as they were taken back */
    int before = b->n_told;
    say_head(a, 1001, CALL, true);
    pass(15);
    struct peer *own = dialled();
    if (own)
        say_hello(own, NULL);
    settle();
    hear(b);
    CHECK_INT(b->n_told, before);
    say_done(b, 1);
    CHECK_TOLD(c, 1, T_OK T_DONE);
    mesh_close();
}

/* Answered before they end, again and again: the first are reset, as they should be, and then what was sent no content is
 * ended instead. */
static void test_early(void)
{
    enum { CALLS = 150 };
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *b = NULL, *on[3] = {0};
    int n = 0, resets = 0, ends = 0;
    for (uint32_t i = 0, id = 1; i < CALLS; i++, id += 2) {
        say_head(a, id, CALL, false);
        settle();
        b = dialled();
        if (b) {
            say_hello(b, NULL);
            settle();
            CHECK(n < 3);
            on[n++] = b;
        }
        for (int k = 0; k < n; k++) {
            hear(on[k]);
            struct told *last = on[k]->n_told ? &on[k]->told[on[k]->n_told - 1] : NULL;
            if (!last || last->answered)
                continue;
            last->answered = true;
            say_head(on[k], last->id, OK "\ngrpc-status: 12", true);
            settle();
            hear(on[k]);
            resets += last->reset;
            ends += last->ended;
        }
        CHECK(strstr(told(a, id), "grpc-status=12"));
    }
    CHECK_INT(resets + ends, CALLS);
    CHECK(resets >= 100);
    for (int k = 0; k < n; k++) {
        int of_it = 0;
        for (int i = 0; i < on[k]->n_told; i++)
            of_it += on[k]->told[i].reset;
        CHECK(of_it <= 101);
    }
    mesh_close();
}

/* In time they are forgotten, so many in 30 s. */
static void test_lately(void)
{
    const uint64_t second = 1000000000;
    struct mf_lately some = {0};
    uint64_t now = 5 * second;
    for (int i = 0; i < 100; i++)
        mf_lately_add(&some, now, 30);
    CHECK(mf_lately_over(&some, now, 30, 99));
    CHECK(!mf_lately_over(&some, now, 30, 100));
    CHECK(!mf_lately_over(&some, now + second, 30, 99));
    CHECK_INT(some.n, 99);
    CHECK(mf_lately_over(&some, now + 11 * second, 30, 88));
    CHECK(!mf_lately_over(&some, now + 12 * second, 30, 88));
    CHECK(!mf_lately_over(&some, now + 1000 * second, 30, 60)); /* never more at once than in 30 s */
    CHECK_INT(some.n, 58);
    mf_lately_forget(&some, now + 2000 * second, UINT64_MAX);
    CHECK_INT(some.n, 0);
}

int main(void)
{
    test_window_eaten();
    test_no_other();
    test_rapid_reset();
    test_not_made_up();
    test_relay();
    test_much_put_off();
    test_made_resets();
    test_cancels(false);
    test_cancels(true);
    test_early();
    test_lately();
    return test_end("h2_guards");
}
