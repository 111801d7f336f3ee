/* protocol/h2_send, h2_core, h2_block: windows and turns, settings that change while streams run, sockets that take little
 * at a time, blocks of fields in any pieces. */
#include "protocol/h2_asker.h"
#include "protocol/h2_due.h"
#include "protocol/h2_echo.h"
#include "protocol/h2_say.h"

static struct wire wire;

static void accept_with(const struct mf_h2_pair *pairs, uint32_t n)
{
    world_open();
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say_hello(&wire, pairs, n);
    hear(&wire);
}

static void dial_with(const struct mf_h2_pair *pairs, uint32_t n)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    wire = world_dial(sizeof(struct asking), &ask_ops);
    say_hello(&wire, pairs, n);
    hear(&wire);
}

static void set(uint16_t id, uint32_t value)
{
    say_settings(&wire, &(struct mf_h2_pair){id, value}, 1);
}

/* --- what comes in */

/* Whatever becomes of the bytes, the connection's window has them back. */
static void test_thrown_away(void)
{
    dial_with(NULL, 0);
    uint64_t sent = 0, back = 0;
    asker.keep = true; /* nobody takes anything */
    for (int i = 0; i < 50; i++) {
        struct asked *asked = ask(wire.h2, "GET", "/", true);
        uint32_t id = asked->stream->id;
        say_head(&wire, id, 0, ":status: 200\n");
        say_data(&wire, id, 8000, false);
        back += hear(&wire).credit_0;
        mf_h2_stream_reset(asked->stream, MF_H2_CANCEL);
        for (int k = 0; k < 4; k++)
            say_data(&wire, id, 12500, k == 3); /* it did not know */
        back += hear(&wire).credit_0;
        sent += 58000;
    }
    asker.keep = false;
    for (int i = 0; i < 300; i++) {
        struct asked *asked = ask(wire.h2, "GET", "/", true);
        uint32_t id = asked->stream->id;
        say_head(&wire, id, 0, ":status: 200\n");
        struct told told;
        for (int k = 0; k < 15; k++) {
            say_data(&wire, id, 4000, k == 14);
            told = hear(&wire);
            back += told.credit_0;
        }
        CHECK_INT(told.windows, 0); /* none for what has ended */
        sent += 60000;
        CHECK_INT(asked->got, 60000);
    }
    CHECK(sent - back < 1 << 20);
    CHECK_INT(wire.h2->_in_window, (int64_t)((1 << 20) - (sent - back)));
    CHECK_INT(wire.h2->_held, 0);
    world_close();
}

/* Padding counts for both windows, and nobody else is asked to take it. */
static void test_padding(void)
{
    dial_with(NULL, 0);
    struct asked *asked = ask(wire.h2, "GET", "/", true);
    say_head(&wire, 1, 0, ":status: 200\n");
    static uint8_t padded[257] = {255, 'x'};
    uint64_t stream = 0, all = 0;
    for (int i = 0; i < 600; i++) {
        say_frame(&wire, MF_H2_DATA, MF_H2_PADDED, 1, padded, 257);
        struct told told = hear(&wire);
        stream += told.credit;
        all += told.credit_0;
    }
    CHECK_INT(asked->got, 600);
    CHECK_INT(wire.h2->_in_window + 600 * 257 - (int64_t)all, 1 << 20);
    CHECK_INT(asked->stream->_in_window + 600 * 257 - (int64_t)stream, 8192);
    CHECK(asked->stream->_in_window > 0);
    world_close();
}

/* As few window updates as there are halves of windows; and a peer may send as many as it likes. */
static void test_updates(void)
{
    accept_with(NULL, 0);
    uint64_t updates = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        say_head(&wire, 2 * i + 1, 0, POST);
        say_data(&wire, 2 * i + 1, 5, true);
        struct told told = hear(&wire);
        updates += told.windows + told.windows_0;
        CHECK_INT(told.content, 5);
        say_window(&wire, 0, 5);
        say_window(&wire, 2 * i + 1, 5);
        for (int k = 0; k < 5 && i < 100; k++)
            say_window(&wire, 0, 1);
    }
    CHECK_INT(updates, 0); /* 50,000 bytes are no half of a MiB */
    CHECK_INT(hear(&wire).goaways, 0);
    world_close();
}

