/* dubbo_answer: whose an error is, and whether a provider says that it is stopping. */
#include "codec/dubbo.h"
#include "test.h"

static void test_error_begins(void)
{
    static const uint8_t ids[] = {0, 2, 3, 4, 6, 7, 22, 23};
    uint8_t frame[MF_DUBBO_ERROR_ROOM];
    struct mf_slice ours = MF_SLICE("meshfast: ");
    char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    memcpy(longest, "meshfast: ", 10);
    const char *const yes[] = {"meshfast: no instance of a.B", "meshfast: ", longest};
    const char *const no[] = {"", "meshfast:", "Meshfast: no", " meshfast: no", "java.lang.Error: meshfast: "};
    for (size_t i = 0; i < sizeof ids; i++) {
        struct mf_dubbo_head head;
        for (size_t t = 0; t < 8; t++) {
            size_t n = mf_dubbo_put_error(frame, 1, ids[i], 80, t < 3 ? yes[t] : no[t - 3]);
            mf_dubbo_parse_head(mf_slice_of(frame, n), 4096, &head);
            struct mf_slice body = mf_slice_of(frame + MF_DUBBO_HEAD_LEN, head.body_len);
            CHECK_INT(mf_dubbo_error_begins(head.serialization, guarded(body), ours), t < 3);
            for (size_t cut = 0; cut < 10 && cut < body.len; cut++) /* too short for the prefix, whatever its form */
                CHECK(!mf_dubbo_error_begins(head.serialization, guarded(mf_slice_of(body.ptr, cut)), ours));
        }
    }
    CHECK(!mf_dubbo_error_begins(2, MF_SLICE("\x91"), ours));
    CHECK(!mf_dubbo_error_begins(22, MF_SLICE("meshfast: no"), ours));
    CHECK(!mf_dubbo_error_begins(23, MF_SLICE("\0\0"), ours));
}

static bool closing(uint8_t serialization, struct mf_slice body)
{
    size_t at = 99;
    bool yes = mf_dubbo_closing(serialization, body, NULL, &at);
    CHECK(yes ? at + 4 <= body.len && memcmp(body.ptr + at, "true", 4) == 0 : at == 0);
    if (!yes)
        return false;
    uint8_t *blank = malloc(body.len); /* and then nobody finds it any more */
    memcpy(blank, body.ptr, body.len);
    memcpy(blank + at, MF_DUBBO_NOT_CLOSING, 4);
    CHECK(!mf_dubbo_closing(serialization, mf_slice_of(blank, body.len), NULL, &at));
    free(blank);
    return true;
}

#define MARK "\x07" "closing\x04true"

