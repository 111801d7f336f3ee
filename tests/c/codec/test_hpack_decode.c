/* hpack_decode: the examples of RFC 7541, appendix C; what a block may not say; caps; slices under evictions. */
#include "h2.h"

static struct h2_decoder it;

static void decodes(const char *hex, const char *want, uint32_t used)
{
    CHECK_INT(h2_decode(&it, guarded(h2_hex(hex))), 0);
    CHECK_INT(it.list.over, 0);
    CHECK_STR(h2_text(&it), want);
    CHECK_INT(it.decoder.table.used, used);
}

static int refused(const char *hex)
{
    struct h2_decoder other;
    h2_begin(&other, 4096);
    int rc = h2_decode(&other, guarded(h2_hex(hex)));
    h2_end(&other);
    return rc;
}

/* C.2: each kind of field alone. */
static void test_representations(void)
{
    h2_begin(&it, 4096);
    decodes("400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header\n", 55);
    decodes("040c2f73616d706c652f70617468", ":path: /sample/path\n", 55);
    CHECK_INT(it.room.marks[0].flags, MF_H2_MARK_PLAIN);
    CHECK_INT(it.room.marks[0].name, MF_H2_NAME_PSEUDO_PATH);
    decodes("100870617373776f726406736563726574", "password: secret\n", 55);
    CHECK_INT(it.room.marks[0].flags, MF_H2_MARK_NEVER);
    decodes("82", ":method: GET\n", 55);
    CHECK_INT(it.room.marks[0].flags, 0);
    h2_end(&it);
}

/* C.3 to C.6: three requests and three responses, plain and Huffman-coded. */
static void test_sequences(void)
{
    static const char *const asked[] = {
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n",
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n",
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n",
    };
    static const char *const requests[2][3] = {
        {"828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
         "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"},
        {"828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"},
    };
    static const uint32_t request_used[] = {57, 110, 164}, response_used[] = {222, 222, 215};
    for (int coded = 0; coded < 2; coded++) {
        h2_begin(&it, 4096);
        for (int i = 0; i < 3; i++)
            decodes(requests[coded][i], asked[i], request_used[i]);
        h2_end(&it);
    }
#define DATE "date: Mon, 21 Oct 2013 20:13:2"
#define PLACE "location: https://www.example.com\n"
    static const char *const answered[] = {
        ":status: 302\ncache-control: private\n" DATE "1 GMT\n" PLACE,
        ":status: 307\ncache-control: private\n" DATE "1 GMT\n" PLACE,
        ":status: 200\ncache-control: private\n" DATE "2 GMT\n" PLACE "content-encoding: gzip\n"
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n",
    };
    static const char *const responses[2][3] = {
        {"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f"
         "7777772e6578616d706c652e636f6d",
         "4803333037c1c0bf",
         "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b42"
         "5a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31"},
        {"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
         "4883640effc1c0bf",
         "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f"
         "3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"},
    };
    for (int coded = 0; coded < 2; coded++) {
        h2_begin(&it, 256);
        for (int i = 0; i < 3; i++)
            decodes(responses[coded][i], answered[i], response_used[i]);
        CHECK_INT(it.decoder.table.count, 3);
        h2_end(&it);
    }
}

static void test_refused(void)
{
    CHECK_INT(refused("80"), MF_EHPACK_INDEX); /* 6.1 */
    CHECK_INT(refused("be"), MF_EHPACK_INDEX); /* nothing is in the dynamic table */
    CHECK_INT(refused("7e0161"), MF_EHPACK_INDEX);
    CHECK_INT(refused("0f2f0161"), MF_EHPACK_INDEX);
    CHECK_INT(refused("ff80808080"), MF_EHPACK_INTEGER);
    CHECK_INT(refused("ffffffffff0f"), MF_EHPACK_INTEGER);
    CHECK_INT(refused("ff"), MF_EHPACK_SHORT);
    CHECK_INT(refused("ff80"), MF_EHPACK_SHORT);
    CHECK_INT(refused("40"), MF_EHPACK_SHORT);
    CHECK_INT(refused("400161"), MF_EHPACK_SHORT);
    CHECK_INT(refused("4001610261"), MF_EHPACK_SHORT);
    CHECK_INT(refused("007fffffff7f"), MF_EHPACK_SHORT); /* a text of 256 MiB */
    CHECK_INT(refused("00016182ffff"), MF_EHPACK_HUFFMAN); /* 16 bits of padding */
    CHECK_INT(refused("0001618100"), MF_EHPACK_HUFFMAN);
    CHECK_INT(refused("00016184ffffffff"), MF_EHPACK_HUFFMAN); /* EOS */
    CHECK_INT(refused("3fe21f"), MF_EHPACK_UPDATE); /* 4097 */
    CHECK_INT(refused("8220"), MF_EHPACK_UPDATE);   /* behind a field */
    CHECK_INT(refused("203fe11f82"), 0);
}

