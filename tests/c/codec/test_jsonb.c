/* jsonb: every tag alone, values of each kind, and bytes made to hurt. Values as fastjson2's writer makes them. */
#include "codec/jsonb.h"
#include "codec/text.h"
#include "test.h"

static struct mf_jsonb reader;

static int skip(struct mf_slice body)
{
    mf_jsonb_init(&reader, guarded(body), MF_JSONB_DEPTH);
    int rc = mf_jsonb_skip(&reader);
    CHECK(reader.at <= body.len);
    CHECK(rc == 0 || reader.why[0]);
    return rc;
}

#define SKIP(literal) skip(MF_SLICE(literal))
#define WHOLE(literal)                                                                                                 \
    do {                                                                                                               \
        CHECK_INT(SKIP(literal), 0);                                                                                   \
        CHECK_INT(reader.at, sizeof(literal) - 1);                                                                     \
        for (size_t n_ = 0; n_ + 1 < sizeof(literal); n_++)                                                            \
            CHECK_INT(skip(mf_slice_of(literal, n_)), MF_EJSONB_SHORT);                                                \
    } while (0)

static void test_integers(void)
{
    struct {
        struct mf_slice body;
        int64_t value;
    } cases[] = {
        {MF_SLICE("\0"), 0},
        {MF_SLICE("\x2f"), 47},
        {MF_SLICE("\xf0"), -16},
        {MF_SLICE("\xff"), -1},
        {MF_SLICE("\x30\0"), -2048},
        {MF_SLICE("\x3b\xe8"), 1000},
        {MF_SLICE("\x40\0\0"), -262144},
        {MF_SLICE("\x47\xff\xff"), 262143},
        {MF_SLICE("\x48\x80\0\0\0"), INT32_MIN},
        {MF_SLICE("\xd8"), -8},
        {MF_SLICE("\xef"), 15},
        {MF_SLICE("\xc8\0"), -2048},
        {MF_SLICE("\xd7\xff"), 2047},
        {MF_SLICE("\xc0\0\0"), -262144},
        {MF_SLICE("\xc7\xff\xff"), 262143},
        {MF_SLICE("\xbf\xff\xff\xff\xff"), -1},
        {MF_SLICE("\xbe\x80\0\0\0\0\0\0\0"), INT64_MIN},
        {MF_SLICE("\xbd\xff"), -1},
        {MF_SLICE("\xbc\xff\xfe"), -2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t got = 77;
        mf_jsonb_init(&reader, guarded(cases[i].body), 9);
        CHECK_INT(mf_jsonb_integer(&reader, &got), 0);
        CHECK_INT(got, cases[i].value);
        CHECK_INT(reader.at, cases[i].body.len);
        mf_jsonb_init(&reader, guarded(mf_slice_of(cases[i].body.ptr, cases[i].body.len - 1)), 9);
        CHECK_INT(mf_jsonb_integer(&reader, &got), MF_EJSONB_SHORT);
    }
    int64_t got;
    mf_jsonb_init(&reader, MF_SLICE("\xaf"), 9);
    CHECK_INT(mf_jsonb_integer(&reader, &got), MF_EJSONB_TYPE);
}

static void check_string(struct mf_slice body, int rc, const char *want)
{
    struct mf_slice out;
    mf_jsonb_init(&reader, guarded(body), 9);
    CHECK_INT(mf_jsonb_string(&reader, &out), rc);
    CHECK_STR(out, want);
    CHECK_INT(reader.at, rc == MF_EJSONB_TYPE ? 0 : rc < 0 ? reader.at : body.len);
}

static void test_strings(void)
{
    check_string(MF_SLICE("\x49"), 1, "");
    check_string(MF_SLICE("\x4c"
                          "abc"),
                 1, "abc");
    check_string(MF_SLICE("\x79\003abc"), 1, "abc");
    check_string(MF_SLICE("\x7a\003\xe4\xb8\x8a"), 1, "\xe4\xb8\x8a");
    check_string(MF_SLICE("\xaf"), 0, "");
    check_string(MF_SLICE("\x79\001\xe9"), MF_EJSONB_TYPE, "");
    check_string(MF_SLICE("\x4a\xe9"), MF_EJSONB_TYPE, "");
    check_string(MF_SLICE("\x7c\002\x0a\x4e"), MF_EJSONB_TYPE, "");
    check_string(MF_SLICE("\001"), MF_EJSONB_TYPE, "");
    check_string(MF_SLICE("\x4b"
                          "a"),
                 MF_EJSONB_SHORT, "");
    check_string(MF_SLICE("\x7a\x48\x7f\xff\xff\xff"), MF_EJSONB_SHORT, "");
    check_string(MF_SLICE("\x7a\xff"), MF_EJSONB_SHORT, "");
    check_string(MF_SLICE("\x7a\xaf"), MF_EJSONB_TAG, "");
}

static void test_put(void)
{
    static uint8_t text[300000], out[300010];
    size_t lens[] = {0, 1, 47, 48, 2047, 2048, 262143, 262144, 300000};
    for (int wide = 0; wide < 2; wide++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
            memset(text, 'a', sizeof(text));
            if (wide && lens[i] > 1)
                memcpy(text, "\xc3\xa9", 2);
            struct mf_slice in = mf_slice_of(text, lens[i]), back;
            size_t n = mf_jsonb_put_string(out, in);
            CHECK(n <= lens[i] + MF_JSONB_STRING_HEAD);
            mf_jsonb_init(&reader, mf_slice_of(out, n), 9);
            CHECK_INT(mf_jsonb_string(&reader, &back), 1);
            CHECK(mf_slice_eq(in, back));
            CHECK_INT(reader.at, n);
        }
    }
}

