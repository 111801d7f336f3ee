/* hpack_encode and hpack_table: what is put is read again, by a decoder that follows; the smallest form; table sizes
 * that change at any time. */
#include "codec/huffman.h"
#include "h2.h"

static struct mf_hpack_encoder encoder;
static void *memory;
static struct h2_decoder it;
static uint8_t block[1 << 16];
static size_t used;

static void begin(uint32_t size)
{
    memory = malloc(mf_hpack_encoder_room(size));
    mf_hpack_encoder_init(&encoder, memory, size);
    h2_begin(&it, size);
    used = 0;
}

static void end(void)
{
    free(memory);
    h2_end(&it);
}

static size_t put(const char *name, const char *value)
{
    struct mf_pair field = {mf_slice_str(name), mf_slice_str(value)};
    size_t n = mf_hpack_put(&encoder, block + used, field, mf_h2_mark_of(field));
    CHECK(n <= MF_HPACK_PUT_ROOM(field));
    used += n;
    return n;
}

static void comes(const char *want)
{
    CHECK_INT(h2_decode(&it, guarded(mf_slice_of(block, used))), 0);
    CHECK_STR(h2_text(&it), want);
    CHECK_INT(it.decoder.table.used, encoder.table.used);
    CHECK_INT(it.decoder.table.count, encoder.table.count);
    used = 0;
}

static void test_forms(void)
{
    begin(4096);
    CHECK_INT(mf_hpack_put_begin(&encoder, block), 0);
    CHECK_INT(put(":method", "POST"), 1);
    CHECK_INT(put(":path", "/a.B/c"), 7);
    CHECK_INT(put("content-type", "application/grpc"), 13);
    uint64_t generation = encoder.table.generation;
    CHECK_INT(put(":path", "/a.B/c"), 1);
    CHECK_INT(put("content-type", "application/grpc"), 1);
    CHECK_INT(put("content-length", "7"), 4); /* changes: not put into the table */
    CHECK_INT(put("authorization", "x"), 4);
    CHECK_INT(encoder.table.generation, generation);
    comes(":method: POST\n:path: /a.B/c\ncontent-type: application/grpc\n:path: /a.B/c\ncontent-type: application/grpc\n"
          "content-length: 7\nauthorization: x\n");
    CHECK_INT(it.room.marks[5].flags, MF_H2_MARK_PLAIN);
    CHECK_INT(it.room.marks[6].flags, MF_H2_MARK_NEVER);
    CHECK_INT(put("x-one", "1"), 8);
    CHECK_INT(put("x-one", "2"), 3); /* its name is there */
    CHECK_INT(put("x-one", "1"), 1);
    struct mf_pair field = {MF_SLICE("x-one"), MF_SLICE("1")};
    used += mf_hpack_put(&encoder, block + used, field, (struct mf_h2_mark){0, MF_H2_MARK_NEVER});
    comes("x-one: 1\nx-one: 2\nx-one: 1\nx-one: 1\n");
    CHECK_INT(it.room.marks[3].flags, MF_H2_MARK_NEVER); /* though the table has it */
    CHECK_INT(put("grpc-timeout", "1S"), 14); /* for its name, once */
    generation = encoder.table.generation;
    CHECK_INT(put("grpc-timeout", "2S"), 5);
    CHECK_INT(put("grpc-timeout", "3S"), 5);
    CHECK_INT(encoder.table.generation, generation);
    comes("grpc-timeout: 1S\ngrpc-timeout: 2S\ngrpc-timeout: 3S\n");
    CHECK_INT(it.room.marks[2].flags, MF_H2_MARK_PLAIN);
    put("x-raw", "\x01\x02\x03"); /* Huffman would be longer */
    CHECK_INT(block[used - 3], 1);
    put("x-none", "");
    comes("x-raw: \x01\x02\x03\nx-none: \n");
    end();
}

static void test_without_a_table(void)
{
    struct mf_pair status = {MF_SLICE("grpc-status"), MF_SLICE("12")};
    begin(4096);
    static const unsigned statuses[] = {200, 204, 206, 304, 400, 404, 500, 503, 100, 999};
    static const uint8_t lens[] = {1, 1, 1, 1, 1, 1, 1, 5, 5, 5};
    for (int i = 0; i < 10; i++) {
        char want[32];
        used = mf_hpack_put_status(block, statuses[i]);
        CHECK_INT(used, lens[i]);
        snprintf(want, sizeof(want), ":status: %u\n", statuses[i]);
        comes(want);
    }
    used = mf_hpack_put_plain(block, status, mf_h2_mark_of(status));
    used += mf_hpack_put_plain(block + used, (struct mf_pair){MF_SLICE(":method"), MF_SLICE("GET")},
                               (struct mf_h2_mark){MF_H2_NAME_PSEUDO_METHOD, 0});
    comes("grpc-status: 12\n:method: GET\n");
    end();
}