/* 4.2, 6.3: an update is due after a limit was lowered below the table's size, and the first is at most the lowest. */
static void test_limits(void)
{
    for (int again = 0; again < 2; again++) {
        h2_begin(&it, 4096);
        decodes("400161026262", "a: bb\n", 35);
        mf_hpack_decoder_limit(&it.decoder, 30);
        if (again)
            mf_hpack_decoder_limit(&it.decoder, 4096);
        struct mf_hpack_decoder as_it_was = it.decoder;
        CHECK_INT(h2_decode(&it, h2_hex("82")), MF_EHPACK_NO_UPDATE);
        it.decoder = as_it_was;
        CHECK_INT(h2_decode(&it, mf_slice_of(NULL, 0)), MF_EHPACK_NO_UPDATE);
        it.decoder = as_it_was;
        CHECK_INT(h2_decode(&it, h2_hex("3fe11f82")), MF_EHPACK_UPDATE);
        it.decoder = as_it_was;
        CHECK_INT(h2_decode(&it, h2_hex("3e82")), 0); /* 30: it is empty then */
        CHECK_INT(it.decoder.table.count, 0);
        CHECK_INT(h2_decode(&it, h2_hex("3fe11f82")), again ? 0 : MF_EHPACK_UPDATE);
        h2_end(&it);
    }
    h2_begin(&it, 4096);
    decodes("3e82", ":method: GET\n", 0);
    mf_hpack_decoder_limit(&it.decoder, 100); /* above what the peer chose: nothing is due */
    decodes("82", ":method: GET\n", 0);
    mf_hpack_decoder_limit(&it.decoder, 1 << 20); /* no more than there is memory for */
    CHECK_INT(h2_decode(&it, h2_hex("3fe21f82")), MF_EHPACK_UPDATE);
    h2_end(&it);
}

/* 4.4: an entry larger than the table empties it and is delivered, also when its name came from there. */
static void test_too_large(void)
{
    static uint8_t block[8192];
    for (int named = 0; named < 2; named++) {
        for (uint32_t over = 0; over < 2; over++) {
            uint32_t len = 4096 - 33 + over, n = 0; /* the name is one byte */
            h2_begin(&it, 4096);
            decodes("400161026262", "a: bb\n", 35);
            memcpy(block, named ? "\x7e" : "\x40\1a", named ? 1 : 3);
            n = named ? 1 : 3;
            block[n++] = 0x7f;
            block[n++] = (uint8_t)((len - 127) % 128 + 128);
            block[n++] = (uint8_t)((len - 127) / 128);
            memset(block + n, 'x', len);
            CHECK_INT(h2_decode(&it, guarded(mf_slice_of(block, n + len))), 0);
            CHECK_INT(it.list.n, 1);
            CHECK_STR(it.room.fields[0].key, "a");
            CHECK_INT(it.room.fields[0].value.len, len);
            CHECK_INT(it.decoder.table.count, !over);
            CHECK_INT(h2_decode(&it, h2_hex("be")), over ? MF_EHPACK_INDEX : 0);
            h2_end(&it);
        }
    }
}

/* With room for more the table is still what the peer takes it for: an entry over 4,096 empties it. */
static void test_start(void)
{
    static uint8_t block[8192];
    h2_begin(&it, 65536);
    decodes("400161026262", "a: bb\n", 35);
    memcpy(block, "\x40\1x\x7f\x81\x26", 6); /* 127 + 4865 */
    memset(block + 6, 'v', 4992);
    CHECK_INT(h2_decode(&it, mf_slice_of(block, 6 + 4992)), 0);
    CHECK_INT(it.decoder.table.count, 0);
    decodes("3fe1ff0382", ":method: GET\n", 0); /* raised to 65536 */
    CHECK_INT(it.decoder.table.size, 65536);
    CHECK_INT(h2_decode(&it, mf_slice_of(block, 6 + 4992)), 0);
    CHECK_INT(it.decoder.table.count, 1);
    h2_end(&it);
}

