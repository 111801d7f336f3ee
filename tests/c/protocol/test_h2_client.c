/* protocol/h2_conn as the end that asks: what a provider may answer, and what becomes of a call when it does not. */
#include "protocol/h2_asker.h"
#include "protocol/h2_say.h"

static struct wire wire;

static void dial_with(const struct mf_h2_pair *pairs, uint32_t n)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    wire = world_dial(sizeof(struct asking), &ask_ops);
    say_hello(&wire, pairs, n);
    CHECK_INT(asker.ready, 1);
    hear(&wire);
}

static void dial(void)
{
    dial_with(NULL, 0);
}

static void answer(uint32_t stream, bool end)
{
    say_head(&wire, stream, end ? MF_H2_END_STREAM : 0, ":status: 200\n");
}

/* --- the shape of answers */

static void test_interim(void)
{
    dial();
    struct asked *asked = ask(wire.h2, "GET", "/", true);
    say_head(&wire, 1, 0, ":status: 103\nlink: a\n");
    say_head(&wire, 1, 0, ":status: 103\nlink: b\n");
    say_head(&wire, 1, 0, ":status: 100\n");
    answer(1, false);
    say_data(&wire, 1, 10, false);
    say_head(&wire, 1, MF_H2_END_STREAM, "grpc-status: 0\n");
    hear(&wire);
    CHECK_STR(mf_slice_str(asked->kinds), "iiirt");
    CHECK_INT(asked->status, 200);
    CHECK_INT(asked->got, 10);
    CHECK_INT(asked->end.why, MF_H2_WHOLE);

    struct asked *bad = ask(wire.h2, "GET", "/", true), *other = ask(wire.h2, "GET", "/", true);
    say_head(&wire, 3, MF_H2_END_STREAM, ":status: 103\n");
    answer(5, true);
    struct told told = hear(&wire);
    CHECK_INT(told.reset, 3);
    CHECK_INT(told.reset_code, MF_H2_PROTOCOL_ERROR);
    CHECK_INT(bad->end.why, MF_H2_BY_RULE);
    CHECK_INT(other->end.why, MF_H2_WHOLE);
    world_close();
}

static void test_content_length(void)
{
    static const struct {
        const char *method, *head;
        uint32_t content;
        bool end, good;
    } all[] = {
        {"HEAD", ":status: 200\ncontent-length: 2421\n", 0, true, true},
        {"GET", ":status: 304\ncontent-length: 77\n", 0, true, true},
        {"GET", ":status: 204\ncontent-length: 5\n", 0, true, true},
        {"POST", ":status: 200\ncontent-length: 0\n", 0, true, true},
        {"POST", ":status: 200\ncontent-length: 5\n", 0, true, false},
        {"GET", ":status: 200\ncontent-length: 2421\n", 0, true, false},
        {"POST", ":status: 200\ncontent-length: 5\n", 5, true, true},
        {"POST", ":status: 200\ncontent-length: 5\n", 5, false, true}, /* and then trailers */
        {"POST", ":status: 200\ncontent-length: 5\n", 4, false, false},
        {"POST", ":status: 200\ncontent-length: 5\n", 6, false, false},
        {"POST", ":status: 200\ncontent-length: +5\n", 5, true, false},
        {"HEAD", ":status: 200\ncontent-length: 5\n", 5, true, true},
    };
    dial();
    for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct asked *asked = ask(wire.h2, all[i].method, "/", true);
        bool now = all[i].end && !all[i].content;
        say_head(&wire, 2 * i + 1, now ? MF_H2_END_STREAM : 0, all[i].head);
        if (all[i].content)
            say_data(&wire, 2 * i + 1, all[i].content, all[i].end);
        if (!all[i].end)
            say_head(&wire, 2 * i + 1, MF_H2_END_STREAM, "a: b\n");
        struct told told = hear(&wire);
        CHECK(asked->over);
        CHECK_INT(asked->end.why, all[i].good ? MF_H2_WHOLE : MF_H2_BY_RULE);
        CHECK_INT(told.resets, !all[i].good);
        CHECK_INT(told.goaways, 0);
    }
    /* An interim answer's says nothing of the content. */
    struct asked *asked = ask(wire.h2, "GET", "/", true);
    say_head(&wire, asked->stream->id, 0, ":status: 103\ncontent-length: 9\n");
    say_head(&wire, asked->stream->id, MF_H2_END_STREAM, ":status: 200\n");
    hear(&wire);
    CHECK_INT(asked->end.why, MF_H2_WHOLE);
    world_close();
}