/* Content that cannot be passed on: there is always room for another stream, and never more than a MiB of it. */
static void test_stuck(void)
{
    accept_with(&(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 0}, 1); /* what comes cannot go back */
    say_window(&wire, 0, 8 << 20);
    int64_t all = 65535 + 983041;
    size_t most = 0;
    for (uint32_t n = 0; n < 60; n++) {
        uint32_t id = 2 * n + 1;
        int64_t window = 8192, content = 0, got = 0;
        say_head(&wire, id, 0, POST);
        if (n % 20 == 19)
            say_window(&wire, id, 200000); /* this one gets its content back */
        else
            say_window(&wire, id, 30000); /* and these at first */
        for (int quiet = 0; quiet < 3;) {
            int64_t len = window < all ? window : all;
            len = len < 8000 ? len : 8000;
            if (n % 20 == 19)
                len = len < 200000 - content ? len : 200000 - content;
            if (len > 0)
                say_data(&wire, id, (size_t)len, n % 20 == 19 && content + len == 200000);
            quiet = len > 0 ? 0 : quiet + 1;
            content += len;
            struct told told = hear(&wire);
            window += (int64_t)told.credit - len;
            all += (int64_t)told.credit_0 - len;
            got += (int64_t)told.content;
        }
        if (n % 20 == 19)
            CHECK_INT(got, 200000);
        CHECK(wire.h2->_held <= 1 << 20);
        if (mf_loop_memory(fake.loop) > most)
            most = mf_loop_memory(fake.loop);
    }
    CHECK(most < 1600000); /* with what holds it */
    world_close();
}

/* Of answers one alone may bring half of what a connection may hold, and all together no more, but for a little of each. */
static void test_due(void)
{
    enum { STREAMS = 100, BOUND = 1 << 20, LITTLE = 16384 };
    static struct mf_h2_stream streams[STREAMS];
    accept_with(NULL, 0);
    size_t all = 0, before = BOUND;
    for (size_t i = 0; i < STREAMS; i++) {
        streams[i] = (struct mf_h2_stream){.conn = wire.h2};
        size_t offer = mf_h2_due_offer(&streams[i]);
        CHECK(offer >= LITTLE && offer <= before);
        CHECK(i > 0 || offer == BOUND / 2);
        CHECK(offer == LITTLE || all + offer <= BOUND);
        mf_h2_due_set(&streams[i], offer);
        CHECK_INT(mf_h2_due_offer(&streams[i]), offer); /* its own is none that others have */
        before = offer;
        all += offer;
    }
    CHECK(all <= BOUND + STREAMS * LITTLE);
    wire.h2->_queued += BOUND; /* and where that waits, the least */
    CHECK_INT(mf_h2_due_offer(&streams[0]), MF_H2_PART_LEAST);
    wire.h2->_queued -= BOUND;
    for (size_t i = 0; i < STREAMS; i++)
        mf_h2_due_set(&streams[i], 0);
    CHECK_INT(mf_h2_due_offer(&streams[7]), BOUND / 2);
    world_close();
}