static void test_values(void)
{
    WHOLE("\xa6\x4a"
          "a\x01\x4a"
          "b\xaf\xa5");
    WHOLE("\xa6\x7f\x4a"
          "a\x01\x02\xa5"); /* a name that gets a number */
    WHOLE("\xa6\x7f\x01\x02\xa5");
    WHOLE("\x94");
    WHOLE("\x97\x01\x02\x03");
    WHOLE("\xa4\x02\x95\x01\xaf");
    WHOLE("\x92\x4a"
          "T\x00\xa6\xa5");
    WHOLE("\x92\xff\xa6\xa5");
    WHOLE("\x93\x4a$");
    WHOLE("\x91\x02zz");
    WHOLE("\x90\x38\x41");
    WHOLE("\xa7\x01\x02\x03\x00");
    WHOLE("\xa8\x07\xe8\x01\x02\x03\x04\x05\x00");
    WHOLE("\xa9\x07\xe8\x01\x02");
    WHOLE("\xaa\x07\xe8\x01\x02\x03\x04\x05\x00\x4aZ");
    WHOLE("\xab\0\0\0\0\0\0\0\0");
    WHOLE("\xac\0\0\0\0");
    WHOLE("\xae\xd8\x00");
    WHOLE("\xb0");
    WHOLE("\xb4\xd8");
    WHOLE("\xb5\0\0\0\0\0\0\0\0");
    WHOLE("\xb7\0\0\0\0");
    WHOLE("\xb8\xd8");
    WHOLE("\xb9\x02\x01");
    WHOLE("\xb9\x02\xbb\x02zz");
    WHOLE("\xbb\x01z");
    WHOLE("\x7e\x02zz");
    CHECK_INT(SKIP("\xa5"), MF_EJSONB_TAG);
    CHECK_INT(SKIP("\xa6\x4a"
                   "a\xa5"),
              MF_EJSONB_TAG);
    CHECK_INT(SKIP("\xa4\x48\x7f\xff\xff\xff\x01"), MF_EJSONB_SHORT);
    CHECK_INT(SKIP("\xa4\xff\x01"), MF_EJSONB_SHORT);
    CHECK_INT(SKIP("\x91\xaf"), MF_EJSONB_TAG);
    CHECK_INT(SKIP("\x93\x01"), MF_EJSONB_TYPE);
}

static void test_tags(void)
{
    int alone = 0, refused = 0;
    for (int tag = 0; tag < 256; tag++) {
        uint8_t bytes[17] = {(uint8_t)tag};
        alone += skip(mf_slice_of(bytes, 1)) == 0;
        refused += skip(mf_slice_of(bytes, 17)) == MF_EJSONB_TAG;
    }
    /* 48 + 16 ints, 24 longs, the empty string and array, null, false, true, 0.0, 1.0 */
    CHECK_INT(alone, 48 + 16 + 24 + 2 + 5);
    CHECK_INT(refused, 16 + 1); /* 80 to 8f are not given out; the end of an object */
}

