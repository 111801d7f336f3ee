/* h2_read, h2_core, h2_down, h2_up: what attackers of other proxies have sent: frames behind a reset in one write, GOAWAY and
 * resets together, floods of what means nothing, and how much one connection may make us keep. */
#define FAKE_CONNS 64
#define TOLD 512
#include "h2_serve.h"

enum { PINNED = 1 << 20 }; /* by one connection */

static void say_done(struct peer *b, uint32_t id)
{
    say_head(b, id, OK, false);
    say_head(b, id, DONE, true);
    settle();
}

/* What is said, cut in two at `cut`, in two turns. */
static bool say_cut(struct peer *from, size_t before, size_t cut)
{
    struct fake_bytes *in = &from->conn->in;
    size_t len = in->len - before;
    static uint8_t rest[4096];
    if (cut > len || len - cut > sizeof rest)
        return false;
    memcpy(rest, in->ptr + before + cut, len - cut);
    in->len = before + cut;
    settle();
    fake_send(from->conn, rest, len - cut);
    settle();
    return true;
}

/* DATA behind its stream's reset, or behind an answer of ours, whole and cut at every byte. */
static void test_after_the_end(bool local)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *good = caller();
    say_head(good, 1, CALL, false);
    struct peer *b = provider();
    size_t cut = 0;
    for (bool more = true; more; cut++) {
        struct peer *a = caller();
        a->foreign = true;
        size_t before = a->conn->in.len;
        say_head(a, 1, local ? FIELDS("/none/hi", "text/plain") : CALL, false);
        if (!local)
            say_rst(a, 1, MF_H2_CANCEL);
        say_data(a, 1, "abcdefgh", false);
        say_data(a, 1, "abcdefgh", true);
        if (!local)
            say_rst(a, 1, MF_H2_CANCEL);
        more = say_cut(a, before, cut);
        settle();
        a->conn->reset = true;
        settle();
        if (fake.n > FAKE_CONNS - 4) /* as many as the test has room for */
            break;
    }
    CHECK(cut > 50);
    say_data(good, 1, "abc", true);
    settle();
    hear(b);
    CHECK(strstr(told(b, 1), "abc|"));
    say_done(b, 1);
    CHECK_TOLD(good, 1, T_OK T_DONE);
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* GOAWAY with calls under way, resets behind it in the same write, and the end: each call gets one answer, and what the
 * provider did not look at is made elsewhere. */
static void test_goaway_and_resets(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    for (uint32_t id = 1; id < 17; id += 2)
        say_head(a, id, CALL, true);
    struct peer *b = provider();
    hear(b);
    say_head(b, 3, OK, false);
    say_goaway(b, 7, MF_H2_NO_ERROR);
    for (uint32_t id = 1; id < 17; id += 2)
        say_rst(b, id, MF_H2_INTERNAL_ERROR);
    say_rst(b, 1, MF_H2_INTERNAL_ERROR);
    b->conn->eof = true;
    settle();
    struct peer *c = provider();
    for (uint32_t id = 1; id < 9; id += 2) {
        CHECK_TOLD(c, id, T_CALL "|");
        say_done(c, id);
    }
    for (uint32_t id = 1; id < 17; id += 2) {
        const char *text = (settle(), told(a, id));
        CHECK(strstr(text, id < 9 ? "!" : "grpc-status=0"));
    }
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* Frames that mean nothing cost nothing: no memory, no word. */
static void test_idle_talk(void)
{
    for (int kind = 0; kind < 4; kind++) {
        mesh_open(MF_OUTBOUND, 1, NULL);
        struct peer *a = caller();
        settle();
        size_t memory = mf_loop_memory(fake.loop), out = a->conn->out.len;
        for (uint32_t i = 0; i < 20000; i++) {
            if (kind == 0)
                say_frame(a, MF_H2_PRIORITY, 0, 2 * i + 1, i % 2 ? "\0\0\0\0\1" : "\0\0\0\1\1", 5);
            else if (kind == 1)
                say_frame(a, 0x99, 0xff, i % 7, "0123456789", 10);
            else if (kind == 2)
                say_window(a, 0, 1);
            else
                say_goaway(a, 0, MF_H2_NO_ERROR);
            if (i % 1000 == 0)
                settle();
        }
        settle();
        CHECK(mf_loop_memory(fake.loop) <= memory + 65536);
        CHECK(a->conn->out.len - out <= 64);
        mesh_close();
    }
}

static size_t memory_now(void)
{
    settle();
    return mf_loop_memory(fake.loop);
}

/* Fields far over the limits, on as many streams as there may be, by a caller that gives no window: each is answered at once,
 * and nothing of it stays. */
static void test_bombs(bool grpc)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    static uint8_t block[16384];
    size_t len = block_of(block, grpc ? CALL : PLAIN);
    memcpy(block + len, "\x40\1x\x7f\xb9\x16", 6); /* 3,000 bytes that the table keeps */
    len += 6;
    memset(block + len, 'v', 3000);
    len += 3000;
    memset(block + len, 0xbe, sizeof block - len - 100);
    len = sizeof block - 100;
    size_t before = memory_now();
    for (uint32_t id = 1; id < 200; id += 2)
        say_frame(a, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, id, block, len);
    CHECK(memory_now() <= before + 65536);
    for (uint32_t id = 1; id < 200; id += 2)
        CHECK_STARTS(told(a, id), "<:status=431>|");
    CHECK_INT(COUNTED(limit_h2_header_list), 100);
    CHECK_INT(COUNTED(calls_active), 0);
    mesh_close();
}