/* A stream that began before our settings were known, with more than they allow. */
static void test_early(void)
{
    for (size_t sent = 0; sent <= 65535; sent += 13107) {
        world_open();
        wire = world_accept(sizeof(struct echo_conn), echo_begin);
        say(&wire, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
        set(MF_H2_INITIAL_WINDOW_SIZE, 1 << 20);
        say_window(&wire, 0, 1 << 20);
        say_head(&wire, 1, 0, POST);
        for (size_t left = sent; left;) {
            size_t len = left < 16384 ? left : 16384;
            say_data(&wire, 1, len, false);
            left -= len;
        }
        int64_t window = 65535 - (int64_t)sent + (int64_t)hear(&wire).credit;
        say_ack(&wire);
        window += 8192 - 65535; /* as the peer reckons from here on */
        struct told told = hear(&wire);
        window += (int64_t)told.credit;
        CHECK(window > 0);
        CHECK_INT(told.resets + told.goaways, 0);
        say_data(&wire, 1, (size_t)(window < 16384 ? window : 16384), true);
        told = hear(&wire);
        CHECK_INT(told.ends, 1);
        CHECK_INT(told.resets + told.goaways, 0);
        world_close();
    }
}

/* --- turns */

static void test_turns(void)
{
    dial_with(&(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 8 << 20}, 1);
    struct asked *hog = ask(wire.h2, "POST", "/", false);
    struct mf_block *block = mf_loop_block(fake.loop, 5 << 20);
    memset(block->data, 'x', 5 << 20);
    mf_h2_stream_block(hog->stream, block, mf_slice_of(block->data, 5 << 20), true);
    mf_block_give(block);
    struct told told = hear(&wire);
    CHECK_INT(told.content, 65535);
    CHECK_INT(told.largest, 16384); /* as the peer's frames may be */
    for (int i = 0; i < 20; i++) {
        static uint8_t body[100];
        struct asked *call = ask(wire.h2, "POST", "/", false);
        uint32_t id = call->stream->id;
        CHECK_INT(mf_h2_stream_data(call->stream, mf_slice_of(body, 100), NULL, true), 0);
        told = hear(&wire);
        CHECK_INT(told.heads, 1); /* fields wait for no window */
        CHECK_INT(told.content, 0);
        bool ended = false;
        for (int k = 0; k < 2 && !ended; k++) {
            say_window(&wire, 0, 16384);
            ended = hear(&wire).ends > 0;
        }
        CHECK(ended);
        say_head(&wire, id, MF_H2_END_STREAM, ":status: 200\n");
    }
    CHECK_INT(hear(&wire).content, 0);
    world_close();
}

/* While content waits for a window all else goes. */
static void test_urgent(void)
{
    dial_with(NULL, 0);
    struct asked *hog = ask(wire.h2, "POST", "/", false), *gone = ask(wire.h2, "POST", "/", false);
    static uint8_t body[100000];
    mf_h2_stream_data(hog->stream, mf_slice_of(body, sizeof body), NULL, true);
    CHECK_INT(hear(&wire).content, 65535);
    CHECK(ask(wire.h2, "GET", "/", true) != NULL);
    mf_h2_stream_reset(gone->stream, MF_H2_CANCEL);
    say_ping(&wire, 5, false);
    set(MF_H2_MAX_CONCURRENT_STREAMS, 7);
    struct told told = hear(&wire);
    CHECK_INT(told.heads, 1);
    CHECK_INT(told.resets, 1);
    CHECK_INT(told.pongs, 1);
    CHECK_INT(told.acks, 1);
    CHECK_INT(told.content, 0);
    CHECK_INT(hog->stream->queued, sizeof body - 65535);
    world_close();
}

/* --- settings while streams run */

/* Of one frame the last window holds, as if the others had not been said. */
static void test_last_window(void)
{
    dial_with(NULL, 0);
    struct asked *asked = ask(wire.h2, "POST", "/", false);
    say_window(&wire, 1, INT32_MAX - 65535);
    say_settings(&wire, (const struct mf_h2_pair[]){{MF_H2_INITIAL_WINDOW_SIZE, 65536}, {MF_H2_INITIAL_WINDOW_SIZE, 65534}}, 2);
    CHECK_INT(hear(&wire).goaways, 0);
    CHECK(!asked->over && asked->stream->_out_window == INT32_MAX - 1);
    CHECK_INT(wire.h2->peer.window, 65534);
    world_close();
}

static void test_settings_in_order(void)
{
    struct mf_h2_pair pairs[] = {{MF_H2_INITIAL_WINDOW_SIZE, 0},
                                 {MF_H2_HEADER_TABLE_SIZE, 0},
                                 {MF_H2_HEADER_TABLE_SIZE, 4096},
                                 {MF_H2_INITIAL_WINDOW_SIZE, 0x7fffffff}};
    for (int one_more = 0; one_more < 2; one_more++) {
        dial_with(NULL, 0);
        struct asked *all[5];
        for (int i = 0; i < 5; i++)
            all[i] = ask(wire.h2, "POST", "/", false);
        if (one_more)
            say_window(&wire, 5, 1);
        say_settings(&wire, pairs, 4);
        struct told told = hear(&wire);
        if (one_more) {
            CHECK_INT(told.goaway, MF_H2_FLOW_CONTROL_ERROR);
            CHECK(all[0]->over && all[4]->over);
        } else {
            CHECK_INT(told.goaways, 0);
            for (int i = 0; i < 5; i++)
                CHECK_INT(all[i]->stream->_out_window, 0x7fffffff);
            size_t at = wire.at;
            ask(wire.h2, "GET", "/", true);
            settle();
            /* The table was emptied, and is then as large as it was. */
            CHECK(memcmp(wire.conn->out.ptr + at + MF_H2_HEAD_LEN, "\x20\x3f\xe1\x1f", 4) == 0);
        }
        world_close();
    }
    /* Down to nothing, below it, and up again. */
    dial_with(NULL, 0);
    struct asked *asked = ask(wire.h2, "POST", "/", false);
    static uint8_t body[65000];
    mf_h2_stream_data(asked->stream, mf_slice_of(body, 60000), NULL, false);
    CHECK_INT(hear(&wire).content, 60000);
    set(MF_H2_INITIAL_WINDOW_SIZE, 10000);
    hear(&wire);
    mf_h2_stream_data(asked->stream, mf_slice_of(body, 100), NULL, true);
    CHECK_INT(hear(&wire).content, 0);
    CHECK_INT(asked->stream->_out_window, -50000);
    say_window(&wire, 1, 50000);
    CHECK_INT(hear(&wire).content, 0);
    say_window(&wire, 1, 50);
    CHECK_INT(hear(&wire).content, 50);
    set(MF_H2_INITIAL_WINDOW_SIZE, 10050);
    struct told told = hear(&wire);
    CHECK_INT(told.content, 50);
    CHECK_INT(told.ends, 1);
    world_close();
}

/* Frames become shorter while one is on its way: that one is finished as it was announced. */
static void test_shorter_frames(void)
{
    for (size_t step = 1; step < 100; step += 14) {
        struct mf_h2_pair pairs[] = {{MF_H2_MAX_FRAME_SIZE, 8 << 20}, {MF_H2_INITIAL_WINDOW_SIZE, 8 << 20}};
        dial_with(pairs, 2);
        say_window(&wire, 0, 8 << 20);
        hear(&wire);
        struct asked *asked = ask(wire.h2, "POST", "/", false);
        hear(&wire);
        struct mf_block *block = mf_loop_block(fake.loop, 4 << 20);
        for (size_t i = 0; i < 4 << 20; i++)
            block->data[i] = echo_byte(i);
        fake_open_window(wire.conn, 1000 + step); /* in the middle of a frame */
        mf_h2_stream_block(asked->stream, block, mf_slice_of(block->data, 4 << 20), true);
        mf_block_give(block);
        settle();
        set(MF_H2_MAX_FRAME_SIZE, 16384);
        settle();
        fake_open_window(wire.conn, FAKE_ANY);
        struct mf_h2_head head;
        struct mf_slice payload;
        bool acked = false;
        size_t got = 0, long_ones = 0;
        settle();
        while (next_frame(&wire, &head, &payload)) {
            acked |= head.type == MF_H2_SETTINGS;
            CHECK(!acked || head.len <= 16384);
            long_ones += head.len > 16384;
            for (size_t i = 0; i < payload.len && head.type == MF_H2_DATA; i++, got++)
                if (payload.ptr[i] != echo_byte(got))
                    i = payload.len;
        }
        CHECK_INT(got, 4 << 20);
        CHECK(acked && long_ones > 0);
        world_close();
    }
}

/* --- a socket that takes little at a time */

static void test_small_socket(void)
{
    for (size_t step = 1; step < 41; step += 13) {
        accept_with(NULL, 0);
        say_window(&wire, 0, 1 << 20);
        settle();
        fake_open_window(wire.conn, 0);
        for (uint32_t id = 1; id < 7; id += 2)
            say_head(&wire, id, MF_H2_END_STREAM, BYTES(40000));
        settle();
        CHECK(mf_sock_pending(&wire.h2->conn.sock) < 2 * 16384 + 200); /* a frame, and what is more urgent */
        say_ping(&wire, 77, false);
        say_rst(&wire, 1, MF_H2_CANCEL); /* the one whose frame has begun */
        set(MF_H2_MAX_FRAME_SIZE, 20000);
        settle();
        size_t before = wire.conn->out.len, pong_at = 0;
        while (wire.conn->sock && wire.h2->n_streams + mf_sock_pending(&wire.h2->conn.sock) > 0) {
            fake_open_window(wire.conn, step);
            fake_turn(0);
        }
        CHECK(wire.conn->out.len > before);
        struct mf_h2_head head;
        struct mf_slice payload;
        size_t got[8] = {0}, ends = 0, data_before_pong = 0;
        while (next_frame(&wire, &head, &payload)) {
            if (head.type == MF_H2_DATA) {
                got[head.stream] += head.len;
                ends += head.flags & MF_H2_END_STREAM;
                data_before_pong += !pong_at;
            }
            if (head.type == MF_H2_PING)
                pong_at = wire.at;
        }
        CHECK_INT(wire.at, wire.conn->out.len); /* whole frames only */
        CHECK(data_before_pong <= 1);
        CHECK(got[1] <= 16384);
        CHECK_INT(got[3], 40000);
        CHECK_INT(got[5], 40000);
        CHECK_INT(ends, 2);
        world_close();
    }
}

/* --- blocks in pieces */

static void test_block_in_pieces(void)
{
    static uint8_t block[4096];
    size_t len = 0;
    block[len++] = 0x20; /* a size update, and another to what it was */
    memcpy(block + len, "\x3f\xe1\x1f", 3);
    len += 3;
    len += block_of(block + len, GET "te: trailers\nuser-agent: something longer than a few bytes/1.0\nx-a: 1\nx-b: 2\n");
    for (size_t cut = 0; cut <= len; cut++) {
        for (int refused = 0; refused < 2; refused++) {
            accept_with(NULL, 0);
            uint32_t id = 1;
            bare.limits.h2_streams = refused ? 0 : 100;
            static uint8_t padded[4200];
            uint8_t flags = MF_H2_END_STREAM | MF_H2_PADDED | MF_H2_PRIORITIZED;
            padded[0] = 7;
            memcpy(padded + 1, "\x80\0\0\3\20", 5);
            memcpy(padded + 6, block, cut);
            memset(padded + 6 + cut, 0, 7);
            say_frame(&wire, MF_H2_HEADERS, flags, id, padded, 6 + cut + 7);
            size_t half = cut + (len - cut) / 2;
            say_frame(&wire, MF_H2_CONTINUATION, 0, id, block + cut, half - cut);
            settle();
            say_frame(&wire, MF_H2_CONTINUATION, MF_H2_END_HEADERS, id, block + half, len - half);
            struct told told = hear(&wire);
            CHECK_INT(told.goaways, 0);
            if (refused) {
                CHECK_INT(told.reset_code, MF_H2_REFUSED_STREAM);
                bare.limits.h2_streams = 100;
                say_head(&wire, 3, MF_H2_END_STREAM, GET "te: trailers\n");
                told = hear(&wire);
            }
            CHECK_INT(told.content, 6);
            CHECK_INT(told.heads, 2); /* with trailers, as was asked */
            world_close();
        }
    }
}

/* An entry as large as the table, one that is larger, and what refers to it afterwards. */
static void test_large_entries(void)
{
    for (size_t size = 4096; size < 4098; size++) {
        accept_with(NULL, 0);
        static uint8_t block[8192], refer[64];
        size_t base = block_of(block, GET), len = base;
        memcpy(block + len, "\x40\1x\x7f", 4);
        len += 4;
        size_t value = size - 33, rest = value - 127;
        while (rest >= 128) {
            block[len++] = (uint8_t)(rest | 128);
            rest >>= 7;
        }
        block[len++] = (uint8_t)rest;
        memset(block + len, 'v', value);
        len += value;
        size_t n = block_of(refer, GET);
        refer[n++] = 0xbe; /* 62 */
        for (uint32_t i = 0; i < 4; i += 2) {
            say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 2 * i + 1, block, len);
            CHECK_INT(hear(&wire).content, 6);
            say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 2 * i + 3, refer, n);
            struct told told = hear(&wire);
            if (size == 4096) {
                CHECK_INT(told.content, 6);
            } else {
                CHECK_INT(told.goaway, MF_H2_COMPRESSION_ERROR);
                break;
            }
        }
        world_close();
    }
}

