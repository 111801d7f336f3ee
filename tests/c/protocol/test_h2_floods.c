/* protocol/h2_core, h2_block, h2_read: what one caller may cost: each bound ends its connection by ENHANCE_YOUR_CALM, or
 * its stream, and is counted under its name. */
#include "protocol/h2_echo.h"
#include "protocol/h2_say.h"

static struct wire wire;

static void open_wire(void)
{
    world_open();
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say_hello(&wire, NULL, 0);
    hear(&wire);
}

#define CALM(counter)                                                                                                  \
    do {                                                                                                               \
        struct told told_ = hear(&wire);                                                                               \
        CHECK_INT(told_.goaway, MF_H2_ENHANCE_YOUR_CALM);                                                              \
        CHECK(told_.closed);                                                                                           \
        CHECK_INT(COUNTED(counter), 1);                                                                                \
    } while (0)

static const struct echo_conn *echo(void)
{
    return (const struct echo_conn *)(const void *)wire.h2;
}

/* Streams that are opened and reset at once. */
static void test_rapid_reset(void)
{
    open_wire();
    uint32_t id = 1;
    for (int i = 0; i < 20000 && wire.conn->sock && !wire.conn->fin; i++, id += 2) {
        say_head(&wire, id, 0, POST);
        say_rst(&wire, id, MF_H2_CANCEL);
        settle();
    }
    CHECK(id / 2 <= 1000);
    CALM(limit_h2_resets);
    world_close();
}

/* As many are no flood where calls end well meanwhile, or time passes. */
static void test_cancels(void)
{
    open_wire();
    uint32_t id = 1;
    for (int i = 0; i < 5000; i++, id += 4) {
        say_head(&wire, id, 0, POST);
        say_rst(&wire, id, MF_H2_CANCEL);
        say_head(&wire, id + 2, MF_H2_END_STREAM, GET);
        if (i % 10 == 0)
            settle();
    }
    CHECK_INT(hear(&wire).goaways, 0);
    CHECK_INT(echo()->heads, 10000);
    for (int i = 0; i < 900; i++, id += 2) {
        say_head(&wire, id, 0, POST);
        say_rst(&wire, id, MF_H2_CANCEL);
    }
    pass(30000);
    for (int i = 0; i < 900; i++, id += 2) {
        say_head(&wire, id, 0, POST);
        say_rst(&wire, id, MF_H2_CANCEL);
    }
    CHECK_INT(hear(&wire).goaways, 0);
    CHECK_INT(wire.h2->n_streams, 0);
    world_close();
}

/* Resets that we are made to send. */
static void test_made_resets(void)
{
    for (int kind = 0; kind < 3; kind++) {
        open_wire();
        uint32_t id = 1;
        for (int i = 0; i < 20000 && wire.conn->sock && !wire.conn->fin; i++, id += 2) {
            say_head(&wire, id, kind == 2 ? MF_H2_END_STREAM : 0, kind == 2 ? GET "Upper: x\n" : POST);
            if (kind == 0)
                say_window(&wire, id, 0);
            else if (kind == 1)
                say_frame(&wire, MF_H2_PRIORITY, 0, id, "\0\0\0\0", 4);
            settle();
        }
        CHECK(id / 2 <= 1000);
        CALM(limit_h2_resets);
        world_close();
    }
}

static void test_too_many_streams(void)
{
    world_open();
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say(&wire, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
    say_settings(&wire, NULL, 0);
    for (uint32_t i = 0; i < 300; i++) /* before it can know how many there may be */
        say_head(&wire, 2 * i + 1, 0, POST);
    struct told told = hear(&wire);
    CHECK_INT(told.heads, 100);
    CHECK_INT(told.resets, 200);
    CHECK_INT(told.reset_code, MF_H2_REFUSED_STREAM);
    CHECK_INT(told.goaways, 0);
    CHECK_INT(COUNTED(limit_h2_streams), 200);
    say_data(&wire, 401, 100, true); /* of those refused: on its way */
    say_data(&wire, 599, 100, true);
    say_data(&wire, 1, 100, true);
    told = hear(&wire);
    CHECK_INT(told.goaways + told.resets, 0);
    CHECK_INT(told.content, 100);
    say_ack(&wire);
    uint32_t id = 601; /* from now on it knows */
    say_head(&wire, id, 0, POST);
    CHECK_INT(hear(&wire).resets, 0);
    for (int i = 0; i < 2000 && wire.conn->sock && !wire.conn->fin; i++) {
        say_head(&wire, id += 2, 0, POST);
        settle();
    }
    CHECK(id < 601 + 2 * 1001);
    CHECK_INT(wire.conn->sock ? echo()->heads : 101, 101);
    CALM(limit_h2_resets);
    world_close();
}

static void test_continuations(void)
{
    open_wire();
    static uint8_t block[512];
    size_t len = block_of(block, GET);
    /* Eight are taken, whether they are empty or not. */
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_STREAM, 1, block, 3);
    for (size_t i = 0; i < 8; i++) {
        size_t from = 3 + i * (len - 3) / 8, to = 3 + (i + 1) * (len - 3) / 8;
        say_frame(&wire, MF_H2_CONTINUATION, i == 7 ? MF_H2_END_HEADERS : 0, 1, block + from, to - from);
        settle();
    }
    CHECK_INT(hear(&wire).content, 6);
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_STREAM, 3, block, len);
    for (int i = 0; i < 9; i++) {
        CHECK_INT(hear(&wire).goaways, 0);
        say_frame(&wire, MF_H2_CONTINUATION, 0, 3, NULL, 0);
    }
    CALM(limit_h2_continuations);
    world_close();

    open_wire();
    static uint8_t zeros[16384];
    say_frame(&wire, MF_H2_HEADERS, 0, 1, zeros, 16384);
    for (int i = 0; i < 3; i++)
        say_frame(&wire, MF_H2_CONTINUATION, 0, 1, zeros, 16384);
    CHECK_INT(hear(&wire).goaways, 0);
    say_frame(&wire, MF_H2_CONTINUATION, 0, 1, zeros, 1);
    CALM(limit_h2_block);
    world_close();
}