/* A caller that gives no window, for answers as long as its providers can send: what is kept is bounded. */
static void test_no_window(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0}), *good = caller();
    say_head(good, 1, CALL, true);
    struct peer *b = provider();
    size_t before = memory_now();
    for (uint32_t id = 1; id < 200; id += 2) {
        say_head(a, id, CALL, true);
        settle();
        hear(b);
        say_head(b, id + 2, OK, false);
        say_much(b, id + 2, (size_t)mesh.limits.h2_first_window, false);
    }
    pass(100);
    CHECK(memory_now() <= before + PINNED);
    hear(b);
    for (uint32_t id = 3; id < 203; id += 2)
        CHECK_INT(told_of(b, id)->credit, 0);
    say_done(b, 1);
    CHECK_TOLD(good, 1, T_OK T_DONE);
    mesh_close();
}

/* And the same for content that a provider does not take. */
static void test_unread_uploads(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *good = caller();
    say_head(good, 1, CALL, true);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    size_t before = memory_now();
    for (uint32_t id = 1; id < 200; id += 2) {
        say_head(a, id, CALL, false);
        say_much(a, id, (size_t)mesh.limits.h2_first_window, false);
        settle();
    }
    pass(100);
    CHECK(memory_now() <= before + PINNED);
    CHECK(COUNTED(limit_h2_kept) > 0); /* it is not all kept twice */
    hear(a);
    CHECK_INT(a->credit, mesh.limits.h2_connection_window - 65535);
    say_done(b, 1);
    CHECK_TOLD(good, 1, T_OK T_DONE);
    mesh_close();
}

/* A flood that has been told off, and takes a byte of that now and then, is not read for ever. */
static void test_told_off(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    a->conn->window = 0;
    for (uint64_t i = 0; i < 2000; i++)
        say_ping(a, i, false);
    settle();
    CHECK_INT(COUNTED(limit_h2_controls), 1);
    for (int ms = 0; ms < 1000; ms += 100) {
        CHECK(a->conn->sock != NULL);
        for (uint64_t i = 0; i < 100; i++)
            say_ping(a, i, false);
        fake_open_window(a->conn, 1);
        pass(100);
    }
    pass(100);
    CHECK(a->conn->sock == NULL);
    mesh_close();
}

int main(void)
{
    test_after_the_end(false);
    test_after_the_end(true);
    test_goaway_and_resets();
    test_idle_talk();
    test_bombs(true);
    test_bombs(false);
    test_no_window();
    test_unread_uploads();
    test_told_off();
    return test_end("h2_attacks");
}
