/* traceid: good headers, and headers that only look like them. */
#include "codec/traceid.h"
#include "test.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"

static void check(enum mf_traceid_format format, const char *value, const char *want)
{
    struct mf_slice in = guarded(mf_slice_str(value));
    CHECK_STR(mf_traceid_of(format, in), want);
    for (size_t n = 0; n < in.len; n++)
        CHECK(mf_traceid_of(format, guarded(mf_slice_of(value, n))).len <= n);
}

/* Values that many callers send who have no trace. */
static void check_none(void)
{
    static const char *const none[] = {
        "0", "00", "0000000000000000", "00000000000000000000000000000000", "0-0-0", "0.0.0", "0:0:0:0", "-", "--", " ",
        "   ", "\t", "null", "NULL", "Null", "(null)", "<null>", "\"null\"", " null ", "undefined", "Undefined", "nil",
        "<nil>", "none", "None", "unknown", "UNKNOWN", "n/a", "N/A", "NaN", "Ignored_Trace", "[Ignored Trace]",
        "[object Object]", "\"\"", "''", "{}", "[]", "()", "_", "d", "1", "-1", "\"1\"",
    };
    static const char *const same[] = {"t1", "null1", "nullnull", "0a", "10", "01", "-0-0-7f", "unknown-7", "no", "日",
                                       "none-of-these", "0000000000000001", "undefined.7", " 7f ", "0x1"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        check(MF_TRACEID_PLAIN, none[i], "");
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        check(MF_TRACEID_PLAIN, same[i], same[i]);
    check(MF_TRACEID_B3, "0000000000000000-e457b5a2e4d86bd1", "");
    check(MF_TRACEID_B3, "00000000000000000000000000000000-e457b5a2e4d86bd1-1", "");
}

/* In base64: as text, and what the text stands for. */
static void check_none_sw8(void)
{
    static const char *const none[] = {
        "0-0-0", "0--0", "1--1-0", "1-=-1", "1-MA==-1", "1-MDA=-1", "1-MDAwMDAwMDAwMDAwMDAwMA==-1", "1-LQ==-1",
        "1-bnVsbA==-1", "1-bnVsbA-1", "1-TlVMTA==-1", "1-dW5kZWZpbmVk-1", "1-Ti9B-1", "1-SWdub3JlZF9UcmFjZQ==-1",
        "1-ICAg-1", "1-QQ==-1", "1-null-1", "1-AAAA-1",
    };
    static const char zeros[] =
        "1-MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw-1";
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        check(MF_TRACEID_SW8, none[i], "");
    check(MF_TRACEID_SW8, zeros, "");
    check(MF_TRACEID_SW8, "1-YWJj-1", "YWJj");
    check(MF_TRACEID_SW8, "1-MDE=-1", "MDE=");
    check(MF_TRACEID_SW8, "1-bnVsbDE=-1", "bnVsbDE=");
    check(MF_TRACEID_SW8, "1-not base64-1", "not base64");
    check(MF_TRACEID_SW8, "1-abcde-1", "abcde");
}

int main(void)
{
    check_none();
    check_none_sw8();
    check(MF_TRACEID_PLAIN, "abc-def", "abc-def");
    check(MF_TRACEID_PLAIN, "", "");
    check(MF_TRACEID_TRACEPARENT, "00-" ID "-00f067aa0ba902b7-01", ID);
    check(MF_TRACEID_TRACEPARENT, "cc-" ID "-00f067aa0ba902b7-01-what-comes", ID);
    check(MF_TRACEID_TRACEPARENT, "ff-" ID "-00f067aa0ba902b7-01", "");
    check(MF_TRACEID_TRACEPARENT, "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "");
    check(MF_TRACEID_TRACEPARENT, "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "");
    check(MF_TRACEID_TRACEPARENT, "00-" ID, "");
    check(MF_TRACEID_TRACEPARENT, "0-" ID "-1-01", "");
    check(MF_TRACEID_TRACEPARENT, "00-4bf9-00f067aa0ba902b7-01", "");
    check(MF_TRACEID_TRACEPARENT, "00-", "");
    check(MF_TRACEID_B3, ID "-e457b5a2e4d86bd1-1", ID);
    check(MF_TRACEID_B3, "e457b5a2e4d86bd1-e457b5a2e4d86bd1", "e457b5a2e4d86bd1");
    check(MF_TRACEID_B3, "0", "");
    check(MF_TRACEID_B3, "d-e457b5a2e4d86bd1", "");
    check(MF_TRACEID_SW8, "1-TRACEID=-SEG-3-c2Vydg==-aW5z-L2Vw-MTo4", "TRACEID=");
    check(MF_TRACEID_SW8, "0-QUI=-SEG", "QUI=");
    check(MF_TRACEID_SW8, "2-QQ==-SEG", "");
    check(MF_TRACEID_SW8, "1-QQ==", "");
    check(MF_TRACEID_SW8, "1-", "");
    CHECK_INT(mf_traceid_format_of(MF_SLICE("TraceParent")), MF_TRACEID_TRACEPARENT);
    CHECK_INT(mf_traceid_format_of(MF_SLICE("b3")), MF_TRACEID_B3);
    CHECK_INT(mf_traceid_format_of(MF_SLICE("SW8")), MF_TRACEID_SW8);
    CHECK_INT(mf_traceid_format_of(MF_SLICE("sw80")), MF_TRACEID_PLAIN);
    CHECK_INT(mf_traceid_format_of(MF_SLICE("x-request-id")), MF_TRACEID_PLAIN);
    CHECK_INT(mf_traceid_format_of((struct mf_slice){0}), MF_TRACEID_PLAIN);
    return test_end("codec/traceid");
}
