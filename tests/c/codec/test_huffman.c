/* huffman: every byte and pair of bytes there and back, the examples of RFC 7541, and ends that are none. */
#include "codec/huffman.h"
#include "test.h"

static int64_t decode(struct mf_slice in, uint8_t *to, size_t room)
{
    in = guarded(in);
    bool plain;
    int64_t n = mf_huffman_decode(in, to, room, &plain), len = mf_huffman_decoded_len(in);
    CHECK(n == MF_ELIMIT ? len > (int64_t)room || len < 0 : n == len);
    for (int64_t i = 0; i < n; i++)
        CHECK(!plain || (to[i] >= 0x20 && to[i] != 0x7f));
    return n;
}

static void round_trip(struct mf_slice text)
{
    static uint8_t coded[4096], back[4096];
    size_t n = mf_huffman_put(coded, text);
    CHECK_INT(n, mf_huffman_len(text));
    CHECK(text.len <= MF_HUFFMAN_ROOM(n));
    CHECK_INT(decode(mf_slice_of(coded, n), back, text.len), text.len); /* exactly as much room as it needs */
    CHECK(mf_slice_eq(mf_slice_of(back, text.len), text));
    if (text.len)
        CHECK_INT(decode(mf_slice_of(coded, n), back, text.len - 1), MF_ELIMIT);
}

static void test_round_trips(void)
{
    uint8_t text[300];
    for (int a = 0; a < 256; a++) {
        text[0] = (uint8_t)a;
        round_trip(mf_slice_of(text, 1));
        for (int b = 0; b < 256; b++) {
            text[1] = (uint8_t)b;
            round_trip(mf_slice_of(text, 2));
        }
    }
    uint64_t seed = 1;
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)i % sizeof(text);
        for (size_t k = 0; k < len; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[k] = i % 3 ? "0123456789abcdef/-.%etaoins GET"[(seed >> 33) % 31] : (uint8_t)(seed >> 40);
        }
        round_trip(mf_slice_of(text, len));
    }
}

static void test_known(void)
{
    uint8_t out[64];
    CHECK_INT(decode(MF_SLICE("\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), out, sizeof(out)), 15);
    CHECK_STR(mf_slice_of(out, 15), "www.example.com");
    CHECK_INT(mf_huffman_put(out, MF_SLICE("no-cache")), 6);
    CHECK_INT(memcmp(out, "\xa8\xeb\x10\x64\x9c\xbf", 6), 0);
}

/* 5.2: at most 7 bits of padding, all ones; the code of EOS never. */
static void test_ends(void)
{
    uint8_t out[64];
    CHECK_INT(decode(mf_slice_of(NULL, 0), out, 0), 0);
    CHECK_INT(decode(MF_SLICE("\x07"), out, 9), 1);   /* 0 and 3 bits */
    CHECK_INT(decode(MF_SLICE("\x06"), out, 9), MF_EHPACK_HUFFMAN);
    CHECK_INT(decode(MF_SLICE("\x00"), out, 9), MF_EHPACK_HUFFMAN);
    CHECK_INT(decode(MF_SLICE("\xff"), out, 9), MF_EHPACK_HUFFMAN);
    CHECK_INT(decode(MF_SLICE("\x07\xff"), out, 9), MF_EHPACK_HUFFMAN); /* 11 bits */
    CHECK_INT(decode(MF_SLICE("\xff\xff\xff\xff"), out, 9), MF_EHPACK_HUFFMAN);
    CHECK_INT(decode(MF_SLICE("\xff\xff\xff\xfc"), out, 9), MF_EHPACK_HUFFMAN);
    CHECK_INT(decode(MF_SLICE("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff"), out, 60), MF_EHPACK_HUFFMAN);
    CHECK_INT(decode(MF_SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), out, 60), MF_EHPACK_HUFFMAN);
    /* every last byte behind each first one: what is accepted comes out the same again */
    for (int a = 0; a < 65536; a++) {
        uint8_t in[2] = {(uint8_t)(a >> 8), (uint8_t)a}, again[8];
        int64_t n = decode(mf_slice_of(in, 2), out, sizeof(out));
        CHECK(n > 0 || n == MF_EHPACK_HUFFMAN);
        if (n > 0) {
            CHECK_INT(mf_huffman_put(again, mf_slice_of(out, (size_t)n)), 2);
            CHECK_INT(memcmp(again, in, 2), 0);
        }
    }
}

int main(void)
{
    test_round_trips();
    test_known();
    test_ends();
    return test_end("codec/huffman");
}
