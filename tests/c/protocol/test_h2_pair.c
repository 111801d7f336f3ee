/* protocol/h2_conn, h2_send, h2_stream: both ends with each other, in any cut. */
#include "protocol/h2_asker.h"
#include "protocol/h2_echo.h"
#include "protocol/h2_core.h"
#include "protocol/h2_world.h"

static struct wire up, down;

/* Moves what one end wrote to the other, at most `cut` bytes a turn. */
static bool carry_one(struct fake_conn *from, struct fake_conn *to, size_t cut)
{
    size_t len = from->out.len < cut ? from->out.len : cut;
    if (!len)
        return false;
    fake_send(to, from->out.ptr, len);
    fake_take(&from->out, len);
    return true;
}

static void carry(size_t cut)
{
    for (int quiet = 0; quiet < 4;) {
        bool moved = carry_one(up.conn, down.conn, cut);
        moved |= carry_one(down.conn, up.conn, cut);
        fake_turn(0);
        quiet = moved ? 0 : quiet + 1;
    }
}

static void meet(size_t cut)
{
    memset(&asker, 0, sizeof asker);
    down = world_accept(sizeof(struct echo_conn), echo_begin);
    up = world_dial(sizeof(struct asking), &ask_ops);
    CHECK_INT(mf_h2_conn_room(up.h2), 0);
    carry(cut);
    CHECK_INT(asker.ready, 1);
    CHECK_INT(mf_h2_conn_room(up.h2), 100);
}

static uint32_t sum_of(size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += echo_byte(i % ECHO_PIECE) * (uint32_t)(i + 1);
    return sum;
}

static void check_whole(const struct asked *asked, const char *kinds, size_t got)
{
    CHECK_STR(mf_slice_str(asked->kinds), kinds);
    CHECK_INT(asked->status, 200);
    CHECK_INT(asked->got, got);
    CHECK(asked->over && asked->ended);
    CHECK_INT(asked->end.why, MF_H2_WHOLE);
}

static void test_unary(size_t cut)
{
    world_open();
    meet(cut);
    for (int i = 0; i < 20; i++) {
        struct asked *asked = ask(up.h2, "GET", "/", true);
        carry(cut);
        check_whole(asked, "rt", 6);
    }
    CHECK_INT(up.h2->n_streams, 0);
    CHECK_INT(down.h2->n_streams, 0);
    world_close();
}

/* What is sent comes back while more is sent. */
static void test_both_ways(size_t cut)
{
    world_open();
    meet(cut);
    struct asked *asked = ask(up.h2, "POST", "/", false);
    static uint8_t bytes[3000];
    size_t total = 0;
    uint32_t sum = 0;
    for (int i = 0; i < 40; i++) {
        size_t len = (size_t)(i * 97) % sizeof bytes;
        for (size_t k = 0; k < len; k++)
            sum += (bytes[k] = (uint8_t)(i + k)) * (uint32_t)(total + k + 1);
        total += len;
        CHECK(mf_h2_stream_data(asked->stream, mf_slice_of(bytes, len), NULL, false) >= 0);
        carry(cut);
        CHECK_INT(asked->got, total);
    }
    CHECK_INT(mf_h2_stream_trailers(asked->stream, &echo_trailer, NULL, 1, NULL), 0);
    carry(cut);
    check_whole(asked, "rt", total);
    CHECK_INT(asked->sum, sum);
    world_close();
}

static void test_long(size_t cut)
{
    world_open();
    meet(cut);
    struct asked *asked = ask(up.h2, "GET", "/bytes/1048576", true);
    carry(cut);
    check_whole(asked, "rt", 1048576);
    CHECK_INT(asked->sum, sum_of(1048576));
    /* And up: 1 MiB is queued at once, goes as windows allow, and comes back. */
    asked = ask(up.h2, "POST", "/", false);
    struct mf_block *block = mf_loop_block(fake.loop, 1048576);
    for (size_t i = 0; i < 1048576; i++)
        block->data[i] = echo_byte(i % ECHO_PIECE);
    long at_once = mf_h2_stream_block(asked->stream, block, mf_slice_of(block->data, 1048576), true);
    mf_block_give(block);
    CHECK(at_once >= 0 && at_once <= 65536);
    carry(cut);
    check_whole(asked, "rt", 1048576);
    CHECK_INT(asked->sum, sum_of(1048576));
    CHECK_INT(asked->sent + (size_t)at_once, 1048576);
    world_close();
}

static void test_many(size_t cut)
{
    world_open();
    meet(cut);
    struct asked *all[100];
    for (int i = 0; i < 100; i++) {
        all[i] = ask(up.h2, "GET", "/bytes/70000", true);
        CHECK(all[i] != NULL);
    }
    CHECK(ask(up.h2, "GET", "/", true) == NULL);
    CHECK_INT(asker.rooms, 0);
    carry(cut);
    CHECK(asker.rooms > 0);
    for (int i = 0; i < 100; i++) {
        check_whole(all[i], "rt", 70000);
        CHECK_INT(all[i]->sum, sum_of(70000));
    }
    CHECK_INT(mf_h2_conn_room(up.h2), 100);
    world_close();
}