static void test_bombs(void)
{
    static uint8_t bomb[100000];
    memset(bomb, 0x95, sizeof(bomb));
    CHECK_INT(skip(mf_slice_of(bomb, sizeof(bomb))), MF_EJSONB_DEPTH);
    for (size_t i = 0; i + 3 <= sizeof(bomb); i += 3)
        memcpy(bomb + i, "\xa6\x4a"
                         "a",
               3);
    CHECK_INT(skip(mf_slice_of(bomb, sizeof(bomb))), MF_EJSONB_DEPTH);
    for (size_t i = 0; i + 2 <= sizeof(bomb); i += 2)
        memcpy(bomb + i, "\x92\0", 2);
    CHECK_INT(skip(mf_slice_of(bomb, sizeof(bomb))), MF_EJSONB_DEPTH);
}

static void test_maps(void)
{
    mf_jsonb_init(&reader, MF_SLICE("\xa6\x01\x02\xa5"), 9);
    CHECK_INT(mf_jsonb_map_begin(&reader), 1);
    CHECK_INT(mf_jsonb_map_next(&reader), 1);
    CHECK_INT(mf_jsonb_skip(&reader), 0);
    CHECK_INT(mf_jsonb_skip(&reader), 0);
    CHECK_INT(mf_jsonb_map_next(&reader), 0);
    CHECK_INT(mf_jsonb_map_next(&reader), MF_EJSONB_SHORT);
    CHECK_INT(mf_jsonb_map_begin(&reader), MF_EJSONB_SHORT);
    mf_jsonb_init(&reader, MF_SLICE("\x92\x4aT\x00\xa6"), 9);
    CHECK_INT(mf_jsonb_map_begin(&reader), 1);
    mf_jsonb_init(&reader, MF_SLICE("\xaf"), 9);
    CHECK_INT(mf_jsonb_map_begin(&reader), 0);
    mf_jsonb_init(&reader, MF_SLICE("\x94"), 9);
    CHECK_INT(mf_jsonb_map_begin(&reader), MF_EJSONB_TYPE);
}

/* The text of an array of one, in every encoding; another array is none, and nothing of it is consumed. */
static void test_only_text(void)
{
    static const struct {
        struct mf_slice in;
        int rc;
        const char *want;
    } rows[] = {
        {MF_SLICE("\x95\x4a" "a"), 1, "a"},
        {MF_SLICE("\xa4\1\x4a" "a"), 1, "a"},
        {MF_SLICE("\x92\x4al\1\x95\x4a" "a"), 1, "a"},
        {MF_SLICE("\x95\x4a\xe9"), 1, "\xc3\xa9"},
        {MF_SLICE("\x95\x7c\4\x3d\xd8\x80\xde"), 1, "\xf0\x9f\x9a\x80"},
        {MF_SLICE("\x95\x7e\2ab"), 1, "ab"},
        {MF_SLICE("\x95\x7e\4\xc9\xcf\xba\xa3"), MF_ELIMIT, ""},
        {MF_SLICE("\x94"), MF_EJSONB_TYPE, ""},
        {MF_SLICE("\x96\x4a" "a\x4a" "b"), MF_EJSONB_TYPE, ""},
        {MF_SLICE("\xa4\2\x4a" "a\x4a" "b"), MF_EJSONB_TYPE, ""},
        {MF_SLICE("\x95\xaf"), MF_EJSONB_TYPE, ""},
        {MF_SLICE("\x95\1"), MF_EJSONB_TYPE, ""},
        {MF_SLICE("\x92\x4al\1"), MF_EJSONB_TYPE, ""},
        {MF_SLICE("\x4a" "a"), MF_EJSONB_TYPE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t room[16];
        struct mf_text text = {.to = room, .room = sizeof room};
        struct mf_jsonb any;
        struct mf_slice got = {0};
        mf_jsonb_init(&any, guarded(rows[i].in), 8);
        CHECK_INT(mf_jsonb_only_text(&any, &text, &got), rows[i].rc);
        CHECK_STR(got, rows[i].want);
        CHECK_INT(any.at, rows[i].rc == MF_EJSONB_TYPE ? 0 : rows[i].in.len);
    }
}

int main(void)
{
    test_only_text();
    test_integers();
    test_strings();
    test_put();
    test_values();
    test_tags();
    test_bombs();
    test_maps();
    return test_end("codec/jsonb");
}