/* Answers that are none: the call's end, and no other's. */
static void test_malformed(void)
{
    static const char *const heads[] = {
        ":status: 101\n", ":status: 20\n", "a: b\n", ":status: 200\n:status: 200\n", ":status: 200\n:path: /\n",
        ":status: 200\nConnection: close\n", ":status: 200\nconnection: close\n",
    };
    dial();
    struct asked *other = ask(wire.h2, "GET", "/", true);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct asked *asked = ask(wire.h2, "GET", "/", true);
        uint32_t id = asked->stream->id;
        say_head(&wire, id, 0, heads[i]);
        say_data(&wire, id, 100, true);
        struct told told = hear(&wire);
        CHECK_INT(told.reset_code, MF_H2_PROTOCOL_ERROR);
        CHECK_INT(told.resets, 1);
        CHECK_INT(asked->end.code, MF_H2_PROTOCOL_ERROR);
        CHECK(!asked->end.untouched);
    }
    struct asked *early = ask(wire.h2, "GET", "/", true);
    say_data(&wire, early->stream->id, 5, false); /* content before a head */
    CHECK_INT(hear(&wire).reset_code, MF_H2_PROTOCOL_ERROR);
    answer(1, true);
    hear(&wire);
    CHECK_INT(other->end.why, MF_H2_WHOLE);
    world_close();
}

/* --- what is no connection at all */

/* The greeting is written already, and nobody is there to take it. */
static void test_stopped_early(void)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    wire = world_knock(sizeof(struct asking), &ask_ops);
    mf_conn_stop(&wire.h2->conn);
    settle();
    CHECK_INT(asker.lost, 1);
    CHECK_INT(asker.lost_rc, 0);
    CHECK(wire.conn->sock == NULL);
    world_close();
}

static void test_no_http2(void)
{
    static const char *const first[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\10\6\0\0\0\0\00012345678"};
    static const size_t len[] = {28, 17};
    for (int i = 0; i < 2; i++) {
        memset(&asker, 0, sizeof asker);
        world_open();
        wire = world_dial(sizeof(struct asking), &ask_ops);
        CHECK(ask(wire.h2, "GET", "/", true) == NULL); /* how many it takes is not known */
        say(&wire, first[i], len[i]);
        struct told told = hear(&wire);
        CHECK_INT(told.goaway, MF_H2_PROTOCOL_ERROR);
        CHECK_INT(asker.ready, 0);
        CHECK_INT(asker.lost, 1);
        CHECK_INT(asker.lost_rc, MF_EH2_PREFACE);
        world_close();
    }
}

static void test_connection_errors(void)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
        uint32_t code;
    } all[] = {
        {"a push that was refused", "\0\0\5\5\4\0\0\0\1\0\0\0\2\x88", 14, MF_H2_PROTOCOL_ERROR},
        {"a stream of its own", "\0\0\1\1\4\0\0\0\2\x88", 10, MF_H2_PROTOCOL_ERROR},
        {"a stream not opened", "\0\0\1\1\4\0\0\0\11\x88", 10, MF_H2_PROTOCOL_ERROR},
        {"content of one", "\0\0\1\0\0\0\0\0\11x", 10, MF_H2_PROTOCOL_ERROR},
        {"a reset of one", "\0\0\4\3\0\0\0\0\11\0\0\0\10", 13, MF_H2_PROTOCOL_ERROR},
        {"push allowed", "\0\0\6\4\0\0\0\0\0\0\2\0\0\0\1", 15, MF_H2_PROTOCOL_ERROR},
        {"a block that means nothing", "\0\0\2\1\4\0\0\0\1\xff\x80", 11, MF_H2_COMPRESSION_ERROR},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        dial();
        struct asked *asked = ask(wire.h2, "GET", "/", true);
        say(&wire, all[i].bytes, all[i].len);
        struct told told = hear(&wire);
        CHECK_INT(told.goaway, all[i].code);
        CHECK_INT(told.goaway_last, 0);
        CHECK(asked->over && asked->end.why == MF_H2_LOST && !asked->end.untouched);
        CHECK_INT(asked->end.code, all[i].code);
        CHECK_INT(asker.lost, 1);
        world_close();
    }
}

