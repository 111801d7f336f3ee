/* protocol/h2_like, h2_send: requests that differ in what tracing puts into them say what a fresh reading says, whether that goes
 * into the table or not, and so does what is put again with other values in its holes. */
#include "protocol/h2_frozen.h"
#include "protocol/h2_lists.h"

static char fresh[3][64]; /* values that are never the same */
static uint32_t seed;

static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * n >> 32);
}

/* By list: where what changes is, how much of it, how long it is; a list alike but for one thing. */
static void make_lists(void)
{
    static const char *const names[] = {"traceparent", "x-request-id", "b3"};
    memset(n_fields, 0, sizeof n_fields);
    for (int k = 0; k < 3; k++) {
        size_t len = dice(8) ? 16 + 16 * dice(3) : dice(8);
        for (size_t i = 0; i < len; i++)
            fresh[k][i] = "0123456789abcdefABCDEF~<"[dice(24)];
        fresh[k][len] = 0;
    }
    for (int i = 0; i < LISTS; i++) {
        add(i, ":method", "POST");
        add(i, ":scheme", "http");
        add(i, ":path", i & 1 ? "/a.B/c" : "/some.other.Service/method");
        add(i, ":authority", "host:80");
        if (i & 2)
            add(i, names[0], fresh[0]);
        add(i, "te", "trailers");
        add(i, "x-n", i & 4 ? "one" : "two");
        if (i & 4)
            add(i, names[1], fresh[1]);
        add(i, "tri-service-version", "1.0.0");
        if (!(i & 2))
            add(i, names[2], fresh[2]);
        if (i == 7) /* twice: not recalled */
            add(i, names[1], fresh[2]);
    }
}

static void test_requests(uint8_t how)
{
    world_open();
    struct wire wire = world_accept(sizeof(struct mf_h2_conn), begin);
    say_hello(&wire, NULL, 0);
    mf_hpack_encoder_init(&encoder, memory, 4096);
    heads = likes = noted = forgotten = 0;
    uint32_t id = 1;
    for (int i = 0; i < 4000; i++, id += 2) {
        make_lists();
        int list = (int)dice(i < 2000 ? 3 : LISTS);
        if (dice(200) == 0)
            mf_hpack_encoder_limit(&encoder, dice(4) * 1000);
        if (dice(500) == 0)
            pass(1500); /* packed meanwhile */
        say_list(&wire, id, list, dice(50) ? how : MF_H2_MARK_NEVER);
    }
    CHECK_INT(heads, 4000);
    CHECK(likes > 1500 && likes < 3990);
    CHECK(noted > 3);
    CHECK_INT(hear(&wire).goaways, 0);
    world_close();
    CHECK_INT(forgotten, noted);
}

/* A value that no field may have is found where all else is known. */
static void test_bad_value(void)
{
    world_open();
    struct wire wire = world_accept(sizeof(struct mf_h2_conn), begin);
    say_hello(&wire, NULL, 0);
    mf_hpack_encoder_init(&encoder, memory, 4096);
    for (uint32_t i = 0; i < 10; i++) {
        make_lists();
        say_list(&wire, 2 * i + 1, 2, MF_H2_MARK_PLAIN);
        CHECK_INT(hear(&wire).resets, 0);
    }
    make_lists();
    strcpy(fresh[0], "a\nb");
    lists[2][4].value = mf_slice_str(fresh[0]);
    uint64_t before = heads;
    say_list(&wire, 21, 2, MF_H2_MARK_PLAIN);
    CHECK_INT(heads, before);
    CHECK_INT(hear(&wire).reset_code, MF_H2_PROTOCOL_ERROR);
    world_close();
}

/* What has holes says what it said, with other values in them. */
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
    struct mf_h2_again again[LISTS] = {0};
    uint32_t same = 0;
    mf_hpack_decoder_init(&decoder, memory, 4096);
    uint32_t first = ask(wire.h2, "POST", "/", true)->stream->id; /* nothing of it is put again */
    settle();
    say_head(&wire, first, MF_H2_END_STREAM, ":status: 200\n");
    struct mf_h2_head head;
    struct mf_slice payload;
    struct mf_hpack_list out;
    CHECK(next_frame(&wire, &head, &payload) && mf_hpack_decode(&decoder, payload, &room, &out) == 0);
    for (int i = 0; i < 3000; i++) {
        make_lists();
        int list = (int)dice(LISTS - 1), rc;
        again[list].n_holes = 0;
        for (uint32_t k = 0; k < n_fields[list]; k++)
            if (mf_h2_name_traces((uint8_t)mf_h2_name_of(lists[list][k].key)))
                again[list].holes[again[list].n_holes++].field = k;
        if (dice(200) == 0) {
            uint32_t size = dice(4) * 1365;
            say_settings(&wire, &(struct mf_h2_pair){MF_H2_HEADER_TABLE_SIZE, size}, 1);
            hear(&wire);
            mf_hpack_decoder_limit(&decoder, size);
        }
        const struct mf_h2_tables *tables = wire.h2->_tables;
        same += tables && again[list].conn && again[list].generation == tables->encoder.table.generation;
        struct mf_h2_stream *stream = mf_h2_stream_open(wire.h2, lists[list], NULL, n_fields[list], true, &again[list], &rc);
        uint32_t id = stream->id;
        settle();
        CHECK(next_frame(&wire, &head, &payload) && head.type == MF_H2_HEADERS && head.stream == id);
        CHECK_INT(mf_hpack_decode(&decoder, payload, &room, &out), 0);
        CHECK_INT(out.n, n_fields[list]);
        for (uint32_t k = 0; k < out.n && k < n_fields[list]; k++)
            CHECK(mf_slice_eq(fields[k].key, lists[list][k].key) && mf_slice_eq(fields[k].value, lists[list][k].value));
        say_head(&wire, id, MF_H2_END_STREAM, ":status: 200\n");
        settle();
    }
    CHECK(same > 1000 && same < 2990);
    for (int i = 0; i < LISTS; i++)
        mf_h2_stream_forget(&again[i]);
    world_close();
}

