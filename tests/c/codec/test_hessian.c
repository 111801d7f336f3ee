/* hessian, hessian_text: the reader over every tag, over bytes made to hurt, and over what Java encoders wrote. */
#include "codec/hessian.h"
#include "codec/text.h"
#include "test.h"

#include <ftw.h>

#define FOLDER "../shared/vectors/hessian2"

static struct mf_hessian reader;

static int skip(struct mf_slice body)
{
    mf_hessian_init(&reader, body, MF_HESSIAN_DEPTH, MF_HESSIAN_CLASSES);
    int rc = mf_hessian_skip(&reader);
    CHECK(reader.at <= body.len);
    CHECK(rc == 0 || reader.why[0]);
    return rc;
}

#define SKIP(literal) skip(guarded(MF_SLICE(literal)))
#define WHOLE(literal)                                                                                                 \
    do {                                                                                                               \
        CHECK_INT(SKIP(literal), 0);                                                                                   \
        CHECK_INT(reader.at, sizeof(literal) - 1);                                                                     \
    } while (0)

static void test_strings(void)
{
    struct mf_slice out;
    struct {
        struct mf_slice body;
        int rc;
        size_t len, at;
    } cases[] = {
        {MF_SLICE("\0"), 1, 0, 1},
        {MF_SLICE("\003abc"), 1, 3, 4},
        {MF_SLICE("\060\003abc"), 1, 3, 5},
        {MF_SLICE("S\0\003abcd"), 1, 3, 6},
        {MF_SLICE("N"), 0, 0, 1},
        {MF_SLICE("\004\xc3\xa9\xe2\x82\xac\xed\xa0\xbd\xed\xb8\x80"), 1, 11, 12},
        {MF_SLICE("\002\xf0\x9f\x98\x80"), 1, 4, 5},
        {MF_SLICE("\001\xf0\x9f\x98\x80"), MF_EHESSIAN_UTF8, 0, 0},
        {MF_SLICE("\011abcdefgh\xc3\xa9"), 1, 10, 11},
        {MF_SLICE("\003ab"), MF_EHESSIAN_SHORT, 0, 0},
        {MF_SLICE("\002a\xc3"), MF_EHESSIAN_SHORT, 0, 0},
        {MF_SLICE("\001\xe4\xb8"), MF_EHESSIAN_SHORT, 0, 0},
        {MF_SLICE("\001\x80"), MF_EHESSIAN_UTF8, 0, 0},
        {MF_SLICE("\001\xff"), MF_EHESSIAN_UTF8, 0, 0},
        {MF_SLICE("\001\xc3z"), MF_EHESSIAN_UTF8, 0, 0},
        {MF_SLICE("R\0\001a\001b"), MF_EHESSIAN_TYPE, 0, 0},
        {MF_SLICE("\x91"), MF_EHESSIAN_TYPE, 0, 0},
        {MF_SLICE("\060"), MF_EHESSIAN_SHORT, 0, 0},
        {MF_SLICE("S\0"), MF_EHESSIAN_SHORT, 0, 0},
        {MF_SLICE(""), MF_EHESSIAN_SHORT, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        mf_hessian_init(&reader, guarded(cases[i].body), 9, 9);
        CHECK_INT(mf_hessian_string(&reader, &out), cases[i].rc);
        CHECK_INT(out.len, cases[i].len);
        CHECK_INT(reader.at, cases[i].at);
    }
}

/* Strings of every length around the word sizes of the scan, with one wide character at every place. */
static void test_string_lengths(void)
{
    static const char *const wide[] = {"", "\xc3\xa9", "\xe2\x82\xac", "\xed\xa0\xbd"};
    for (size_t n = 1; n < 80; n++) {
        for (size_t at = 0; at < n; at++) {
            uint8_t body[256] = {(uint8_t)0x30, (uint8_t)n};
            const char *w = wide[at % 4];
            size_t len = 2;
            for (size_t i = 0; i < n; i++) {
                if (i == at && *w) {
                    memcpy(body + len, w, strlen(w));
                    len += strlen(w);
                } else {
                    body[len++] = 'a';
                }
            }
            struct mf_slice out, whole = mf_slice_of(body, len);
            mf_hessian_init(&reader, guarded(whole), 9, 9);
            CHECK_INT(mf_hessian_string(&reader, &out), 1);
            CHECK_INT(reader.at, len);
            CHECK_INT(skip(guarded(mf_slice_of(body, len - 1))), MF_EHESSIAN_SHORT);
            body[len] = 'z'; /* with bytes behind it, the scan must still end at the same place */
            mf_hessian_init(&reader, mf_slice_of(body, sizeof(body)), 9, 9);
            CHECK_INT(mf_hessian_string(&reader, &out), 1);
            CHECK_INT(reader.at, len);
        }
    }
}

/* Runs of wide characters, with a bad byte at every place of them. */
static void test_wide_runs(void)
{
    for (size_t n = 1; n < 20; n++) {
        uint8_t body[128] = {0x30, (uint8_t)n};
        for (size_t i = 0; i < n; i++)
            memcpy(body + 2 + 3 * i, "\xe4\xb8\x8a", 3);
        struct mf_slice out, whole = guarded(mf_slice_of(body, 2 + 3 * n));
        mf_hessian_init(&reader, whole, 9, 9);
        CHECK_INT(mf_hessian_string(&reader, &out), 1);
        CHECK_INT(reader.at, whole.len);
        for (size_t at = 2; at < whole.len; at++) {
            uint8_t *byte = (uint8_t *)whole.ptr + at, was = *byte;
            *byte = 0xff;
            mf_hessian_init(&reader, whole, 9, 9);
            CHECK_INT(mf_hessian_string(&reader, &out), MF_EHESSIAN_UTF8);
            *byte = was;
        }
        memset(body + 2 + 3 * n, 0xe4, 12);
        mf_hessian_init(&reader, mf_slice_of(body, sizeof(body)), 9, 9);
        CHECK_INT(mf_hessian_string(&reader, &out), 1);
        CHECK_INT(reader.at, 2 + 3 * n);
    }
}

static void test_integers(void)
{
    struct {
        struct mf_slice body;
        int64_t value;
    } cases[] = {
        {MF_SLICE("\x80"), -16},
        {MF_SLICE("\xbf"), 47},
        {MF_SLICE("\xc0\0"), -2048},
        {MF_SLICE("\xcf\xff"), 2047},
        {MF_SLICE("\xd0\0\0"), -262144},
        {MF_SLICE("\xd7\xff\xff"), 262143},
        {MF_SLICE("I\x80\0\0\0"), INT32_MIN},
        {MF_SLICE("\xd8"), -8},
        {MF_SLICE("\xef"), 15},
        {MF_SLICE("\xf0\0"), -2048},
        {MF_SLICE("\xff\xff"), 2047},
        {MF_SLICE("\x38\0\0"), -262144},
        {MF_SLICE("\x3f\xff\xff"), 262143},
        {MF_SLICE("\x59\xff\xff\xff\xff"), -1},
        {MF_SLICE("L\x80\0\0\0\0\0\0\0"), INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t got = 77;
        mf_hessian_init(&reader, guarded(cases[i].body), 9, 9);
        CHECK_INT(mf_hessian_integer(&reader, &got), 0);
        CHECK_INT(got, cases[i].value);
        CHECK_INT(reader.at, cases[i].body.len);
        mf_hessian_init(&reader, guarded(mf_slice_of(cases[i].body.ptr, cases[i].body.len - 1)), 9, 9);
        CHECK_INT(mf_hessian_integer(&reader, &got), MF_EHESSIAN_SHORT);
    }
    int64_t got;
    mf_hessian_init(&reader, MF_SLICE("T"), 9, 9);
    CHECK_INT(mf_hessian_integer(&reader, &got), MF_EHESSIAN_TYPE);
    CHECK_INT(reader.at, 0);
}

/* Each of the 256 tags with nothing behind it, and with 16 zero bytes. */
static void test_tags(void)
{
    int alone = 0, followed = 0;
    for (int tag = 0; tag < 256; tag++) {
        uint8_t bytes[17] = {(uint8_t)tag};
        alone += skip(guarded(mf_slice_of(bytes, 1))) == 0;
        followed += skip(guarded(mf_slice_of(bytes, 17))) != MF_EHESSIAN_TAG;
    }
    /* Complete in one byte: the empty string and bytes, 64 ints, 24 longs, the empty list, N T F, 0.0 and 1.0. */
    CHECK_INT(alone, 2 + 64 + 24 + 1 + 3 + 2);
    CHECK_INT(followed, 256 - 5 - 1); /* 40 E G P Z are none; A wants bytes after its chunk */
    CHECK_INT(SKIP("@"), MF_EHESSIAN_TAG);
    CHECK_INT(SKIP("Z"), MF_EHESSIAN_TAG);
}

static void test_values(void)
{
    WHOLE("H\001a\x91\001b\x92Z");
    WHOLE("M\001tZ");
    WHOLE("M\x90Z"); /* a type named before */
    WHOLE("\x55\001t\x91\x92Z");
    WHOLE("V\001t\x92\x91\x92");
    WHOLE("\x57\x57ZZ");
    WHOLE("\x58\x92NN");
    WHOLE("\x72\x90NN");
    WHOLE("\x7aNN");
    WHOLE("Q\x90");
    WHOLE("A\0\001x\x21y");
    WHOLE("A\0\001xB\0\001y");
    WHOLE("A\0\001x\x34\001y");
    WHOLE("R\0\001xR\0\001y\001z");
    /* a class inside a list, used again after it, and one with no fields */
    WHOLE("\x7a"
          "C\001a\x91\001f`N`N");
    WHOLE("\x7b"
          "C\001a\x90`O\x90`");
    WHOLE("C\001a\x91\001fC\001b\x90`a");
    CHECK_INT(SKIP("`"), MF_EHESSIAN_CLASS);
    CHECK_INT(SKIP("O\x8f"), MF_EHESSIAN_CLASS);
    CHECK_INT(SKIP("C\001a\x90"), MF_EHESSIAN_SHORT);
    CHECK_INT(SKIP("H\001aZ"), MF_EHESSIAN_TAG);
    CHECK_INT(SKIP("A\0\001xN"), MF_EHESSIAN_TAG);
    CHECK_INT(SKIP("R\0\001xN"), 0); /* hessian-lite ends a string at a null, too */
    CHECK_INT(SKIP("V\001tN"), MF_EHESSIAN_TYPE);
    CHECK_INT(SKIP("QN"), MF_EHESSIAN_TYPE);
    CHECK_INT(SKIP("C\001aI\x7f\xff\xff\xff\001b"), MF_EHESSIAN_SHORT);
    CHECK_INT(SKIP("V\001tI\x7f\xff\xff\xffN"), MF_EHESSIAN_SHORT);
    CHECK_INT(SKIP("V\001tI\x80\0\0\0N"), MF_EHESSIAN_SHORT);
}

static void test_maps(void)
{
    mf_hessian_init(&reader, MF_SLICE("H\001a\001bZ"), 9, 9);
    CHECK_INT(mf_hessian_map_begin(&reader), 1);
    CHECK_INT(mf_hessian_map_next(&reader), 1);
    CHECK_INT(mf_hessian_skip(&reader), 0);
    CHECK_INT(mf_hessian_skip(&reader), 0);
    CHECK_INT(mf_hessian_map_next(&reader), 0);
    CHECK_INT(mf_hessian_map_next(&reader), MF_EHESSIAN_SHORT);
    CHECK_INT(mf_hessian_map_begin(&reader), MF_EHESSIAN_SHORT);
    mf_hessian_init(&reader, MF_SLICE("N"), 9, 9);
    CHECK_INT(mf_hessian_map_begin(&reader), 0);
    mf_hessian_init(&reader, MF_SLICE("T"), 9, 9);
    CHECK_INT(mf_hessian_map_begin(&reader), MF_EHESSIAN_TYPE);
}

/* Every kind of container inside itself: refused at the limit, not by the stack's end. */
static void test_bombs(void)
{
    static const struct {
        const char *open;
        size_t len;
    } nests[] = {{"\x57", 1}, {"H\001a", 3}, {"\x58\x91", 2}, {"\x79", 1}, {"\x71\x90", 2}, {"\x60", 1}};
    static uint8_t bomb[200000];
    for (size_t i = 0; i < sizeof(nests) / sizeof(*nests); i++) {
        size_t n = 0;
        if (nests[i].open[0] == 0x60) { /* of a class whose one field is again of it */
            memcpy(bomb, "C\001a\x91\001f", 6);
            n = 6;
        }
        while (n + nests[i].len <= sizeof(bomb)) {
            memcpy(bomb + n, nests[i].open, nests[i].len);
            n += nests[i].len;
        }
        CHECK_INT(skip(mf_slice_of(bomb, n)), MF_EHESSIAN_DEPTH);
    }
    memset(bomb, 0, sizeof(bomb));
    for (size_t i = 0; i + 4 <= sizeof(bomb); i += 4)
        memcpy(bomb + i, "C\001a\x90", 4);
    CHECK_INT(skip(mf_slice_of(bomb, sizeof(bomb))), MF_EHESSIAN_SIZE);
}

static int n_vectors;

static void check_vector(const char *name, struct mf_slice body)
{
    int rc = skip(guarded(body));
    if (rc || reader.at != body.len)
        fprintf(stderr, "%s: rc %d at %zu of %zu: %s\n", name, rc, reader.at, body.len, reader.why);
    CHECK(rc == 0 && reader.at == body.len);
    size_t step = body.len / 200 + 1;
    for (size_t n = 0; n < body.len; n += step) {
        int cut = skip(guarded(mf_slice_of(body.ptr, n)));
        CHECK(cut == MF_EHESSIAN_SHORT);
    }
    n_vectors++;
}

static uint8_t bytes[300000];

/* Written by rules before Hessian 2.0: 's' for a chunk of text, 'O' for a class definition. */
static const char *const older[] = {"large_string_chars.bin", "large_string_chars_65536.bin", "car2.bin"};

static int check_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    size_t len = strlen(path);
    if (type != FTW_F || len < 4 || strcmp(path + len - 4, ".bin") != 0)
        return 0;
    for (size_t i = 0; i < sizeof(older) / sizeof(*older); i++) {
        if (strcmp(path + ftw->base, older[i]) == 0)
            return 0;
    }
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    size_t n = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    check_vector(path, mf_slice_of(bytes, n));
    return 0;
}

static void test_vectors(void)
{
    static char line[600000];
    FILE *file = fopen(FOLDER "/caucho-4.0.38.jsonl", "r");
    if (!file) {
        printf("codec/hessian: skipped what Java encoders wrote: " FOLDER " is not there\n");
        return;
    }
    while (fgets(line, sizeof(line), file)) {
        char *hex = strstr(line, "\"hex\":\""), *len = strstr(line, "\"len\":");
        if (!hex || !len)
            continue;
        size_t n = 0;
        unsigned byte;
        for (hex += 7; n < sizeof(bytes) && sscanf(hex + 2 * n, "%2x", &byte) == 1 && hex[2 * n] != '"'; n++)
            bytes[n] = (uint8_t)byte;
        CHECK_INT(n, atol(len + 6));
        hex[0] = 0;
        check_vector(line, mf_slice_of(bytes, n));
    }
    fclose(file);
    nftw(FOLDER "/hessian.js", check_file, 8, 0);
    CHECK(n_vectors > 200);
}

/* Texts in every form, and the one of a list: what is plain lies where it lay, all of it ends where a value ends. */
static void test_texts(void)
{
    static const struct {
        struct mf_slice in;
        int text, only; /* what each returns */
        struct mf_slice want;
    } rows[] = {
        {MF_SLICE("\001a"), 1, MF_EHESSIAN_TYPE, MF_SLICE("a")},
        {MF_SLICE("\0"), 1, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("N"), 0, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\002\xed\xa0\xbd\xed\xba\x80"), 1, MF_EHESSIAN_TYPE, MF_SLICE("\xf0\x9f\x9a\x80")},
        {MF_SLICE("R\0\001\xed\xa0\xbdR\0\001\xed\xba\x80\001a"), 1, MF_EHESSIAN_TYPE,
         MF_SLICE("\xf0\x9f\x9a\x80" "a")},
        {MF_SLICE("R\0\001xN"), 1, MF_EHESSIAN_TYPE, MF_SLICE("x")},
        {MF_SLICE("R\0\001x\x91"), MF_EHESSIAN_TAG, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("R\0\001x"), MF_EHESSIAN_SHORT, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x79\001a"), MF_EHESSIAN_TYPE, 1, MF_SLICE("a")},
        {MF_SLICE("\x71\x90\001a"), MF_EHESSIAN_TYPE, 1, MF_SLICE("a")},
        {MF_SLICE("\x71\007[string\001a"), MF_EHESSIAN_TYPE, 1, MF_SLICE("a")},
        {MF_SLICE("\x58\x91\001a"), MF_EHESSIAN_TYPE, 1, MF_SLICE("a")},
        {MF_SLICE("V\x90\x91\001a"), MF_EHESSIAN_TYPE, 1, MF_SLICE("a")},
        {MF_SLICE("\x57\001aZ"), MF_EHESSIAN_TYPE, 1, MF_SLICE("a")},
        {MF_SLICE("\x55\x90R\0\001a\001bZ"), MF_EHESSIAN_TYPE, 1, MF_SLICE("ab")},
        {MF_SLICE("\x57\001a\001bZ"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x57\001a"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x57Z"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x78"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x7a\001a\001b"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x58\x92\001a\001b"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x79N"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x79\x91"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE("\x79\x79\001a"), MF_EHESSIAN_TYPE, MF_EHESSIAN_TYPE, MF_SLICE("")},
        {MF_SLICE(""), MF_EHESSIAN_SHORT, MF_EHESSIAN_TYPE, MF_SLICE("")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int only = 0; only < 2; only++) {
            uint8_t room[16];
            struct mf_text text = {.to = room, .room = sizeof room};
            struct mf_hessian any;
            struct mf_slice got = {0};
            mf_hessian_init(&any, guarded(rows[i].in), 8, 8);
            int want = only ? rows[i].only : rows[i].text;
            int rc = only ? mf_hessian_only_text(&any, &text, &got) : mf_hessian_text(&any, &text, &got);
            CHECK_INT(rc, want);
            if (want == 1)
                CHECK(mf_slice_eq(got, rows[i].want));
            if (want >= 0)
                CHECK_INT(any.at, rows[i].in.len);
            if (want == MF_EHESSIAN_TYPE)
                CHECK(any.at == 0 && text.used == 0);
        }
    }
}

int main(void)
{
    test_texts();
    test_strings();
    test_string_lengths();
    test_wide_runs();
    test_integers();
    test_tags();
    test_values();
    test_maps();
    test_bombs();
    test_vectors();
    return test_end("codec/hessian");
}
