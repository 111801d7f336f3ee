/* h2_name: every name of the list by its number, and every byte in names and values. */
#include "codec/h2_name.h"
#include "codec/huffman.h"
#include "test.h"

static void test_numbers(void)
{
    uint8_t other[64];
    for (int i = 1; i < MF_H2_NAME_COUNT; i++) {
        struct mf_slice name = mf_h2_name_text((enum mf_h2_name)i);
        CHECK(name.len > 0 && mf_h2_name_good(name));
        CHECK_INT(mf_h2_name_of(guarded(name)), i);
        struct mf_slice code = mf_slice_of(other, mf_huffman_put(other, name));
        CHECK_INT(mf_h2_name_of_coded(guarded(code)), i);
        for (size_t k = 0; k < code.len; k++) {
            other[k] ^= 1;
            CHECK_INT(mf_h2_name_of_coded(code), MF_H2_NAME_OTHER);
            other[k] ^= 1;
        }
        CHECK_INT(mf_h2_name_of_coded(mf_slice_of(other, code.len - 1)), MF_H2_NAME_OTHER);
        for (size_t k = 0; k < name.len; k++) {
            memcpy(other, name.ptr, name.len);
            other[k] ^= 0x20;
            CHECK_INT(mf_h2_name_of(mf_slice_of(other, name.len)), MF_H2_NAME_OTHER);
        }
        memcpy(other, name.ptr, name.len);
        other[name.len] = 'x';
        CHECK_INT(mf_h2_name_of(mf_slice_of(other, name.len + 1)), MF_H2_NAME_OTHER);
    }
    CHECK_INT(mf_h2_name_text(MF_H2_NAME_OTHER).len, 0);
    CHECK_INT(mf_h2_name_of(mf_slice_of(NULL, 0)), MF_H2_NAME_OTHER);
    CHECK_INT(mf_h2_name_of_coded(mf_slice_of(NULL, 0)), MF_H2_NAME_OTHER);
    CHECK_INT(mf_h2_name_of(MF_SLICE("tri-service-version")), MF_H2_NAME_TRI_SERVICE_VERSION);
}

static void test_marks(void)
{
    CHECK_INT(mf_h2_mark_of((struct mf_pair){MF_SLICE("traceparent"), MF_SLICE("x")}).flags, MF_H2_MARK_PLAIN);
    CHECK_INT(mf_h2_mark_of((struct mf_pair){MF_SLICE("authorization"), MF_SLICE("x")}).flags, MF_H2_MARK_NEVER);
    CHECK_INT(mf_h2_mark_of((struct mf_pair){MF_SLICE("cookie"), MF_SLICE("a=b")}).flags, MF_H2_MARK_NEVER);
    CHECK_INT(mf_h2_mark_of((struct mf_pair){MF_SLICE("cookie"), MF_SLICE("a=0123456789abcdefgh")}).flags, 0);
    CHECK_INT(mf_h2_mark_of((struct mf_pair){MF_SLICE("x"), MF_SLICE("y")}).flags, 0);
    struct mf_h2_mark none = {0, 0};
    CHECK_INT(mf_h2_mark_judge((struct mf_pair){MF_SLICE("X"), MF_SLICE(" ")}, none).flags,
              MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE);
    CHECK_INT(mf_h2_mark_judge((struct mf_pair){MF_SLICE(":path"), MF_SLICE("/")}, none).name, MF_H2_NAME_PSEUDO_PATH);
}

/* Each byte at each place of texts of each length. */
static void test_bytes(void)
{
    uint8_t text[32];
    for (size_t len = 1; len < sizeof(text); len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(text, 'v', sizeof(text));
                text[at] = (uint8_t)c;
                bool name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c))
                            || (c == ':' && at == 0 && len > 1);
                bool edge = at == 0 || at == len - 1;
                bool value = (c >= ' ' && c != 0x7f && !(c == ' ' && edge)) || (c == '\t' && !edge);
                struct mf_slice in = guarded(mf_slice_of(text, len));
                CHECK_INT(mf_h2_name_good(in), name);
                CHECK_INT(mf_h2_value_good(in), value);
            }
        }
    }
    CHECK(!mf_h2_name_good(mf_slice_of(NULL, 0)));
    CHECK(mf_h2_value_good(mf_slice_of(NULL, 0)));
    CHECK(mf_h2_name_token('A') && !mf_h2_name_token(':') && !mf_h2_name_token(0x80));
}

int main(void)
{
    test_numbers();
    test_marks();
    test_bytes();
    return test_end("codec/h2_name");
}