/* Answers that are never read. */
static void test_controls(void)
{
    for (int kind = 0; kind < 2; kind++) {
        open_wire();
        fake_open_window(wire.conn, 0);
        int n = 0;
        for (; n < 10000 && wire.conn->sock && !wire.h2->leaving; n++) {
            if (kind == 0)
                say_ping(&wire, 1, false);
            else
                say_settings(&wire, NULL, 0);
            settle();
        }
        CHECK(n > 900 && n < 2100);
        fake_open_window(wire.conn, FAKE_ANY);
        CALM(limit_h2_controls);
        world_close();
    }
    open_wire(); /* read, they are no flood, however many */
    for (int i = 0; i < 20000; i++) {
        say_ping(&wire, (uint64_t)i, false);
        if (i % 500 == 0)
            settle();
    }
    CHECK_INT(hear(&wire).pongs, 20000);
    CHECK(wire.conn->sock != NULL);
    world_close();
}

static void test_settings(void)
{
    open_wire();
    struct mf_h2_pair pairs[33];
    for (int i = 0; i < 33; i++)
        pairs[i] = (struct mf_h2_pair){MF_H2_HEADER_TABLE_SIZE, (uint32_t)i};
    say_settings(&wire, pairs, 32);
    CHECK_INT(hear(&wire).acks, 1);
    say_settings(&wire, pairs, 33);
    CALM(limit_h2_settings);
    world_close();
}

static void test_empty(void)
{
    open_wire();
    say_head(&wire, 1, 0, POST);
    for (int i = 0; i < 100; i++) {
        static const uint8_t padded[256] = {255};
        say_frame(&wire, MF_H2_DATA, MF_H2_PADDED, 1, padded, 256);
        say_data(&wire, 1, 1, false);
    }
    struct told told = hear(&wire);
    CHECK_INT(told.goaways, 0);
    CHECK_INT(told.content, 100);
    for (uint32_t id = 3; id < 40; id += 2) { /* one on each stream is none too many */
        say_head(&wire, id, 0, POST);
        say_data(&wire, id, 0, false);
    }
    say_data(&wire, 1, 0, false);
    CHECK_INT(hear(&wire).goaways, 0);
    say_data(&wire, 1, 0, false);
    CALM(limit_h2_empty_frames);
    world_close();
}

/* Fields that take much more than their bytes on the wire: refused, and the table still right. */
static void test_bombs(void)
{
    open_wire();
    static uint8_t block[65536];
    size_t bomb = block_of(block, GET);
    /* A literal of 3,000 bytes with indexing, and then 4,000 references to it. */
    block[bomb++] = 0x40;
    block[bomb++] = 1;
    block[bomb++] = 'x';
    block[bomb++] = 0x7f;
    block[bomb++] = 0xb9;
    block[bomb++] = 0x16; /* 2,873 + 127 = 3,000 */
    memset(block + bomb, 'v', 3000);
    bomb += 3000;
    memset(block + bomb, 0xbe, 4000);
    bomb += 4000;
    size_t before = mf_loop_memory(fake.loop);
    for (uint32_t i = 0; i < 50; i++) {
        say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 2 * i + 1, block, bomb);
        struct told told = hear(&wire);
        CHECK_INT(told.heads, 1);
        CHECK_INT(told.goaways + told.resets, 0);
    }
    CHECK(mf_loop_memory(fake.loop) <= before + 65536);
    CHECK_INT(COUNTED(limit_h2_header_list), 50);
    /* Crumbs of cookies count one by one. */
    size_t crumbs = block_of(block, GET);
    for (int i = 0; i < 101; i++) {
        memcpy(block + crumbs, "\x0f\x11\1c", 4); /* cookie: c */
        crumbs += 4;
    }
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 1001, block, crumbs);
    CHECK_INT(hear(&wire).heads, 1);
    CHECK_INT(COUNTED(limit_h2_fields), 1);
    say_head(&wire, 1003, MF_H2_END_STREAM, GET);
    CHECK_INT(hear(&wire).content, 6);
    world_close();
}