/* Before it knows that there is to be none: refused, and its block is part of the table. */
static void test_push(void)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    wire = world_dial(sizeof(struct asking), &ask_ops);
    say_settings(&wire, NULL, 0);
    hear(&wire);
    struct asked *asked = ask(wire.h2, "GET", "/", true);
    static const char promise[] = "\0\0\0\2\x82\x40\1a\1b"; /* an entry for the table: a: b */
    say_frame(&wire, MF_H2_PUSH_PROMISE, 0, 1, promise, 9);
    say_frame(&wire, MF_H2_CONTINUATION, MF_H2_END_HEADERS, 1, promise + 9, 1);
    say_head(&wire, 2, 0, ":status: 200\n");
    say_data(&wire, 2, 16000, false);
    say_data(&wire, 2, 16000, true);
    struct told told = hear(&wire);
    CHECK_INT(told.reset, 2);
    CHECK_INT(told.reset_code, MF_H2_REFUSED_STREAM);
    CHECK_INT(told.resets, 1);
    CHECK_INT(told.goaways, 0);
    answer(1, false);
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, 1, "\xbe", 1); /* by the entry */
    hear(&wire);
    CHECK_STR(mf_slice_str(asked->kinds), "rt");
    CHECK_INT(asked->end.why, MF_H2_WHOLE);
    CHECK_INT(wire.h2->_in_window, (1 << 20) - 32000); /* half a window is not given back before it is used */
    world_close();
}

/* --- GOAWAY */

static void test_goaway(void)
{
    for (int run = 0; run < 2; run++) {
        dial();
        struct asked *all[5];
        for (int i = 0; i < 5; i++)
            all[i] = ask(wire.h2, "GET", "/", true);
        say_head(&wire, 7, 0, ":status: 200\n");
        hear(&wire);
        if (run == 0)
            say_goaway(&wire, 0x7fffffff, MF_H2_NO_ERROR);
        hear(&wire);
        CHECK(!all[4]->over);
        say_goaway(&wire, 5, MF_H2_NO_ERROR);
        if (run == 1)
            say_goaway(&wire, 9, MF_H2_NO_ERROR); /* which does not bring back what was given up */
        hear(&wire);
        CHECK(all[4]->over && all[4]->end.untouched && !all[4]->n_kinds);
        CHECK(all[3]->over && all[3]->n_kinds == 1); /* for its role to see that it must not be made again */
        CHECK_INT(asker.goaways, 2);
        CHECK_INT(mf_h2_conn_room(wire.h2), 0);
        say_data(&wire, 7, 10, true); /* late, and no fault */
        for (uint32_t id = 1; id < 6; id += 2)
            answer(id, true);
        struct told told = hear(&wire);
        CHECK_INT(told.resets, 0);
        for (int i = 0; i < 3; i++)
            CHECK_INT(all[i]->end.why, MF_H2_WHOLE);
        CHECK(told.closed);
        CHECK_INT(told.goaway_last, 0);
        CHECK_INT(asker.ends, 5);
        world_close();
    }
}

