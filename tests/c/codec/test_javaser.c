/* javaser: strings at the front of a Java stream, in short and long blocks, cut anywhere. */
#include "codec/javaser.h"
#include "test.h"

static struct mf_javaser reader;
static struct mf_slice out;

static void test_read(void)
{
    /* The block holds one string, a null, and the byte before an object. */
    struct mf_slice body = MF_SLICE("\xac\xed\0\005\x77\x0d\0\0\0\002\0\002hi\xff\xff\xff\xff\001\x74\0\003bob");
    CHECK(mf_javaser_init(&reader, guarded(body)));
    CHECK(mf_javaser_utf(&reader, true, &out));
    CHECK_STR(out, "hi");
    CHECK(mf_javaser_utf(&reader, true, &out));
    CHECK_STR(out, "");
    CHECK(mf_javaser_string(&reader, true, &out));
    CHECK_STR(out, "bob");
    CHECK(!mf_javaser_utf(&reader, true, &out));
    for (size_t n = 0; n < body.len; n++) {
        bool whole = mf_javaser_init(&reader, guarded(mf_slice_of(body.ptr, n))) &&
                     mf_javaser_utf(&reader, true, &out) && mf_javaser_utf(&reader, true, &out) &&
                     mf_javaser_string(&reader, true, &out);
        CHECK(!whole);
    }
    /* A string that lies in two blocks is not read; the next block is, when the first ends between strings. */
    CHECK(mf_javaser_init(&reader, MF_SLICE("\xac\xed\0\005\x77\003\0\002h\x77\001i")));
    CHECK(!mf_javaser_utf(&reader, false, &out));
    CHECK(mf_javaser_init(&reader, MF_SLICE("\xac\xed\0\005\x77\003\0\001h\x77\003\0\001i")));
    CHECK(mf_javaser_utf(&reader, false, &out) && mf_javaser_utf(&reader, false, &out));
    CHECK_STR(out, "i");
    CHECK(mf_javaser_init(&reader, MF_SLICE("\xac\xed\0\005\x7a\xff\xff\xff\xff\0\001h")));
    CHECK(!mf_javaser_utf(&reader, false, &out));
    CHECK(mf_javaser_init(&reader, MF_SLICE("\xac\xed\0\005\x77\0\x77\003\0\001i")));
    CHECK(!mf_javaser_utf(&reader, false, &out)); /* Java writes no empty block */
    CHECK(!mf_javaser_init(&reader, MF_SLICE("\xac\xed\0\006\x77")));
    CHECK(!mf_javaser_init(&reader, MF_SLICE("\xac\xed")));
}

static void test_put(void)
{
    static uint8_t text[65000], to[65000 + MF_JAVASER_HEAD];
    size_t lens[] = {0, 1, 249, 250, 253, 254, 512, 65000};
    memset(text, 'a', sizeof(text));
    for (int counted = 0; counted < 2; counted++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
            size_t n = mf_javaser_put_utf(to, counted, mf_slice_of(text, lens[i]));
            CHECK(n <= lens[i] + MF_JAVASER_HEAD);
            CHECK(mf_javaser_init(&reader, guarded(mf_slice_of(to, n))));
            CHECK(mf_javaser_utf(&reader, counted, &out));
            CHECK_INT(out.len, lens[i]);
            CHECK_INT(reader.at, n);
        }
    }
}

int main(void)
{
    test_read();
    test_put();
    return test_end("codec/javaser");
}
