/* text: what is made of the encodings on the wire, in room of every size. */
#include "codec/text.h"
#include "test.h"

static uint8_t room[256];

static struct mf_text text_of(size_t len)
{
    return (struct mf_text){.to = room, .room = len};
}

/* Every way in gives `want` where there is room, and takes none where there is not. */
static void check(int way, struct mf_slice wire, struct mf_slice want)
{
    for (size_t len = 0; len <= want.len + 2; len++) {
        struct mf_text text = text_of(3 + len);
        text.used = 3; /* of a text before this one: its half of a pair is none of ours */
        memcpy(room, "\xed\xa0\xbd", 3);
        mf_text_begin(&text);
        bool fits = way == 0   ? mf_text_put_utf8(&text, wire)
                    : way == 1 ? mf_text_put_utf16(&text, wire, true)
                    : way == 2 ? mf_text_put_utf16(&text, wire, false)
                               : mf_text_put_latin1(&text, wire);
        if (!fits)
            CHECK_INT(text.used, 3);
        else
            CHECK(mf_slice_eq(mf_text_end(&text), want));
        if (len >= want.len + 2) /* halves need a little more before they meet */
            CHECK(fits);
    }
}

static void test_ways(void)
{
    check(0, MF_SLICE("abc"), MF_SLICE("abc"));
    check(0, MF_SLICE("\xed\xa0\xbd\xed\xba\x80"), MF_SLICE("\xf0\x9f\x9a\x80"));
    check(0, MF_SLICE("\xed\xba\x80\xed\xa0\xbd"), MF_SLICE("\xed\xba\x80\xed\xa0\xbd"));
    check(0, MF_SLICE("\xc1\xa1\xe0\x81\xa1\xc0\x80"), MF_SLICE("aa\0"));
    check(0, MF_SLICE("\xf0\x9f\x9a\x80\xf7\xbf\xbf\xbf"), MF_SLICE("\xf0\x9f\x9a\x80\xef\xbf\xbd"));
    check(0, MF_SLICE("\xff"), MF_SLICE("\xef\xbf\xbd"));
    check(0, MF_SLICE("\xe4\xb8"), MF_SLICE("\xef\xbf\xbd\xef\xbf\xbd")); /* cut short: nothing is read behind it */
    check(1, MF_SLICE("\x4e\x0a\xd8\x3d\xde\x80\0a"), MF_SLICE("\xe4\xb8\x8a\xf0\x9f\x9a\x80" "a"));
    check(2, MF_SLICE("\x0a\x4e\x3d\xd8\x80\xde" "a\0x"), MF_SLICE("\xe4\xb8\x8a\xf0\x9f\x9a\x80" "a"));
    check(2, MF_SLICE("\x80\xde"), MF_SLICE("\xed\xba\x80"));
    check(3, MF_SLICE("d\xe9v"), MF_SLICE("d\xc3\xa9v"));
    check(3, MF_SLICE(""), MF_SLICE(""));
}

static void test_pieces(void)
{
    struct mf_text text = text_of(16);
    mf_text_begin(&text);
    CHECK(mf_text_put_utf8(&text, MF_SLICE("x\xed\xa0\xbd")) && mf_text_put_utf8(&text, MF_SLICE("\xed\xba\x80y")));
    CHECK_STR(mf_text_end(&text), "x\xf0\x9f\x9a\x80y");
    mf_text_begin(&text);
    CHECK(!mf_text_put_utf8(&text, MF_SLICE("0123456789a")));
    CHECK_INT(text.used, 6);
}

static void test_plain(void)
{
    CHECK(mf_text_plain(MF_SLICE("")) && mf_text_plain(MF_SLICE("abcdefghijklmnopqrstuvwxyz")));
    CHECK(mf_text_plain(MF_SLICE("0123456\xe4\xb8\x8a\xc3\xa9\xf0\x9f\x9a\x80\xed\x9f\xbf\xee\x80\x80")));
    static const char *const others[] = {"\xed\xa0\xbd", "\xed\xbf\xbf", "\xc1\xa1",         "\xe0\x9f\xbf",
                                         "\xff",         "\xe4\xb8",     "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char padded[32];
        for (int before = 0; before < 17; before++) {
            snprintf(padded, sizeof padded, "%.*s%s", before, "0123456789abcdefg", others[i]);
            CHECK(!mf_text_plain(guarded(mf_slice_str(padded))));
        }
    }
}

int main(void)
{
    test_ways();
    test_pieces();
    test_plain();
    return test_end("codec/text");
}