/* The end of two calls, a GOAWAY between them and the end of the connection in one write, in any cut. */
static void test_goaway_and_end(void)
{
    size_t len = 200;
    for (size_t cut = 0; cut < len; cut++) {
        dial();
        struct asked *one = ask(wire.h2, "GET", "/", true), *two = ask(wire.h2, "GET", "/", true);
        answer(1, false);
        answer(3, false);
        hear(&wire);
        struct fake_conn *conn = wire.conn;
        say_data(&wire, 1, 10, false);
        say_head(&wire, 1, MF_H2_END_STREAM, "grpc-status: 0\n");
        say_goaway(&wire, 3, MF_H2_NO_ERROR);
        say_data(&wire, 3, 10, false);
        say_head(&wire, 3, MF_H2_END_STREAM, "grpc-status: 0\n");
        len = conn->in.len;
        struct fake_bytes rest = {0};
        fake_add(&rest, conn->in.ptr + cut, len - cut);
        conn->in.len = cut;
        fake_turn(0);
        fake_send(conn, rest.ptr, rest.len);
        free(rest.ptr);
        conn->eof = true;
        settle();
        CHECK(one->over && one->end.why == MF_H2_WHOLE && one->got == 10);
        CHECK(two->over && two->end.why == MF_H2_WHOLE && two->got == 10);
        CHECK_INT(asker.lost, 1);
        world_close();
    }
}

/* Our own end, in good order: no stream was opened by them. */
static void test_own_goaway(void)
{
    dial();
    struct asked *asked = ask(wire.h2, "GET", "/", true);
    mf_h2_conn_goaway(wire.h2, false);
    CHECK(ask(wire.h2, "GET", "/", true) == NULL);
    struct told told = hear(&wire);
    CHECK_INT(told.goaways, 1);
    CHECK_INT(told.goaway, MF_H2_NO_ERROR);
    CHECK_INT(told.goaway_last, 0);
    CHECK(!told.closed);
    answer(1, true);
    told = hear(&wire);
    CHECK_INT(asked->end.why, MF_H2_WHOLE);
    CHECK(told.closed);
    CHECK_INT(told.resets + told.goaways, 0);
    world_close();
}

/* --- streams */

static void test_refused(void)
{
    static const uint32_t codes[] = {MF_H2_REFUSED_STREAM, MF_H2_CANCEL, MF_H2_INTERNAL_ERROR, MF_H2_NO_ERROR, 77};
    dial();
    for (int i = 0; i < 5; i++) {
        struct asked *asked = ask(wire.h2, "POST", "/", false);
        uint32_t id = asked->stream->id;
        mf_h2_stream_data(asked->stream, MF_SLICE("abc"), NULL, false);
        say_rst(&wire, id, codes[i]);
        hear(&wire);
        CHECK_INT(asked->end.why, MF_H2_BY_PEER);
        CHECK_INT(asked->end.code, codes[i]);
        CHECK_INT(asked->end.untouched, codes[i] == MF_H2_REFUSED_STREAM);
        say_window(&wire, id, 10); /* late */
        say_rst(&wire, id, 0);
        CHECK_INT(hear(&wire).n, 0);
    }
    for (uint32_t i = 0; i < 5000; i++) { /* a provider may refuse as much as it likes */
        struct asked *asked = ask(wire.h2, "GET", "/", true);
        say_rst(&wire, asked->stream->id, MF_H2_REFUSED_STREAM);
        settle();
    }
    CHECK_INT(hear(&wire).goaways, 0);
    world_close();
}

