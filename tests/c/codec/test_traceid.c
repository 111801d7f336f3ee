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

int main(void)
{
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
    check(MF_TRACEID_SW8, "0-QQ==-SEG", "QQ==");
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