/* Windows moved byte by byte: what is queued stays what it is. */
static void test_nudges(void)
{
    open_wire();
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 0}, 1);
    for (uint32_t i = 0; i < 100; i++)
        say_head(&wire, 2 * i + 1, MF_H2_END_STREAM, BYTES(1000000));
    hear(&wire);
    size_t before = mf_loop_memory(fake.loop);
    for (int i = 0; i < 5000; i++)
        say_window(&wire, (uint32_t)(i % 100) * 2 + 1, 1);
    struct told told = hear(&wire);
    CHECK_INT(told.content, 5000);
    CHECK(mf_loop_memory(fake.loop) <= before + 65536);
    CHECK(before <= 1 << 20);
    world_close();
}

/* Bodies of one byte a frame that cannot be passed on cost what they are. */
static void test_dribble(void)
{
    open_wire();
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 0}, 1);
    say_head(&wire, 1, 0, POST);
    for (int i = 0; i < 60000; i++) {
        say_data(&wire, 1, 1, false);
        if (i % 1000 == 0)
            settle();
    }
    struct told told = hear(&wire);
    CHECK_INT(told.goaways + told.content, 0);
    CHECK(mf_loop_memory(fake.loop) < 3 * 65536);
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 65535}, 1);
    CHECK_INT(hear(&wire).content, 60000);
    world_close();
}

/* Who does not read answers is not read himself. */
static void test_unread_answers(void)
{
    open_wire();
    static uint8_t block[8192];
    size_t len = block_of(block, GET);
    for (int i = 0; i < 101; i++, len += 4)
        memcpy(block + len, "\x0f\x11\1c", 4);
    fake_open_window(wire.conn, 0);
    for (uint32_t i = 0; i < 200000 && !(wire.h2->conn.pauses & MF_PAUSE_OUTPUT); i++) {
        say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 2 * i + 1, block, len);
        fake_turn(0);
    }
    CHECK(wire.h2->conn.pauses & MF_PAUSE_OUTPUT);
    CHECK(mf_loop_memory(fake.loop) < 1 << 20);
    CHECK_INT(COUNTED(limit_output_high), 1);
    fake_open_window(wire.conn, FAKE_ANY);
    settle();
    CHECK(!(wire.h2->conn.pauses & MF_PAUSE_OUTPUT));
    world_close();
}

/* Content that nobody takes ends its stream; a stream that has nothing to say does not end for that. */
static void test_stalled(void)
{
    open_wire();
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 100}, 1);
    say_head(&wire, 1, MF_H2_END_STREAM, BYTES(1000));
    say_head(&wire, 3, MF_H2_END_STREAM, BYTES(1000));
    say_head(&wire, 5, 0, POST);
    CHECK_INT(hear(&wire).content, 200);
    pass(200000);
    say_window(&wire, 3, 1);
    CHECK_INT(hear(&wire).content, 1);
    pass(101000);
    struct told told = hear(&wire);
    CHECK_INT(told.resets, 1);
    CHECK_INT(told.reset, 1);
    CHECK_INT(told.reset_code, MF_H2_ENHANCE_YOUR_CALM);
    CHECK_INT(COUNTED(limit_stall_timeout), 1);
    pass(200000);
    CHECK_INT(hear(&wire).reset, 3);
    pass(7000000);
    told = hear(&wire);
    CHECK_INT(told.n, 0);
    say_data(&wire, 5, 10, true);
    told = hear(&wire);
    CHECK_INT(told.content, 10);
    CHECK_INT(wire.h2->n_streams, 0);
    world_close();
}

/* A frame that has begun has its time. */
static void test_half(void)
{
    open_wire();
    say(&wire, "\0\0\10\6\0\0\0\0\0abc", 12);
    pass(9000);
    CHECK(wire.conn->sock != NULL);
    pass(2000);
    CHECK(wire.conn->sock == NULL);
    CHECK_INT(COUNTED(limit_frame_timeout), 1);
    world_close();
}

int main(void)
{
    test_rapid_reset();
    test_cancels();
    test_made_resets();
    test_too_many_streams();
    test_continuations();
    test_controls();
    test_settings();
    test_empty();
    test_bombs();
    test_nudges();
    test_dribble();
    test_unread_answers();
    test_stalled();
    test_half();
    return test_end("test_h2_floods");
}
