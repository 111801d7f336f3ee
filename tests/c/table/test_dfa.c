/* dfa: matching, in pieces too, and every broken blob refused. */
#include "table/dfa.h"
#include "base/err.h"
#include "test.h"

/* a(b|c)*d: states 0 dead, 1 start, 2 after a, 3 after d; classes 0 other, 1 a, 2 b or c, 3 d. */
enum { STATES = 4, CLASSES = 4, AT_CLASS = 4, AT_ACCEPT = 260, AT_NEXT = AT_ACCEPT + STATES };

static size_t build(uint8_t out[512])
{
    static const uint16_t next[STATES][CLASSES] = {{0, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 3}, {0, 0, 0, 0}};
    uint16_t n[2] = {STATES, CLASSES};
    memset(out, 0, 512);
    memcpy(out, n, 4);
    out[AT_CLASS + 'a'] = 1;
    out[AT_CLASS + 'b'] = out[AT_CLASS + 'c'] = 2;
    out[AT_CLASS + 'd'] = 3;
    out[AT_ACCEPT + 3] = 1;
    memcpy(out + AT_NEXT, next, sizeof next);
    return AT_NEXT + sizeof next;
}

static bool match(struct mf_slice blob, const char *text)
{
    /* Both end at a guard page, one after the other: neither may be read past its end. */
    uint8_t copy[512];
    bool first = mf_dfa_match(guarded(blob).ptr, mf_slice_str(text));
    memcpy(copy, blob.ptr, blob.len);
    CHECK_INT(mf_dfa_match(copy, guarded(mf_slice_str(text))), first);
    return first;
}

static void test_match(void)
{
    uint8_t bytes[512];
    struct mf_slice blob = mf_slice_of(bytes, build(bytes));
    CHECK_INT(mf_dfa_check(guarded(blob)), 0);
    CHECK(match(blob, "ad") && match(blob, "abd") && match(blob, "abccbd"));
    CHECK(!match(blob, "") && !match(blob, "a") && !match(blob, "d") && !match(blob, "add") && !match(blob, "xad"));
    CHECK(!mf_dfa_match(bytes, mf_slice_of(NULL, 0)));
    CHECK(!mf_dfa_match(bytes, mf_slice_of("a\0d", 3)));
    const char *text = "abcd";
    for (size_t cut = 0; cut <= 4; cut++) {
        uint32_t state = mf_dfa_step(bytes, MF_DFA_START, mf_slice_of(text, cut));
        state = mf_dfa_step(bytes, state, mf_slice_of(text + cut, 4 - cut));
        CHECK(mf_dfa_accepts(bytes, state));
    }
    /* An odd address is fine: blobs come from anywhere. */
    uint8_t odd[513];
    memcpy(odd + 1, bytes, blob.len);
    CHECK_INT(mf_dfa_check(mf_slice_of(odd + 1, blob.len)), 0);
    CHECK(mf_dfa_match(odd + 1, mf_slice_str("abd")));
}

static int check_with(size_t at, uint8_t value)
{
    uint8_t bytes[512];
    size_t len = build(bytes);
    bytes[at] = value;
    return mf_dfa_check(guarded(mf_slice_of(bytes, len)));
}

static void test_check(void)
{
    uint8_t bytes[512];
    size_t len = build(bytes);
    for (size_t n = 0; n < len; n++)
        CHECK_INT(mf_dfa_check(guarded(mf_slice_of(bytes, n))), MF_ELIMIT);
    CHECK_INT(mf_dfa_check(guarded(mf_slice_of(bytes, len + 1))), MF_ELIMIT);
    CHECK_INT(check_with(0, 0), MF_ELIMIT);
    CHECK_INT(check_with(0, 3), MF_ELIMIT);
    CHECK_INT(check_with(1, 255), MF_ELIMIT);
    CHECK_INT(check_with(2, 0), MF_ELIMIT);
    CHECK_INT(check_with(3, 255), MF_ELIMIT);
    CHECK_INT(check_with(AT_CLASS + 7, CLASSES), MF_ELIMIT);
    CHECK_INT(check_with(AT_CLASS + 7, CLASSES - 1), 0);
    CHECK_INT(check_with(AT_ACCEPT, 1), MF_ELIMIT); /* dead may not accept */
    CHECK_INT(check_with(AT_ACCEPT + 1, 2), MF_ELIMIT);
    CHECK_INT(check_with(AT_ACCEPT + 1, 1), 0);
    CHECK_INT(check_with(AT_NEXT, 1), MF_ELIMIT); /* nor be left */
    CHECK_INT(check_with(AT_NEXT + 2 * CLASSES, STATES), MF_ELIMIT);
    CHECK_INT(check_with(AT_NEXT + 2 * CLASSES, STATES - 1), 0);
    /* No state and no class at all. */
    memset(bytes, 0, sizeof bytes);
    CHECK_INT(mf_dfa_check(mf_slice_of(bytes, 260)), MF_ELIMIT);
}

int main(void)
{
    test_match();
    test_check();
    return test_end("table/dfa");
}