/* A stream that is not read holds up itself, on either side, and nobody else. */
static void test_slow_reader(void)
{
    world_open();
    meet(4096);
    asker.keep = true;
    struct asked *slow[20];
    for (int i = 0; i < 20; i++)
        slow[i] = ask(up.h2, "GET", "/bytes/300000", true);
    carry(4096);
    for (int i = 0; i < 20; i++)
        CHECK_INT(slow[i]->got, 8192);
    asker.keep = false;
    struct asked *quick = ask(up.h2, "GET", "/bytes/200000", true);
    carry(4096);
    check_whole(quick, "rt", 200000);
    for (int i = 0; i < 20; i++) {
        size_t held = slow[i]->held;
        slow[i]->held = 0;
        mf_h2_stream_credit(slow[i]->stream, held, SIZE_MAX);
    }
    carry(4096);
    for (int i = 0; i < 20; i++)
        check_whole(slow[i], "rt", 300000);
    world_close();
}

static void test_end_in_two_steps(void)
{
    world_open();
    meet(1000000);
    struct asked *first = ask(up.h2, "POST", "/", false), *late;
    carry(1000000);
    mf_h2_conn_goaway(down.h2, false);
    fake_turn(0);
    late = ask(up.h2, "GET", "/", true); /* it has not heard of it yet */
    carry(1000000);
    CHECK_INT(asker.goaways, 2);
    check_whole(late, "rt", 6);
    CHECK_INT(mf_h2_conn_room(up.h2), 0);
    CHECK(ask(up.h2, "GET", "/", true) == NULL);
    CHECK(up.conn->sock && down.conn->sock);
    mf_h2_stream_data(first->stream, MF_SLICE("x"), NULL, true);
    carry(1000000);
    check_whole(first, "rt", 1);
    settle();
    CHECK_INT(asker.lost, 1);
    CHECK(!up.conn->sock || up.conn->fin);
    CHECK(!down.conn->sock || down.conn->fin);
    world_close();
}

static void test_reset(void)
{
    world_open();
    meet(1000000);
    struct asked *asked = ask(up.h2, "GET", "/bytes/1000000", true);
    asker.keep = true;
    carry(1000000);
    CHECK_INT(down.h2->n_streams, 1);
    mf_h2_stream_reset(asked->stream, MF_H2_CANCEL);
    CHECK(asked->over && asked->end.why == MF_H2_BY_ROLE);
    carry(1000000);
    CHECK_INT(down.h2->n_streams, 0);
    CHECK_INT(((struct echo_conn *)(void *)down.h2)->lost, 1);
    asker.keep = false;
    asked = ask(up.h2, "GET", "/bytes/1000000", true);
    carry(1000000);
    check_whole(asked, "rt", 1000000);
    mf_h2_conn_ping(up.h2);
    carry(1000000);
    CHECK_INT(asker.pongs, 1);
    world_close();
}

static void test_lost(void)
{
    world_open();
    meet(1000000);
    struct asked *asked = ask(up.h2, "POST", "/", false);
    carry(1000000);
    up.conn->reset = true;
    settle();
    CHECK(asked->over && asked->end.why == MF_H2_LOST && !asked->end.untouched);
    CHECK_INT(asked->end.rc, -ECONNRESET);
    CHECK_INT(asker.lost, 1);
    world_close();
}

/* What a connection and a stream take while nothing happens. */
static void test_memory(void)
{
    world_open();
    meet(1000000);
    for (int i = 0; i < 100; i++) {
        ask(up.h2, "GET", "/", true);
        carry(1000000);
    }
    CHECK(!up.h2->_tables->packed);
    pass(3000);
    CHECK(up.h2->_tables->packed && down.h2->_tables->packed);
    const struct mf_h2_tables *tables = down.h2->_tables;
    size_t packed = mf_hpack_decoder_packed(&tables->decoder) + mf_hpack_encoder_packed(&tables->encoder);
    CHECK(sizeof(struct mf_h2_conn) + sizeof *tables + packed < 2048);
    CHECK(sizeof(struct mf_h2_stream) <= 128);
    struct asked *asked = ask(up.h2, "GET", "/", true);
    carry(1000000);
    check_whole(asked, "rt", 6);
    world_close();
}

int main(void)
{
    static const size_t cuts[] = {1000000, 16384, 5000};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        test_unary(cuts[i]);
        test_both_ways(cuts[i]);
        test_long(cuts[i]);
        test_many(cuts[i]);
    }
    for (size_t cut = 1; cut < 30; cut += 7) {
        test_unary(cut);
        test_both_ways(cut);
    }
    test_slow_reader();
    test_end_in_two_steps();
    test_reset();
    test_lost();
    test_memory();
    return test_end("test_h2_pair");
}