/* 4.2: the smallest size since the last block, and the one now. */
static void test_updates(void)
{
    begin(8192);
    put("a", "b");
    comes("a: b\n");
    mf_hpack_encoder_limit(&encoder, 0);
    mf_hpack_encoder_limit(&encoder, 100);
    mf_hpack_encoder_limit(&encoder, 0);
    mf_hpack_encoder_limit(&encoder, 4096);
    used = mf_hpack_put_begin(&encoder, block);
    CHECK_INT(used, 4);
    CHECK_INT(block[0], 0x20);
    put("a", "b");
    comes("a: b\n");
    CHECK_INT(mf_hpack_put_begin(&encoder, block), 0);
    mf_hpack_encoder_limit(&encoder, 4096);
    CHECK_INT(mf_hpack_put_begin(&encoder, block), 0);
    mf_hpack_encoder_limit(&encoder, UINT32_MAX); /* as large as there is memory for */
    used = mf_hpack_put_begin(&encoder, block);
    put("a", "b");
    comes("a: b\n");
    CHECK_INT(it.decoder.table.size, 8192);
    mf_hpack_encoder_limit(&encoder, 33);
    used = mf_hpack_put_begin(&encoder, block);
    put("name", "value");
    comes("name: value\n");
    CHECK_INT(encoder.table.count, 0);
    end();
    begin(100); /* less than the peer's decoder has at first, and it need not know */
    h2_end(&it);
    h2_begin(&it, 4096);
    for (int i = 0; i < 9; i++) {
        char value[2] = {(char)('a' + i % 3), 0};
        put("x", value);
        put("y", value);
        CHECK_INT(h2_decode(&it, mf_slice_of(block, used)), 0);
        CHECK_INT(it.list.n, 2);
        CHECK_STR(it.room.fields[0].value, value);
        used = 0;
    }
    /* and when the peer's is lowered, it waits for an update, although ours is smaller still (4.2) */
    mf_hpack_decoder_limit(&it.decoder, 200);
    mf_hpack_encoder_limit(&encoder, 200);
    used = mf_hpack_put_begin(&encoder, block);
    put("x", "a");
    comes("x: a\n");
    end();
}

static uint64_t seed = 7;
static uint32_t random_below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* Fields drawn from few, tables of many sizes that change between blocks, packed now and then. */
static void test_random(void)
{
    static char want[1 << 16], value[400];
    static const char *const names[] = {"x", "y-name", ":path", "cookie", "grpc-timeout", "content-type", "a-much-longer-name-of-one"};
    static const uint32_t sizes[] = {0, 31, 32, 64, 100, 333, 1000, 4096};
    for (int run = 0; run < 60; run++) {
        begin(sizes[random_below(8)]);
        mf_hpack_encoder_limit(&encoder, encoder.table.room);
        for (int n = 0; n < 60; n++) {
            size_t len = 0;
            if (random_below(4) == 0) {
                uint32_t limit = random_below(it.decoder.table.room + 1);
                mf_hpack_encoder_limit(&encoder, limit);
                mf_hpack_decoder_limit(&it.decoder, limit);
            }
            used = mf_hpack_put_begin(&encoder, block);
            for (uint32_t fields = random_below(20); fields > 0; fields--) {
                const char *name = names[random_below(7)];
                uint32_t longest = random_below(8) ? 20 : 390, value_len = random_below(longest);
                memset(value, 'a' + (int)random_below(3), value_len);
                value[value_len] = 0;
                put(name, value);
                len += (size_t)sprintf(want + len, "%s: %s\n", name, value);
            }
            want[len] = 0;
            comes(want);
            if (random_below(5) == 0) {
                void *small = malloc(mf_hpack_encoder_packed(&encoder) + 1);
                void *large = malloc(mf_hpack_encoder_room(encoder.table.room));
                mf_hpack_encoder_pack(&encoder, small);
                free(memory);
                mf_hpack_encoder_unpack(&encoder, memory = large);
                free(small);
            }
        }
        end();
    }
}

/* Values that all share a chain: found or not, they are right. */
static void test_chains(void)
{
    char value[64], want[80];
    begin(4096);
    for (int i = 0; i < 2000; i++) {
        snprintf(value, sizeof(value), "same-beginning%02dsame-middle-and-same-end", i * 7 % 41);
        snprintf(want, sizeof(want), "x: %s\n", value);
        put("x", value);
        comes(want);
    }
    end();
}

/* More entries than 16 bits count, and buckets that lead to what is gone. */
static void test_long_life(void)
{
    char value[16];
    begin(4096);
    for (int i = 0; i < 140000; i++) {
        snprintf(value, sizeof(value), "%d", i % 37 ? i : 5);
        put("x", value);
        if (i % 100 == 99) {
            CHECK_INT(h2_decode(&it, mf_slice_of(block, used)), 0);
            CHECK_STR(it.room.fields[it.list.n - 1].value, value);
            used = 0;
        }
    }
    end();
}

int main(void)
{
    test_forms();
    test_without_a_table();
    test_updates();
    test_random();
    test_chains();
    test_long_life();
    return test_end("codec/hpack_encode");
}