/* Slots are counted once, whoever ends a stream. */
static void test_room(void)
{
    dial_with(&(struct mf_h2_pair){MF_H2_MAX_CONCURRENT_STREAMS, 10}, 1);
    CHECK_INT(mf_h2_conn_room(wire.h2), 10);
    for (int i = 0; i < 2000; i++) {
        struct asked *asked = ask(wire.h2, "GET", "/", true);
        uint32_t id = asked->stream->id;
        if (i & 1)
            answer(id, true);
        else
            mf_h2_stream_reset(asked->stream, MF_H2_CANCEL);
        settle();
        if (!(i & 1))
            answer(id, true);
        else if (asked->stream)
            mf_h2_stream_reset(asked->stream, MF_H2_CANCEL);
        if (i % 50 == 0)
            settle();
    }
    CHECK_INT(hear(&wire).goaways, 0);
    CHECK_INT(mf_h2_conn_room(wire.h2), 10);
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 0}, 1);
    hear(&wire);
    uint32_t ids[10];
    for (int i = 0; i < 10; i++) {
        struct asked *asked = ask(wire.h2, "POST", "/", false);
        ids[i] = asked->stream->id;
        mf_h2_stream_data(asked->stream, MF_SLICE("stuck"), NULL, true);
    }
    CHECK(ask(wire.h2, "GET", "/", true) == NULL);
    CHECK_INT(asker.rooms, 0);
    for (int i = 0; i < 10; i++)
        say_rst(&wire, ids[i], MF_H2_CANCEL);
    fake_turn(0);
    CHECK_INT(asker.rooms, 1);
    CHECK_INT(mf_h2_conn_room(wire.h2), 10);
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_MAX_CONCURRENT_STREAMS, 1}, 1);
    hear(&wire);
    struct asked *last = ask(wire.h2, "GET", "/", true);
    CHECK(ask(wire.h2, "GET", "/", true) == NULL);
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_MAX_CONCURRENT_STREAMS, 2}, 1);
    hear(&wire);
    CHECK_INT(asker.rooms, 2);
    CHECK(last && !last->over);
    world_close();
}

/* However many in one moment: the connection is there for others. */
static void test_given_up(void)
{
    dial();
    bare.limits.h2_controls = 16;
    struct asked *all[40];
    for (uint32_t i = 0; i < 40; i++)
        all[i] = ask(wire.h2, "GET", "/", true);
    for (uint32_t i = 1; i < 40; i++)
        mf_h2_stream_reset(all[i]->stream, MF_H2_CANCEL);
    answer(1, true);
    struct told told = hear(&wire);
    CHECK_INT(told.resets, 39);
    CHECK_INT(told.goaways, 0);
    CHECK_INT(all[0]->end.why, MF_H2_WHOLE);
    CHECK_INT(COUNTED(limit_h2_controls), 0);
    world_close();
}

/* GOAWAY as often as it likes: each leaves out what is above the lowest id that was said. */
static void test_goaway_again(void)
{
    static const struct {
        uint32_t last, over;
    } said[] = {{99, 0}, {7, 0}, {5, 1}, {5, 1}, {7, 1}, {6, 1}, {1, 3}, {3, 3}, {1, 3}};
    dial();
    struct asked *all[4];
    for (int i = 0; i < 4; i++)
        all[i] = ask(wire.h2, "GET", "/", true);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        say_goaway(&wire, said[i].last, MF_H2_NO_ERROR);
        settle();
        for (uint32_t k = 0; k < 4; k++)
            CHECK_INT(all[k]->over, k >= 4 - said[i].over);
    }
    CHECK(all[3]->end.untouched);
    answer(1, true);
    CHECK(hear(&wire).closed);
    CHECK_INT(all[0]->end.why, MF_H2_WHOLE);
    world_close();
}

/* A provider that reads nothing for a while has answered all the same, and is asked for more of each answer. */
static void test_windows_unread(void)
{
    enum { ASKS = 40 };
    dial();
    bare.limits.h2_controls = 16;
    for (uint32_t i = 0; i < ASKS; i++)
        ask(wire.h2, "GET", "/", true);
    hear(&wire);
    fake_open_window(wire.conn, 0);
    for (uint32_t i = 0; i < ASKS; i++) {
        say_head(&wire, 2 * i + 1, 0, ":status: 200\n");
        say_data(&wire, 2 * i + 1, 5000, false);
    }
    settle();
    fake_open_window(wire.conn, FAKE_ANY);
    for (uint32_t i = 0; i < ASKS; i++)
        say_data(&wire, 2 * i + 1, 10, true);
    struct told told = hear(&wire);
    CHECK_INT(told.goaways, 0);
    CHECK_INT(told.windows, ASKS);
    for (uint32_t i = 0; i < ASKS; i++)
        CHECK(asker.of[i].end.why == MF_H2_WHOLE && asker.of[i].got == 5010);
    CHECK_INT(COUNTED(limit_h2_controls), 0);
    world_close();
}