/* What is in the holes is of any length: more than a frame of its peer, or than its table would take, and then less again. */
static void test_put_again_lengths(const size_t lengths[2], int from)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    struct wire wire = world_dial(sizeof(struct asking), &ask_ops);
    say_hello(&wire, NULL, 0);
    hear(&wire);
    static uint8_t block[65536], scratch[65536];
    static char texts[2][32768];
    static struct mf_hpack_decoder decoder;
    static struct mf_pair fields[64];
    static struct mf_h2_mark marks[64];
    struct mf_hpack_room room = {fields, marks, scratch, sizeof scratch, 64, sizeof scratch};
    struct mf_h2_again again = {.n_holes = 2, .holes = {{.field = 4}, {.field = 7}}};
    mf_hpack_decoder_init(&decoder, memory, 4096);
    make_lists();
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 2; k++) {
            size_t len = (i + from) % 4 < 2 ? lengths[k] : 16;
            memset(texts[k], 'a' + i, len);
            texts[k][len] = 0;
            lists[6][again.holes[k].field].value = mf_slice_str(texts[k]);
        }
        int rc;
        struct mf_h2_stream *stream = mf_h2_stream_open(wire.h2, lists[6], NULL, n_fields[6], true, &again, &rc);
        uint32_t id = stream->id;
        settle();
        struct mf_h2_head head;
        struct mf_slice payload;
        struct mf_hpack_list out;
        size_t len = 0;
        do {
            CHECK(next_frame(&wire, &head, &payload) && head.stream == id);
            memcpy(block + len, payload.ptr, payload.len);
            len += payload.len;
        } while (!(head.flags & MF_H2_END_HEADERS));
        CHECK_INT(mf_hpack_decode(&decoder, mf_slice_of(block, len), &room, &out), 0);
        CHECK_INT(out.n, n_fields[6]);
        for (uint32_t k = 0; k < out.n && k < n_fields[6]; k++)
            CHECK(mf_slice_eq(fields[k].key, lists[6][k].key) && mf_slice_eq(fields[k].value, lists[6][k].value));
        say_head(&wire, id, MF_H2_END_STREAM, ":status: 200\n");
        settle();
    }
    mf_h2_stream_forget(&again);
    world_close();
}

/* What is kept of a request is counted with what it has of its own. */
static void test_size(void)
{
    static char longest[30000];
    world_open();
    make_lists();
    memset(longest, 'x', sizeof longest - 1);
    struct mf_h2_mark marks[FIELDS] = {0};
    struct mf_block *all = mf_h2_freeze(fake.loop, lists[2], marks, n_fields[2]);
    mf_h2_frozen_of(all)->again.n_holes = 1;
    mf_h2_frozen_of(all)->again.holes[0].field = 4;
    struct mf_pair holes[MF_H2_HOLES] = {{lists[2][4].key, mf_slice_str(longest)}};
    struct mf_block *block = mf_h2_freeze_like(fake.loop, all, holes);
    CHECK(mf_h2_frozen_of(block)->size > sizeof longest);
    struct mf_h2_list list = mf_h2_frozen_list(mf_h2_frozen_of(block), &share);
    CHECK_INT(list.n, n_fields[2]);
    CHECK(mf_slice_eq(list.fields[4].value, holes[0].value) && mf_slice_eq(list.fields[5].value, lists[2][5].value));
    mf_block_give(all);
    mf_block_give(block);
    world_close();
}

int main(void)
{
    seed = 7;
    test_requests(MF_H2_MARK_PLAIN);
    test_requests(0);
    test_bad_value();
    test_size();
    test_put_again();
    static const size_t lengths[][2] = {{20000, 16}, {16, 20000}, {16, 2100}, {2100, 16}, {2100, 2100}, {0, 0}, {4000, 20000}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int from = 0; from < 4; from++)
            test_put_again_lengths(lengths[i], from);
    return test_end("test_h2_like");
}