/* What an early field points at is evicted and overwritten by the same block, again and again. */
static void test_evicted(void)
{
    static uint8_t block[1 << 16];
    char want[64];
    for (uint32_t rounds = 1; rounds < 60; rounds++) {
        for (size_t len = 1; len < 90; len += 11) {
            size_t n = 0;
            h2_begin(&it, 128);
            for (uint32_t i = 0; i < rounds; i++) { /* a new entry, and then both newest by index */
                block[n++] = 0x40;
                block[n++] = 2;
                block[n++] = (uint8_t)('a' + i % 26);
                block[n++] = (uint8_t)('a' + i / 26);
                block[n++] = (uint8_t)len;
                memset(block + n, 'A' + (int)i % 60, len);
                n += len;
                block[n++] = 0xbe;
                block[n++] = 0x7e; /* the name again, with another value */
                block[n++] = 1;
                block[n++] = 'z';
                block[n++] = 0xbe;
                block[n++] = 0x0f; /* not indexed, with the table's name */
                block[n++] = 62 - 15;
                block[n++] = 0;
            }
            CHECK_INT(h2_decode(&it, guarded(mf_slice_of(block, n))), 0);
            CHECK_INT(it.list.over, 0);
            CHECK_INT(it.list.n, rounds * 5);
            int wrong = 0;
            for (uint32_t i = 0; i < it.list.n; i++) {
                struct mf_pair field = it.room.fields[i];
                uint32_t round = i / 5;
                wrong += field.key.len != 2 || field.key.ptr[0] != 'a' + round % 26 || field.key.ptr[1] != 'a' + round / 26;
                if (i % 5 < 2) {
                    memset(want, 'A' + (int)round % 60, sizeof(want));
                    wrong += field.value.len != len;
                    for (size_t k = 0; k < field.value.len; k++)
                        wrong += field.value.ptr[k] != 'A' + round % 60;
                } else {
                    wrong += i % 5 < 4 ? field.value.len != 1 || field.value.ptr[0] != 'z' : field.value.len != 0;
                }
            }
            CHECK_INT(wrong, 0);
            h2_end(&it);
        }
    }
}

/* With any caps the table ends as without them, and what is kept is the beginning of the whole list. */
static void test_caps(void)
{
    static const char *const blocks[] = {
        "828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bfbebfbe",
        "408825a849e95ba97d7f8925a849e95bb8e8b4bf7e0161be7e0162c0be",
    };
    struct mf_hpack_entry entries[8];
    uint8_t bytes[512];
    char whole[4][512];
    for (uint32_t cap = 0; cap < 700; cap++) {
        h2_begin(&it, 160);
        if (cap % 3 == 0)
            it.room.max_size = cap ? cap : H2_SCRATCH;
        else if (cap % 3 == 1)
            it.room.scratch_len = cap / 3;
        else
            it.room.max_fields = cap / 3;
        for (int i = 0; i < 4; i++) {
            CHECK_INT(h2_decode(&it, h2_hex(blocks[i])), 0);
            struct mf_slice text = h2_text(&it);
            if (cap == 0)
                memcpy(whole[i], text.ptr, text.len + 1);
            CHECK(memcmp(whole[i], text.ptr, text.len) == 0);
            CHECK((text.len == strlen(whole[i])) == (it.list.over == 0));
            CHECK(it.list.n <= it.room.max_fields && it.list.scratch_used <= it.room.scratch_len);
        }
        if (cap == 0) {
            memcpy(entries, it.decoder.table._entries, it.decoder.table.count * sizeof(*entries));
            memcpy(bytes, it.decoder.table._bytes, 320);
        }
        CHECK_INT(memcmp(entries, it.decoder.table._entries, it.decoder.table.count * sizeof(*entries)), 0);
        CHECK_INT(memcmp(bytes, it.decoder.table._bytes, it.decoder.table._head), 0);
        h2_end(&it);
    }
}

static void test_over(void)
{
    h2_begin(&it, 4096);
    it.room.max_fields = 2;
    CHECK_INT(h2_decode(&it, h2_hex("828684")), 0);
    CHECK_INT(it.list.over, MF_HPACK_OVER_FIELDS);
    CHECK_INT(it.list.n, 2);
    CHECK_INT(it.list.n_all, 3);
    CHECK_INT(it.list.size_all, 42 + 43 + 38);
    it.room.max_fields = 9;
    it.room.max_size = 42;
    CHECK_INT(h2_decode(&it, h2_hex("8282")), 0);
    CHECK_INT(it.list.over, MF_HPACK_OVER_SIZE);
    CHECK_INT(it.list.n, 1);
    it.room.max_size = 999;
    it.room.scratch_len = 3;
    CHECK_INT(h2_decode(&it, h2_hex("00016183a8eb1f")), 0); /* no-c: one too many */
    CHECK_INT(it.list.over, MF_HPACK_OVER_SCRATCH);
    CHECK_INT(it.list.n, 0);
    /* a text that is wrong stays an error, kept or not */
    CHECK_INT(h2_decode(&it, h2_hex("00016182ffff")), MF_EHPACK_HUFFMAN);
    it.room.max_fields = 0;
    CHECK_INT(h2_decode(&it, h2_hex("8200016182ffff")), MF_EHPACK_HUFFMAN);
    h2_end(&it);
}

