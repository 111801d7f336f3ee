/* protocol/h2_memo, h2_send: what is recalled is what a fresh reading gives, whatever happens to the table between, and what a role
 * keeps with it goes with it. */
#include "protocol/h2_lists.h"

static char fresh[FIELDS][16]; /* values that are never the same */

static void make_lists(void)
{
    static const char *const methods[] = {"POST", "GET"};
    memset(n_fields, 0, sizeof n_fields);
    for (int i = 0; i < LISTS; i++) {
        add(i, ":method", methods[i & 1]);
        add(i, ":scheme", "http");
        add(i, ":path", i & 2 ? "/a.B/c" : "/some.other.Service/method");
        add(i, ":authority", "host:80");
        add(i, "te", "trailers");
        add(i, "x-n", i & 4 ? "a value that Huffman code makes shorter" : "\x7e\x7e");
        add(i, "tri-service-version", "1.0.0");
    }
}

static void test_requests(void)
{
    world_open();
    struct wire wire = world_accept(sizeof(struct mf_h2_conn), begin);
    say_hello(&wire, NULL, 0);
    mf_hpack_encoder_init(&encoder, memory, 4096);
    heads = recalled = noted = forgotten = 0;
    uint32_t id = 1, seed = 7;
    for (int i = 0; i < 4000; i++, id += 2) {
        make_lists();
        seed = seed * 1664525 + 1013904223;
        int list = (int)(seed >> 29) & (i < 2000 ? 3 : 7);
        if ((seed >> 20) % 97 == 0) { /* an entry that moves all others, or drives some out */
            snprintf(fresh[0], sizeof fresh[0], "new-%d", i);
            add(list, "x-new", fresh[0]);
        }
        if ((seed >> 12) % 211 == 0)
            mf_hpack_encoder_limit(&encoder, (seed >> 10 & 3) * 1000);
        if ((seed >> 14) % 501 == 0)
            pass(1500); /* packed meanwhile */
        say_list(&wire, id, list, (seed >> 8) % 50 == 0 ? MF_H2_MARK_PLAIN : 0);
    }
    CHECK_INT(heads, 4000);
    CHECK(recalled > 500 && recalled < 3900);
    CHECK(noted > 20);
    CHECK_INT(hear(&wire).goaways, 0);
    world_close();
    CHECK_INT(forgotten, noted);
}

/* Interim answers, the answer and trailers, each time the same blocks; and for HEAD, whose answer only looks the same. */
static void test_answers(void)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    struct wire wire = world_dial(sizeof(struct asking), &ask_ops);
    say_hello(&wire, NULL, 0);
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t id = 2 * i + 1;
        bool head = i % 4 == 3;
        struct asked *asked = ask(wire.h2, head ? "HEAD" : "POST", "/", true);
        say_head(&wire, id, 0, ":status: 103\nlink: a\n");
        say_head(&wire, id, 0, ":status: 100\n");
        say_head(&wire, id, head ? MF_H2_END_STREAM : 0, ":status: 200\ncontent-length: 5\n");
        if (!head) {
            say_data(&wire, id, 5, false);
            say_head(&wire, id, MF_H2_END_STREAM, "grpc-status: 0\n");
        }
        CHECK_INT(hear(&wire).resets, 0);
        CHECK_STR(mf_slice_str(asked->kinds), head ? "iir" : "iirt");
        CHECK_INT(asked->end.why, MF_H2_WHOLE);
    }
    /* The same answer without its content is none, however often it came. */
    struct asked *asked = ask(wire.h2, "POST", "/", true);
    say_head(&wire, asked->stream->id, MF_H2_END_STREAM, ":status: 200\ncontent-length: 5\n");
    CHECK_INT(hear(&wire).reset_code, MF_H2_PROTOCOL_ERROR);
    CHECK(wire.h2->_tables->memos.of[0] && wire.h2->_tables->memos.of[3]);
    /* Fields that were an answer are no trailers. */
    asked = ask(wire.h2, "POST", "/", true);
    uint32_t id = asked->stream->id;
    say_head(&wire, id, 0, ":status: 200\ncontent-length: 5\n");
    say_head(&wire, id, MF_H2_END_STREAM, ":status: 200\ncontent-length: 5\n");
    CHECK_INT(hear(&wire).reset_code, MF_H2_PROTOCOL_ERROR);
    world_close();
}

/* Blocks that are put again say what they said, whatever happens to the table between. */
static void test_put_again(void)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    struct wire wire = world_dial(sizeof(struct asking), &ask_ops);
    say_hello(&wire, NULL, 0);
    hear(&wire);
    static struct mf_hpack_decoder decoder;
    static struct mf_pair fields[64];
    static struct mf_h2_mark marks[64];
    static uint8_t scratch[8192];
    struct mf_hpack_room room = {fields, marks, scratch, sizeof scratch, 64, sizeof scratch};
    struct mf_h2_again again[4] = {0};
    uint32_t seed = 3, same = 0;
    mf_hpack_decoder_init(&decoder, memory, 4096);
    for (int i = 0; i < 3000; i++) {
        make_lists();
        seed = seed * 1664525 + 1013904223;
        int list = (int)(seed >> 30), rc;
        bool new = (seed >> 20) % 97 == 0;
        if (new) {
            snprintf(fresh[0], sizeof fresh[0], "new-%d", i);
            add(list, "x-new", fresh[0]);
        }
        if ((seed >> 12) % 211 == 0) {
            uint32_t size = (seed >> 10 & 3) * 1365;
            say_settings(&wire, &(struct mf_h2_pair){MF_H2_HEADER_TABLE_SIZE, size}, 1);
            hear(&wire);
            mf_hpack_decoder_limit(&decoder, size);
        }
        const struct mf_h2_tables *tables = wire.h2->_tables;
        same += !new && tables && again[list].conn && again[list].generation == tables->encoder.table.generation;
        struct mf_h2_stream *stream =
            mf_h2_stream_open(wire.h2, lists[list], NULL, n_fields[list], true, new ? NULL : &again[list], &rc);
        uint32_t id = stream->id;
        struct mf_h2_head head;
        struct mf_slice payload;
        settle();
        CHECK(next_frame(&wire, &head, &payload) && head.type == MF_H2_HEADERS && head.stream == id);
        struct mf_hpack_list out;
        CHECK_INT(mf_hpack_decode(&decoder, payload, &room, &out), 0);
        CHECK_INT(out.n, n_fields[list]);
        for (uint32_t k = 0; k < out.n && k < n_fields[list]; k++)
            CHECK(mf_slice_eq(fields[k].key, lists[list][k].key) && mf_slice_eq(fields[k].value, lists[list][k].value));
        say_head(&wire, id, MF_H2_END_STREAM, ":status: 200\n");
        settle();
    }
    CHECK(same > 1000 && same < 2900);
    for (int i = 0; i < 4; i++)
        mf_h2_stream_forget(&again[i]);
    world_close();
}

int main(void)
{
    test_requests();
    test_put_again();
    test_answers();
    return test_end("test_h2_memo");
}