/* A frame without content on each of many streams; one too many of one ends that. */
static void test_empty(void)
{
    enum { ASKS = 5 };
    dial();
    for (uint32_t i = 0; i < ASKS; i++) {
        ask(wire.h2, "GET", "/", true);
        say_head(&wire, 2 * i + 1, 0, ":status: 200\n");
    }
    for (uint32_t i = 0; i < ASKS; i++)
        say_data(&wire, 2 * i + 1, 0, false);
    struct told told = hear(&wire);
    CHECK_INT(told.goaways + told.resets, 0);
    say_data(&wire, 1, 0, false);
    say_data(&wire, 1, 0, false); /* on its way */
    say_data(&wire, 1, 0, false);
    told = hear(&wire);
    CHECK_INT(told.goaways, 0);
    CHECK_INT(told.resets, 1);
    CHECK_INT(told.reset, 1);
    CHECK_INT(told.reset_code, MF_H2_ENHANCE_YOUR_CALM);
    CHECK_INT(COUNTED(limit_h2_empty_frames), 1);
    for (uint32_t i = 1; i < ASKS; i++)
        say_data(&wire, 2 * i + 1, 10, true);
    settle();
    for (uint32_t i = 1; i < ASKS; i++)
        CHECK_INT(asker.of[i].end.why, MF_H2_WHOLE);
    world_close();
}

/* Stream numbers run out: no error, and none is used twice. */
static void test_numbers(void)
{
    dial();
    wire.h2->next_id = 2147483643;
    CHECK_INT(mf_h2_conn_room(wire.h2), 3);
    struct asked *all[3];
    for (int i = 0; i < 3; i++)
        all[i] = ask(wire.h2, "GET", "/", true);
    CHECK_INT(all[2]->stream->id, 2147483647);
    int rc = 0;
    CHECK(mf_h2_stream_open(wire.h2, NULL, NULL, 0, true, NULL, &rc) == NULL);
    CHECK_INT(rc, MF_ECLOSED);
    for (uint32_t i = 0; i < 3; i++)
        answer(2147483643 + 2 * i, true);
    hear(&wire);
    for (int i = 0; i < 3; i++)
        CHECK_INT(all[i]->end.why, MF_H2_WHOLE);
    world_close();
}

/* Quiet for minutes, and what comes in pieces: nothing is wrong with it. */
static void test_quiet(void)
{
    dial();
    for (int minute = 0; minute < 10; minute++) {
        pass(60000);
        uint8_t frame[MF_H2_PING_ROOM];
        mf_h2_put_ping(frame, (uint64_t)minute, false);
        say(&wire, frame, 5);
        if (minute == 5)
            pass(30000);
        say(&wire, frame + 5, sizeof frame - 5);
        say_settings(&wire, NULL, 0);
        say_window(&wire, 0, 1);
        struct told told = hear(&wire);
        CHECK_INT(told.pongs, 1);
        CHECK_INT(told.acks, 1);
        CHECK(!told.closed);
    }
    struct asked *asked = ask(wire.h2, "GET", "/", true);
    answer(1, true);
    hear(&wire);
    CHECK_INT(asked->end.why, MF_H2_WHOLE);
    world_close();
}

int main(void)
{
    test_interim();
    test_content_length();
    test_malformed();
    test_stopped_early();
    test_no_http2();
    test_connection_errors();
    test_push();
    test_goaway();
    test_goaway_and_end();
    test_own_goaway();
    test_refused();
    test_room();
    test_given_up();
    test_goaway_again();
    test_windows_unread();
    test_empty();
    test_numbers();
    test_quiet();
    return test_end("test_h2_client");
}
