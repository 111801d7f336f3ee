/* replace: programs by hand; those of real expressions are compared with Python's in tests/py/config/test_replace.py. */
#include "codec/replace.h"

#include "base/err.h"
#include "test.h"

struct step {
    uint8_t op, low, high;
    uint16_t next, other;
};

static uint8_t blob[4096];

static struct mf_slice program(const struct step *steps, uint16_t n, const char *template)
{
    uint16_t len = (uint16_t)strlen(template);
    memcpy(blob, &n, 2);
    memcpy(blob + 2, &len, 2);
    for (uint16_t i = 0; i < n; i++) {
        uint8_t *p = blob + 4 + 8 * i;
        p[0] = steps[i].op;
        p[1] = steps[i].low;
        p[2] = steps[i].high;
        p[3] = 0;
        memcpy(p + 4, &steps[i].next, 2);
        memcpy(p + 6, &steps[i].other, 2);
    }
    memcpy(blob + 4 + 8 * n, template, len);
    return mf_slice_of(blob, 4u + 8u * n + len);
}

/* (a+)b */
static const struct step some_a[] = {
    {MF_REPLACE_SAVE, 0, 0, 1, 0},  {MF_REPLACE_SAVE, 2, 0, 2, 0},   {MF_REPLACE_BYTE, 'a', 'a', 3, 0},
    {MF_REPLACE_SPLIT, 0, 0, 2, 4}, {MF_REPLACE_SAVE, 3, 0, 5, 0},   {MF_REPLACE_BYTE, 'b', 'b', 6, 0},
    {MF_REPLACE_SAVE, 1, 0, 7, 0},  {MF_REPLACE_MATCH, 0, 0, 0, 0},
};
enum { SOME_A = sizeof some_a / sizeof *some_a };

static void replaced(const char *text, const char *want)
{
    struct mf_slice made = program(some_a, SOME_A, "<\x81>");
    CHECK_INT(mf_replace_check(made), 0);
    uint8_t *last, *to = fenced(64, &last);
    size_t len = strlen(want);
    to = last - len;
    CHECK_INT(mf_replace(made, mf_slice_str(text), to, len), len);
    CHECK_STR(mf_slice_of(to, len), want);
    if (len)
        CHECK_INT(mf_replace(made, mf_slice_str(text), to, len - 1), MF_ELIMIT);
}

static void test_replaces(void)
{
    replaced("", "");
    replaced("xaab", "x<aa>");
    replaced("abaabb", "<a><aa>b");
    replaced("aaa", "aaa");
}

static void test_bounds(void)
{
    static uint8_t text[MF_REPLACE_TEXT + 1], to[2 * MF_REPLACE_TEXT];
    memset(text, 'a', sizeof text);
    struct mf_slice made = program(some_a, SOME_A, "");
    CHECK_INT(mf_replace(made, mf_slice_of(text, sizeof text), to, sizeof to), MF_ELIMIT);
    CHECK_INT(mf_replace(made, mf_slice_of(text, sizeof text - 1), to, sizeof to), sizeof text - 1); /* one pass */
    /* a.*z|a on a text without z: each match looks at all that is left. */
    static const struct step square[] = {
        {MF_REPLACE_SAVE, 0, 0, 1, 0},      {MF_REPLACE_SPLIT, 0, 0, 2, 6},     {MF_REPLACE_BYTE, 'a', 'a', 3, 0},
        {MF_REPLACE_SPLIT, 0, 0, 4, 5},     {MF_REPLACE_BYTE, 0, 255, 3, 0},    {MF_REPLACE_BYTE, 'z', 'z', 7, 0},
        {MF_REPLACE_BYTE, 'a', 'a', 7, 0},  {MF_REPLACE_SAVE, 1, 0, 8, 0},      {MF_REPLACE_MATCH, 0, 0, 0, 0},
    };
    made = program(square, sizeof square / sizeof *square, "-");
    CHECK_INT(mf_replace_check(made), 0);
    CHECK_INT(mf_replace(made, mf_slice_of(text, 16), to, sizeof to), 16);
    CHECK_STR(mf_slice_of(to, 4), "----");
    CHECK_INT(mf_replace(made, mf_slice_of(text, sizeof text - 1), to, sizeof to), MF_ELIMIT);
}

static void test_check(void)
{
    struct mf_slice good = program(some_a, SOME_A, "x\x80");
    CHECK_INT(mf_replace_check(good), 0);
    for (size_t len = 0; len < good.len; len++)
        CHECK_INT(mf_replace_check(guarded(mf_slice_of(good.ptr, len))), MF_ELIMIT);
    static const struct {
        size_t at;
        uint8_t byte;
    } bad[] = {{4, MF_REPLACE_MATCH + 1}, {4 + 1, 2 * MF_REPLACE_GROUPS}, {4 + 4, SOME_A}, {4 + 8 * 3 + 6, SOME_A},
               {4 + 8 * SOME_A + 1, 0x80 + MF_REPLACE_GROUPS}, {0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mf_slice made = program(some_a, SOME_A, "x\x80");
        blob[bad[i].at] = bad[i].byte;
        CHECK_INT(mf_replace_check(made), MF_ELIMIT);
    }
}

int main(void)
{
    test_replaces();
    test_bounds();
    test_check();
    return test_end("codec/replace");
}