/* Two bytes copy a name of 4,000: bounded by the block's length. */
static void test_work(void)
{
    static uint8_t block[20000];
    size_t n = 0;
    h2_begin(&it, 4096);
    memcpy(block, "\x40\x7f\xa1\x1e", 4); /* 4000 */
    memset(block + 4, 'n', 4000);
    n = 4004;
    block[n++] = 0;
    CHECK_INT(h2_decode(&it, mf_slice_of(block, n)), 0);
    for (n = 0; n < sizeof(block); n += 2)
        memcpy(block + n, "\x7e\0", 2);
    CHECK_INT(h2_decode(&it, mf_slice_of(block, n)), MF_EHPACK_WORK);
    h2_end(&it);
    h2_begin(&it, 4096);
    decodes("400161026262", "a: bb\n", 35);
    CHECK_INT(h2_decode(&it, mf_slice_of(block, n)), 0); /* a short name as often as one likes */
    h2_end(&it);
}

static void test_generation(void)
{
    h2_begin(&it, 4096);
    uint64_t before = it.decoder.table.generation;
    decodes("828684", ":method: GET\n:scheme: http\n:path: /\n", 0);
    decodes("040c2f73616d706c652f70617468", ":path: /sample/path\n", 0);
    decodes("3fe11f82", ":method: GET\n", 0); /* the size that it has */
    CHECK_INT(it.decoder.table.generation, before);
    decodes("400161026262", "a: bb\n", 35);
    CHECK(it.decoder.table.generation != before);
    before = it.decoder.table.generation;
    decodes("be", "a: bb\n", 35);
    CHECK_INT(it.decoder.table.generation, before);
    decodes("2082", ":method: GET\n", 0);
    CHECK(it.decoder.table.generation != before);
    before = it.decoder.table.generation;
    mf_hpack_decoder_limit(&it.decoder, 9);
    CHECK(it.decoder.table.generation != before);
    h2_end(&it);
}

static void test_marks(void)
{
    h2_begin(&it, 4096);
    decodes("400141026262bebe", "A: bb\nA: bb\nA: bb\n", 35);
    for (int i = 0; i < 3; i++)
        CHECK_INT(it.room.marks[i].flags, MF_H2_MARK_BAD_NAME);
    decodes("7e010abe", "A: \n\nA: \n\n", 69);
    for (int i = 0; i < 2; i++)
        CHECK_INT(it.room.marks[i].flags, MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE);
    decodes("4003626164036f6b20be", "bad: ok \nbad: ok \n", 107);
    for (int i = 0; i < 2; i++)
        CHECK_INT(it.room.marks[i].flags, MF_H2_MARK_BAD_VALUE);
    decodes("7e026f6bbe", "bad: ok\nbad: ok\n", 144);
    CHECK_INT(it.room.marks[1].flags, 0);
    decodes("400b677270632d7374617475730130be", "grpc-status: 0\ngrpc-status: 0\n", 188);
    for (int i = 0; i < 2; i++)
        CHECK_INT(it.room.marks[i].name, MF_H2_NAME_GRPC_STATUS);
    h2_end(&it);
}

static void test_pack(void)
{
    h2_begin(&it, 4096);
    decodes("400161026262", "a: bb\n", 35);
    decodes("400163026464", "c: dd\n", 70);
    size_t room = mf_hpack_decoder_packed(&it.decoder);
    CHECK(room <= 2 * sizeof(struct mf_hpack_entry) + 14);
    void *small = malloc(room), *old = it.memory;
    mf_hpack_decoder_pack(&it.decoder, small);
    it.memory = malloc(mf_hpack_decoder_room(4096));
    free(old);
    mf_hpack_decoder_unpack(&it.decoder, it.memory);
    free(small);
    decodes("bebf4001650166", "c: dd\na: bb\ne: f\n", 104);
    h2_end(&it);
    h2_begin(&it, 0); /* no table at all */
    decodes("40016102626282", "a: bb\n:method: GET\n", 0);
    CHECK_INT(mf_hpack_decoder_packed(&it.decoder) < 32, 1);
    h2_end(&it);
}

int main(void)
{
    test_representations();
    test_sequences();
    test_refused();
    test_limits();
    test_too_large();
    test_start();
    test_evicted();
    test_caps();
    test_over();
    test_work();
    test_generation();
    test_marks();
    test_pack();
    return test_end("codec/hpack_decode");
}
