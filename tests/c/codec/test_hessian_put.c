/* hessian_put: strings as hessian-lite writes them, read back by the reader. */
#include "codec/hessian.h"
#include "test.h"

static uint8_t text[400000], out[700000];

static int put(struct mf_slice in)
{
    size_t room = mf_hessian_string_room(in.len);
    CHECK(room <= sizeof(out));
    if (room)
        CHECK_INT(mf_hessian_put_string(out, room - 1, in), MF_ELIMIT);
    int n = mf_hessian_put_string(out, room, in);
    CHECK(n > 0 && (size_t)n <= room);
    struct mf_hessian reader;
    mf_hessian_init(&reader, mf_slice_of(out, (size_t)n), 1, 1);
    CHECK_INT(mf_hessian_skip(&reader), 0);
    CHECK_INT(reader.at, n);
    return n;
}

#define CHECK_PUT(in, want)                                                                                            \
    do {                                                                                                               \
        int n_ = put(MF_SLICE(in));                                                                                    \
        CHECK(mf_slice_eq(mf_slice_of(out, (size_t)n_), MF_SLICE(want)));                                              \
    } while (0)

/* The units that the chunks claim, all of them. */
static size_t claimed(int n, int *chunks)
{
    size_t units = 0;
    *chunks = 0;
    for (const uint8_t *p = out; p < out + n; ++*chunks) {
        size_t here = *p < 0x20 ? *p : *p < 0x34 ? (size_t)(*p - 0x30) << 8 | p[1] : mf_get16(p + 1);
        p += *p < 0x20 ? 1 : *p < 0x34 ? 2 : 3;
        units += here;
        for (; here; here--)
            p += *p < 0x80 ? 1 : *p < 0xe0 ? 2 : 3;
    }
    return units;
}

static void test_chunks(void)
{
    int chunks;
    size_t lens[] = {0, 31, 32, 1023, 1024, 0x7fff, 0x8000, 0x8001, 0x10000, 0x10001, 200000};
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        int n = put(mf_slice_of(text, lens[i]));
        CHECK_INT(claimed(n, &chunks), lens[i]);
        CHECK_INT(chunks, lens[i] <= 0x8000 ? 1 : (lens[i] + 0x7fff) / 0x8000);
    }
    /* Pairs that would be cut in two at the end of a chunk: as 4 bytes, and as the 6 that Java writes. */
    for (size_t before = 0; before < 2; before++) {
        size_t n = before;
        for (; n + 4 <= 200000; n += 4)
            memcpy(text + n, "\xf0\x9f\x98\x80", 4);
        int len = put(mf_slice_of(text, n));
        CHECK_INT(claimed(len, &chunks), before + (n - before) / 2);
        CHECK_INT(mf_get16(out + 1), before ? 0x7fff : 0x8000);
        memset(text, 'a', sizeof(text));
        for (n = before; n + 6 <= 200000; n += 6)
            memcpy(text + n, "\xed\xa0\xbd\xed\xb8\x80", 6);
        len = put(mf_slice_of(text, n));
        CHECK_INT(claimed(len, &chunks), before + (n - before) / 3);
        CHECK_INT(mf_get16(out + 1), before ? 0x7fff : 0x8000);
        memset(text, 'a', sizeof(text));
    }
}

int main(void)
{
    CHECK_PUT("", "\0");
    CHECK_PUT("dev1", "\004dev1");
    CHECK_PUT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\004\xc3\xa9\xe2\x82\xac\xed\xa0\xbd\xed\xb8\x80");
    CHECK_PUT("\xed\xa0\xbd\xed\xb8\x80", "\002\xed\xa0\xbd\xed\xb8\x80");
    CHECK_PUT("a\xff\xc3", "\003a??");
    CHECK_PUT("\xe4\xb8", "\002??");
    CHECK_PUT("01234567890123456789012345678901", "\x30\x20"
                                                   "01234567890123456789012345678901");
    test_chunks();
    return test_end("codec/hessian_put");
}