static void test_hessian(void)
{
    static const struct {
        struct mf_slice body;
        bool is;
    } rows[] = {
        {MF_SLICE("\x94\x05helloH" MARK "Z"), true},
        {MF_SLICE("\x95H" MARK "Z"), true},
        {MF_SLICE("\x95H\x05" "dubbo\x05" "2.0.2" MARK "Z"), true},
        {MF_SLICE("\x95H" MARK "\x01" "a\x01" "b\x05" "dubbo\x05" "2.0.2Z"), true},
        {MF_SLICE("\x94\x0fxxxxxxx\x07" "closingH\x05" "dubbo\x05" "2.0.2Z"), false},
        {MF_SLICE("\x95H" MARK "\x05" "dubbo\x05" "2.0.2Z"), true},
        {MF_SLICE("\x95H\x07" "closing\x79\x04trueZ"), true}, /* a list of one */
        {MF_SLICE("\x95H\x01" "a\x91\x91\x01" "b\x01" "cN" MARK "Z"), true},
        {MF_SLICE("\x95M\x11java.util.HashMap" MARK "Z"), true},
        {MF_SLICE("\x93" "C\x01x\x91\x01m\x60\x02" "no" "H" MARK "Z"), true},
        {MF_SLICE("\x95H" MARK "\x07" "closing\x05" "falseZ"), false}, /* the last one counts */
        {MF_SLICE("\x95H\x07" "closing\x05" "false" MARK "Z"), true},
        {MF_SLICE("\x95H\x07" "closing\x04TRUEZ"), false},
        {MF_SLICE("\x95H\x07" "closingTZ"), false},
        {MF_SLICE("\x95H\x07" "closingNZ"), false},
        {MF_SLICE("\x94" "H" MARK "ZHZ"), false}, /* a value of the caller's own, not an attachment */
        {MF_SLICE("\x91H" MARK "Z"), false},      /* no attachments */
        {MF_SLICE("\x92H" MARK "Z"), false},
        {MF_SLICE("\x95H\x01" "aH" MARK "ZZ"), false}, /* deeper than the attachments */
        {MF_SLICE("\x95H\x08" "xclosing\x04trueZ"), false},
        {MF_SLICE("\x95" "N\x07" "closing"), false},
        {MF_SLICE(""), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(closing(MF_DUBBO_HESSIAN2, guarded(rows[i].body)), rows[i].is);
        for (size_t n = 0; n < rows[i].body.len; n++)
            CHECK(!closing(MF_DUBBO_HESSIAN2, guarded(mf_slice_of(rows[i].body.ptr, n))));
        CHECK(!closing(MF_DUBBO_FASTJSON2, guarded(rows[i].body)));
        CHECK(!closing(MF_DUBBO_JAVA, guarded(rows[i].body)));
    }
}

/* As dubbo-go-hessian2 1.12.5 wrote them: a value, null and a list, and what the request had is in the answer too. */
static void test_recorded(void)
{
    static const char *const answers[] = {
        "940568656c6c6f481570726f76696465722d636f756e742d6d61726b65645405647562626f05322e302e3207636c6f73696e670474727565"
        "03656e7656075b737472696e67910464657631047461677356075b737472696e679104646576310774696d656f757404333030305a",
        "954803656e7656075b737472696e67910464657631047461677356075b737472696e679104646576310774696d656f757404333030301570"
        "726f76696465722d636f756e742d6d61726b65645405647562626f05322e302e3207636c6f73696e6704747275655a",
        "9456075b737472696e679101614805647562626f05322e302e3207636c6f73696e67047472756503656e7656075b737472696e6791046465"
        "7631047461677356075b737472696e679104646576310774696d656f757404333030301570726f76696465722d636f756e742d6d61726b65"
        "64545a",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint8_t body[256];
        size_t n = 0;
        for (unsigned byte; sscanf(answers[i] + 2 * n, "%2x", &byte) == 1; n++)
            body[n] = (uint8_t)byte;
        CHECK(closing(MF_DUBBO_HESSIAN2, guarded(mf_slice_of(body, n))));
    }
}

static void test_fastjson2(void)
{
#define LEN(n) "\0\0\0" n
    CHECK(closing(23, guarded(MF_SLICE(LEN("\2") "\xbd\5" LEN("\x0f") "\xa6\x50" "closing\x4dtrue\xa5"))));
    CHECK(closing(23, guarded(MF_SLICE(LEN("\1") "\4" LEN("\1") "\1" LEN("\x0f") "\xa6\x50" "closing\x4dtrue\xa5"))));
    CHECK(closing(23, guarded(MF_SLICE(LEN("\1") "\3" LEN("\1") "\1" LEN("\x10") "\xa6\x50" "closing\x95\x4dtrue\xa5"))));
    CHECK(!closing(23, guarded(MF_SLICE(LEN("\1") "\5" LEN("\x0f") "\xa6\x50" "closing\x4dtruf\xa5"))));
    CHECK(!closing(23, guarded(MF_SLICE(LEN("\1") "\1" LEN("\x0f") "\xa6\x50" "closing\x4dtrue\xa5"))));
    CHECK(!closing(23, guarded(MF_SLICE(LEN("\1") "\4" LEN("\x0f") "\xa6\x50" "closing\x4dtrue\xa5"))));
    CHECK(!closing(23, guarded(MF_SLICE(LEN("\1") "\5" LEN("\x1f") "\xa6\x50" "closing\x4dtrue\xa5"))));
    CHECK(!closing(23, guarded(MF_SLICE(LEN("\1") "\5" LEN("\x0e") "\xa6\x50" "closing\x4dtrue"))));
}

/* It is looked for near the end only; before that, an answer of any length costs no more. */
static void test_where(void)
{
    enum { LONG = MF_DUBBO_CLOSING_LOOK + 100 };
    uint8_t *body = malloc(LONG + 64), *p = body;
    *p++ = 0x94;
    *p++ = 'S';
    mf_put16(p, LONG);
    memset(p + 2, 7, LONG); /* the rare byte, everywhere */
    p += 2 + LONG;
    memcpy(p, "H" MARK "Z", sizeof("H" MARK "Z") - 1);
    p += sizeof("H" MARK "Z") - 1;
    CHECK(closing(2, mf_slice_of(body, (size_t)(p - body))));
    p = body;
    *p++ = 0x95;
    *p++ = 'H';
    memcpy(p, MARK "\x01xS", sizeof(MARK "\x01xS") - 1);
    p += sizeof(MARK "\x01xS") - 1;
    mf_put16(p, LONG - 64);
    memset(p + 2, 'x', LONG - 64);
    p += 2 + LONG - 64;
    *p++ = 'Z';
    CHECK_INT(closing(2, mf_slice_of(body, (size_t)(p - body))), p - body <= MF_DUBBO_CLOSING_LOOK);
    CHECK(p - body > MF_DUBBO_CLOSING_LOOK);
    free(body);
}

int main(void)
{
    test_error_begins();
    test_hessian();
    test_recorded();
    test_fastjson2();
    test_where();
    return test_end("codec/dubbo_answer");
}