/* --- streams that come late, and numbers that end */

static void test_beyond(void)
{
    accept_with(NULL, 0);
    say_head(&wire, 9, 0, POST "te: trailers\n");
    hear(&wire);
    mf_h2_conn_goaway(wire.h2, true);
    struct told told = hear(&wire);
    CHECK_INT(told.goaway_last, 9);
    static uint8_t block[512];
    size_t len = block_of(block, GET);
    memcpy(block + len, "\x40\1a\1b", 5);
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS, 11, block, len + 5); /* on its way, with an entry for the table */
    for (int i = 0; i < 40; i++)
        say_data(&wire, 11, 16000, false);
    say_head(&wire, 11, MF_H2_END_STREAM, "x: y\n");
    for (uint32_t id = 13; id < 40; id += 2)
        say_head(&wire, id, MF_H2_END_STREAM, GET);
    say_rst(&wire, 15, 0);
    say_window(&wire, 17, 0);
    told = hear(&wire);
    CHECK_INT(told.heads + told.resets + told.goaways, 0);
    CHECK(told.credit_0 >= 524288);
    CHECK(!told.closed);
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 9, "\xbe", 1);
    told = hear(&wire);
    CHECK_INT(told.ends, 1);
    CHECK(told.closed);
    world_close();
}

static void test_last_numbers(void)
{
    accept_with(NULL, 0);
    for (uint32_t i = 0; i < 3; i++)
        say_head(&wire, 2147483643 + 2 * i, 0, POST);
    CHECK_INT(hear(&wire).heads, 3);
    for (uint32_t i = 0; i < 3; i++)
        say_data(&wire, 2147483643 + 2 * i, 10, true);
    struct told told = hear(&wire);
    CHECK_INT(told.content, 30);
    CHECK_INT(told.ends, 3);
    CHECK_INT(told.goaways + told.resets, 0);
    world_close();
}

int main(void)
{
    test_thrown_away();
    test_padding();
    test_updates();
    test_stuck();
    test_due();
    test_early();
    test_turns();
    test_urgent();
    test_last_window();
    test_settings_in_order();
    test_shorter_frames();
    test_small_socket();
    test_block_in_pieces();
    test_large_entries();
    test_beyond();
    test_last_numbers();
    return test_end("test_h2_flow");
}
